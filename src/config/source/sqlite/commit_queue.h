// Writes to one database, on a thread of its own: what waits when the thread is free becomes one transaction, so that
// many small changes share the cost of making them durable. Each has a savepoint: one that is refused takes no other
// with it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "config/source/sqlite/database.h"
#include "weir/result.h"

namespace weir::config::sqlite {

// Thread-safe.
class CommitQueue {
 public:
  // Inside the transaction, on the queue's thread.
  using Run = std::function<Result<>(Database&)>;
  // Afterwards: an error of Run, or of the commit; success only when it is durable.
  using Done = std::function<void(const Result<>&)>;

  // `committed` is called after each commit.
  CommitQueue(std::unique_ptr<Database> database, std::size_t most_waiting, std::function<void()> committed);
  // Writes what waits.
  ~CommitQueue();
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // `weight`: roughly how many rows it changes. `done` is called once, here when the queue is full (or before this
  // returns), else on the queue's thread.
  void Add(Run run, Done done, std::size_t weight = 1);
  // The same, and waits.
  Result<> Do(const Run& run);

 private:
  struct Job {
    Run run;
    Done done;
    std::size_t weight;
    Result<> result = {};
  };
  void Work();
  std::vector<Job> Take();
  void Commit(std::vector<Job>& jobs);
  Result<> RunAll(std::vector<Job>& jobs);

  const std::unique_ptr<Database> database_;
  const std::size_t most_waiting_;
  const std::function<void()> committed_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable added_;
  std::vector<Job> waiting_;
  bool ending_ = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace weir::config::sqlite
