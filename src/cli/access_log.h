// Reads access logs: the common and combined formats of nginx and Apache.
//
//   192.0.2.7 - alice [10/Oct/2026:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326 "https://ref/" "Mozilla/5.0"
//
// Fields behind the combined ones are ignored. Views point into the line.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "weir/result.h"

namespace weir::cli {

struct AccessLogEntry {
  std::string_view address;
  std::string_view user;  // empty for "-"
  Nanos time = 0;         // whole seconds
  std::string_view method;
  std::string_view target;  // as logged, with query
  std::uint32_t status = 0;
  std::string_view referer;     // empty for "-" and in the common format
  std::string_view user_agent;  // same
};

// kInvalidArgument names what was expected and the byte where it is missing. Never throws, allocates only on error.
Result<AccessLogEntry> ParseAccessLogLine(std::string_view line);

}  // namespace weir::cli
