// Calendar windows: the process's table of time zones, and where a minute, hour, day, week, month or year begins and
// ends in one of them. Thread-safe; CalendarBounds takes no lock.
#pragma once

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
WindowBounds CalendarBounds(const Limit& limit, Nanos now);

}  // namespace weir::algorithms
