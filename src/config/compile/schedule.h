// When a rule is in force, compiled: days of the week and a span of the day, in a time zone.
//
// Local clock time decides, so a span keeps its wall-clock times through daylight saving: an hour that the clocks skip
// is skipped, an hour that they repeat counts twice. A span over midnight belongs to the day on which it begins: "fri
// 22:00-06:00" is in force on Saturday at 05:59.
#pragma once

#include <absl/time/time.h>

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

struct CompiledSchedule {
  // kInvalidArgument: an unknown day or zone, a malformed time, from equal to to (which could mean never or always).
  static Result<CompiledSchedule> Create(const Schedule& schedule);

  // No lock, no allocation.
  bool Contains(Nanos now) const;

  std::uint8_t days = 0;         // bit 0 = Monday
  std::int32_t from_second = 0;  // of the day
  std::int32_t to_second = 0;    // > from_second: the same day; smaller: the next
  absl::TimeZone zone;
};

}  // namespace weir::config
