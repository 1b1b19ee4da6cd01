#include "storage/redis/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/file.h"
#include "io/backoff.h"

namespace weir::storage::redis {

class TlsContext {
 public:
  boost::asio::ssl::context context{boost::asio::ssl::context::tls_client};
};

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr Nanos kNever = INT64_MAX;

std::chrono::steady_clock::time_point SteadyPoint(Nanos at) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(at));
}

// ---- a socket, bare or under TLS ------------------------------------------------------------------------------------

using Socket = asio::generic::stream_protocol::socket;
using Endpoint = asio::generic::stream_protocol::endpoint;
using TlsStream = asio::ssl::stream<Socket>;

// Lives as long as an operation on it is under way, also after its connection has gone on to another.
class Wire : public std::enable_shared_from_this<Wire> {
 public:
  Wire(asio::io_context& io, TlsContext* tls, const Url& url) : url_(url) {
    if (tls != nullptr) {
      secure_.emplace(io, tls->context);
    } else {
      plain_.emplace(io);
    }
  }

  asio::awaitable<error_code> Open(Endpoint endpoint) {
    const auto [fault] = co_await socket().async_connect(endpoint, kAwait);
    if (fault) co_return fault;
    if (url_.transport == Transport::kUnix) co_return error_code{};
    error_code ignored;
    socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    socket().set_option(asio::socket_base::keep_alive(true), ignored);
    if (!secure_) co_return error_code{};

    const std::string& name = url_.server_name.empty() ? url_.host : url_.server_name;
    error_code not_a_name;
    asio::ip::make_address(name, not_a_name);
    if (not_a_name) SSL_set_tlsext_host_name(secure_->native_handle(), name.c_str());  // SNI holds no addresses
    if (url_.verify == Verify::kPeer) secure_->set_verify_callback(asio::ssl::host_name_verification(name));
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

  const Url& url_;               // the connection's, which outlives its wires
  std::optional<Socket> plain_;  // exactly one of the two
  std::optional<TlsStream> secure_;
  std::string output_, sending_;
  bool writing_ = false;
};

// ---- the connection -------------------------------------------------------------------------------------------------

class AsioConnection final : public Connection, public std::enable_shared_from_this<AsioConnection> {
 public:
  AsioConnection(asio::io_context& io, const ConnectionOptions& options, TlsContext* tls, ConnectionOwner& owner)
      : io_(io),
        options_(options),
        tls_(tls),
        owner_(owner),
        backoff_(options.backoff_min, options.backoff_max),
        connect_timer_(io),
        deadline_timer_(io),
        backoff_timer_(io),
        resolver_(io) {}

  void Start() override { asio::co_spawn(io_, Run(shared_from_this()), asio::detached); }

  void Stop() override {
    stopping_ = true;
    Drop("stopped");
    backoff_timer_.cancel();
    deadline_timer_.cancel();
    FailWaiting();
  }

  void Drop(std::string_view why) override {
    if (dropped_) return;
    dropped_ = true;
    ready_ = false;
    why_ = why;
    resolver_.cancel();
    connect_timer_.cancel();
    if (wire_) wire_->Close();
  }

  void Proven() override { backoff_.Reset(); }
  bool ready() const override { return ready_; }
  std::size_t waiting() const override { return waiting_.size(); }

  void Send(std::string_view bytes, std::span<std::unique_ptr<Exchange>> exchanges, Nanos deadline) override {
    wire_->output() += bytes;
    for (std::unique_ptr<Exchange>& exchange : exchanges) waiting_.push_back({std::move(exchange), deadline});
    ArmDeadline(deadline);
  }

  void Flush() override {
    if (!wire_ || dropped_) return;
    wire_->Flush([self = shared_from_this(), wire = wire_](std::string_view fault) {
      if (self->wire_ == wire) self->Drop(fault);
    });
  }

 private:
  struct Waiting {
    std::unique_ptr<Exchange> exchange;  // nullptr: timed out, its reply is dropped
    Nanos deadline;
  };
  class Greeting;

  // The whole life: connect, serve, lose, wait, again.
  static asio::awaitable<void> Run(std::shared_ptr<AsioConnection> self) {
    while (!self->stopping_) {
      self->Begin();
      const bool open = co_await self->Open();
      if (open && !self->dropped_) {
        self->Greet();
        co_await self->Read();
      }
      self->End();
      if (self->stopping_) break;
      self->backoff_timer_.expires_after(std::chrono::nanoseconds(self->backoff_.Next(self->options_.jitter())));
      co_await self->backoff_timer_.async_wait(kAwait);
    }
  }

  void Begin() {
    dropped_ = false;
    why_.clear();
    connect_timer_.expires_after(std::chrono::nanoseconds(options_.connect_timeout));
    connect_timer_.async_wait([self = shared_from_this(), attempt = ++attempt_](error_code fault) {
      if (!fault && !self->ready_ && attempt == self->attempt_) self->Drop("connecting took too long");
    });
  }

  void End() {
    const bool was_ready = std::exchange(was_ready_, false);
    Drop("closed");
    wire_.reset();
    // The owner first: who is told that a plan failed must find the store as it is now, not serving still.
    if (!stopping_) owner_.OnLost(*this, was_ready, why_);
    FailWaiting();
  }

  asio::awaitable<bool> Open() {
    std::vector<Endpoint> endpoints;
    if (options_.url.transport == Transport::kUnix) {
      endpoints.emplace_back(asio::local::stream_protocol::endpoint(options_.url.path));
    } else {
      auto [fault, found] =
          co_await resolver_.async_resolve(options_.url.host, std::to_string(options_.url.port), kAwait);
      if (fault) {
        Drop("resolving the host: " + fault.message());
        co_return false;
      }
      for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
    }
    std::string last = "the host has no address";
    for (const Endpoint& endpoint : endpoints) {
      if (dropped_) co_return false;
      wire_ = std::make_shared<Wire>(io_, tls_, options_.url);
      const error_code fault = co_await wire_->Open(endpoint);
      if (!fault) co_return true;
      last = wire_->Explain(fault);
    }
    Drop(last);
    co_return false;
  }

  void Greet();

  void GreetingDone() {
    connect_timer_.cancel();
    ready_ = was_ready_ = true;
    owner_.OnReady(*this);
  }

  asio::awaitable<void> Read() {
    const std::shared_ptr<Wire> wire = wire_;
    ReplyReader reader(options_.max_reply_bytes);
    std::vector<char> buffer(64 * 1024);
    while (!dropped_) {
      const auto [fault, size] = co_await wire->ReadSome(buffer);
      if (dropped_) break;
      if (fault) {
        Drop(wire->Explain(fault));
        break;
      }
      if (auto fed = reader.Feed({buffer.data(), size}); !fed) {
        Drop(fed.error().message);
        break;
      }
      Deliver(reader);
      Flush();  // what the replies made necessary: retries
    }
  }

  void Deliver(ReplyReader& reader) {
    while (!dropped_) {
      auto next = reader.Next();
      if (!next) return Drop(next.error().message);
      if (!*next) return;
      if (waiting_.empty()) return Drop("a reply that nobody asked for");
      Waiting waiting = std::move(waiting_.front());
      waiting_.pop_front();
      if (waiting.exchange) waiting.exchange->OnReply(*this, std::move(**next));
    }
  }

  // ---- deadlines ----
  // One timer for the soonest; an answered exchange leaves it armed, and it then finds nothing due.

  void ArmDeadline(Nanos at) {
    if (at >= armed_) return;
    armed_ = at;
    deadline_timer_.expires_at(SteadyPoint(at));
    deadline_timer_.async_wait([self = shared_from_this(), at](error_code fault) {
      if (!fault && self->armed_ == at) self->ExpireDue();
    });
  }

  void ExpireDue() {
    armed_ = kNever;
    const Nanos now = SteadyNow();
    Nanos next = kNever;
    std::vector<std::unique_ptr<Exchange>> due;
    bool stalled = false;
    for (Waiting& waiting : waiting_) {
      if (waiting.exchange && waiting.deadline <= now) due.push_back(std::move(waiting.exchange));
      const Nanos event = waiting.exchange ? waiting.deadline : waiting.deadline + options_.stall;
      if (event <= now) {
        stalled = true;
      } else {
        next = std::min(next, event);
      }
    }
    if (next != kNever) ArmDeadline(next);
    for (const std::unique_ptr<Exchange>& exchange : due) exchange->OnFailure(Failure::kTimeout);
    if (stalled) Drop("a reply is long overdue");
  }

  void FailWaiting() {
    std::deque<Waiting> lost;
    lost.swap(waiting_);
    for (const Waiting& waiting : lost) {
      if (waiting.exchange) waiting.exchange->OnFailure(Failure::kLost);
    }
  }

  asio::io_context& io_;
  const ConnectionOptions options_;
  TlsContext* const tls_;
  ConnectionOwner& owner_;
  io::Backoff backoff_;
  asio::steady_timer connect_timer_, deadline_timer_, backoff_timer_;
  asio::ip::tcp::resolver resolver_;

  std::shared_ptr<Wire> wire_;  // operations under way hold it too, and outlive a Drop with it
  std::deque<Waiting> waiting_;
  Nanos armed_ = kNever;
  std::uint64_t attempt_ = 0;
  std::string why_;
  bool ready_ = false;
  bool was_ready_ = false;  // this wire got as far as ready
  bool dropped_ = true;
  bool stopping_ = false;
};

// AUTH, SELECT and PING, written at once; ready when PING is answered: it tells a server that wants a password, or
// still loads its data, from one that serves.
class AsioConnection::Greeting final : public Exchange {
 public:
  Greeting(std::string_view what, bool last) : what_(what), last_(last) {}

  void OnReply(Connection& connection, Reply reply) override {
    if (reply.IsError()) return connection.Drop(std::string(what_) + ": " + reply.text);
    if (last_) static_cast<AsioConnection&>(connection).GreetingDone();
  }
  void OnFailure(Failure) override {}  // the connect timer and the loss itself say all

 private:
  const std::string_view what_;
  const bool last_;
};

void AsioConnection::Greet() {
  std::string bytes;
  std::vector<std::unique_ptr<Exchange>> greetings;
  const Url& url = options_.url;
  if (!url.password.empty()) {
    Command auth{"AUTH"};
    if (!url.user.empty()) auth.Add(url.user);
    auth.Add(url.password).AppendTo(bytes);
    greetings.push_back(std::make_unique<Greeting>("AUTH", false));
  }
  if (url.database != 0) {
    Command{"SELECT", std::to_string(url.database)}.AppendTo(bytes);
    greetings.push_back(std::make_unique<Greeting>("SELECT", false));
  }
  Command{"PING"}.AppendTo(bytes);
  greetings.push_back(std::make_unique<Greeting>("PING", true));
  Send(bytes, greetings, SteadyNow() + options_.connect_timeout);
  Flush();
}

}  // namespace

void TlsContextDeleter::operator()(TlsContext* context) const { delete context; }

Result<TlsContextPtr> MakeTlsContext(const Url& url) {
  TlsContextPtr tls(new TlsContext);
  asio::ssl::context& context = tls->context;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  context.set_verify_mode(url.verify == Verify::kPeer ? asio::ssl::verify_peer : asio::ssl::verify_none);
  const auto refused = [](const std::string& file, const error_code& fault) {
    return Fail(ErrorCode::kInvalidArgument, "redis TLS: cannot use '" + file + "': " + fault.message());
  };
  for (const std::string& file : {url.ca_file, url.certificate_file, url.key_file}) {
    if (file.empty()) continue;
    if (auto checked = CheckRegularFile(file); !checked) {
      return Fail(ErrorCode::kInvalidArgument, "redis TLS: " + checked.error().message);
    }
  }
  error_code fault;
  if (url.ca_file.empty()) {
    context.set_default_verify_paths(fault);
    if (fault) return refused("the system's authorities", fault);
  } else if (context.load_verify_file(url.ca_file, fault); fault) {
    return refused(url.ca_file, fault);
  }
  if (url.certificate_file.empty()) return tls;
  if (context.use_certificate_chain_file(url.certificate_file, fault); fault)
    return refused(url.certificate_file, fault);
  if (context.use_private_key_file(url.key_file, asio::ssl::context::pem, fault); fault)
    return refused(url.key_file, fault);
  return tls;
}

Nanos SteadyNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::shared_ptr<Connection> MakeConnection(asio::io_context& io, const ConnectionOptions& options, TlsContext* tls,
                                           ConnectionOwner& owner) {
  return std::make_shared<AsioConnection>(io, options, tls, owner);
}

}  // namespace weir::storage::redis
