// What a response says about a limit: RateLimit fields of the IETF draft 11 and of its drafts 06 and 07, X-RateLimit-*,
// and Retry-After. HeaderPlan of the rule that decided chooses which.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "weir/decision.h"

namespace weir::headers {

// Appends complete lines ("Name: value\r\n") for `decision`: nothing when no rule decided or the plan wants none.
// They describe the deciding rule. A denial always gets `Cache-Control: no-store`. `now`: for a reset as epoch seconds.
void AppendRateLimitHeaders(const Decision& decision, Nanos now, std::string* out);

// Calls visit(name, value) for each of the lines that AppendRateLimitHeaders wrote.
template <typename Visit>
void ForEachHeader(std::string_view lines, Visit&& visit) {
  while (!lines.empty()) {
    const std::size_t colon = lines.find(": "), end = lines.find("\r\n");
    visit(lines.substr(0, colon), lines.substr(colon + 2, end - colon - 2));
    lines.remove_prefix(end + 2);
  }
}

// Seconds until a denied request should be tried again, as Retry-After tells: rounded up, at least 1. 0: never.
std::uint64_t RetryAfterSeconds(const Decision& decision);

// Nanoseconds as whole seconds, as whole milliseconds: rounded up; negative ones are 0.
std::uint64_t CeilSeconds(std::int64_t nanoseconds);
std::uint64_t CeilMilliseconds(std::int64_t nanoseconds);

}  // namespace weir::headers
