// Reads access logs, line by line:
//
//   text  the common and combined formats of nginx and Apache, also with the virtual host in front ("%v:%p %h ...")
//           192.0.2.7 - alice [10/Oct/2026:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326 "https://ref/" "Mozilla/5.0"
//         Fields behind the combined ones are ignored.
//   JSON  one object a line, as nginx (log_format escape=json), Caddy, Traefik and Envoy write them; the names of the
//         members that are understood are in access_log_json.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "weir/result.h"

namespace weir::cli {

struct AccessLogEntry {
  std::string_view address;
  std::string_view user;  // empty for "-"
  Nanos time = 0;
  Nanos zone = 0;  // east of UTC, as the log was written; 0 where it does not say
  std::string_view method;
  std::string_view target;  // as logged, with query
  std::string_view host;    // the virtual host, without its port; empty when the log does not say
  std::uint32_t status = 0;
  std::string_view referer;     // empty for "-" and in the common format
  std::string_view user_agent;  // same
};

// A line of text. Views point into it. kInvalidArgument names what was expected and the byte where it is missing.
// Allocates only on error.
Result<AccessLogEntry> ParseAccessLogLine(std::string_view line);

// Not thread-safe.
class AccessLogReader {
 public:
  // A line of either form: JSON when it begins with '{'. Views live until the next call and as long as `line`.
  // kInvalidArgument as above; of JSON it names the member that is missing or not understood. Bounded by the line.
  Result<AccessLogEntry> Read(std::string_view line);

 private:
  std::string texts_;  // of a JSON line's members
};

}  // namespace weir::cli
