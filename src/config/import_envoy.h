// The configuration of envoyproxy/ratelimit (https://github.com/envoyproxy/ratelimit, "The configuration format"), read
// as weir's domains. What that server refuses is refused; what it ignores in silence is warned of.
//
//  - a unit becomes window_seconds: second 1, minute 60, hour 3600, day 86400, week 7 days, month 30, year 365;
//    windows are aligned to the epoch, as a descriptor's rule is by default;
//  - requests_per_unit is max_requests; `unlimited`, `name`, `replaces`, `shadow_mode` (mode: shadow), `quota_mode`,
//    `detailed_metric`, `value_to_metric` and `share_threshold` keep their meaning; `metadata` is left out;
//  - the hierarchy does not hold in a domain that so came.
// Two things that server takes cannot be said: a key that ends in '*' without a value, and more than 16 levels.
//
// A domain is in one file only. Pure; thread-safe.
#pragma once

#include <span>

#include "config/import_reader.h"

namespace weir::config {

ImportedDomains ImportEnvoy(std::span<const SourceText> sources);

}  // namespace weir::config
