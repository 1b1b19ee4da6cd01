#include "frontends/resp/session.h"

#include <algorithm>
#include <utility>

#include "frontends/resp/batch.h"
#include "frontends/resp/check.h"
#include "frontends/resp/client_state.h"
#include "frontends/resp/commands.h"
#include "frontends/resp/transaction.h"

namespace weir::resp {
namespace {

// What somebody may send who has not authenticated yet.
ParserLimits BeforeAuthentication(ParserLimits limits) {
  limits.max_arguments = std::min<std::uint32_t>(limits.max_arguments, 10);
  limits.max_bulk_bytes = std::min<std::uint32_t>(limits.max_bulk_bytes, 16 << 10);
  return limits;
}

// What an explanation takes: its steps as they are kept and as they are written. Rather too much.
constexpr std::size_t kExplainRoom = 8 << 10;

struct Settlement {
  std::uint64_t reservation = 0, actual_cost = 0;
};
// WEIR.COMMIT id actual_cost, WEIR.CANCEL id.
bool ReadSettlement(Arguments arguments, Settlement* settlement, std::string* error) {
  if (!ReadUnsigned(arguments[1], &settlement->reservation)) *error = "ERR the reservation must be an integer >= 0";
  if (error->empty() && arguments.size() > 2 && !ReadUnsigned(arguments[2], &settlement->actual_cost)) {
    *error = "ERR the actual cost must be an integer >= 0";
  }
  return error->empty();
}

class RespSession final : public net::Session, private BatchOwner {
 public:
  RespSession(net::Connection& connection, RespOptions options)
      : connection_(connection),
        options_(std::move(options)),
        client_(options_.passwords, connection.peer_address()),
        parser_(client_.authenticated() ? options_.limits : BeforeAuthentication(options_.limits)),
        transaction_(options_.limits.max_command_bytes) {}
  ~RespSession() override {
    if (batch_ != nullptr) batch_->Disown();
  }

  std::size_t OnInput(std::string_view input) override;
  void OnDrain() override;
  // The time that an AUTH had to wait is over.
  void OnWake() override;
  std::size_t held() const override { return transaction_.held() + (batch_ != nullptr ? room_ : 0); }

 private:
  void OnCompleted() override;
  // Parses into batch_; returns how many bytes were understood.
  std::size_t ReadCommands(std::string_view input);
  void Dispatch(Arguments arguments);
  // Between MULTI and EXEC.
  void DispatchQueued(const CommandInfo& command, Arguments arguments);
  // What is wrong with the command's arguments, before it is queued; empty: nothing.
  std::string FaultOf(const CommandInfo& command, Arguments arguments);
  void Execute();
  // Carries out what EXEC has begun, as far as there is room in batch_.
  void TakeQueued();
  // Asks batch_, and what EXEC has still to carry out after it. False: the store answers later.
  bool Run();
  void Answer(const CommandInfo& command, Arguments arguments);
  void AnswerAuthentication(CommandId command, Arguments arguments, std::string* out);
  // The command is an attempt to authenticate that has to wait for its turn, or comes to none (and is answered).
  enum class Turn : std::uint8_t { kNow, kLater, kNever };
  Turn TurnOf(Arguments arguments);
  void Throttle(Arguments arguments, ThrottleForm form);
  void Ask(engine::CallKind kind, Arguments arguments);
  void Settle(engine::CallKind kind, Arguments arguments);
  void Extend(Arguments arguments);
  void Feedback(Arguments arguments);
  void Error(std::string_view text) { ReplyWriter(batch_->AddText(), client_.protocol()).Error(text); }
  // The command is not carried out, nor is what was queued before it.
  void Refuse(std::string_view text) {
    transaction_.Spoil();
    Error(text);
  }
  // batch_ is complete: writes its replies and gives it back.
  void WriteReplies();
  void Finish();

  net::Connection& connection_;
  const RespOptions options_;
  ClientState client_;
  CommandParser parser_;
  ThrottleReader throttle_reader_;
  Transaction transaction_;
  std::shared_ptr<Batch> batch_;  // while commands are being read or asked
  bool closing_ = false;          // nothing more is read
  bool mid_command_ = false;      // part of a command has arrived
  bool postponed_ = false;        // an attempt to authenticate waits ...
  bool turn_has_come_ = false;    // ... has waited, and is to be looked at
  std::size_t room_ = 0;          // that was taken for what is in batch_
};

std::size_t RespSession::OnInput(std::string_view input) {
  if (closing_) return input.size();
  batch_ = Batch::Acquire();
  const std::size_t consumed = ReadCommands(input);
  mid_command_ = consumed < input.size();
  if (Run()) {
    Finish();
  } else {
    connection_.Pause();
  }
  return consumed;
}

bool RespSession::Run() {
  while (batch_->Submit(*options_.engine, connection_, this)) {
    if (!transaction_.executing()) return true;
    WriteReplies();
    batch_ = Batch::Acquire();
    TakeQueued();
  }
  return false;
}

std::size_t RespSession::ReadCommands(std::string_view input) {
  std::size_t position = 0;
  while (position < input.size() && !closing_ && !transaction_.executing() && batch_->HasRoom()) {
    switch (parser_.Parse(input.substr(position))) {
      case CommandParser::Status::kCommand:
        switch (TurnOf(parser_.arguments())) {
          case Turn::kNow:
            break;
          case Turn::kLater:
            return position;
          case Turn::kNever:
            closing_ = true;
            return input.size();
        }
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

// Attempts by Redis' own rules are so cheap that secrets could be guessed by their number.
RespSession::Turn RespSession::TurnOf(Arguments arguments) {
  if (options_.guard == nullptr || options_.passwords.empty()) [[likely]]
    return Turn::kNow;
  const bool hello = EqualsIgnoreCase(arguments[0], "hello");
  if (!hello && !EqualsIgnoreCase(arguments[0], "auth")) return Turn::kNow;
  const auto is_auth = [](std::string_view argument) { return EqualsIgnoreCase(argument, "auth"); };
  if (hello && std::ranges::none_of(arguments.subspan(1), is_auth)) return Turn::kNow;
  if (std::exchange(turn_has_come_, false)) return Turn::kNow;
  const auto wait = options_.guard->TakeTurn(connection_.peer_address(), options_.engine->clock().Now());
  if (wait == 0) return Turn::kNow;
  if (!wait) {
    Error("ERR too many failed attempts to authenticate; try again later");
    return Turn::kNever;
  }
  postponed_ = true;
  connection_.Pause();
  connection_.WakeAfter(static_cast<std::uint32_t>((*wait + kMillisecond - 1) / kMillisecond));
  return Turn::kLater;
}

void RespSession::OnWake() {
  if (!std::exchange(postponed_, false)) return;
  turn_has_come_ = true;
  // Else when the store has answered.
  if (batch_ == nullptr) connection_.Resume();
}

void RespSession::Dispatch(Arguments arguments) {
  const CommandInfo* command = FindCommand(arguments[0]);
  if (command == nullptr) {
    // A web page that makes its reader's browser talk to this port: not one line further.
    if (EqualsIgnoreCase(arguments[0], "post") || EqualsIgnoreCase(arguments[0], "host:")) {
      closing_ = true;
      return;
    }
    transaction_.Spoil();
    ReplyWriter reply(batch_->AddText(), client_.protocol());
    return AppendUnknownCommand(arguments, reply);
  }
  if (!ArityFits(*command, arguments.size())) {
    transaction_.Spoil();
    ReplyWriter reply(batch_->AddText(), client_.protocol());
    return AppendWrongArity(command->name, reply);
  }
  if (!client_.authenticated() && command->access == Access::kAuthenticated) {
    return Error("NOAUTH Authentication required.");
  }
  if (const ServeBit needed = ServeBitOf(command->id); (needed.bit & ~options_.serve) != 0) {
    return Refuse("NOPERM this listener does not serve '" + std::string(command->name) + "': '" +
                  std::string(needed.name) + "' is not among its `serve`");
  }
  transaction_.open() ? DispatchQueued(*command, arguments) : Answer(*command, arguments);
}

void RespSession::DispatchQueued(const CommandInfo& command, Arguments arguments) {
  using enum CommandId;
  switch (command.id) {
    case kMulti:
      return Error("ERR MULTI calls can not be nested");
    case kWatch:
      return Error("ERR WATCH inside MULTI is not allowed");
    case kExec:
      return Execute();
    case kDiscard:
      transaction_.Discard();
      return ReplyWriter(batch_->AddText(), client_.protocol()).Simple("OK");
    case kQuit:
    case kReset:
      return Answer(command, arguments);
    case kAuth:
    case kHello:
      // They change how the rest is answered.
      return Refuse("ERR Command not allowed inside a transaction");
    default:
      break;
  }
  if (const std::string fault = FaultOf(command, arguments); !fault.empty()) return Refuse(fault);
  if (!transaction_.Queue(command, arguments)) return Refuse("ERR the transaction is too large");
  ReplyWriter(batch_->AddText(), client_.protocol()).Simple("QUEUED");
}

std::string RespSession::FaultOf(const CommandInfo& command, Arguments arguments) {
  using enum CommandId;
  std::string error;
  Request request;
  std::vector<Attribute> headers, attributes;
  switch (command.id) {
    case kClThrottle:
    case kThrottle: {
      // Not throttle_reader_: it knows the numbers of the last throttle that was asked.
      ThrottleReader reader;
      ThrottleAsk ask;
      reader.Read(arguments, command.id == kThrottle ? ThrottleForm::kCrab : ThrottleForm::kCell, &ask, &error);
      break;
    }
    case kWeirCheck:
    case kWeirPeek:
    case kWeirExplain:
    case kWeirReserve:
    case kWeirRefund:
    case kWeirReset:
      ReadRequest(arguments.subspan(1), &batch_->arena(), &request, &headers, &attributes, &error);
      break;
    case kWeirFeedback: {
      engine::Feedback feedback;
      ReadFeedback(arguments.subspan(1), &batch_->arena(), &request, &headers, &attributes, &feedback, &error);
      break;
    }
    case kWeirCommit:
    case kWeirCancel: {
      Settlement settlement;
      ReadSettlement(arguments, &settlement, &error);
      break;
    }
    default:
      break;
  }
  return error;
}

void RespSession::Execute() {
  const bool spoilt = transaction_.spoilt();
  if (spoilt) transaction_.Discard();
  if (spoilt) return Error("EXECABORT Transaction discarded because of previous errors.");
  ReplyWriter(batch_->AddText(), client_.protocol()).Array(transaction_.Execute());
  TakeQueued();
}

void RespSession::TakeQueued() {
  while (transaction_.executing() && batch_->HasRoom()) {
    Arguments arguments;
    const CommandInfo* const command = transaction_.Take(&arguments);
    Answer(*command, arguments);
  }
  if (!transaction_.executing()) transaction_.Discard();
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
  switch (command.id) {
    case kAuth:
    case kHello:
    case kReset:
      return AnswerAuthentication(command.id, arguments, &out);
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
    case kMulti:
      transaction_.Begin();
      return reply.Simple("OK");
    case kExec:
      return reply.Error("ERR EXEC without MULTI");
    case kDiscard:
      return reply.Error("ERR DISCARD without MULTI");
    case kWatch:
    case kUnwatch:
      return reply.Simple("OK");
    case kQuit:
      closing_ = true;
      return reply.Simple("OK");
    default:
      break;
  }
}

void RespSession::AnswerAuthentication(CommandId command, Arguments arguments, std::string* out) {
  const bool was_authenticated = client_.authenticated();
  const std::uint32_t failures = client_.failures();
  if (command == CommandId::kAuth) {
    client_.Auth(arguments, out);
  } else if (command == CommandId::kHello) {
    client_.Hello(arguments, out);
  } else {
    transaction_.Discard();
    client_.Reset(out);
  }
  if (client_.failures() != failures && options_.guard != nullptr) {
    options_.guard->Failed(connection_.peer_address(), options_.engine->clock().Now());
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
  const bool explains = EqualsIgnoreCase(arguments[0], "weir.explain");
  if (explains && !connection_.TakeRoom(kExplainRoom)) {
    return Error("UNAVAILABLE too much is waiting to be taken by clients; ask again");
  }
  if (explains) room_ += kExplainRoom;
  const bool has_decision = kind != engine::CallKind::kRefund && kind != engine::CallKind::kReset;
  engine::Call& call =
      batch_->AddCall(kind, has_decision ? CallForm::kDecision : CallForm::kStatus, client_.protocol());
  call.request = request;
  batch_->BindPairs(first_header, first_attribute);
  if (explains) batch_->TraceCall();
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
  Settlement settlement;
  std::string error;
  if (!ReadSettlement(arguments, &settlement, &error)) return Error(error);
  engine::Call& call = batch_->AddCall(kind, CallForm::kStatus, client_.protocol());
  call.reservation = settlement.reservation;
  call.actual_cost = settlement.actual_cost;
}

void RespSession::WriteReplies() {
  batch_->Render(&connection_.output());
  Batch::Release(std::move(batch_));
  room_ = 0;
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
  WriteReplies();
  if (connection_.draining() && !mid_command_) closing_ = true;
  if (closing_) connection_.CloseAfterFlush();
}

void RespSession::OnCompleted() {
  if (transaction_.executing()) {
    WriteReplies();
    batch_ = Batch::Acquire();
    TakeQueued();
    if (!Run()) return connection_.Flush();
  }
  Finish();
  connection_.Flush();
  if (!postponed_) connection_.Resume();
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
