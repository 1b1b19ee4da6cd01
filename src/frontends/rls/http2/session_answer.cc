// Services are asked, handlers told, and their answers framed.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "frontends/rls/http2/grpc_session.h"
#include "frontends/rls/http2/nghttp2_callbacks.h"
#include "frontends/rls/http2/wire.h"

namespace weir::rls {
namespace {

nghttp2_nv Header(std::string_view name, std::string_view value, std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
  // nghttp2 only reads; its interface is older than const.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}
// Texts that live for ever are not copied.
nghttp2_nv Lasting(std::string_view name, std::string_view value) {
  return Header(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

constexpr std::string_view kContentType = "application/grpc";
constexpr std::string_view kPlainText = "This port speaks gRPC: POST with content-type application/grpc\n";

// Status messages are for people; what a service says beyond this is cut.
constexpr std::size_t kMostStatusText = 1'024;

constexpr Nanos kNever = std::numeric_limits<Nanos>::max();
constexpr Nanos kLongestWait = 24 * 3'600'000;  // milliseconds

std::string_view CutText(std::string_view text) { return text.substr(0, kMostStatusText); }

}  // namespace

std::size_t GrpcSession::MostReceived() const { return std::size_t{4} * options_.max_message_bytes + (64 << 10); }

void GrpcSession::Count(const Exchange& exchange, Code code) {
  if (options_.counters != nullptr) options_.counters->Answered(exchange.method_index, code);
}

void GrpcSession::Forget(std::string& received) {
  received_ -= received.size();
  received.clear();
}

// ---- streaming calls ------------------------------------------------------------------------------------------------

void GrpcSession::NotifyHandlers() {
  while (!events_.empty()) {
    for (Exchange* const exchange : std::exchange(events_, {})) {
      exchange->queued_event = false;
      if (!exchange->closed) NotifyHandler(*exchange);
    }
  }
}

void GrpcSession::NotifyHandler(Exchange& exchange) {
  if (exchange.finished) return;
  if (exchange.handler == nullptr) {
    auto handler = exchange.method->open(exchange);
    // It may have finished the call already.
    if (exchange.finished) return;
    exchange.handler = std::move(handler);
  }
  std::size_t position = 0;
  while (exchange.handler != nullptr) {
    const std::string_view rest = std::string_view(exchange.in).substr(position);
    if (rest.size() < kPrefixBytes) break;
    const std::size_t size = MessageSize(rest);
    if (size > options_.max_message_bytes) return RejectTooLarge(exchange, size);
    if (rest.size() < kPrefixBytes + size) break;
    const auto message = Message(exchange, rest.substr(0, kPrefixBytes + size));
    if (!message) return;
    position += kPrefixBytes + size;
    frames_.Earn();
    exchange.handler->OnMessage(*message);
  }
  if (exchange.handler == nullptr) {
    Forget(exchange.in);
    return Trim(exchange.in);
  }
  exchange.in.erase(0, position);
  Trim(exchange.in);
  received_ -= position;
  if (!exchange.ended) return NotePart(exchange, position > 0);
  if (!exchange.in.empty()) return Reject(exchange, Code::kInternal, "the last message is cut off");
  if (exchange.told_end) return;
  exchange.told_end = true;
  exchange.handler->OnHalfClose();
}

void GrpcSession::NotePart(Exchange& exchange, bool progress) {
  if (exchange.in.empty()) {
    exchange.slow_since = 0;
  } else if (exchange.slow_since == 0 || progress) {
    exchange.slow_since = Now();
    WakeAt(TimeIsUpAt(exchange));
  }
}

void GrpcSession::OnSend(Exchange& exchange, std::string_view message) {
  if (exchange.closed || exchange.finished || closing_) return;
  // What the client says about it (windows, pings) is our doing.
  frames_.Earn();
  AppendMessage(exchange, message);
  if (exchange.reply == Exchange::Reply::kNone) {
    StartReply(exchange);
  } else if (exchange.deferred) {
    exchange.deferred = false;
    nghttp2_session_resume_data(h2_, exchange.id);
  }
  Wake();
}

void GrpcSession::OnFinish(Exchange& exchange, Status status) {
  if (exchange.closed || exchange.finished) return;
  // Out of Reject's hands: it is told nothing more. And perhaps its own method is running.
  if (exchange.handler != nullptr) ending_.push_back(std::move(exchange.handler));
  if (exchange.reply == Exchange::Reply::kNone) {
    Reject(exchange, status.code, std::move(status.message));
  } else {
    exchange.status = std::move(status);
    exchange.finished = true;
    Count(exchange, exchange.status.code);
    if (exchange.deferred) {
      exchange.deferred = false;
      nghttp2_session_resume_data(h2_, exchange.id);
    }
  }
  Wake();
}

// ---- unary calls ----------------------------------------------------------------------------------------------------

void GrpcSession::GatherQuestions() {
  for (Exchange* const exchange : asked_) {
    if (!exchange->closed && !exchange->finished) GatherQuestion(*exchange);
  }
  asked_.clear();
}

void GrpcSession::GatherQuestion(Exchange& exchange) {
  if (exchange.timed && Now() >= exchange.deadline) {
    return Reject(exchange, Code::kDeadlineExceeded, "the deadline has passed");
  }
  if (exchange.in.size() < kPrefixBytes) {
    return Reject(exchange, Code::kInternal, exchange.in.empty() ? "no message" : "the message is cut off");
  }
  if (exchange.in.size() != kPrefixBytes + MessageSize(exchange.in)) {
    return Reject(exchange, Code::kInternal, "the message is cut off");
  }
  // Streams that are cancelled make room for others before their answers have come.
  if (waiting_ >= options_.max_concurrent_streams) {
    return Reject(exchange, Code::kUnavailable, "too many calls of this connection wait for their answers");
  }
  const auto message = Message(exchange, exchange.in);
  if (!message) return;
  std::size_t prefix = kPrefixBytes;
  if (message->data() != exchange.in.data() + kPrefixBytes) {
    received_ -= exchange.in.size();
    exchange.in.swap(unpacked_);
    received_ += exchange.in.size();
    prefix = 0;
  }
  // Before anything is in the batch that might throw away what it is kept by.
  waiting_batches_.reserve(waiting_batches_.size() + 1);
  QuestionBatch& batch = QuestionBatch::Gathered(*exchange.service, exchange.in.size());
  const QuestionBatch::Origin origin = {exchange.id, exchange.method_index, exchange.timed ? exchange.deadline : 0};
  if (batch.Add(*this, connection_, origin, exchange.method->number, exchange.in, prefix, exchange.request_id)) {
    waiting_batches_.push_back(batch.shared_from_this());
  }
  exchange.reply = Exchange::Reply::kAsked;
  ++waiting_;
}

std::optional<std::string_view> GrpcSession::Message(Exchange& exchange, std::string_view framed) {
  const std::string_view message = framed.substr(kPrefixBytes);
  if (framed[0] == 0) return message;
  if (framed[0] != 1 || exchange.encoding == Encoding::kIdentity) {
    Reject(exchange, Code::kInternal, "compressed, but no grpc-encoding says how");
    return std::nullopt;
  }
  const std::size_t room = MostReceived() - std::min(received_, MostReceived());
  switch (Inflate(message, std::min<std::size_t>(options_.max_message_bytes, room), &unpacked_)) {
    case InflateResult::kOk:
      return unpacked_;
    case InflateResult::kTooLarge:
      Reject(exchange, Code::kResourceExhausted,
             "the message unpacks to more than " + std::to_string(options_.max_message_bytes) + " bytes");
      return std::nullopt;
    case InflateResult::kBroken:
      break;
  }
  Reject(exchange, Code::kInternal, "the message cannot be unpacked");
  return std::nullopt;
}

void GrpcSession::AnswerCall(Exchange& exchange, UnaryCall& call) {
  frames_.Earn();
  if (call.status.code != Code::kOk) return Reject(exchange, call.status.code, std::move(call.status.message));
  Count(exchange, Code::kOk);
  AppendMessage(exchange, call.response);
  exchange.finished = true;
  StartReply(exchange);
}

void GrpcSession::OnAnswered(QuestionBatch& batch, const QuestionBatch::Segment& segment) {
  waiting_batches_.erase(std::ranges::find(waiting_batches_, &batch, &std::shared_ptr<QuestionBatch>::get));
  waiting_ -= segment.end - segment.first;
  received_ -= segment.bytes;
  if (closing_) return;
  for (std::size_t i = segment.first; i < segment.end; ++i) {
    const QuestionBatch::Origin& origin = batch.origin(i);
    Exchange* const exchange = Find(origin.stream);
    // Its client has given it up.
    if (exchange == nullptr || exchange->finished) continue;
    if (origin.deadline != 0 && Now() >= origin.deadline) {
      Reject(*exchange, Code::kDeadlineExceeded, "the answer came too late");
    } else {
      AnswerCall(*exchange, batch.call(i));
    }
  }
}

void GrpcSession::OnAnsweredLater(QuestionBatch& batch, const QuestionBatch::Segment& segment) {
  now_.reset();
  OnAnswered(batch, segment);
  OnWoken();
}

void GrpcSession::OnBroken() noexcept { End(NGHTTP2_INTERNAL_ERROR); }

void GrpcSession::EndLate() {
  for (Exchange* const exchange : live_) {
    if (!exchange->headed || exchange->finished || Now() < TimeIsUpAt(*exchange)) continue;
    if (exchange->plain != Exchange::Plain::kNone) {
      AnswerPlain(*exchange);
      continue;
    }
    Reject(*exchange, Code::kDeadlineExceeded,
           exchange->timed && Now() >= exchange->deadline ? "the deadline has passed" : "the message came too slowly");
  }
}

void GrpcSession::WakeFor(const std::vector<Exchange*>& calls) {
  Nanos earliest = kNever;
  for (const Exchange* const exchange : calls) {
    if (exchange->headed && !exchange->finished && !exchange->closed) {
      earliest = std::min(earliest, TimeIsUpAt(*exchange));
    }
  }
  WakeAt(earliest);
}

void GrpcSession::WakeAt(Nanos time) {
  if (time == kNever) return;
  const Nanos wait = std::clamp<Nanos>((time - Now()) / kMillisecond + 1, 1, kLongestWait);
  connection_.WakeAfter(static_cast<std::uint32_t>(wait));
}

void GrpcSession::NoteBegun() {
  if (begun_.empty()) return;
  for (Exchange* const exchange : begun_) {
    const bool waits = !exchange->ended && !exchange->finished && !exchange->closed;
    if (waits && (exchange->plain != Exchange::Plain::kNone || !exchange->method->open)) exchange->slow_since = Now();
  }
  WakeFor(begun_);
  begun_.clear();
}

Nanos GrpcSession::CutIsOverAt() const { return cut_since_ == 0 ? kNever : cut_since_ + MessageTimeout(); }
Nanos GrpcSession::UnreadIsOverAt() const { return unread_since_ == 0 ? kNever : unread_since_ + MessageTimeout(); }

Nanos GrpcSession::TimeIsUpAt(const Exchange& exchange) const {
  const bool waits = exchange.slow_since != 0 && !exchange.ended && options_.message_timeout_ms != 0;
  const Nanos message_due = waits ? exchange.slow_since + MessageTimeout() : kNever;
  return std::min(message_due, exchange.timed ? exchange.deadline : kNever);
}

// ---- replies --------------------------------------------------------------------------------------------------------

void GrpcSession::AppendMessage(Exchange& exchange, std::string_view message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  const std::array<char, kPrefixBytes> prefix = {0, static_cast<char>(size >> 24U), static_cast<char>(size >> 16U),
                                                 static_cast<char>(size >> 8U), static_cast<char>(size)};
  exchange.out.append(prefix.data(), prefix.size());
  exchange.out.append(message);
  queued_ += prefix.size() + message.size();
}

void GrpcSession::StartReply(Exchange& exchange) {
  static const std::array<nghttp2_nv, 2> kHeaders = {Lasting(":status", "200"), Lasting("content-type", kContentType)};
  exchange.reply = Exchange::Reply::kStarted;
  const nghttp2_data_provider provider = ReplyProvider(&exchange);
  nghttp2_submit_response(h2_, exchange.id, kHeaders.data(), kHeaders.size(), &provider);
}

void GrpcSession::Reject(Exchange& exchange, Code code, std::string message) {
  if (exchange.finished) return;
  exchange.finished = true;
  exchange.status = {code, std::move(message)};
  Count(exchange, code);
  Forget(exchange.in);
  if (exchange.handler != nullptr) refused_.push_back(std::move(exchange.handler));
  if (exchange.reply == Exchange::Reply::kStarted) {
    // It may last: its client has yet to read. A handler that finishes its call within OnMessage does not come here.
    Trim(exchange.in);
    if (exchange.deferred) {
      exchange.deferred = false;
      nghttp2_session_resume_data(h2_, exchange.id);
    }
    return;
  }
  ReplyTrailersOnly(exchange);
}

void GrpcSession::RejectTooLarge(Exchange& exchange, std::size_t size) {
  Reject(exchange, Code::kResourceExhausted,
         "the message has " + std::to_string(size) + " bytes, more than " + std::to_string(options_.max_message_bytes));
}

void GrpcSession::ReplyTrailersOnly(Exchange& exchange) {
  exchange.reply = Exchange::Reply::kWhole;
  std::array<nghttp2_nv, 5> headers = {Lasting(":status", "200"), Lasting("content-type", kContentType),
                                       Lasting("grpc-status", CodeText(exchange.status.code))};
  std::size_t count = 3;
  if (!exchange.status.message.empty()) {
    text_.clear();
    AppendPercentEncoded(CutText(exchange.status.message), &text_);
    headers[count++] = Header("grpc-message", text_, NGHTTP2_NV_FLAG_NO_COPY_NAME);
  }
  if (exchange.encoding == Encoding::kUnknown) {
    headers[count++] = Lasting("grpc-accept-encoding", kAcceptedEncodings);
  }
  nghttp2_submit_response(h2_, exchange.id, headers.data(), count, nullptr);
}

void GrpcSession::SubmitTrailers(Exchange& exchange) {
  std::array<nghttp2_nv, 2> trailers = {Lasting("grpc-status", CodeText(exchange.status.code))};
  std::size_t count = 1;
  if (!exchange.status.message.empty()) {
    text_.clear();
    AppendPercentEncoded(CutText(exchange.status.message), &text_);
    trailers[count++] = Header("grpc-message", text_, NGHTTP2_NV_FLAG_NO_COPY_NAME);
  }
  nghttp2_submit_trailer(h2_, exchange.id, trailers.data(), count);
}

void GrpcSession::AnswerPlain(Exchange& exchange) {
  static const std::array<nghttp2_nv, 3> kNotAllowed = {
      Lasting(":status", "405"), Lasting("content-type", "text/plain"), Lasting("allow", "POST")};
  static const std::array<nghttp2_nv, 2> kUnsupported = {Lasting(":status", "415"),
                                                         Lasting("content-type", "text/plain")};
  exchange.finished = true;
  exchange.reply = Exchange::Reply::kStarted;
  exchange.out.assign(kPlainText);
  queued_ += exchange.out.size();
  const nghttp2_data_provider provider = ReplyProvider(&exchange);
  const bool not_allowed = exchange.plain == Exchange::Plain::kMethodNotAllowed;
  nghttp2_submit_response(h2_, exchange.id, not_allowed ? kNotAllowed.data() : kUnsupported.data(),
                          not_allowed ? kNotAllowed.size() : kUnsupported.size(), &provider);
}

std::ptrdiff_t GrpcSession::ReadReply(Exchange& exchange, std::uint8_t* room, std::size_t size, std::uint32_t* flags) {
  const std::size_t taken = std::min(size, exchange.queued());
  std::memcpy(room, exchange.out.data() + exchange.out_sent, taken);
  exchange.Sent(taken);
  queued_ -= taken;
  if (taken > 0) unread_since_ = 0;
  if (exchange.queued() > 0) return static_cast<std::ptrdiff_t>(taken);
  if (exchange.finished) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (exchange.plain == Exchange::Plain::kNone) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      SubmitTrailers(exchange);
    }
  } else if (taken == 0) {
    exchange.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<std::ptrdiff_t>(taken);
}

}  // namespace weir::rls
