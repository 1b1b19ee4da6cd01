// One HTTP/2 stream of a session: a call, from its first header to its last byte. Internal to rls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "frontends/rls/http2/inflate.h"
#include "frontends/rls/http2/service.h"

namespace weir::rls {

class Exchange;

// What a string may keep when it holds little.
inline constexpr std::size_t kKeptBytes = 8 << 10;
// Gives back memory that is beyond that and far more than what is in it. (To assign an empty string frees nothing.)
inline void Trim(std::string& text) {
  if (text.capacity() > kKeptBytes && text.capacity() / 4 > text.size()) text.shrink_to_fit();
}

// What an exchange that streams asks of its session.
class ExchangeOwner {
 public:
  virtual void OnSend(Exchange& exchange, std::string_view message) = 0;
  virtual void OnFinish(Exchange& exchange, Status status) = 0;
  virtual net::Connection& connection() = 0;

 protected:
  ~ExchangeOwner() = default;
};

class Exchange final : public Stream {
 public:
  // ---- Stream: what the service's handler sees ---------------------------------------------------------------------
  void Send(std::string message) override { owner->OnSend(*this, message); }
  std::size_t queued() const override { return out.size() - out_sent; }
  void Finish(Status final_status) override { owner->OnFinish(*this, std::move(final_status)); }
  net::Connection& connection() override { return owner->connection(); }

  // nghttp2 has taken so many bytes more. What is sent is forgotten, so that `out` stays below twice what is not, also
  // for a reader in drips.
  void Sent(std::size_t size) {
    out_sent += size;
    if (out_sent < out.size() && (out_sent <= kKeptBytes || out_sent <= out.size() / 2)) return;
    out.erase(0, out_sent);
    out_sent = 0;
    Trim(out);
  }

  // As new, but for the memory of its strings.
  void Reset() {
    for (std::string* text : {&in, &out, &request_id}) {
      text->clear();
      Trim(*text);
    }
    out_sent = 0;
    status.code = Code::kOk;
    status.message.clear();
    handler.reset();
    service = nullptr;
    method = nullptr;
    deadline = slow_since = 0;
    header_bytes = dropped_bytes = 0;
    header_fault = HeaderFault::kNone;
    plain = Plain::kNone;
    reply = Reply::kNone;
    encoding = Encoding::kIdentity;
    is_post = is_grpc = authorized = headed = told_end = known_service = timed = ended = closed = deferred = finished =
        queued_event = false;
  }

  enum class HeaderFault : std::uint8_t { kNone, kTooLarge, kBadTimeout, kBadRequestId };
  // Answers without gRPC in them, for those who speak something else.
  enum class Plain : std::uint8_t { kNone, kMethodNotAllowed, kUnsupportedMediaType };
  enum class Reply : std::uint8_t {
    kNone,
    kAsked,    // a unary call that its service answers
    kStarted,  // response headers are out; the rest follows through the data provider
    kWhole,    // a trailers-only answer: all of it is with nghttp2
  };

  ExchangeOwner* owner = nullptr;
  std::size_t slot = 0;  // in the session's list
  std::int32_t id = 0;
  std::uint64_t number = 0;  // CancelWindow's
  // ---- the question ------------------------------------------------------------------------------------------------
  Service* service = nullptr;
  const Method* method = nullptr;
  std::uint32_t method_index = 0;  // CallCounters'
  Nanos deadline = 0;              // valid when `timed`; an offset until the headers are whole
  Nanos slow_since = 0;            // since when the rest of a message is waited for; 0: it is not
  std::uint32_t header_bytes = 0;
  std::uint32_t dropped_bytes = 0;  // of a body that nobody reads
  std::string request_id;           // UnaryCall's
  std::string in;                   // received, not yet understood
  // ---- the answer --------------------------------------------------------------------------------------------------
  std::string out;  // framed messages, the first out_sent bytes of which nghttp2 has taken
  std::size_t out_sent = 0;
  Status status;  // for the trailers, once `finished`
  std::unique_ptr<StreamHandler> handler;

  HeaderFault header_fault = HeaderFault::kNone;
  Plain plain = Plain::kNone;
  Reply reply = Reply::kNone;
  Encoding encoding = Encoding::kIdentity;
  bool is_post : 1 = false;
  bool is_grpc : 1 = false;
  bool headed : 1 = false;  // all headers have arrived
  bool told_end : 1 = false;
  bool authorized : 1 = false;  // the client has brought a token
  bool known_service : 1 = false;
  bool timed : 1 = false;
  bool ended : 1 = false;         // the client has half-closed
  bool closed : 1 = false;        // the stream is gone
  bool deferred : 1 = false;      // the data provider waits for more in `out`
  bool finished : 1 = false;      // `status` is final
  bool queued_event : 1 = false;  // in the session's list of streams with news
};

// Exchanges that are not in use, a few for each thread.
class Exchanges {
 public:
  static Exchange* Acquire();
  static void Release(Exchange* exchange);
};

}  // namespace weir::rls
