// What nghttp2 tells of the client's frames, and the routing of requests.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/request_id.h"
#include "frontends/rls/http2/grpc_session.h"
#include "frontends/rls/http2/wire.h"

namespace weir::rls {
namespace {

// What HPACK counts for a header beside its text (RFC 9113, 10.5.1).
constexpr std::size_t kHeaderOverhead = 32;
// Headers that unpack to more than so many times what is allowed are meant to hurt.
constexpr std::uint32_t kBombFactor = 4;
// So much of a body that nobody reads is waited for.
constexpr std::uint32_t kMostDropped = 64 << 10;

}  // namespace

Exchange* GrpcSession::Find(std::int32_t stream) const {
  if (latest_ != nullptr && latest_->id == stream) return latest_;
  return static_cast<Exchange*>(nghttp2_session_get_stream_user_data(h2_, stream));
}

bool GrpcSession::OnFrame(const FrameScanner::Frame& frame) {
  if (frame.type != NGHTTP2_CONTINUATION) cut_since_ = 0;
  switch (frame.type) {
    case NGHTTP2_CONTINUATION:
      in_headers_ = (frame.flags & NGHTTP2_FLAG_END_HEADERS) == 0;
      return true;
    case NGHTTP2_HEADERS: {
      in_headers_ = (frame.flags & NGHTTP2_FLAG_END_HEADERS) == 0;
      const bool begins = frame.stream > highest_stream_;
      if (!StreamTakes(frame)) return false;
      if (begins) return true;
      break;
    }
    case NGHTTP2_DATA:
      if (!StreamTakes(frame)) return false;
      if (Carries(frame)) return true;
      break;
    case NGHTTP2_PRIORITY:
      // nghttp2 skips these, so does not look.
      if (frame.stream == 0 || frame.dependency == frame.stream) {
        End(NGHTTP2_PROTOCOL_ERROR);
        return false;
      }
      break;
    default:
      break;
  }
  if (frames_.Spend(clock())) return true;
  End(Abuse::kFrameFlood);
  return false;
}

// Whether a DATA frame brings something that its call waits for.
bool GrpcSession::Carries(const FrameScanner::Frame& frame) const {
  const bool ends = (frame.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.content == 0 && !ends) return false;
  const Exchange* const exchange = Find(frame.stream);
  // One whose headers nghttp2 has not seen yet is about to begin; else it has gone, and this is what came behind.
  if (exchange == nullptr) return std::binary_search(arriving_.begin(), arriving_.end(), frame.stream);
  return ends || (exchange->reply != Exchange::Reply::kWhole && !exchange->finished);
}

bool GrpcSession::StreamTakes(const FrameScanner::Frame& frame) {
  if (frame.stream > highest_stream_) {
    if (frame.type == NGHTTP2_HEADERS) {
      highest_stream_ = frame.stream;
      arriving_.push_back(frame.stream);
      if (arriving_.size() > options_.max_concurrent_streams) {
        abandoned_.Add(arriving_.front());
        arriving_.erase(arriving_.begin());
      }
    }
    return true;
  }
  // nghttp2 passes over frames for a stream that is gone, because we may have ended it while they travelled. When the
  // client had ended it, it is the one at fault (RFC 9113, 5.1).
  if (frame.stream == 0 || Find(frame.stream) != nullptr ||
      std::binary_search(arriving_.begin(), arriving_.end(), frame.stream) || abandoned_.Has(frame.stream)) {
    return true;
  }
  End(NGHTTP2_STREAM_CLOSED);
  return false;
}

Exchange* GrpcSession::OnStreamBegin(std::int32_t stream) {
  // Those before it were refused, and what follows them is on its way.
  const auto begun = std::upper_bound(arriving_.begin(), arriving_.end(), stream);
  for (auto it = arriving_.begin(); it != begun; ++it) {
    if (*it != stream) abandoned_.Add(*it);
  }
  arriving_.erase(arriving_.begin(), begun);
  if (drained_) {
    // The last GOAWAY, which may wait to be sent, says that it was not taken: its client asks elsewhere.
    abandoned_.Add(stream);
    nghttp2_submit_rst_stream(h2_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_REFUSED_STREAM);
    return nullptr;
  }
  Exchange* const exchange = Exchanges::Acquire();
  exchange->owner = this;
  exchange->id = stream;
  exchange->number = cancels_.Open();
  exchange->slot = live_.size();
  exchange->method_index = CallCounters::kUnknownMethod;
  live_.push_back(exchange);
  nghttp2_session_set_stream_user_data(h2_, stream, exchange);
  latest_ = exchange;
  return exchange;
}

void GrpcSession::OnHeader(Exchange& exchange, std::string_view name, std::string_view value) {
  exchange.header_bytes += static_cast<std::uint32_t>(name.size() + value.size() + kHeaderOverhead);
  if (exchange.header_bytes > options_.max_header_bytes) {
    exchange.header_fault = Exchange::HeaderFault::kTooLarge;
    // What is a little too large is refused politely. A bomb is not unpacked to its end.
    if (exchange.header_bytes > kBombFactor * options_.max_header_bytes) End(Abuse::kHeaderFlood);
    return;
  }
  if (exchange.headed) return;
  switch (name.size()) {
    case 5:
      if (name == ":path") Route(exchange, value);
      break;
    case 7:
      if (name == ":method") exchange.is_post = value == "POST";
      break;
    case 12:
      if (name == "content-type") {
        exchange.is_grpc = IsGrpcContentType(value);
      } else if (name == "grpc-timeout") {
        const std::optional<Nanos> timeout = ParseTimeout(value);
        exchange.timed = true;
        exchange.deadline = timeout.value_or(0);
        if (!timeout) exchange.header_fault = Exchange::HeaderFault::kBadTimeout;
      }
      break;
    case 13:
      if (name == "grpc-encoding") {
        exchange.encoding = EncodingOf(value);
      } else if (name == "authorization" && !options_.tokens.empty()) {
        exchange.authorized = options_.tokens.Has(BearerToken(value));
      }
      break;
    case 17:
      if (name == "x-weir-request-id") {
        if (!engine::IsRequestId(value) || !exchange.request_id.empty()) {
          exchange.header_fault = Exchange::HeaderFault::kBadRequestId;
        }
        exchange.request_id = value;
      }
      break;
    default:
      break;
  }
}

void GrpcSession::Route(Exchange& exchange, std::string_view path) {
  // A client asks the same thing again and again.
  if (latest_method_ == nullptr || latest_method_->path != path) {
    std::uint32_t index = 0;
    latest_method_ = nullptr;
    for (Service* const service : options_.services) {
      for (const Method& method : service->methods()) {
        if (method.path == path) {
          latest_method_ = &method;
          latest_service_ = service;
          latest_method_index_ = index;
        }
        ++index;
      }
      const std::string_view name = service->name();
      if (path.size() > name.size() + 1 && path.substr(1).starts_with(name) && path[name.size() + 1] == '/') {
        exchange.known_service = true;
      }
    }
    if (latest_method_ == nullptr) return;
  }
  exchange.method = latest_method_;
  exchange.service = latest_service_;
  exchange.method_index = latest_method_index_;
}

void GrpcSession::OnHeadersWhole(Exchange& exchange) {
  using enum Exchange::HeaderFault;
  exchange.headed = true;
  if (exchange.header_fault == kTooLarge) {
    // Each of these made us read far more than it sent.
    if (cancels_.Cancel(exchange.number) > options_.max_resets) return End(Abuse::kHeaderFlood);
    return Reject(exchange, Code::kResourceExhausted,
                  "the headers exceed " + std::to_string(options_.max_header_bytes) + " bytes");
  }
  if (!exchange.is_post || !exchange.is_grpc) {
    exchange.plain = exchange.is_post ? Exchange::Plain::kUnsupportedMediaType : Exchange::Plain::kMethodNotAllowed;
    exchange.timed = false;
    if (!exchange.ended) begun_.push_back(&exchange);
    return;
  }
  const bool open_to_all = exchange.service != nullptr && exchange.service->open_to_all();
  if (!options_.tokens.empty() && !exchange.authorized && !open_to_all) {
    if (options_.guard != nullptr) options_.guard->Failed(connection_.peer_address(), Now());
    return Reject(exchange, Code::kUnauthenticated, "a token is needed: authorization: Bearer TOKEN");
  }
  if (exchange.method == nullptr) {
    return Reject(exchange, Code::kUnimplemented, exchange.known_service ? "unknown method" : "unknown service");
  }
  if (exchange.header_fault == kBadTimeout) return Reject(exchange, Code::kInternal, "malformed grpc-timeout");
  if (exchange.header_fault == kBadRequestId) {
    return Reject(exchange, Code::kInvalidArgument,
                  "x-weir-request-id " + std::string(engine::kRequestIdForm) + ", once");
  }
  if (exchange.encoding == Encoding::kUnknown) {
    return Reject(exchange, Code::kUnimplemented, "unknown grpc-encoding");
  }
  if (exchange.timed) {
    if (exchange.deadline == 0) return Reject(exchange, Code::kDeadlineExceeded, "the deadline had passed");
    exchange.deadline += Now();
  }
  if (exchange.timed || (!exchange.ended && !exchange.method->open)) begun_.push_back(&exchange);
  if (exchange.method->open) NoteEvent(exchange);
}

void GrpcSession::OnData(Exchange& exchange, std::string_view bytes) {
  if (exchange.plain != Exchange::Plain::kNone && exchange.reply == Exchange::Reply::kNone) {
    exchange.dropped_bytes += static_cast<std::uint32_t>(bytes.size());
    if (exchange.dropped_bytes > kMostDropped) AnswerPlain(exchange);
    return;
  }
  if (exchange.reply == Exchange::Reply::kWhole || exchange.finished) return;
  if (received_ + bytes.size() > MostReceived()) {
    return Reject(exchange, Code::kResourceExhausted,
                  "this connection's unanswered messages exceed " + std::to_string(MostReceived()) + " bytes");
  }
  if (ComesTooSlowly(exchange)) return Reject(exchange, Code::kDeadlineExceeded, "the message came too slowly");
  exchange.in.append(bytes);
  received_ += bytes.size();
  if (exchange.method->open) return NoteEvent(exchange);
  if (exchange.in.size() < kPrefixBytes) return;
  const std::size_t size = MessageSize(exchange.in);
  if (size > options_.max_message_bytes) return RejectTooLarge(exchange, size);
  if (exchange.in.size() > kPrefixBytes + size) {
    return Reject(exchange, Code::kInternal, "more than one message for a call that takes one");
  }
}

// Usually nothing is waited for, and no clock is read.
bool GrpcSession::ComesTooSlowly(const Exchange& exchange) {
  return exchange.slow_since != 0 && options_.message_timeout_ms != 0 &&
         Now() - exchange.slow_since >= MessageTimeout();
}

void GrpcSession::OnQuestionWhole(Exchange& exchange) {
  exchange.ended = true;
  if (exchange.plain != Exchange::Plain::kNone) {
    if (exchange.reply == Exchange::Reply::kNone) AnswerPlain(exchange);
    return;
  }
  if (exchange.reply != Exchange::Reply::kNone && exchange.handler == nullptr) return;
  if (exchange.method->open) return NoteEvent(exchange);
  asked_.push_back(&exchange);
}

void GrpcSession::OnReset(Exchange& exchange) {
  exchange.ended = true;
  if (exchange.reply == Exchange::Reply::kAsked) {
    // In good faith: it waited for a store, and its deadline passed.
    frames_.Earn();
    return;
  }
  if (exchange.reply != Exchange::Reply::kNone) return;
  if (cancels_.Cancel(exchange.number) > options_.max_resets) End(Abuse::kRapidReset);
}

void GrpcSession::OnStreamClosed(Exchange& exchange, std::uint32_t http2_error) {
  nghttp2_session_set_stream_user_data(h2_, exchange.id, nullptr);
  exchange.closed = true;
  if (latest_ == &exchange) latest_ = nullptr;
  if (header_target_ == &exchange) header_target_ = nullptr;
  if (http2_error != NGHTTP2_NO_ERROR && !exchange.finished && exchange.plain == Exchange::Plain::kNone) {
    Count(exchange, Code::kCancelled);
  }
  if (!exchange.ended) abandoned_.Add(exchange.id);
  live_[exchange.slot] = live_.back();
  live_[exchange.slot]->slot = exchange.slot;
  live_.pop_back();
  closed_.push_back(&exchange);
}

void GrpcSession::NoteEvent(Exchange& exchange) {
  if (exchange.queued_event) return;
  exchange.queued_event = true;
  events_.push_back(&exchange);
}

}  // namespace weir::rls
