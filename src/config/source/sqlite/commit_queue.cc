#include "config/source/sqlite/commit_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

namespace weir::config::sqlite {
namespace {

// Of one transaction: so that a flood does not keep the first of it waiting.
constexpr std::size_t kMostJobs = 1000;
constexpr std::size_t kMostWeight = 10'000;

}  // namespace

CommitQueue::CommitQueue(std::unique_ptr<Database> database, std::size_t most_waiting, std::function<void()> committed)
    : database_(std::move(database)),
      most_waiting_(most_waiting),
      committed_(std::move(committed)),
      thread_([this] { Work(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  added_.notify_one();
  thread_.join();
}

void CommitQueue::Add(Run run, Done done, std::size_t weight) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < most_waiting_) {
      waiting_.push_back({.run = std::move(run), .done = std::move(done), .weight = weight});
      done = nullptr;
    }
  }
  if (done == nullptr) {
    added_.notify_one();
  } else {
    done(Fail(ErrorCode::kResourceExhausted,
              fmt::format("{} changes of the configuration wait to be written; retry later", most_waiting_)));
  }
}

Result<> CommitQueue::Do(const Run& run) {
  // Shared: this may return while the thread that sets the value is not out of it yet.
  auto promise = std::make_shared<std::promise<Result<>>>();
  auto future = promise->get_future();
  Add(run, [promise](const Result<>& result) { promise->set_value(result); });
  return future.get();
}

void CommitQueue::Work() {
  while (true) {
    std::vector<Job> jobs = Take();
    if (jobs.empty()) return;
    Commit(jobs);
    committed_();
    for (const Job& job : jobs) job.done(job.result);
  }
}

// Waits for some; none: the end.
std::vector<CommitQueue::Job> CommitQueue::Take() {
  std::unique_lock lock(mutex_);
  added_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
  std::size_t count = 0;
  std::size_t weight = 0;
  while (count < std::min(waiting_.size(), kMostJobs) && (count == 0 || weight < kMostWeight)) {
    weight += waiting_[count++].weight;
  }
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Job> jobs(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return jobs;
}

void CommitQueue::Commit(std::vector<Job>& jobs) {
  Result<> done = database_->Execute("BEGIN IMMEDIATE");
  if (done) done = RunAll(jobs);
  if (done) done = database_->Execute("COMMIT");
  if (database_->InTransaction()) (void)database_->Execute("ROLLBACK");
  if (done) return;
  for (Job& job : jobs) {
    if (job.result) job.result = done;
  }
}

// Each with its own result; fails when the transaction is gone.
Result<> CommitQueue::RunAll(std::vector<Job>& jobs) {
  for (Job& job : jobs) {
    if (auto begun = database_->Execute("SAVEPOINT job"); !begun) return begun;
    job.result = job.run(*database_);
    // SQLite ends the whole transaction after a full disk and its like.
    if (!database_->InTransaction()) return job.result;
    if (!job.result) {
      if (auto undone = database_->Execute("ROLLBACK TO job"); !undone) return undone;
    }
    if (auto ended = database_->Execute("RELEASE job"); !ended) return ended;
  }
  return {};
}

}  // namespace weir::config::sqlite
