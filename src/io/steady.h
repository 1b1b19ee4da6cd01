// Monotonic time for deadlines and waits only, never for decisions.
#pragma once

#include <chrono>

#include "base/clock.h"

namespace weir::io {

inline Nanos SteadyNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline std::chrono::steady_clock::time_point SteadyPoint(Nanos at) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(at));
}

}  // namespace weir::io
