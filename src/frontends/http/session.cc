#include "frontends/http/session.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"
#include "frontends/http/answer.h"
#include "frontends/http/answer_body.h"
#include "frontends/http/batch.h"
#include "frontends/http/forward_auth.h"
#include "frontends/http/routes.h"
#include "http/query.h"
#include "http/request_parser.h"

namespace weir::http {
namespace {

// Calls asked at once; more pipelined requests are the next batch. One /v1/check/batch may exceed it.
constexpr std::size_t kMaxCalls = 128;
// Answers written in one turn of the loop; then the other connections have theirs.
constexpr std::size_t kMaxTurnOutput = 1'048'576;

constexpr std::string_view kRootText =
    "weir decides whether a request may pass.\n"
    "\n"
    "  curl -d '{\"user\":\"alice\",\"method\":\"GET\",\"path\":\"/\"}' http://ADDRESS/v1/check\n"
    "  curl -d '{\"user\":\"alice\",\"explain\":true}' http://ADDRESS/v1/peek\n"
    "  curl -i -H 'X-Original-URI: /' http://ADDRESS/v1/auth\n"
    "\n"
    "POST /v1/check /v1/check/batch /v1/peek /v1/reserve /v1/commit /v1/cancel /v1/refund /v1/reset\n"
    "     /v1/feedback\n"
    "ANY  /v1/auth\n"
    "GET  /livez /readyz /metrics\n";

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

 private:
  // Reads requests until the input ends; returns how much was consumed.
  std::size_t ReadRequests(std::string_view input);
  bool Leaves() const;
  // Puts the request's questions into the batch, or returns the answer that needs none.
  std::optional<Plain> Handle(Pending pending);
  std::optional<Plain> HandleRequest(Endpoint endpoint, Pending pending);
  std::optional<Plain> HandleBatch(Pending pending);
  std::optional<Plain> HandleSettlement(Endpoint endpoint, Pending pending);
  std::optional<Plain> HandleFeedback(Pending pending);
  std::optional<Plain> HandleAuth(Pending pending);
  Plain HandleOperational(Endpoint endpoint);
  bool ReadDenialStatus(std::string_view query, AnswerOptions* answer, std::string* error);

  Batch& batch();
  // Asks what is in the batch. True: everything asked is answered. False: the store answers later, the connection
  // waits.
  bool Ask();
  void WriteAnswers();
  void OnCompleted() override;
  Nanos Now() const { return options_.engine->clock().Now(); }

  net::Connection& connection_;
  const HttpOptions& options_;
  RequestParser parser_;
  // Whom /v1/auth believes, of the document of that version: asked for again only when there is another one.
  struct Identity {
    std::uint64_t version = 0;
    IdentityHeaders headers;
  };
  std::unique_ptr<Identity> identity_;
  std::shared_ptr<Batch> batch_;  // null: nothing is asked
  bool waiting_ = false;          // batch_ is in flight
  bool closing_ = false;          // the last answer is written or on its way
  bool continued_ = false;        // the current request was told to continue
  std::size_t left_ = 0;          // input that the last OnInput did not consume
};

Batch& HttpSession::batch() {
  if (batch_ == nullptr) batch_ = Batch::Acquire();
  return *batch_;
}

std::size_t HttpSession::OnInput(std::string_view input) {
  if (waiting_) return 0;
  if (closing_) return input.size();
  std::size_t consumed = ReadRequests(input);
  // What follows the last request of a connection is nobody's.
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
      connection_.Pause();
      connection_.Post([&connection = connection_] { connection.Resume(); });
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
  if (route == nullptr) return MakeProblem(404, "there is no such path; GET / lists those that there are");
  if (!Allows(route->methods, head.method)) {
    Plain plain = MakeProblem(405, "this path does not know the method");
    plain.headers.append("Allow: ").append(AllowedMethods(route->methods)).append("\r\n");
    return plain;
  }
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
      return HandleSettlement(route->endpoint, pending);
    case Endpoint::kFeedback:
      return HandleFeedback(pending);
    case Endpoint::kAuth:
      return HandleAuth(pending);
    case Endpoint::kRoot:
    case Endpoint::kLive:
    case Endpoint::kReady:
    case Endpoint::kMetrics:
      return HandleOperational(route->endpoint);
  }
  return std::nullopt;
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
  struct Meaning {
    engine::CallKind kind;
    AnswerForm form;
    std::string_view done;
  };
  const auto meaning = [endpoint]() -> Meaning {
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
  pending.form = meaning.form;
  pending.done = meaning.done;
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  batch().AddCall(meaning.kind, parsed);
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
  if (!(commit ? ReadCommitBody(text, body.size(), &settlement, &error)
               : ReadCancelBody(text, body.size(), &settlement, &error))) {
    return MakeProblem(400, error);
  }
  pending.form = AnswerForm::kSettled;
  pending.done = commit ? "committed" : "cancelled";
  pending.first_call = batch().call_count();
  pending.call_count = 1;
  engine::Call& call = batch().AddCall(commit ? engine::CallKind::kCommit : engine::CallKind::kCancel);
  call.reservation = settlement.reservation;
  call.actual_cost = settlement.actual_cost;
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
  if (const std::uint64_t version = options_.engine->version(); identity_ == nullptr || identity_->version != version) {
    identity_ = std::make_unique<Identity>(
        version, options_.engine->snapshot()->document().server.forward_auth.identity_headers);
  }
  const AuthInput input{.method = keep(head.method),
                        .target = keep(head.target),
                        .headers = {pairs.data() + parsed.headers.begin, parsed.headers.count},
                        .identity = identity_->headers};
  switch (ReadAuthQuestion(input, batch().arena(), &question, &error)) {
    case AuthReading::kRead:
      break;
    case AuthReading::kBadQuery:
      return MakeProblem(400, error);
    case AuthReading::kForged:
      return MakeForgeryDenial(question.deny_status, error);
  }
  // Whoever connects through a Unix socket is on this machine.
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

Plain HttpSession::HandleOperational(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kLive:
      return MakeText(200, "ok\n");
    case Endpoint::kReady: {
      std::string why;
      if (connection_.draining()) return MakeText(503, "draining\n");
      const bool ready = !options_.ready || options_.ready(&why);
      return MakeText(ready ? 200 : 503, why.empty() ? "ready\n" : why + '\n');
    }
    case Endpoint::kMetrics: {
      const auto text = options_.metrics ? options_.metrics() : nullptr;
      if (text == nullptr) return MakeProblem(404, "metrics are off");
      Plain plain = MakeText(200, *text);
      plain.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return plain;
    }
    default:
      return MakeText(200, std::string(kRootText));
  }
}

}  // namespace

std::unique_ptr<net::Session> MakeHttpSession(net::Connection& connection, const HttpOptions& options) {
  return std::make_unique<HttpSession>(connection, options);
}

}  // namespace weir::http
