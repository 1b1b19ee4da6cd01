#include "frontends/rls/http2/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "frontends/rls/http2/block_pool.h"
#include "frontends/rls/http2/grpc_session.h"
#include "frontends/rls/http2/nghttp2_callbacks.h"

namespace weir::rls {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// So much is read before it is answered: answers can be a hundred times as large as their questions.
constexpr std::size_t kSlice = 16 << 10;
// What the client may send us before we say that there is room again, over all streams.
constexpr std::int32_t kConnectionWindow = 1 << 20;
// The PING that follows the first GOAWAY: when it comes back, the client has seen it.
constexpr std::array<std::uint8_t, 8> kDrainPing = {'w', 'e', 'i', 'r', ' ', 'e', 'n', 'd'};
// Asks a silent client whether it is still there.
constexpr std::array<std::uint8_t, 8> kIdlePing = {'w', 'e', 'i', 'r', ' ', 'h', 'e', 'y'};

// So long the last GOAWAY waits for it: a client that does not answer need not hold up the end.
constexpr Nanos kDrainWait = kSecond;

constexpr std::string_view kHttp1Answer =
    "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\nContent-Type: text/plain\r\n"
    "Content-Length: 51\r\n\r\nThis port speaks gRPC: HTTP/2 with prior knowledge\n";

constexpr std::array<std::string_view, 9> kHttp1Methods = {"GET ",     "HEAD ",    "POST ",  "PUT ",  "DELETE ",
                                                           "CONNECT ", "OPTIONS ", "TRACE ", "PATCH "};

enum class Protocol : std::uint8_t { kUnclear, kHttp2, kHttp1, kUnknown };
// By its first bytes; unclear while they are too few.
Protocol ProtocolOf(std::string_view input) {
  if (input.starts_with(kPreface)) return Protocol::kHttp2;
  bool unclear = kPreface.starts_with(input);
  for (const std::string_view method : kHttp1Methods) {
    if (input.starts_with(method)) return Protocol::kHttp1;
    unclear = unclear || method.starts_with(input);
  }
  return unclear ? Protocol::kUnclear : Protocol::kUnknown;
}

}  // namespace

GrpcSession::GrpcSession(net::Connection& connection, const GrpcOptions& options)
    : connection_(connection), options_(options), abandoned_(options.max_concurrent_streams), frames_(clock().Now()) {}

GrpcSession::~GrpcSession() {
  if (self_ != nullptr) *self_ = nullptr;
  for (const auto& batch : waiting_batches_) batch->Disown(*this);
  inside_ = true;
  // Not nghttp2_session_del first: handlers may still send, to a stream that then is never written.
  for (Exchange* exchange : std::exchange(live_, {})) {
    exchange->closed = true;
    closed_.push_back(exchange);
  }
  DestroyStreams();
  nghttp2_session_del(h2_);
}

Nanos GrpcSession::Now() {
  if (!now_) now_ = clock().Now();
  return *now_;
}

bool GrpcSession::Begin() {
  if (nghttp2_session_server_new3(&h2_, SessionCallbacks(), this, SessionOptions(), PooledMemory()) != 0) {
    h2_ = nullptr;
    closing_ = true;
    connection_.CloseAfterFlush();
    return false;
  }
  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_concurrent_streams},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options_.max_header_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(h2_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  return true;
}

bool GrpcSession::Introduce(std::string_view input) {
  switch (ProtocolOf(input)) {
    case Protocol::kUnclear:
      return false;
    case Protocol::kHttp2:
      return Begin();
    case Protocol::kHttp1:
      connection_.output().append(kHttp1Answer);
      break;
    case Protocol::kUnknown:
      if (!Begin()) return false;
      nghttp2_session_terminate_session(h2_, NGHTTP2_PROTOCOL_ERROR);
      Pump();
      break;
  }
  closing_ = true;
  connection_.CloseAfterFlush();
  return false;
}

std::size_t GrpcSession::OnInput(std::string_view input) {
  if (closing_) return input.size();
  if (h2_ == nullptr && !Introduce(input)) return closing_ ? input.size() : 0;
  const std::string_view slice = input.substr(0, kSlice);
  inside_ = true;
  pinged_ = false;
  now_.reset();
  backlog_ = connection_.output().size();
  Receive(slice);
  NoteCut();
  inside_ = false;
  return slice.size();
}

void GrpcSession::OnAsk() {
  inside_ = true;
  // Others were read since, who may have taken their time.
  now_.reset();
  AskAll();
  inside_ = false;
}

void GrpcSession::OnAnswer() {
  if (h2_ == nullptr) return;
  inside_ = true;
  Say();
  inside_ = false;
}

void GrpcSession::Receive(std::string_view slice) {
  std::size_t fed = 0;
  if (!introduced_) {
    introduced_ = true;
    fed = kPreface.size();
    if (!Feed(slice.substr(0, fed))) return;
    slice.remove_prefix(fed);
    fed = 0;
  }
  scanner_.Feed(slice);
  bool reset_seen = false;
  while (const auto frame = scanner_.Next()) {
    // What streams there are must be known when a frame is looked at.
    if (reset_seen && !Feed(slice.substr(fed, frame->start - fed))) return;
    if (reset_seen) fed = frame->start;
    reset_seen = frame->type == NGHTTP2_RST_STREAM;
    if (!OnFrame(*frame)) return;
  }
  Feed(slice.substr(fed));
}

void GrpcSession::NoteCut() {
  if (scanner_.whole() && !in_headers_) {
    cut_since_ = 0;
  } else if (cut_since_ == 0 && options_.message_timeout_ms != 0) {
    cut_since_ = Now();
    WakeAt(CutIsOverAt());
  }
}

void GrpcSession::NoteUnread() {
  if (queued_ == 0) {
    unread_since_ = 0;
  } else if (unread_since_ == 0 && options_.message_timeout_ms != 0) {
    unread_since_ = Now();
    WakeAt(UnreadIsOverAt());
  }
}

bool GrpcSession::Feed(std::string_view bytes) {
  const ssize_t read = nghttp2_session_mem_recv(h2_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (closing_) return false;
  if (read >= 0) return true;
  if (read == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
    End(Abuse::kHeaderFlood);
  } else if (read == NGHTTP2_ERR_FLOODED) {
    End(Abuse::kFrameFlood);
  } else {
    End(NGHTTP2_INTERNAL_ERROR);
  }
  return false;
}

void GrpcSession::AskAll() {
  if (closing_) {
    for (std::vector<Exchange*>* const list : {&events_, &asked_, &begun_}) list->clear();
  }
  NotifyHandlers();
  GatherQuestions();
}

void GrpcSession::Say() {
  QuestionBatch::AskGathered();
  // Those that are answered by now need no alarm.
  NoteBegun();
  do {
    dirty_ = false;
    Pump();
    DestroyStreams();
  } while (dirty_);
  NoteUnread();
  if (!closing_ && backlog_ + queued_ > options_.max_queued_bytes) {
    End(Abuse::kSlowReader);
    Pump();
    DestroyStreams();
  }
  // Between the two GOAWAYs of a drain new calls are welcome, although nghttp2 wants to read nothing more.
  const bool more_may_come = draining_ && !drained_;
  if (!closing_ && !more_may_come && nghttp2_session_want_read(h2_) == 0 && nghttp2_session_want_write(h2_) == 0) {
    closing_ = true;
  }
  if (closing_) connection_.CloseAfterFlush();
  unpacked_.clear();
  Trim(unpacked_);
}

void GrpcSession::Pump() {
  std::string& out = connection_.output();
  const std::uint8_t* data = nullptr;
  ssize_t size = 0;
  while ((size = nghttp2_session_mem_send(h2_, &data)) > 0) {
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  if (size < 0) closing_ = true;
}

void GrpcSession::DestroyStreams() {
  while (!closed_.empty() || !ending_.empty() || !refused_.empty()) {
    for (Exchange* exchange : std::exchange(closed_, {})) {
      if (const auto handler = std::move(exchange->handler)) handler->OnClose();
      queued_ -= exchange->queued();
      Forget(exchange->in);
      Exchanges::Release(exchange);
    }
    for (const auto& handler : std::exchange(refused_, {})) handler->OnClose();
    const auto ended = std::exchange(ending_, {});
  }
}

void GrpcSession::End(std::uint32_t http2_error) {
  closing_ = true;
  nghttp2_session_terminate_session(h2_, http2_error);
}

void GrpcSession::End(Abuse abuse) {
  if (closing_) return;
  if (options_.counters != nullptr) options_.counters->Ended(abuse);
  log::Info("connection closed for its abuse",
            {{"peer", std::string(connection_.peer_address())}, {"abuse", std::string(AbuseName(abuse))}});
  End(NGHTTP2_ENHANCE_YOUR_CALM);
}

void GrpcSession::Wake() {
  dirty_ = true;
  if (inside_ || woken_ || closing_) return;
  woken_ = true;
  if (self_ == nullptr) self_ = std::make_shared<GrpcSession*>(this);
  connection_.Post([self = self_] {
    if (*self != nullptr) (*self)->OnWoken();
  });
}

void GrpcSession::OnWoken() {
  woken_ = false;
  if (closing_) return;
  Turn();
}

void GrpcSession::Turn() {
  inside_ = true;
  now_.reset();
  backlog_ = connection_.output().size();
  AskAll();
  Say();
  inside_ = false;
  connection_.Flush();
}

void GrpcSession::OnDrain() {
  if (closing_ || draining_) return;
  draining_ = true;
  if (h2_ == nullptr) {
    closing_ = true;
    return connection_.CloseAfterFlush();
  }
  // Two steps (RFC 9113, 6.8): requests that are on their way while the first GOAWAY travels are answered.
  nghttp2_submit_shutdown_notice(h2_);
  nghttp2_submit_ping(h2_, NGHTTP2_FLAG_NONE, kDrainPing.data());
  now_.reset();
  drain_due_ = Now() + kDrainWait;
  WakeAt(drain_due_);
  OnWoken();
}

void GrpcSession::OnWake() {
  if (closing_ || h2_ == nullptr) return;
  now_.reset();
  if (Now() >= CutIsOverAt()) {
    End(NGHTTP2_NO_ERROR);
  } else if (Now() >= UnreadIsOverAt()) {
    End(Abuse::kSlowReader);
  } else {
    if (draining_ && Now() >= drain_due_) SayLastGoAway();
    EndLate();
    WakeFor(live_);
    WakeAt(std::min(CutIsOverAt(), UnreadIsOverAt()));
    if (draining_ && !drained_) WakeAt(drain_due_);
  }
  Turn();
}

bool GrpcSession::OnIdle() {
  if (closing_ || h2_ == nullptr) return false;
  // Calls that wait for news, or for us; one that waits for its own client's bytes is no reason to stay.
  const bool in_use = waiting_ > 0 || std::any_of(live_.begin(), live_.end(), [](const Exchange* exchange) {
                        return exchange->handler != nullptr;
                      });
  if (in_use && !pinged_) {
    pinged_ = true;
    nghttp2_submit_ping(h2_, NGHTTP2_FLAG_NONE, kIdlePing.data());
  } else {
    End(NGHTTP2_NO_ERROR);
  }
  Pump();
  return !closing_;
}

void GrpcSession::OnPong(std::span<const std::uint8_t> payload) {
  if (draining_ && std::equal(payload.begin(), payload.end(), kDrainPing.begin())) SayLastGoAway();
}

void GrpcSession::SayLastGoAway() {
  if (std::exchange(drained_, true)) return;
  nghttp2_submit_goaway(h2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2_), NGHTTP2_NO_ERROR, nullptr,
                        0);
  // Calls that would never end by themselves.
  for (Exchange* exchange : std::vector<Exchange*>(live_)) {
    if (exchange->handler != nullptr) Reject(*exchange, Code::kUnavailable, "the server is shutting down");
  }
}

std::unique_ptr<net::Session> MakeGrpcSession(net::Connection& connection, const GrpcOptions& options) {
  return std::make_unique<GrpcSession>(connection, options);
}

}  // namespace weir::rls
