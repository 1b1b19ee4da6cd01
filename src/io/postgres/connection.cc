#include "io/postgres/connection.h"

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/backoff.h"
#include "io/deadline.h"
#include "io/postgres/raw.h"
#include "io/postgres/result.h"

namespace weir::io::postgres {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class PipelinedConnection final : public Connection, public std::enable_shared_from_this<PipelinedConnection> {
 public:
  PipelinedConnection(asio::io_context& io, ConnectionOptions options, ConnectionOwner& owner)
      : options_(std::move(options)),
        owner_(owner),
        io_(io),
        socket_(io),
        retry_(io),
        deadline_(io),
        backoff_(options_.backoff_min, options_.backoff_max) {}

  ~PipelinedConnection() override { JoinConnector(); }

  void Start() override { Connect(); }
  void Stop() override;
  void Drop(std::string_view why) override {
    if (raw_) Lose(why);
  }
  void Proven() override { backoff_.Reset(); }
  bool ready() const override { return raw_ != nullptr; }
  std::size_t waiting() const override { return waiting_.size(); }
  void Send(std::span<const Statement> statements, std::unique_ptr<Exchange> exchange, Nanos deadline) override;

 private:
  struct Waiting {
    std::unique_ptr<Exchange> exchange;  // nullptr: timed out, its answer is dropped
    Nanos deadline = 0;
    std::vector<Rows> answers{};
    std::optional<ServerError> error{};
  };
  struct Attempt {
    std::unique_ptr<Session::Raw> raw;
    std::string why;
  };

  void Connect();
  void OnAttempt(Attempt attempt);
  Result<> Enter(std::unique_ptr<Session::Raw> raw);
  void Lose(std::string_view why);
  void RetryLater();
  void JoinConnector() {
    if (connector_.joinable()) connector_.join();
  }

  void WaitReadable();
  void Flush();
  void Read();
  void Take(ResultPtr result);
  void Finish();

  void ExpireDue();
  void FailWaiting();

  const ConnectionOptions options_;
  ConnectionOwner& owner_;
  asio::io_context& io_;
  asio::posix::stream_descriptor socket_;  // libpq's, lent
  asio::steady_timer retry_;
  Deadline deadline_;  // the soonest of waiting_
  Backoff backoff_;
  Cancel cancel_;
  std::thread connector_;  // while an attempt is under way
  std::unique_ptr<Session::Raw> raw_;
  std::uint64_t epoch_ = 0;  // of raw_: handlers of an earlier one do nothing
  std::deque<Waiting> waiting_;
  bool writing_ = false;
  bool stopping_ = false;
};

// ---- coming and going -----------------------------------------------------------------------------------------------

void PipelinedConnection::Connect() {
  JoinConnector();
  connector_ = std::thread([self = this->shared_from_this()] {
    Attempt attempt;
    auto session = Session::Connect(self->options_.session, self->cancel_);
    Result<> prepared;
    if (session && self->options_.prepare) prepared = self->options_.prepare(**session);
    if (!session) {
      attempt.why = session.error().message;
    } else if (!prepared) {
      attempt.why = prepared.error().message;
    } else {
      attempt.raw = (*session)->Release();
    }
    asio::post(self->io_,
               [self, shared = std::make_shared<Attempt>(std::move(attempt))] { self->OnAttempt(std::move(*shared)); });
  });
}

void PipelinedConnection::OnAttempt(Attempt attempt) {
  if (stopping_) return;
  JoinConnector();
  Result<> entered;
  if (attempt.raw) entered = Enter(std::move(attempt.raw));
  if (!entered) attempt.why = entered.error().message;
  if (raw_) return owner_.OnReady(*this);
  owner_.OnLost(*this, false, attempt.why);
  RetryLater();
}

Result<> PipelinedConnection::Enter(std::unique_ptr<Session::Raw> raw) {
  PGconn* const conn = raw->conn;
  if (PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) != 1) {
    return Fail(ErrorCode::kUnavailable, FirstLine(PQerrorMessage(conn)));
  }
  error_code fault;
  socket_.assign(PQsocket(conn), fault);
  if (fault) return Fail(ErrorCode::kUnavailable, fault.message());
  raw_ = std::move(raw);
  ++epoch_;
  writing_ = false;
  WaitReadable();
  return {};
}

void PipelinedConnection::Lose(std::string_view why) {
  const std::string reason(why);  // it may live in what is closed here
  ++epoch_;
  socket_.release();
  raw_.reset();
  // The owner first: an exchange that fails must find the store as it is now, not serving still.
  if (!stopping_) owner_.OnLost(*this, true, reason);
  FailWaiting();
  if (!stopping_) RetryLater();
}

void PipelinedConnection::RetryLater() {
  if (stopping_) return;
  retry_.expires_after(std::chrono::nanoseconds(backoff_.Next(options_.jitter())));
  retry_.async_wait([self = shared_from_this()](const error_code& fault) {
    if (!fault && !self->stopping_) self->Connect();
  });
}

void PipelinedConnection::Stop() {
  stopping_ = true;
  cancel_.Set();
  JoinConnector();
  retry_.cancel();
  deadline_.Cancel();
  if (raw_) {
    Lose("stopped");
  } else {
    FailWaiting();
  }
}

// ---- asking and answering -------------------------------------------------------------------------------------------

void PipelinedConnection::Send(std::span<const Statement> statements, std::unique_ptr<Exchange> exchange,
                               Nanos deadline) {
  PGconn* const conn = raw_->conn;
  waiting_.push_back({.exchange = std::move(exchange), .deadline = deadline});
  deadline_.Arm(deadline, shared_from_this(), &PipelinedConnection::ExpireDue);
  bool sent = true;
  for (const Statement& statement : statements) {
    const Arguments arguments(statement.params);
    const std::string text(statement.text);
    sent =
        sent && PQsendQueryParams(conn, text.c_str(), arguments.count(), arguments.types.data(),
                                  arguments.values.data(), arguments.lengths.data(), arguments.formats.data(), 1) == 1;
  }
  sent = sent && PQpipelineSync(conn) == 1;
  if (sent) return Flush();
  // Not from within Send(): who sends does not expect its exchange to be told already.
  asio::post(io_, [self = shared_from_this(), epoch = epoch_, why = FirstLine(PQerrorMessage(conn))] {
    if (self->raw_ && self->epoch_ == epoch) self->Lose(why);
  });
}

void PipelinedConnection::Flush() {
  if (writing_ || !raw_) return;
  const int left = PQflush(raw_->conn);
  if (left == 0) return;
  // Told by what can be read, or by the next wait: Lose() from here would tell an exchange within Send().
  writing_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this(), epoch = epoch_, broken = left < 0](const error_code& fault) {
                       if (!self->raw_ || self->epoch_ != epoch) return;
                       self->writing_ = false;
                       if (fault || broken) return self->Lose(FirstLine(PQerrorMessage(self->raw_->conn)));
                       self->Flush();
                     });
}

void PipelinedConnection::WaitReadable() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this(), epoch = epoch_](const error_code& fault) {
                       if (!self->raw_ || self->epoch_ != epoch) return;
                       if (fault) return self->Lose(fault.message());
                       self->Read();
                     });
}

void PipelinedConnection::Read() {
  const std::uint64_t epoch = epoch_;
  PGconn* const conn = raw_->conn;
  if (PQconsumeInput(conn) == 0) return Lose(FirstLine(PQerrorMessage(conn)));
  // Between two statements there is a null, at the end of all that came there are two.
  bool was_null = false;
  while (!waiting_.empty() && PQisBusy(conn) == 0) {
    ResultPtr result(PQgetResult(conn));
    if (!result) {
      if (was_null) break;
      was_null = true;
      continue;
    }
    was_null = false;
    if (PQstatus(conn) == CONNECTION_BAD) return Lose(FirstLine(PQresultErrorMessage(result.get())));
    Take(std::move(result));
    if (epoch_ != epoch) return;  // whoever was told has dropped it
  }
  if (PQstatus(conn) == CONNECTION_BAD) return Lose(FirstLine(PQerrorMessage(conn)));
  WaitReadable();
  if (waiting_.empty()) owner_.OnIdle(*this);
}

void PipelinedConnection::Take(ResultPtr result) {
  Waiting& waiting = waiting_.front();
  switch (PQresultStatus(result.get())) {
    case PGRES_PIPELINE_SYNC:
      return Finish();
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
      waiting.answers.push_back(RowsOf(std::move(result)));
      return;
    case PGRES_PIPELINE_ABORTED:
      return;
    default:
      if (!waiting.error) waiting.error = ErrorOf(result.get());
  }
}

void PipelinedConnection::Finish() {
  const Waiting done = std::move(waiting_.front());
  waiting_.pop_front();
  if (!done.exchange) return;
  if (done.error) return done.exchange->OnRefused(*this, *done.error);
  done.exchange->OnRows(*this, done.answers);
}

// ---- deadlines ------------------------------------------------------------------------------------------------------

void PipelinedConnection::ExpireDue() {
  const Nanos now = SteadyNow();
  Nanos next = kNever;
  std::vector<std::unique_ptr<Exchange>> due;
  bool stalled = false;
  for (Waiting& waiting : waiting_) {
    if (waiting.exchange && waiting.deadline <= now) due.push_back(std::move(waiting.exchange));
    const Nanos event = waiting.exchange ? waiting.deadline : waiting.deadline + options_.stall;
    if (event <= now) {
      stalled = true;
    } else {
      next = std::min(next, event);
    }
  }
  if (next != kNever) deadline_.Arm(next, shared_from_this(), &PipelinedConnection::ExpireDue);
  for (const std::unique_ptr<Exchange>& exchange : due) exchange->OnFailure(Failure::kTimeout);
  if (stalled) Drop("an answer is long overdue");
}

void PipelinedConnection::FailWaiting() {
  std::deque<Waiting> lost;
  lost.swap(waiting_);
  for (const Waiting& waiting : lost) {
    if (waiting.exchange) waiting.exchange->OnFailure(Failure::kLost);
  }
}

}  // namespace

std::shared_ptr<Connection> MakeConnection(asio::io_context& io, ConnectionOptions options, ConnectionOwner& owner) {
  return std::make_shared<PipelinedConnection>(io, std::move(options), owner);
}

}  // namespace weir::io::postgres
