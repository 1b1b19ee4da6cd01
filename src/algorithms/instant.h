// Instants that arithmetic can hold. Every algorithm brings `now` and every instant it finds in a state into these
// ranges first, so that adding a window (at most 10 years) to one never overflows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/clock.h"

namespace weir::algorithms {

// 2200-01-01T00:00:00Z. A `now` before 1970 counts as 1970, one after 2200 as 2200.
inline constexpr Nanos kLatestNow = 7'258'118'400 * kSecond;
// The latest instant a list state may hold; kLatestInstant + kLongestWindow still fits Nanos.
inline constexpr Nanos kLatestInstant = 8'900'000'000 * kSecond;
// 10 years of 365 days.
inline constexpr Nanos kLongestWindow = 3650 * kDay;

constexpr Nanos ClampNow(Nanos now) { return std::clamp<Nanos>(now, 0, kLatestNow); }
constexpr Nanos ClampInstant(Nanos instant) { return std::clamp<Nanos>(instant, 0, kLatestInstant); }

constexpr Nanos SaturatingAdd(Nanos a, Nanos b) {
  Nanos sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<Nanos>::max() : std::numeric_limits<Nanos>::min();
}

}  // namespace weir::algorithms
