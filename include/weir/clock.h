// Time as weir counts it: signed nanoseconds. A point in time is nanoseconds since the Unix epoch (UTC, good until the
// year 2262), so that states survive a restart and can be shared. Durations use the same type.
//
// A RateLimiter reads the clock of its options, or, without one, a clock of its own: the machine's wall clock as it was
// at the start, moved on by a clock that nobody sets. Setting the machine's clock changes no limit. Tests pass a
// ManualClock (weir/testing.h).
#pragma once

#include <cstdint>

namespace weir {

using Nanos = std::int64_t;

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMinute = 60 * kSecond;
inline constexpr Nanos kHour = 60 * kMinute;
inline constexpr Nanos kDay = 24 * kHour;

// Thread-safe: a limiter reads it from every thread that asks, once a decision. Must not throw. Now() may go backwards
// (a clock that is set): nobody gets a second limit for it, and nobody waits longer than a window.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanos Now() const = 0;
  // What the clock on the wall says, for calendars, schedules and whatever people or other programs read. It differs
  // from Now() only in a clock whose Now() is a time line of its own.
  virtual Nanos Wall() const { return Now(); }
};

// The machine's wall clock (CLOCK_REALTIME, read through the vDSO: no system call). Lives as long as the process.
const Clock& SystemClock();

}  // namespace weir
