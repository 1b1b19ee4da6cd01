// Time as weir counts it: signed nanoseconds. A point in time is nanoseconds since the Unix epoch (UTC, good until
// the year 2262), so that states survive a restart and can be shared. Durations use the same type.
//
// Time is an argument everywhere below the engine; only the engine and the servers hold a Clock.
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

// Thread-safe. Now() may go backwards (a clock that is set); callers must survive that.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanos Now() const = 0;
  // What the clock on the wall says, for calendars, schedules and whatever people or other programs read. Another time
  // than Now() only where that is a time line of its own (AnchoredClock).
  virtual Nanos Wall() const { return Now(); }
};

// The machine's wall clock (CLOCK_REALTIME, read through the vDSO: no system call). Lives as long as the process.
const Clock& SystemClock();

// The machine's time since some point before (CLOCK_MONOTONIC): nobody sets it, so it is the one for deadlines and for
// whatever else happens after so much time. Its values say nothing to another process. Lives as long as the process.
const Clock& MonotonicClock();

// The same, and goes on while the machine sleeps (CLOCK_BOOTTIME).
const Clock& BootClock();

}  // namespace weir
