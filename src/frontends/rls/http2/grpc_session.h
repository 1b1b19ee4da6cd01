// The session behind session.h. Internal to rls.
//
// One turn: bytes go into nghttp2, whose callbacks only note what arrived (OnInput: session_receive.cc); then streaming
// handlers are told and unary calls are gathered (OnAsk: session_answer.cc); then those of all connections that were
// read together are asked, and all that nghttp2 has to say is appended to the connection's output (OnAnswer:
// session.cc). Handlers and services are therefore never entered from within nghttp2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/rls/http2/abuse.h"
#include "frontends/rls/http2/counters.h"
#include "frontends/rls/http2/exchange.h"
#include "frontends/rls/http2/frame_scanner.h"
#include "frontends/rls/http2/question_batch.h"
#include "frontends/rls/http2/session.h"

namespace weir::rls {

class GrpcSession final : public net::Session, private BatchOwner, private ExchangeOwner {
 public:
  GrpcSession(net::Connection& connection, const GrpcOptions& options);
  ~GrpcSession() override;
  GrpcSession(const GrpcSession&) = delete;
  GrpcSession& operator=(const GrpcSession&) = delete;

  std::size_t OnInput(std::string_view input) override;
  void OnAsk() override;
  void OnAnswer() override;
  void OnDrain() override;
  bool OnIdle() override;
  void OnWake() override;
  std::size_t held() const override { return received_ + queued_; }

 private:
  friend struct Callbacks;

  // ---- session.cc: the connection ----------------------------------------------------------------------------------
  bool Begin();
  // Tells by the first bytes what the client speaks; false: not HTTP/2, or not clear yet.
  bool Introduce(std::string_view input);
  void Receive(std::string_view slice);
  bool Feed(std::string_view bytes);
  // What follows everything that entered the session: tells handlers and gathers what is whole; then asks all that was
  // gathered, writes what there is to say, and forgets what ended.
  void AskAll();
  void Say();
  void Pump();
  void DestroyStreams();
  // Ends the connection with GOAWAY, at the end of this turn. Nothing of any exchange goes on: neither is more of a
  // question looked at, nor is one asked or a handler told, but of the end.
  void End(std::uint32_t http2_error);
  void End(Abuse abuse);
  // There is something to write, noticed outside of nghttp2: now, or in a task of its own.
  void Wake();
  void OnWoken();
  // What a turn is that no input begins.
  void Turn();
  // Ends the calls whose time is up; asks to be woken for the next of those in `calls` that are still open.
  void EndLate();
  Nanos TimeIsUpAt(const Exchange& exchange) const;
  void WakeFor(const std::vector<Exchange*>& calls);
  void WakeAt(Nanos time);
  // Of the calls that began in this turn, some have a deadline, and some wait for their messages.
  void NoteBegun();
  // What was received may end within a frame, or within a block of headers.
  void NoteCut();
  Nanos CutIsOverAt() const;
  // What there is to say may wait for its reader.
  void NoteUnread();
  Nanos UnreadIsOverAt() const;
  void OnPong(std::span<const std::uint8_t> payload);
  void SayLastGoAway();
  const Clock& clock() const { return options_.clock != nullptr ? *options_.clock : MonotonicClock(); }
  Nanos MessageTimeout() const { return options_.message_timeout_ms * kMillisecond; }
  // Read once a turn.
  Nanos Now();

  // ---- session_receive.cc: what nghttp2 tells ----------------------------------------------------------------------
  Exchange* Find(std::int32_t stream) const;
  // Before nghttp2 sees the frame; false: the connection ends.
  bool OnFrame(const FrameScanner::Frame& frame);
  bool Carries(const FrameScanner::Frame& frame) const;
  bool StreamTakes(const FrameScanner::Frame& frame);
  Exchange* OnStreamBegin(std::int32_t stream);  // nullptr: it is not taken
  void OnHeader(Exchange& exchange, std::string_view name, std::string_view value);
  void Route(Exchange& exchange, std::string_view path);
  void OnHeadersWhole(Exchange& exchange);
  void OnData(Exchange& exchange, std::string_view bytes);
  bool ComesTooSlowly(const Exchange& exchange);
  void OnQuestionWhole(Exchange& exchange);
  void OnReset(Exchange& exchange);
  void OnStreamClosed(Exchange& exchange, std::uint32_t http2_error);
  void NoteEvent(Exchange& exchange);

  // ---- session_answer.cc: services and answers ---------------------------------------------------------------------
  void NotifyHandlers();
  void NotifyHandler(Exchange& exchange);
  // `progress`: a message before it was whole.
  void NotePart(Exchange& exchange, bool progress);
  // Unary calls that are whole go into what this thread's loop gathers (QuestionBatch).
  void GatherQuestions();
  void GatherQuestion(Exchange& exchange);
  // The message behind the prefix at the front of `framed`, which is whole; unpacked into `unpacked_` when compressed.
  std::optional<std::string_view> Message(Exchange& exchange, std::string_view framed);
  void AnswerCall(Exchange& exchange, UnaryCall& call);
  void Reject(Exchange& exchange, Code code, std::string message);
  void AnswerPlain(Exchange& exchange);
  void AppendMessage(Exchange& exchange, std::string_view message);
  void StartReply(Exchange& exchange);
  void ReplyTrailersOnly(Exchange& exchange);
  void SubmitTrailers(Exchange& exchange);
  // For nghttp2's data provider: fills `room`, tells whether that was all.
  std::ptrdiff_t ReadReply(Exchange& exchange, std::uint8_t* room, std::size_t size, std::uint32_t* flags);
  void RejectTooLarge(Exchange& exchange, std::size_t size);
  void Forget(std::string& received);
  // Bytes of messages that one connection may have with us, arriving or waiting.
  std::size_t MostReceived() const;
  void Count(const Exchange& exchange, Code code);

  void OnAnswered(QuestionBatch& batch, const QuestionBatch::Segment& segment) override;
  void OnAnsweredLater(QuestionBatch& batch, const QuestionBatch::Segment& segment) override;
  void OnBroken() noexcept override;
  void OnSend(Exchange& exchange, std::string_view message) override;
  void OnFinish(Exchange& exchange, Status status) override;
  net::Connection& connection() override { return connection_; }

  net::Connection& connection_;
  const GrpcOptions& options_;
  nghttp2_session* h2_ = nullptr;  // nullptr: the client has not introduced itself yet
  std::optional<Nanos> now_;
  bool introduced_ = false;  // nghttp2 has the preface
  bool inside_ = false;      // a turn is running: its end writes
  bool dirty_ = false;       // something was added since the last Pump()
  bool woken_ = false;       // a task is posted
  bool drained_ = false;     // the last GOAWAY is submitted
  bool draining_ = false;    // the first one is
  Nanos drain_due_ = 0;      // when the last one follows, whatever the client says
  bool pinged_ = false;      // since the client last said anything
  bool closing_ = false;     // nothing more is read

  std::vector<Exchange*> live_;
  Exchange* header_target_ = nullptr;  // whose headers are arriving
  Exchange* latest_ = nullptr;         // the last that Find() found
  const Method* latest_method_ = nullptr;
  Service* latest_service_ = nullptr;
  std::uint32_t latest_method_index_ = 0;
  std::vector<Exchange*> events_;  // streaming calls with news
  std::vector<Exchange*> asked_;   // unary calls that are whole
  std::vector<Exchange*> begun_;   // in this turn, with a deadline or without their message
  std::vector<Exchange*> closed_;  // gone, not yet forgotten
  // Destroyed where no handler is at work: those that have finished, and those that are told OnClose before.
  std::vector<std::unique_ptr<StreamHandler>> ending_, refused_;
  std::vector<std::shared_ptr<QuestionBatch>> waiting_batches_;  // for each part of ours
  std::size_t waiting_ = 0;                                      // unary calls of ours in those
  std::size_t received_ = 0;  // bytes of messages held: arriving, or waiting for their answer
  std::size_t queued_ = 0;    // bytes of answers that nghttp2 has not taken
  std::size_t backlog_ = 0;   // bytes that the client had not taken when this turn began
  Nanos unread_since_ = 0;    // when the last of queued_ bytes was taken, and some are left; 0: none are
  std::string unpacked_;
  std::string text_;
  FrameScanner scanner_;
  bool in_headers_ = false;  // CONTINUATION frames are to follow
  Nanos cut_since_ = 0;      // when the frame or the headers began whose rest is still to come; 0: none
  std::int32_t highest_stream_ = 0;
  std::vector<std::int32_t> arriving_;  // ascending: nghttp2 has not seen their headers yet, or refused them
  StreamSet abandoned_;                 // streams that ended while their client was still sending
  CancelWindow cancels_;
  FrameBudget frames_;
  // For tasks: empty once the session has gone.
  std::shared_ptr<GrpcSession*> self_;
};

}  // namespace weir::rls
