// Times as logs write them.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace weir::cli {

struct LogTime {
  Nanos time = 0;  // since the Unix epoch
  Nanos zone = 0;  // east of UTC; 0 where the text does not say
};

// "10/Oct/2026:13:55:36 -0700". nullopt: not of this form, or outside the years 1970 to 2261.
std::optional<LogTime> ParseLogTime(std::string_view text);
// RFC 3339: "2026-10-10T13:55:36.123-07:00", "...Z"; a blank for the 'T', and no zone (UTC), are taken too.
std::optional<LogTime> ParseIsoTime(std::string_view text);
// Seconds since 1970 with a fraction ("1700000000.123"), or so many milliseconds or nanoseconds, told by their size.
std::optional<LogTime> ParseEpochTime(std::string_view text);

}  // namespace weir::cli
