#include "frontends/rls/http2/nghttp2_callbacks.h"

#include "frontends/rls/http2/grpc_session.h"

namespace weir::rls {

// None of these throws: an exception cannot pass through C.
//
// Once a session is closing, nothing goes on that the client asks for: those that tell of its frames fail, which ends
// nghttp2_session_mem_recv (Feed() knows why). nghttp2 can still send what it has to say.
struct Callbacks {
  static GrpcSession& SessionOf(void* user_data) { return *static_cast<GrpcSession*>(user_data); }
  static int GoOn(const GrpcSession& session) { return session.closing_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0; }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data) noexcept {
    GrpcSession& session = SessionOf(user_data);
    if (session.closing_) return GoOn(session);
    session.header_target_ = frame->headers.cat == NGHTTP2_HCAT_REQUEST ? session.OnStreamBegin(frame->hd.stream_id)
                                                                        : session.Find(frame->hd.stream_id);
    return 0;
  }

  static int Header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user_data) noexcept {
    GrpcSession& session = SessionOf(user_data);
    if (session.header_target_ == nullptr || session.closing_) return GoOn(session);
    session.OnHeader(*session.header_target_, {reinterpret_cast<const char*>(name), name_size},
                     {reinterpret_cast<const char*>(value), value_size});
    return GoOn(session);
  }

  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user_data) noexcept {
    GrpcSession& session = SessionOf(user_data);
    if (session.closing_) return GoOn(session);
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        Exchange* const exchange = session.Find(frame->hd.stream_id);
        if (exchange == nullptr) break;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          exchange->ended = ends;
          session.OnHeadersWhole(*exchange);
        }
        if (ends && !session.closing_) session.OnQuestionWhole(*exchange);
        break;
      }
      case NGHTTP2_DATA:
        if (ends) {
          if (Exchange* const exchange = session.Find(frame->hd.stream_id)) session.OnQuestionWhole(*exchange);
        }
        break;
      case NGHTTP2_RST_STREAM:
        if (Exchange* const exchange = session.Find(frame->hd.stream_id)) session.OnReset(*exchange);
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) session.OnPong({frame->ping.opaque_data, 8});
        break;
      default:
        break;
    }
    return GoOn(session);
  }

  static int DataChunk(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data, std::size_t size,
                       void* user_data) noexcept {
    GrpcSession& session = SessionOf(user_data);
    if (session.closing_) return GoOn(session);
    if (Exchange* const exchange = session.Find(stream)) {
      session.OnData(*exchange, {reinterpret_cast<const char*>(data), size});
    }
    return GoOn(session);
  }

  static int FrameSent(nghttp2_session* h2, const nghttp2_frame* frame, void* user_data) noexcept {
    // The whole answer is out, and the client is still sending: it need not.
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) {
      return 0;
    }
    const Exchange* const exchange = SessionOf(user_data).Find(frame->hd.stream_id);
    if (exchange != nullptr && !exchange->ended) {
      nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static int StreamClosed(nghttp2_session*, std::int32_t stream, std::uint32_t error, void* user_data) noexcept {
    GrpcSession& session = SessionOf(user_data);
    if (Exchange* const exchange = session.Find(stream)) session.OnStreamClosed(*exchange, error);
    return 0;
  }

  static ssize_t Read(nghttp2_session*, std::int32_t, std::uint8_t* room, std::size_t size, std::uint32_t* flags,
                      nghttp2_data_source* source, void* user_data) noexcept {
    return SessionOf(user_data).ReadReply(*static_cast<Exchange*>(source->ptr), room, size, flags);
  }
};

const nghttp2_session_callbacks* SessionCallbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, Callbacks::BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(made, Callbacks::Header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, Callbacks::FrameReceived);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Callbacks::DataChunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, Callbacks::FrameSent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, Callbacks::StreamClosed);
    return made;
  }();
  return callbacks;
}

const nghttp2_option* SessionOptions() {
  static nghttp2_option* const options = [] {
    nghttp2_option* made = nullptr;
    nghttp2_option_new(&made);
    // Priorities are not ours to follow: every answer is small.
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_settings(made, 32);
    nghttp2_option_set_max_continuations(made, 8);
    // CancelWindow counts these, and tells a cancelled call that waits for a store from one that was never meant.
    nghttp2_option_set_stream_reset_rate_limit(made, 1'000'000, 1'000'000);
    return made;
  }();
  return options;
}

nghttp2_data_provider ReplyProvider(void* exchange) {
  nghttp2_data_provider provider;
  provider.source.ptr = exchange;
  provider.read_callback = Callbacks::Read;
  return provider;
}

}  // namespace weir::rls
