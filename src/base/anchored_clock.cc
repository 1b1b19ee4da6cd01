#include "base/anchored_clock.h"

namespace weir {

void AnchoredClock::ContinueFrom(Nanos time) {
  const Nanos least = time - monotonic_.Now();
  Nanos ahead = ahead_.load(std::memory_order_relaxed);
  // Relaxed: a number on its own.
  while (ahead < least && !ahead_.compare_exchange_weak(ahead, least, std::memory_order_relaxed)) {
  }
}

AnchoredClock& DecisionClock() {
  static AnchoredClock clock(SystemClock(), BootClock());
  return clock;
}

}  // namespace weir
