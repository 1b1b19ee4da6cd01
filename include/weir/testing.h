// For tests of a program that uses weir: a clock that the test moves, and faults of the store that the test chooses.
//
//   weir::ManualClock clock;
//   weir::StoreFaults faults(clock);
//   auto limiter = weir::RateLimiter::Create(config, {.clock = &clock, .store_faults = &faults}).value();
//   faults.FailNext(1);
//   assert(limiter->Check(request).reason == weir::Reason::kStoreLocal);
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "weir/clock.h"

namespace weir {

namespace library {
class FaultState;
}

// A clock that stands still until it is moved. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Nanos start = 1'800'000'000 * kSecond) : now_(start) {}
  Nanos Now() const override { return now_.load(std::memory_order_seq_cst); }

  // Both call what At() was given for the times that are now reached, in the order of these times.
  void Advance(Nanos by) {
    now_.fetch_add(by);
    CallDue();
  }
  void Advance(std::chrono::nanoseconds by) { Advance(by.count()); }
  void Set(Nanos now) {
    now_.store(now);
    CallDue();
  }

  // Calls `function` once, within the Advance() or Set() that reaches `time`, on the thread that moves the clock; at
  // once when it has been reached. It may move the clock and call At() itself, and must not throw.
  void At(Nanos time, std::function<void()> function) {
    {
      const std::lock_guard lock(mutex_);
      due_.emplace(time, std::move(function));
      waiting_ = due_.size();
    }
    CallDue();
  }

 private:
  friend class library::FaultState;
  // Without a call of what is due: for whoever is in the middle of something.
  void AdvanceSilently(Nanos by) { now_.fetch_add(by); }

  void CallDue() {
    while (waiting_ > 0) {
      std::function<void()> function;
      {
        const std::lock_guard lock(mutex_);
        if (due_.empty() || due_.begin()->first > Now()) return;
        function = std::move(due_.extract(due_.begin()).mapped());
        waiting_ = due_.size();
      }
      function();
    }
  }

  std::atomic<Nanos> now_;
  std::atomic<std::size_t> waiting_{0};  // due_.size()
  std::mutex mutex_;                     // guards what follows
  std::multimap<Nanos, std::function<void()>> due_;
};

// Makes the store of one limiter fail or be slow: the one whose RateLimiterOptions::store_faults it is. That limiter
// keeps its counts in memory, also where its document names a remote store, and otherwise behaves as with a remote one:
// rules with on_store_failure local have a local store. An operation is what one call asks the store. Thread-safe;
// outlives its limiter.
class StoreFaults {
 public:
  // `clock`: the one by which latency passes. It is the limiter's as a rule, and outlives this.
  explicit StoreFaults(ManualClock& clock);
  ~StoreFaults();
  StoreFaults(const StoreFaults&) = delete;
  StoreFaults& operator=(const StoreFaults&) = delete;

  // The next `operations` fail as if the store did not answer, and change nothing; 0: none any more.
  void FailNext(std::uint64_t operations);
  // While down, every operation fails, also those that wait for their answer.
  void SetDown(bool down);
  // Every operation from now on takes so long (>= 0) by the clock. A call that waits moves the clock on by as much. The
  // answer of a CheckAsync comes within the Advance() or Set() that reaches its time, on the thread that calls it.
  void SetLatency(std::chrono::nanoseconds latency);

  std::uint64_t operations() const;  // so far, with those that failed
  std::uint64_t failed() const;      // so far
  std::size_t waiting() const;       // that have not been answered yet

 private:
  friend class RateLimiter;
  std::shared_ptr<library::FaultState> state_;
};

}  // namespace weir
