// Calendar windows: the process's table of time zones, and where a minute, hour, day, week, month or year begins and
// ends in one of them. Thread-safe; CalendarBounds takes no lock.
//
// Decisions are made by a time line that cannot be set (base/anchored_clock.h). A calendar follows the wall clock,
// so the table also holds how far that is ahead of the time line. States keep instants of the time line; when the wall
// clock is set, what was a bound lies within a unit. It then stands for that unit's beginning: a window ends when the
// wall says so, or is over at once, for at most one window's limit more. It stands for the next bound when that is at
// most 10 s (1/64 of the unit) later: clocks are mostly put right by little, and a wait is longer by as much.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "algorithms/limit.h"
#include "weir/result.h"

namespace weir::algorithms {

// The index of an IANA zone ("Europe/Berlin"), entered in the table when it is new; equal names give equal indexes for
// the life of the process. "UTC" and "" are 0. kInvalidArgument: no such zone on this machine. kResourceExhausted: more
// than 4,096 different zones. An index means something in this process only: keep names in what outlives it.
Result<std::uint16_t> ZoneIndex(std::string_view iana_name);
// The name behind an index; "UTC" for an unknown one.
std::string_view ZoneName(std::uint16_t index);

struct WindowBounds {
  Nanos start = 0;  // inclusive
  Nanos end = 0;    // exclusive; start <= now < end
  friend bool operator==(const WindowBounds&, const WindowBounds&) = default;
};

// The calendar unit that contains `now` (clamped by ClampNow) in limit.zone. The bounds of one zone and unit tile the
// time line: end is the start of the next.
//  - days have 23 or 25 hours when clocks change; weeks begin on Monday; a day whose midnight does not exist begins
//    when the clocks jump; one whose midnight occurs twice begins at the first.
//  - minutes and hours are counted by the offset in force; a change of offset within one begins a new one.
//  - calendar kNone: [now, now + window). kEpoch: the multiple of window that contains now; the zone does not matter.
// `now` and the bounds are instants of the time line; the units are the wall clock's.
WindowBounds CalendarBounds(const Limit& limit, Nanos now);

// How far the wall clock is ahead of the time line (negative: behind), in whole seconds; what is between is rounded.
// Process-wide, as the zones are; 0 at first. To be called again whenever the wall clock has been set.
void SetWallAhead(Nanos ahead);

namespace time_zone_internal {
inline std::atomic<bool> wall_was_set{false};
}
// Whether it ever was another than 0: only then can a state's bounds be other than its calendar's.
inline bool WallWasSet() { return time_zone_internal::wall_was_set.load(std::memory_order_relaxed); }

// The bound of a calendar unit for which an instant in a state, a bound when it was written, now stands.
Nanos PresentEnd(const Limit& limit, Nanos end, Nanos now);

}  // namespace weir::algorithms
