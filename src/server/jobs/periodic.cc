#include "server/jobs/periodic.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace weir::server {

void PeriodicJobs::Add(std::string name, Nanos interval, std::function<void()> task) {
  jobs_.push_back({.name = std::move(name), .interval = interval, .task = std::move(task)});
}

void PeriodicJobs::Start() {
  thread_ = std::thread([this] {
    while (true) {
      const Nanos now = MonotonicClock().Now();
      const Nanos next = RunDue(now);
      std::unique_lock lock(mutex_);
      const auto wait = std::chrono::nanoseconds(std::max<Nanos>(next - MonotonicClock().Now(), 0));
      if (stopping_.wait_for(lock, wait, [this] { return stop_; })) return;
    }
  });
}

void PeriodicJobs::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Nanos PeriodicJobs::RunDue(Nanos now) {
  Nanos next = now + kHour;
  for (Job& job : jobs_) {
    if (job.due == 0) job.due = now + job.interval;
    if (job.due <= now) {
      job.task();
      // What was missed meanwhile is not made up for.
      job.due = now + job.interval;
    }
    next = std::min(next, job.due);
  }
  return next;
}

}  // namespace weir::server
