// The time by which decisions are made: the wall clock as it stood at the beginning, moved on by a clock that nobody
// sets. A wall clock that is set while the process runs, by whatever step, changes nothing here, so it neither opens
// windows early nor holds them shut (docs/decisions/0003-wall-clock.md). Only Wall() follows it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace weir {

// Thread-safe. Never goes back.
class AnchoredClock final : public Clock {
 public:
  // Both clocks outlive it.
  AnchoredClock(const Clock& wall, const Clock& monotonic)
      : wall_(wall), monotonic_(monotonic), ahead_(wall.Now() - monotonic.Now()) {}

  Nanos Now() const override { return monotonic_.Now() + ahead_.load(std::memory_order_relaxed); }
  Nanos Wall() const override { return wall_.Now(); }

  // Goes on from `time` if that is later: states that a former process left behind, by a clock that has been set back
  // since, are then as old as they were, and not of the future. For the start, before anything is decided.
  void ContinueFrom(Nanos time);

 private:
  const Clock& wall_;
  const Clock& monotonic_;
  std::atomic<Nanos> ahead_;  // of the monotonic clock
};

// The machine's, begun when it is first asked for. Lives as long as the process.
AnchoredClock& DecisionClock();

}  // namespace weir
