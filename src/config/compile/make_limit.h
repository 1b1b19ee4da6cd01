// From a complete rule (inherit.h) to the numbers that an algorithm reads.
#pragma once

#include <cstdint>
#include <optional>

#include "algorithms/limit.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

// Sanitized. `complete` came out of WithDefaults. kInvalidArgument only for a time zone that does not exist.
//  - unlimited: kind kUnlimited
//  - buckets: capacity and rate of the algorithm, or derived exactly from max_requests and window_seconds where 0
//  - max_requests 0: capacity 0, every request is denied
//  - window_seconds 0 where it matters: every request opens a new window, so kUnlimited unless max_requests is 0
Result<algorithms::Limit> MakeLimit(const RateLimitRule& complete);

// kind kPenalty; nullopt when penalties are off.
std::optional<algorithms::Limit> MakePenalty(const PenaltyConfig& penalties);

// The `w` of headers: the length of the window in seconds, rounded up; for buckets the time in which an empty one
// fills; 0 when there is none (concurrency, unlimited).
std::uint64_t HeaderWindowSeconds(const algorithms::Limit& limit);

}  // namespace weir::config
