// Calls back every so often from a thread of its own, with the time by the clock of those who ask: what they said last,
// and what has passed since.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace weir::storage::hybrid {

class Homecoming {
 public:
  ~Homecoming() { Stop(); }

  void Start(Nanos every, std::function<void(Nanos now)> call);
  // Not from within a call; none is under way after it.
  void Stop();

  // Relaxed: two numbers that need not agree to the nanosecond.
  void Saw(Nanos now) noexcept {
    // Not every time: all who decide would write to one line.
    const Nanos past = now - seen_.load(std::memory_order_relaxed);
    if (past > kMillisecond || past < 0) seen_.store(now, std::memory_order_relaxed);
  }
  Nanos Now() const;

 private:
  void Run(Nanos every, const std::function<void(Nanos now)>& call);

  std::atomic<Nanos> seen_{0};
  std::atomic<Nanos> base_{0};  // seen_ when the thread last looked, and when that was
  std::atomic<Nanos> base_at_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace weir::storage::hybrid
