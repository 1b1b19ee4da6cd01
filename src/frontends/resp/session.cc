#include "frontends/resp/session.h"

#include <algorithm>
#include <utility>

#include "frontends/resp/batch.h"
#include "frontends/resp/check.h"
#include "frontends/resp/client_state.h"
#include "frontends/resp/commands.h"

namespace weir::resp {
namespace {

// What somebody may send who has not authenticated yet.
ParserLimits BeforeAuthentication(ParserLimits limits) {
  limits.max_arguments = std::min<std::uint32_t>(limits.max_arguments, 10);
  limits.max_bulk_bytes = std::min<std::uint32_t>(limits.max_bulk_bytes, 16 << 10);
  return limits;
}

class RespSession final : public net::Session, private BatchOwner {
 public:
  RespSession(net::Connection& connection, RespOptions options)
      : connection_(connection),
        options_(std::move(options)),
        client_(options_.password, connection.peer_address()),
        parser_(client_.authenticated() ? options_.limits : BeforeAuthentication(options_.limits)) {}
  ~RespSession() override {
    if (batch_ != nullptr) batch_->Disown();
  }

  std::size_t OnInput(std::string_view input) override;
  void OnDrain() override;

 private:
  void OnCompleted() override;
  // Parses into batch_; returns how many bytes were understood.
  std::size_t ReadCommands(std::string_view input);
  void Dispatch(Arguments arguments);
  void Answer(const CommandInfo& command, Arguments arguments);
  void Throttle(Arguments arguments, ThrottleForm form);
  void Ask(engine::CallKind kind, Arguments arguments);
  void Settle(engine::CallKind kind, Arguments arguments);
  void Extend(Arguments arguments);
  void Feedback(Arguments arguments);
  void Error(std::string_view text) { ReplyWriter(batch_->AddText(), client_.protocol()).Error(text); }
  // batch_ is complete: writes its replies and gives it back.
  void Finish();

  net::Connection& connection_;
  const RespOptions options_;
  ClientState client_;
  CommandParser parser_;
  ThrottleReader throttle_reader_;
  std::shared_ptr<Batch> batch_;  // while commands are being read or asked
  bool closing_ = false;          // nothing more is read
  bool mid_command_ = false;      // part of a command has arrived
};

std::size_t RespSession::OnInput(std::string_view input) {
  if (closing_) return input.size();
  batch_ = Batch::Acquire();
  const std::size_t consumed = ReadCommands(input);
  mid_command_ = consumed < input.size();
  if (batch_->Submit(*options_.engine, connection_, this)) {
    Finish();
  } else {
    connection_.Pause();
  }
  return consumed;
}

std::size_t RespSession::ReadCommands(std::string_view input) {
  std::size_t position = 0;
  while (position < input.size() && !closing_ && batch_->HasRoom()) {
    switch (parser_.Parse(input.substr(position))) {
      case CommandParser::Status::kCommand:
        // Before dispatch, which may close: what was answered is consumed.
        position += parser_.consumed();
        Dispatch(parser_.arguments());
        break;
      case CommandParser::Status::kEmpty:
        position += parser_.consumed();
        break;
      case CommandParser::Status::kMore:
        return position;
      case CommandParser::Status::kBroken:
        Error("ERR " + std::string(parser_.error()));
        closing_ = true;
        return input.size();
    }
  }
  return position;
}

void RespSession::Dispatch(Arguments arguments) {
  const CommandInfo* command = FindCommand(arguments[0]);
  if (command == nullptr) {
    // A web page that makes its reader's browser talk to this port: not one line further.
    if (EqualsIgnoreCase(arguments[0], "post") || EqualsIgnoreCase(arguments[0], "host:")) {
      closing_ = true;
      return;
    }
    ReplyWriter reply(batch_->AddText(), client_.protocol());
    return AppendUnknownCommand(arguments, reply);
  }
  if (!ArityFits(*command, arguments.size())) {
    ReplyWriter reply(batch_->AddText(), client_.protocol());
    return AppendWrongArity(command->name, reply);
  }
  if (!client_.authenticated() && command->access == Access::kAuthenticated) {
    return Error("NOAUTH Authentication required.");
  }
  Answer(*command, arguments);
}

void RespSession::Answer(const CommandInfo& command, Arguments arguments) {
  using enum CommandId;
  switch (command.id) {
    case kClThrottle:
      return Throttle(arguments, ThrottleForm::kCell);
    case kThrottle:
      return Throttle(arguments, ThrottleForm::kCrab);
    case kWeirCheck:
      return Ask(engine::CallKind::kCheck, arguments);
    case kWeirPeek:
    case kWeirExplain:
      return Ask(engine::CallKind::kPeek, arguments);
    case kWeirReserve:
      return Ask(engine::CallKind::kReserve, arguments);
    case kWeirRefund:
      return Ask(engine::CallKind::kRefund, arguments);
    case kWeirReset:
      return Ask(engine::CallKind::kReset, arguments);
    case kWeirCommit:
      return Settle(engine::CallKind::kCommit, arguments);
    case kWeirExtend:
      return Extend(arguments);
    case kWeirFeedback:
      return Feedback(arguments);
    case kWeirCancel:
      return Settle(engine::CallKind::kCancel, arguments);
    default:
      break;
  }
  std::string& out = batch_->AddText();
  ReplyWriter reply(out, client_.protocol());
  const bool was_authenticated = client_.authenticated();
  switch (command.id) {
    case kAuth:
      client_.Auth(arguments, &out);
      break;
    case kHello:
      client_.Hello(arguments, &out);
      break;
    case kReset:
      client_.Reset(&out);
      break;
    case kClient:
      return client_.Client(arguments, &out);
    case kSelect:
      return client_.Select(arguments, &out);
    case kConfig:
      return client_.Config(arguments, &out);
    case kPing:
      return client_.Ping(arguments, &out);
    case kEcho:
      return reply.Bulk(arguments[1]);
    case kInfo:
      return client_.Info(*options_.engine, &out);
    case kCommand:
      return AppendCommandReply(arguments, reply);
    case kQuit:
      closing_ = true;
      return reply.Simple("OK");
    default:
      break;
  }
  if (client_.locked_out()) closing_ = true;
  if (client_.authenticated() != was_authenticated) {
    parser_.set_limits(client_.authenticated() ? options_.limits : BeforeAuthentication(options_.limits));
  }
}

void RespSession::Throttle(Arguments arguments, ThrottleForm form) {
  ThrottleAsk ask;
  std::string error;
  if (!throttle_reader_.Read(arguments, form, &ask, &error)) return Error(error);
  batch_->AddThrottle(form, ask, arguments[1]);
}

void RespSession::Ask(engine::CallKind kind, Arguments arguments) {
  const std::size_t first_header = batch_->headers().size();
  const std::size_t first_attribute = batch_->attributes().size();
  Request request;
  std::string error;
  if (!ReadRequest(arguments.subspan(1), &batch_->arena(), &request, &batch_->headers(), &batch_->attributes(),
                   &error)) {
    return Error(error);
  }
  const bool has_decision = kind != engine::CallKind::kRefund && kind != engine::CallKind::kReset;
  engine::Call& call =
      batch_->AddCall(kind, has_decision ? CallForm::kDecision : CallForm::kStatus, client_.protocol());
  call.request = request;
  batch_->BindPairs(first_header, first_attribute);
  if (EqualsIgnoreCase(arguments[0], "weir.explain")) batch_->TraceCall();
}

void RespSession::Feedback(Arguments arguments) {
  const std::size_t first_header = batch_->headers().size();
  const std::size_t first_attribute = batch_->attributes().size();
  Request request;
  engine::Feedback feedback;
  std::string error;
  if (!ReadFeedback(arguments.subspan(1), &batch_->arena(), &request, &batch_->headers(), &batch_->attributes(),
                    &feedback, &error)) {
    return Error(error);
  }
  engine::Call& call = batch_->AddCall(engine::CallKind::kFeedback, CallForm::kFeedback, client_.protocol());
  call.request = request;
  call.latency = feedback.latency;
  call.failed = feedback.failed;
  batch_->BindPairs(first_header, first_attribute);
}

void RespSession::Settle(engine::CallKind kind, Arguments arguments) {
  std::uint64_t reservation = 0;
  std::uint64_t actual_cost = 0;
  if (!ReadUnsigned(arguments[1], &reservation)) return Error("ERR the reservation must be an integer >= 0");
  if (kind == engine::CallKind::kCommit && !ReadUnsigned(arguments[2], &actual_cost)) {
    return Error("ERR the actual cost must be an integer >= 0");
  }
  engine::Call& call = batch_->AddCall(kind, CallForm::kStatus, client_.protocol());
  call.reservation = reservation;
  call.actual_cost = actual_cost;
}

void RespSession::Extend(Arguments arguments) {
  std::uint64_t reservation = 0;
  std::uint64_t more = 0;
  if (!ReadUnsigned(arguments[1], &reservation)) return Error("ERR the reservation must be an integer >= 0");
  if (!ReadUnsigned(arguments[2], &more)) return Error("ERR the cost must be an integer >= 0");
  const bool partial = arguments.size() == 4 && EqualsIgnoreCase(arguments[3], "partial");
  if (arguments.size() > 3 && !partial) return Error("ERR syntax error: WEIR.EXTEND id cost [PARTIAL]");
  engine::Call& call = batch_->AddCall(engine::CallKind::kExtend, CallForm::kExtended, client_.protocol());
  call.reservation = reservation;
  call.request.cost = more;
  call.partial = partial;
}

void RespSession::Finish() {
  batch_->Render(&connection_.output());
  Batch::Release(std::move(batch_));
  if (connection_.draining() && !mid_command_) closing_ = true;
  if (closing_) connection_.CloseAfterFlush();
}

void RespSession::OnCompleted() {
  Finish();
  connection_.Flush();
  connection_.Resume();
}

void RespSession::OnDrain() {
  if (batch_ != nullptr || mid_command_) return;
  closing_ = true;
  connection_.CloseAfterFlush();
}

}  // namespace

std::unique_ptr<net::Session> MakeRespSession(net::Connection& connection, RespOptions options) {
  return std::make_unique<RespSession>(connection, std::move(options));
}

}  // namespace weir::resp
