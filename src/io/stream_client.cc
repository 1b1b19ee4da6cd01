#include "io/stream_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "io/backoff.h"
#include "io/tls_context.h"

namespace weir::io {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// ---- a socket, bare or under TLS ------------------------------------------------------------------------------------

using Socket = asio::generic::stream_protocol::socket;
using Address = asio::generic::stream_protocol::endpoint;
using TlsStream = asio::ssl::stream<Socket>;

}  // namespace

// Lives as long as an operation on it is under way, also after its connection has gone on to another.
class StreamClient::Wire : public std::enable_shared_from_this<Wire> {
 public:
  Wire(asio::io_context& io, TlsClient* tls, const Endpoint& to) : to_(to) {
    if (tls != nullptr) {
      secure_.emplace(io, tls->context);
    } else {
      plain_.emplace(io);
    }
  }

  asio::awaitable<error_code> Open(Address endpoint) {
    const auto [fault] = co_await socket().async_connect(endpoint, kAwait);
    if (fault) co_return fault;
    if (to_.transport == Endpoint::Transport::kUnix) co_return error_code{};
    error_code ignored;
    socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    socket().set_option(asio::socket_base::keep_alive(true), ignored);
    if (!secure_) co_return error_code{};

    const std::string& name = to_.server_name.empty() ? to_.host : to_.server_name;
    error_code not_a_name;
    asio::ip::make_address(name, not_a_name);
    if (not_a_name) SSL_set_tlsext_host_name(secure_->native_handle(), name.c_str());  // SNI holds no addresses
    if (to_.verify_peer) secure_->set_verify_callback(asio::ssl::host_name_verification(name));
    const auto [handshake_fault] = co_await secure_->async_handshake(asio::ssl::stream_base::client, kAwait);
    co_return handshake_fault;
  }

  asio::awaitable<std::tuple<error_code, std::size_t>> ReadSome(std::span<char> into) {
    const auto buffer = asio::buffer(into.data(), into.size());
    if (secure_) co_return co_await secure_->async_read_some(buffer, kAwait);
    co_return co_await plain_->async_read_some(buffer, kAwait);
  }

  std::string& output() { return output_; }

  // Writes all of output() with one write; what is appended meanwhile goes with the next, by itself.
  void Flush(std::function<void(std::string_view fault)> on_fault) {
    if (writing_ || output_.empty()) return;
    writing_ = true;
    sending_.clear();
    sending_.swap(output_);
    auto written = [self = shared_from_this(), on_fault = std::move(on_fault)](error_code fault, std::size_t) mutable {
      self->writing_ = false;
      if (fault) return on_fault(self->Explain(fault));
      self->Flush(std::move(on_fault));
    };
    if (secure_) {
      asio::async_write(*secure_, asio::buffer(sending_), std::move(written));
    } else {
      asio::async_write(*plain_, asio::buffer(sending_), std::move(written));
    }
  }

  void Close() {
    error_code ignored;
    socket().close(ignored);
  }

  std::string Explain(const error_code& fault) {
    if (secure_ && fault.category() == asio::error::get_ssl_category()) {
      const long verdict = SSL_get_verify_result(secure_->native_handle());
      if (verdict != X509_V_OK) return std::string("TLS: ") + X509_verify_cert_error_string(verdict);
      return "TLS: " + fault.message();
    }
    return fault.message();
  }

 private:
  Socket& socket() { return secure_ ? secure_->next_layer() : *plain_; }

  const Endpoint& to_;           // the client's, which outlives its wires
  std::optional<Socket> plain_;  // exactly one of the two
  std::optional<TlsStream> secure_;
  std::string output_, sending_;
  bool writing_ = false;
};

// ---- the client -----------------------------------------------------------------------------------------------------

struct StreamClient::Parts {
  Parts(asio::io_context& given, StreamOptions opts, TlsClient* client_tls)
      : io(given),
        options(std::move(opts)),
        tls(client_tls),
        backoff(options.backoff_min, options.backoff_max),
        connect_timer(given),
        backoff_timer(given),
        resolver(given) {}

  static asio::awaitable<void> Run(std::shared_ptr<StreamClient> self);
  static asio::awaitable<bool> Open(StreamClient& self);
  static asio::awaitable<void> Read(StreamClient& self);
  static void Begin(StreamClient& self);
  static void End(StreamClient& self);

  asio::io_context& io;
  const StreamOptions options;
  TlsClient* const tls;
  Backoff backoff;
  asio::steady_timer connect_timer, backoff_timer;
  asio::ip::tcp::resolver resolver;

  std::shared_ptr<Wire> wire;  // operations under way hold it too, and outlive a Drop with it
  std::uint64_t attempt = 0;
  std::string why;
  bool ready = false;
  bool was_ready = false;  // this wire got as far as ready
  bool dropped = true;
  bool stopping = false;
};

StreamClient::StreamClient(asio::io_context& io, StreamOptions options, TlsClient* tls)
    : parts_(std::make_unique<Parts>(io, std::move(options), tls)) {}

StreamClient::~StreamClient() = default;

void StreamClient::StartStream() { asio::co_spawn(parts_->io, Parts::Run(shared_from_this()), asio::detached); }

void StreamClient::StopStream() {
  parts_->stopping = true;
  DropStream("stopped");
  parts_->backoff_timer.cancel();
}

void StreamClient::DropStream(std::string_view why) {
  if (parts_->dropped) return;
  parts_->dropped = true;
  parts_->ready = false;
  parts_->why = why;
  parts_->resolver.cancel();
  parts_->connect_timer.cancel();
  if (parts_->wire) parts_->wire->Close();
}

void StreamClient::ResetBackoff() { parts_->backoff.Reset(); }

void StreamClient::SetReady() {
  parts_->connect_timer.cancel();
  parts_->ready = parts_->was_ready = true;
}

bool StreamClient::is_ready() const { return parts_->ready; }
bool StreamClient::is_dropped() const { return parts_->dropped; }
std::string& StreamClient::stream_output() { return parts_->wire->output(); }

void StreamClient::FlushStream() {
  if (!parts_->wire || parts_->dropped) return;
  parts_->wire->Flush([self = shared_from_this(), wire = parts_->wire](std::string_view fault) {
    if (self->parts_->wire == wire) self->DropStream(fault);
  });
}

// The whole life: connect, serve, lose, wait, again.
asio::awaitable<void> StreamClient::Parts::Run(std::shared_ptr<StreamClient> self) {
  Parts& parts = *self->parts_;
  while (!parts.stopping) {
    Begin(*self);
    const bool open = co_await Open(*self);
    if (open && !parts.dropped) {
      self->OnOpen();
      co_await Read(*self);
    }
    End(*self);
    if (parts.stopping) break;
    parts.backoff_timer.expires_after(std::chrono::nanoseconds(parts.backoff.Next(parts.options.jitter())));
    co_await parts.backoff_timer.async_wait(kAwait);
  }
}

void StreamClient::Parts::Begin(StreamClient& self) {
  Parts& parts = *self.parts_;
  parts.dropped = false;
  parts.why.clear();
  parts.connect_timer.expires_after(std::chrono::nanoseconds(parts.options.connect_timeout));
  parts.connect_timer.async_wait([client = self.shared_from_this(), attempt = ++parts.attempt](error_code fault) {
    const Parts& now = *client->parts_;
    if (!fault && !now.ready && attempt == now.attempt) client->DropStream("connecting took too long");
  });
}

void StreamClient::Parts::End(StreamClient& self) {
  Parts& parts = *self.parts_;
  const bool was_ready = std::exchange(parts.was_ready, false);
  self.DropStream("closed");
  parts.wire.reset();
  if (!parts.stopping) self.OnClosed(was_ready, parts.why);
}

asio::awaitable<bool> StreamClient::Parts::Open(StreamClient& self) {
  Parts& parts = *self.parts_;
  const Endpoint& to = parts.options.endpoint;
  std::vector<Address> addresses;
  if (to.transport == Endpoint::Transport::kUnix) {
    addresses.emplace_back(asio::local::stream_protocol::endpoint(to.path));
  } else {
    auto [fault, found] = co_await parts.resolver.async_resolve(to.host, std::to_string(to.port), kAwait);
    if (fault) {
      self.DropStream("resolving the host: " + fault.message());
      co_return false;
    }
    for (const auto& entry : found) addresses.emplace_back(entry.endpoint());
  }
  std::string last = "the host has no address";
  for (const Address& address : addresses) {
    if (parts.dropped) co_return false;
    parts.wire = std::make_shared<Wire>(parts.io, parts.tls, to);
    const error_code fault = co_await parts.wire->Open(address);
    if (!fault) co_return true;
    last = parts.wire->Explain(fault);
  }
  self.DropStream(last);
  co_return false;
}

asio::awaitable<void> StreamClient::Parts::Read(StreamClient& self) {
  Parts& parts = *self.parts_;
  const std::shared_ptr<Wire> wire = parts.wire;
  std::vector<char> buffer(std::size_t{64} * 1024);
  while (!parts.dropped) {
    const auto [fault, size] = co_await wire->ReadSome(buffer);
    if (parts.dropped) break;
    if (fault) {
      self.DropStream(wire->Explain(fault));
      break;
    }
    if (auto taken = self.OnBytes({buffer.data(), size}); !taken) {
      self.DropStream(taken.error().message);
      break;
    }
    self.FlushStream();  // what the answers made necessary: retries
  }
}

}  // namespace weir::io
