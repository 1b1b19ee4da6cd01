// Work that comes again and again, on a thread of its own, so that neither plane waits for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace weir::server {

// Add() everything, then Start(). One thread: a task that takes long holds up the others, not the deciding.
class PeriodicJobs {
 public:
  PeriodicJobs() = default;
  ~PeriodicJobs() { Stop(); }
  PeriodicJobs(const PeriodicJobs&) = delete;
  PeriodicJobs& operator=(const PeriodicJobs&) = delete;

  // `task` must not throw. First run one `interval` after Start().
  void Add(std::string name, Nanos interval, std::function<void()> task);
  void Start();
  // Returns when none runs any more.
  void Stop();

  // What is due at `now` (of any clock that does not go back) is run; returns when the next is. For Start(), and tests.
  Nanos RunDue(Nanos now);

 private:
  struct Job {
    std::string name;
    Nanos interval = 0;
    std::function<void()> task;
    Nanos due = 0;  // 0: not planned yet
  };
  std::vector<Job> jobs_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;  // by mutex_
  std::thread thread_;
};

}  // namespace weir::server
