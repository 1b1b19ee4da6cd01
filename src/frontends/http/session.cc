#include "frontends/http/session.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"
#include "frontends/http/access.h"
#include "frontends/http/answer.h"
#include "frontends/http/answer_body.h"
#include "frontends/http/batch.h"
#include "frontends/http/believed_headers.h"
#include "frontends/http/forward_auth.h"
#include "frontends/http/operational.h"
#include "frontends/http/routes.h"
#include "http/query.h"
#include "http/request_parser.h"

namespace weir::http {
namespace {

// Calls asked at once; more pipelined requests are the next batch. One /v1/check/batch may exceed it.
constexpr std::size_t kMaxCalls = 128;
// Answers written in one turn of the loop; then the other connections have theirs.
constexpr std::size_t kMaxTurnOutput = 256 << 10;
// What a call takes until it is answered: itself, its answer, the rules in it, the steps of its explanation as they are
// kept and as they are written. Rather too much.
constexpr std::size_t kCallRoom = 2 << 10;
constexpr std::size_t kRulesRoom = 2 << 10;
constexpr std::size_t kExplainRoom = 8 << 10;
// A request that takes less is not asked for: kMaxCalls of them are little.
constexpr std::size_t kLittleRoom = 8 << 10;

std::size_t RoomFor(const AnswerOptions& answer) {
  return kCallRoom + (answer.rules ? kRulesRoom : 0) + (answer.explain ? kExplainRoom : 0);
}

Plain NoRoom() {
  Plain plain = MakeProblem(503, "too much is waiting to be taken by clients: nothing was decided; ask again");
  plain.headers = "Retry-After: 1\r\n";
  return plain;
}

class HttpSession final : public net::Session, private BatchOwner {
 public:
  HttpSession(net::Connection& connection, const HttpOptions& options)
      : connection_(connection),
        options_(options),
        parser_({.max_request_line = options.max_request_line,
                 .max_header_bytes = options.max_header_bytes,
                 .max_header_count = options.max_headers,
                 .max_body_bytes = options.max_body_bytes}) {}
  ~HttpSession() override {
    if (waiting_) batch_->Orphan();
  }
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  std::size_t OnInput(std::string_view input) override;
  void OnDrain() override;
  std::size_t held() const override { return waiting_ ? room_ : 0; }

 private:
  // Reads requests until the input ends; returns how much was consumed.
  std::size_t ReadRequests(std::string_view input);
  bool Leaves() const;
  // Counts what the answer will take; false: there is no room for it.
  bool TakeRoom(std::size_t bytes);
  // Puts the request's questions into the batch, or returns the answer that needs none.
  std::optional<Plain> Handle(Pending pending);
  std::optional<Plain> HandleRequest(Endpoint endpoint, Pending pending);
  std::optional<Plain> HandleBatch(Pending pending);
  std::optional<Plain> HandleSettlement(Endpoint endpoint, Pending pending);
  std::optional<Plain> HandleFeedback(Pending pending);
  std::optional<Plain> HandleAuth(Pending pending);
  bool ReadDenialStatus(std::string_view query, AnswerOptions* answer, std::string* error);

  Batch& batch();
  // Asks what is in the batch. True: everything asked is answered. False: the store answers later, the connection
  // waits.
  bool Ask();
  void WriteAnswers();
  void OnCompleted() override;
  Nanos Now() const { return options_.engine->clock().Wall(); }

  net::Connection& connection_;
  const HttpOptions& options_;
  RequestParser parser_;
  BelievedHeaders believed_;
  std::shared_ptr<Batch> batch_;  // null: nothing is asked
  bool waiting_ = false;          // batch_ is in flight
  bool closing_ = false;          // the last answer is written or on its way
  bool continued_ = false;        // the current request was told to continue
  std::size_t left_ = 0;          // input that the last OnInput did not consume
  std::size_t room_ = 0;          // that was taken for what is in batch_
};

Batch& HttpSession::batch() {
  if (batch_ == nullptr) batch_ = Batch::Acquire();
  return *batch_;
}

std::size_t HttpSession::OnInput(std::string_view input) {
  if (waiting_) return 0;
  if (closing_) return input.size();
  std::size_t consumed = ReadRequests(input);
  // Input after the last request of a connection is dropped.
  if (closing_) consumed = input.size();
  if (closing_ && !waiting_) connection_.CloseAfterFlush();
  left_ = input.size() - consumed;
  return consumed;
}

std::size_t HttpSession::ReadRequests(std::string_view input) {
  const std::size_t output_before = connection_.output().size();
  std::size_t consumed = 0;
  while (!closing_) {
    if (connection_.output().size() - output_before > kMaxTurnOutput && consumed < input.size()) {
      if (!Ask()) return consumed;
      connection_.Yield();
      return consumed;
    }
    const std::string_view rest = input.substr(consumed);
    const RequestParser::Status status = parser_.Parse(rest);
    if (status == RequestParser::Status::kIncomplete) {
      if (!parser_.expects_continue() || continued_) break;
      if (!Ask()) return consumed;
      connection_.output().append("HTTP/1.1 100 Continue\r\n\r\n");
      continued_ = true;
      break;
    }
    if (status == RequestParser::Status::kError) {
      if (!Ask()) return consumed;
      closing_ = true;
      const ParseError& error = parser_.error();
      AppendPlain(MakeProblem(error.status, error.detail), {.close = true, .minor_version = 1, .head_only = false},
                  Now(), &connection_.output());
      break;
    }
    // A server that drains says so with the last answer it can foresee.
    const bool last = !parser_.head().keep_alive || (Leaves() && rest.size() == parser_.size());
    Pending pending;
    pending.close = last;
    pending.minor_version = parser_.head().minor_version;
    pending.head_only = parser_.head().method == "HEAD";
    if (const std::optional<Plain> plain = Handle(pending)) {
      if (!Ask()) {
        // It is shown again when those before it are answered.
        parser_.Reset();
        return consumed;
      }
      AppendPlain(*plain, {pending.close, pending.minor_version, pending.head_only}, Now(), &connection_.output());
    }
    closing_ = last;
    consumed += parser_.size();
    parser_.Reset();
    continued_ = false;
    if (batch_ != nullptr && batch_->call_count() >= kMaxCalls && !Ask()) return consumed;
  }
  (void)Ask();
  return consumed;
}

bool HttpSession::Leaves() const { return connection_.draining() || (options_.leaving && options_.leaving()); }

bool HttpSession::Ask() {
  if (batch_ == nullptr) return true;
  if (batch_->empty()) {
    Batch::Release(std::move(batch_));
    return true;
  }
  waiting_ = true;
  if (!batch_->Submit(*options_.engine, connection_, this)) {
    connection_.Pause();
    return false;
  }
  waiting_ = false;
  WriteAnswers();
  return true;
}

void HttpSession::WriteAnswers() {
  const Nanos now = Now();
  std::string& out = connection_.output();
  for (const Pending& pending : batch_->pending()) AppendAnswer(*batch_, pending, now, &out);
  Batch::Release(std::move(batch_));
  room_ = 0;
}

void HttpSession::OnCompleted() {
  waiting_ = false;
  if (!closing_ && connection_.draining() && left_ == 0) {
    closing_ = true;
    batch_->CloseAfterLast();
  }
  WriteAnswers();
  if (closing_) {
    connection_.CloseAfterFlush();
    return;
  }
  connection_.Flush();
  connection_.Resume();
}

void HttpSession::OnDrain() {
  if (waiting_ || closing_ || left_ > 0) return;
  closing_ = true;
  connection_.CloseAfterFlush();
}

std::optional<Plain> HttpSession::Handle(Pending pending) {
  const RequestHead& head = parser_.head();
  const Route* route = FindRoute(TargetPath(head.target));
  const AccessQuestion question{.head = head, .peer = connection_.peer_address(), .now = Now()};
  if (std::optional<Plain> refusal = RefuseRequest(route, question, options_)) return refusal;
  if (route->methods == Methods::kPost && head.has_content_encoding) {
    return MakeProblem(415, "a compressed body is not accepted");
  }
  switch (route->endpoint) {
    case Endpoint::kCheck:
    case Endpoint::kPeek:
    case Endpoint::kReserve:
    case Endpoint::kRefund:
    case Endpoint::kReset:
      return HandleRequest(route->endpoint, pending);
    case Endpoint::kBatch:
      return HandleBatch(pending);
    case Endpoint::kCommit:
    case Endpoint::kCancel:
    case Endpoint::kExtend:
      return HandleSettlement(route->endpoint, pending);
    case Endpoint::kFeedback:
      return HandleFeedback(pending);
    case Endpoint::kAuth:
      return HandleAuth(pending);
    case Endpoint::kRoot:
    case Endpoint::kLive:
    case Endpoint::kReady:
    case Endpoint::kMetrics:
      return AnswerOperational(route->endpoint, connection_.draining(), options_);
  }
  return std::nullopt;
}

bool HttpSession::TakeRoom(std::size_t bytes) {
  if (bytes < kLittleRoom) return true;
  if (!connection_.TakeRoom(bytes)) return false;
  room_ += bytes;
  return true;
}

// "status=200"; the only parameter that the API knows.
bool HttpSession::ReadDenialStatus(std::string_view query, AnswerOptions* answer, std::string* error) {
  std::string name, value;
  for (bool seen = false; NextParameter(&query, &name, &value); seen = true) {
    if (seen || name != "status" || (value != "200" && value != "429")) {
      *error = "the only query parameter here is status=200 or status=429, once";
      return false;
    }
    answer->deny_as_200 = value == "200";
  }
  return true;
}

std::optional<Plain> HttpSession::HandleRequest(Endpoint endpoint, Pending pending) {
  struct Asked {
    engine::CallKind kind;
    AnswerForm form;
    std::string_view done;
  };
  const auto asked = [endpoint]() -> Asked {
    switch (endpoint) {
      case Endpoint::kPeek:
        return {engine::CallKind::kPeek, AnswerForm::kPeek, {}};
      case Endpoint::kReserve:
        return {engine::CallKind::kReserve, AnswerForm::kDecision, {}};
      case Endpoint::kRefund:
        return {engine::CallKind::kRefund, AnswerForm::kSettled, "refunded"};
      case Endpoint::kReset:
        return {engine::CallKind::kReset, AnswerForm::kSettled, "reset"};
      default:
        return {engine::CallKind::kCheck, AnswerForm::kDecision, {}};
    }
  }();
  ParsedRequest parsed;
  std::string error;
  if (!ReadDenialStatus(TargetQuery(parser_.head().target), &parsed.answer, &error)) return MakeProblem(400, error);
  const std::string_view body = parser_.body();
  if (!ReadRequestBody(batch().CopyText(body), body.size(), &parsed, &batch().pairs(), &error)) {
    return MakeProblem(400, error);
  }
  const bool once = asked.kind == engine::CallKind::kCheck || asked.kind == engine::CallKind::kReserve;
  if (asked.done.data() != nullptr && !parsed.request.request_id.empty()) {
    return MakeProblem(400, "$.request_id: only checks and reservations are charged once");
  }
  if (once && !believed_.Of(*options_.engine).AddRequestId(parser_.head(), batch().arena(), &parsed.request, &error)) {
    return MakeProblem(400, error);
  }
  if (!TakeRoom(RoomFor(parsed.answer))) return NoRoom();
  pending.form = asked.form;
  pending.done = asked.done;
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  batch().AddCall(asked.kind, parsed);
  batch().AddPending(pending);
  return std::nullopt;
}

std::optional<Plain> HttpSession::HandleBatch(Pending pending) {
  std::string error;
  const std::string_view body = parser_.body();
  std::vector<ParsedRequest>& parsed = batch().scratch();
  parsed.clear();
  if (!ReadBatchBody(batch().CopyText(body), body.size(), &parsed, &batch().pairs(), &error)) {
    return MakeProblem(400, error);
  }
  std::size_t room = 0;
  for (const ParsedRequest& request : parsed) room += RoomFor(request.answer);
  if (!TakeRoom(room)) return NoRoom();
  pending.form = AnswerForm::kBatch;
  pending.first_call = batch().call_count();
  pending.call_count = parsed.size();
  for (const ParsedRequest& request : parsed) batch().AddCall(engine::CallKind::kCheck, request);
  batch().AddPending(pending);
  return std::nullopt;
}

std::optional<Plain> HttpSession::HandleSettlement(Endpoint endpoint, Pending pending) {
  std::string error;
  Settlement settlement;
  const std::string_view body = parser_.body();
  char* const text = batch().CopyText(body);
  const bool commit = endpoint == Endpoint::kCommit;
  const bool extend = endpoint == Endpoint::kExtend;
  if (!(commit   ? ReadCommitBody(text, body.size(), &settlement, &error)
        : extend ? ReadExtendBody(text, body.size(), &settlement, &error)
                 : ReadCancelBody(text, body.size(), &settlement, &error))) {
    return MakeProblem(400, error);
  }
  pending.form = extend ? AnswerForm::kExtended : AnswerForm::kSettled;
  pending.done = commit ? "committed" : "cancelled";
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  engine::Call& call = batch().AddCall(commit   ? engine::CallKind::kCommit
                                       : extend ? engine::CallKind::kExtend
                                                : engine::CallKind::kCancel);
  call.reservation = settlement.reservation;
  call.actual_cost = settlement.actual_cost;
  call.request.cost = settlement.more;
  call.partial = settlement.partial;
  batch().AddPending(pending);
  return std::nullopt;
}

std::optional<Plain> HttpSession::HandleFeedback(Pending pending) {
  ParsedRequest parsed;
  engine::Feedback feedback;
  std::string error;
  const std::string_view body = parser_.body();
  if (!ReadFeedbackBody(batch().CopyText(body), body.size(), &parsed, &feedback, &batch().pairs(), &error)) {
    return MakeProblem(400, error);
  }
  pending.form = AnswerForm::kFeedback;
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  engine::Call& call = batch().AddCall(engine::CallKind::kFeedback, parsed);
  call.latency = feedback.latency;
  call.failed = feedback.failed;
  batch().AddPending(pending);
  return std::nullopt;
}

std::optional<Plain> HttpSession::HandleAuth(Pending pending) {
  // The question borrows from the head, which must outlive the input.
  const std::string_view raw = parser_.raw_head();
  const char* const copy = batch().CopyText(raw);
  const auto keep = [&](std::string_view view) -> std::string_view {
    if (view.data() < raw.data() || view.data() >= raw.data() + raw.size()) return view;
    return {copy + (view.data() - raw.data()), view.size()};
  };
  const RequestHead& head = parser_.head();
  std::vector<Attribute>& pairs = batch().pairs();
  ParsedRequest parsed;
  parsed.headers = {static_cast<std::uint32_t>(pairs.size()), static_cast<std::uint32_t>(head.headers.size())};
  for (const Attribute& header : head.headers) pairs.push_back({keep(header.name), keep(header.value)});

  AuthQuestion question;
  std::string error;
  const BelievedHeaders::Names& believed = believed_.Of(*options_.engine);
  const AuthInput input{.method = keep(head.method),
                        .target = keep(head.target),
                        .headers = {pairs.data() + parsed.headers.begin, parsed.headers.count},
                        .identity = believed.identity,
                        .request_id_header = believed.request_id};
  switch (ReadAuthQuestion(input, batch().arena(), &question, &error)) {
    case AuthReading::kRead:
      break;
    case AuthReading::kBadQuery:
      return MakeProblem(400, error);
    case AuthReading::kForged:
      return MakeForgeryDenial(question.deny_status, error);
  }
  // The client of a Unix socket is on this machine.
  const std::string_view peer = connection_.peer_address();
  question.request.peer_ip = peer.empty() ? "127.0.0.1" : batch().arena().Copy(peer);
  parsed.request = question.request;
  pending.form = AnswerForm::kAuth;
  pending.deny_status = question.deny_status;
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  batch().AddCall(engine::CallKind::kCheck, parsed);
  batch().AddPending(pending);
  return std::nullopt;
}

}  // namespace

std::unique_ptr<net::Session> MakeHttpSession(net::Connection& connection, const HttpOptions& options) {
  return std::make_unique<HttpSession>(connection, options);
}

}  // namespace weir::http
