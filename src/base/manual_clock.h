// A clock for tests: it stands still until it is told. Never used outside tests, benchmarks and simulations.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace weir {

// Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Nanos start = 1'800'000'000 * kSecond) : now_(start) {}
  Nanos Now() const override { return now_.load(std::memory_order_seq_cst); }
  void Advance(Nanos by) { now_.fetch_add(by); }
  void Set(Nanos now) { now_.store(now); }

 private:
  std::atomic<Nanos> now_;
};

}  // namespace weir
