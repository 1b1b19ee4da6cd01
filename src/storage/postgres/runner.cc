#include "storage/postgres/runner.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "io/backoff.h"
#include "io/steady.h"
#include "storage/postgres/batch_codec.h"
#include "storage/postgres/bucket_batch.h"
#include "storage/postgres/working_set.h"

namespace weir::storage::postgres {

using io::postgres::Connection;
using io::postgres::Exchange;
using io::postgres::Failure;
using io::postgres::Rows;
using io::postgres::ServerError;
using io::postgres::Statement;

namespace {

constexpr std::string_view kBegin = "BEGIN", kCommit = "COMMIT", kRollback = "ROLLBACK";
// Of one transaction: what is locked at once, and what a plan of very many rules may still exceed by itself.
constexpr std::size_t kMostKeys = 512;

std::size_t Index(Lane lane) { return static_cast<std::size_t>(lane); }

}  // namespace

// ---- batches --------------------------------------------------------------------------------------------------------

class Runner::BatchExchange : public Exchange {
 public:
  BatchExchange(Runner& runner, std::vector<JobPtr> jobs) : runner_(runner), jobs_(std::move(jobs)) {}
  void OnFailure(Failure failure) override {
    // Jobs have deadlines of their own.
    if (failure == Failure::kLost) runner_.AnswerLost(jobs_);
  }

 protected:
  void Malformed() {
    for (const JobPtr& job : jobs_) {
      if (job->answered) continue;
      Bump(runner_.counters_.malformed, job->plans.size());
      runner_.AnswerUnavailable(*job);
    }
  }
  Runner& runner_;
  const std::vector<JobPtr> jobs_;
};

class Runner::BucketsExchange final : public BatchExchange {
 public:
  BucketsExchange(Runner& runner, BucketBatch batch) : BatchExchange(runner, batch.jobs()), batch_(std::move(batch)) {}
  void OnRows(Connection& connection, std::span<const Rows> answers) override {
    if (answers.size() != 1) return Malformed();
    const std::vector<bool> sane = batch_.Decode(answers[0]);
    runner_.pool_->Succeeded(connection);
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if (jobs_[i]->answered) continue;
      if (!sane[i]) {
        Bump(runner_.counters_.malformed, jobs_[i]->plans.size());
        runner_.AnswerUnavailable(*jobs_[i]);
      } else {
        runner_.Answer(*jobs_[i]);
      }
    }
  }
  void OnRefused(Connection& connection, const ServerError& error) override {
    runner_.AnswerRefused(connection, jobs_, error);
  }

 private:
  BucketBatch batch_;
};

class Runner::ReadsExchange final : public BatchExchange {
 public:
  using BatchExchange::BatchExchange;
  void OnRows(Connection& connection, std::span<const Rows> answers) override {
    WorkingSet set(KeysOf(jobs_));
    if (answers.size() != 1 || !LoadRows(answers[0], set)) return Malformed();
    runner_.pool_->Succeeded(connection);
    for (const JobPtr& job : jobs_) {
      if (job->answered) continue;
      bool sane = true;
      for (Plan* const plan : job->plans) {
        sane = sane && set.CanDecide(*plan);
        if (sane) Tell(set.Decide(*plan, job->now), *plan);
      }
      if (sane) {
        runner_.Answer(*job);
      } else {
        Bump(runner_.counters_.malformed, job->plans.size());
        runner_.AnswerUnavailable(*job);
      }
    }
  }
  void OnRefused(Connection& connection, const ServerError& error) override {
    runner_.AnswerRefused(connection, jobs_, error);
  }
};

class Runner::RollbackExchange final : public Exchange {
 public:
  explicit RollbackExchange(Connection& connection) : connection_(connection) {}
  void OnRows(Connection&, std::span<const Rows>) override {}
  void OnRefused(Connection& connection, const ServerError& error) override { connection.Drop(error.message); }
  void OnFailure(Failure failure) override {
    if (failure == Failure::kTimeout) connection_.Drop("a transaction is not rolled back");
  }

 private:
  Connection& connection_;
};

// The second trip: what changed is written, and the transaction ends.
class Runner::CommitExchange final : public BatchExchange {
 public:
  CommitExchange(Runner& runner, Connection& connection, std::vector<JobPtr> jobs,
                 std::vector<std::vector<Decision>> decisions)
      : BatchExchange(runner, std::move(jobs)), connection_(connection), decisions_(std::move(decisions)) {}
  void OnRows(Connection& connection, std::span<const Rows>) override {
    runner_.pool_->Succeeded(connection);
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      Job& job = *jobs_[i];
      if (job.answered) continue;
      for (std::size_t plan = 0; plan < job.plans.size(); ++plan) Tell(decisions_[i][plan], *job.plans[plan]);
      runner_.Answer(job);
    }
  }
  void OnRefused(Connection& connection, const ServerError& error) override {
    runner_.RollBack(connection);
    runner_.AnswerRefused(connection, jobs_, error);
  }
  void OnFailure(Failure failure) override {
    BatchExchange::OnFailure(failure);
    if (failure == Failure::kTimeout) connection_.Drop("a transaction does not end");
  }

 private:
  Connection& connection_;
  const std::vector<std::vector<Decision>> decisions_;
};

// The first trip: the rows are locked and read. Then all is decided.
class Runner::LockExchange final : public BatchExchange {
 public:
  LockExchange(Runner& runner, Connection& connection, std::vector<JobPtr> jobs, std::vector<Key> keys)
      : BatchExchange(runner, std::move(jobs)), connection_(connection), set_(std::move(keys)) {}
  void OnRows(Connection& connection, std::span<const Rows> answers) override {
    if (answers.size() != 2 || !LoadRows(answers[1], set_)) {
      runner_.RollBack(connection);
      return Malformed();
    }
    std::vector<JobPtr> decided;
    std::vector<std::vector<Decision>> decisions;
    for (const JobPtr& job : jobs_) {
      if (job->answered) continue;  // its time is over: it must not be charged
      const bool sane = std::ranges::all_of(job->plans, [&](const Plan* plan) { return set_.CanDecide(*plan); });
      if (!sane) {
        Bump(runner_.counters_.malformed, job->plans.size());
        runner_.AnswerUnavailable(*job);
        continue;
      }
      std::vector<Decision>& mine = decisions.emplace_back();
      for (const Plan* const plan : job->plans) mine.push_back(set_.Decide(*plan, job->now));
      decided.push_back(job);
    }
    if (decided.empty()) return runner_.RollBack(connection);
    const WorkingSet::Changes changes = set_.GetChanges();
    std::vector<Statement> statements;
    if (!changes.written.empty() || !changes.gone.empty()) {
      statements.push_back({runner_.statements_.write, EncodeChanges(changes)});
    }
    statements.push_back({kCommit, {}});
    connection.Send(statements,
                    std::make_unique<CommitExchange>(runner_, connection, std::move(decided), std::move(decisions)),
                    io::SteadyNow() + runner_.stall_);
  }
  void OnRefused(Connection& connection, const ServerError& error) override {
    runner_.RollBack(connection);
    runner_.AnswerRefused(connection, jobs_, error);
  }
  void OnFailure(Failure failure) override {
    BatchExchange::OnFailure(failure);
    // Whatever comes of it, it must not be left open.
    if (failure == Failure::kTimeout) connection_.Drop("rows are not locked");
  }

 private:
  Connection& connection_;
  WorkingSet set_;
};

// ---- any thread -----------------------------------------------------------------------------------------------------

Runner::Runner(const PostgresStoreOptions& options, const Statements& statements, Counters& counters)
    : options_(options),
      statements_(statements),
      counters_(counters),
      stall_(std::max(kSecond, 4 * options.command_timeout)),
      wait_ms_(std::clamp<std::int64_t>(options.command_timeout / kMillisecond / 3, 1, 1000)),
      idle_ms_(std::clamp<std::int64_t>(options.command_timeout / kMillisecond, 100, 60'000)),
      last_error_log_(io::kLongAgo) {}

std::size_t Runner::Admit(std::size_t wanted) {
  if (wanted == 0) return 0;
  if (!pool_->serving()) {
    Bump(counters_.refused_breaker, wanted);
    return 0;
  }
  std::uint32_t now = in_flight_.load(std::memory_order_relaxed);
  std::size_t admitted = 0;
  do {
    admitted = std::min<std::size_t>(wanted, options_.max_in_flight - std::min(now, options_.max_in_flight));
    // relaxed: a bound on a number, which orders nothing
  } while (admitted > 0 && !in_flight_.compare_exchange_weak(now, now + static_cast<std::uint32_t>(admitted),
                                                             std::memory_order_relaxed));
  Bump(counters_.refused_in_flight, wanted - admitted);
  return admitted;
}

void Runner::Refuse(Plan& plan) {
  plan.status = PlanStatus::kUnavailable;
  plan.admitted = false;
  Bump(counters_.unavailable);
}

bool Runner::Submit(JobPtr job) {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    in_flight_.fetch_sub(static_cast<std::uint32_t>(job->plans.size()), std::memory_order_relaxed);
    return false;
  }
  const bool wake = queue_.empty();
  queue_.push_back(std::move(job));
  // One wake-up takes all that was queued until then. The pool is closed after this is.
  if (wake) (void)pool_->Post([this] { Dispatch(); });
  return true;
}

void Runner::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  pool_->Close();
}

// ---- the I/O thread -------------------------------------------------------------------------------------------------

void Runner::TakeQueue() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(queue_);
  }
  while (!waiting_.empty() && waiting_.front()->answered) waiting_.pop_front();
  for (JobPtr& job : taken_) {
    waiting_.push_back(job);
    lanes_[Index(job->lane)].push_back(std::move(job));
  }
  taken_.clear();
}

void Runner::Dispatch() {
  TakeQueue();
  if (!waiting_.empty()) pool_->ArmDeadline(waiting_.front()->deadline);
  if (!pool_->serving()) return OnDown();
  pool_->Pump();
}

void Runner::OnDown() {
  TakeQueue();
  for (std::deque<JobPtr>& lane : lanes_) {
    for (const JobPtr& job : std::exchange(lane, {})) {
      if (job->answered) continue;
      Bump(counters_.refused_breaker, job->plans.size());
      AnswerUnavailable(*job);
    }
  }
}

void Runner::OnDeadline() {
  const Nanos now = io::SteadyNow();
  std::size_t late = 0;
  while (!waiting_.empty() && (waiting_.front()->answered || waiting_.front()->deadline <= now)) {
    const JobPtr job = std::move(waiting_.front());
    waiting_.pop_front();
    if (job->answered) continue;
    Bump(counters_.timeouts, job->plans.size());
    AnswerUnavailable(*job);
    ++late;
  }
  if (!waiting_.empty()) pool_->ArmDeadline(waiting_.front()->deadline);
  for (std::size_t i = 0; i < late; ++i) pool_->Failed("no answer in time");
}

bool Runner::Feed(Connection& connection) {
  // The lane whose first job came first.
  const Job* oldest = nullptr;
  for (std::deque<JobPtr>& lane : lanes_) {
    while (!lane.empty() && lane.front()->answered) lane.pop_front();
    if (!lane.empty() && (oldest == nullptr || lane.front()->deadline < oldest->deadline)) oldest = lane.front().get();
  }
  if (oldest == nullptr) return false;
  switch (oldest->lane) {
    case Lane::kBuckets:
      return FeedBuckets(connection);
    case Lane::kReads:
      return FeedReads(connection);
    case Lane::kTransactions:
      break;
  }
  return FeedTransaction(connection);
}

template <typename Fits>
void Runner::Gather(Lane lane, const Fits& fits) {
  std::deque<JobPtr>& from = lanes_[Index(lane)];
  std::deque<JobPtr> left;
  while (!from.empty()) {
    const JobPtr job = std::move(from.front());
    from.pop_front();
    if (job->answered) continue;
    if (!fits(job)) {
      left.push_back(job);
      break;
    }
  }
  if (!left.empty()) from.push_front(std::move(left.front()));
}

void Runner::Sent(std::size_t plans) {
  Bump(counters_.batches);
  Bump(counters_.plans_sent, plans);
}

bool Runner::FeedBuckets(Connection& connection) {
  BucketBatch batch;
  std::vector<JobPtr> hot;
  Gather(Lane::kBuckets, [&](const JobPtr& job) {
    const bool first = batch.size() == 0;
    if (!first && batch.size() + job->plans.size() > options_.batch) return false;
    // By the caller's clock each is decided as of its own time.
    if (!first && options_.clock == ClockSource::kCaller && job->now != batch.at()) return false;
    // The same key again: all that ask for it are decided in one transaction, which writes its row once.
    if (!batch.Add(job)) hot.push_back(job);
    return true;
  });
  for (JobPtr& job : hot) {
    job->lane = Lane::kTransactions;
    lanes_[Index(Lane::kTransactions)].push_back(std::move(job));
  }
  Sent(batch.size());
  Bump(counters_.plans_as_buckets, batch.size());
  const Statement statement{statements_.buckets, batch.Encode(wait_ms_, options_.durability != Durability::kSync)};
  connection.Send({&statement, 1}, std::make_unique<BucketsExchange>(*this, std::move(batch)),
                  io::SteadyNow() + options_.command_timeout);
  return true;
}

bool Runner::FeedReads(Connection& connection) {
  std::vector<JobPtr> jobs;
  std::size_t plans = 0;
  Gather(Lane::kReads, [&](const JobPtr& job) {
    if (plans > 0 && plans + job->plans.size() > options_.batch) return false;
    plans += job->plans.size();
    jobs.push_back(job);
    return true;
  });
  Sent(plans);
  Bump(counters_.plans_as_reads, plans);
  const std::vector<Key> keys = KeysOf(jobs);
  Statement statement{statements_.read, {}};
  statement.params.Add(std::span<const Key>(keys));
  connection.Send({&statement, 1}, std::make_unique<ReadsExchange>(*this, std::move(jobs)),
                  io::SteadyNow() + options_.command_timeout);
  return true;
}

bool Runner::FeedTransaction(Connection& connection) {
  std::vector<JobPtr> jobs;
  std::size_t plans = 0, rows = 0;
  Gather(Lane::kTransactions, [&](const JobPtr& job) {
    const bool full = plans + job->plans.size() > options_.batch || rows + job->keys.size() > kMostKeys;
    if (!jobs.empty() && (full || job->alone || jobs.front()->alone)) return false;
    plans += job->plans.size();
    rows += job->keys.size();
    jobs.push_back(job);
    return true;
  });
  Sent(plans);
  std::vector<Key> keys = KeysOf(jobs);
  std::array<Statement, 2> statements = {Statement{kBegin, {}}, Statement{statements_.lock, {}}};
  statements[1].params.Add(std::span<const Key>(keys)).Add(wait_ms_).Add(idle_ms_);
  statements[1].params.Add(std::int64_t{options_.durability != Durability::kSync ? 1 : 0});
  connection.Send(statements, std::make_unique<LockExchange>(*this, connection, std::move(jobs), std::move(keys)),
                  io::SteadyNow() + options_.command_timeout + stall_);
  return true;
}

// ---- answers --------------------------------------------------------------------------------------------------------

void Runner::Answer(Job& job) {
  job.answered = true;
  in_flight_.fetch_sub(static_cast<std::uint32_t>(job.plans.size()), std::memory_order_relaxed);
  job.done->Done();
}

void Runner::AnswerUnavailable(Job& job) {
  for (Plan* const plan : job.plans) Refuse(*plan);
  Answer(job);
}

void Runner::AnswerLost(std::span<const JobPtr> jobs) {
  for (const JobPtr& job : jobs) {
    if (job->answered) continue;
    Bump(counters_.lost, job->plans.size());
    AnswerUnavailable(*job);
  }
}

void Runner::AnswerRefused(Connection& connection, std::span<const JobPtr> jobs, const ServerError& error) {
  const ErrorKind kind = KindOf(error.code);
  const Nanos now = io::SteadyNow();
  std::vector<JobPtr> refused;
  for (const JobPtr& job : jobs) {
    if (job->answered) continue;
    // One stuck row must not deny all who happened to share its transaction.
    if (kind == ErrorKind::kLocked && !job->alone) {
      job->alone = true;
      job->lane = Lane::kTransactions;
      Bump(counters_.retried_alone, job->plans.size());
      lanes_[Index(Lane::kTransactions)].push_back(job);
    } else {
      refused.push_back(job);
    }
  }
  std::uint64_t plans = 0;
  for (const JobPtr& job : refused) plans += job->plans.size();
  Bump(kind == ErrorKind::kLocked     ? counters_.errors_locked
       : kind == ErrorKind::kReadOnly ? counters_.errors_read_only
       : kind == ErrorKind::kFull     ? counters_.errors_full
                                      : counters_.errors_other,
       plans);
  if (!refused.empty() && now - last_error_log_ > 10 * kSecond) {
    last_error_log_ = now;
    log::Warn("postgres refused plans", {{"code", error.code}, {"error", error.message}});
  }
  // A locked row tells nothing about the server.
  if (kind != ErrorKind::kLocked) pool_->Failed(error.message);
  for (const JobPtr& job : refused) {
    if (!job->answered) AnswerUnavailable(*job);
  }
  // It was demoted, or the schema has to be looked at: both are done when a connection begins.
  if (kind == ErrorKind::kReadOnly || kind == ErrorKind::kMissing) connection.Drop(error.message);
}

void Runner::RollBack(Connection& connection) {
  const Statement statement{kRollback, {}};
  connection.Send({&statement, 1}, std::make_unique<RollbackExchange>(connection), io::SteadyNow() + stall_);
}

}  // namespace weir::storage::postgres
