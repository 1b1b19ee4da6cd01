// The configuration of envoyproxy/ratelimit (https://github.com/envoyproxy/ratelimit, "The configuration format"), read
// as weir's domains. What that server refuses is refused; what it ignores in silence is warned of.
//
//  - a unit becomes window_seconds: second 1, minute 60, hour 3600, day 86400, week 7 days, month 30, year 365;
//    windows are aligned to the epoch, as a descriptor's rule is by default;
//  - requests_per_unit is max_requests; `unlimited`, `name`, `replaces`, `shadow_mode` (mode: shadow), `quota_mode`,
//    `detailed_metric`, `value_to_metric`, `share_threshold` and `metadata` keep their meaning;
//  - each '*' in a value stands for any text, as there since 2026 (before, only one at its end did);
//  - of a file of several documents the first is read, with a warning;
//  - a key that ends in '*' and has no value is the key before its last '_' with the rest for a value, as "user_*" is
//    any value of "user": that server joins the two before it compares;
//  - the hierarchy does not hold in a domain that so came.
// Of what that server takes, these cannot be said: such a key without a '_', which stands for every key that begins so;
// more than 24 levels; names of domains and rules beyond 400 bytes; control characters.
//
// Pure; thread-safe.
#pragma once

#include <span>

#include "config/import/import_reader.h"

namespace weir::config {

// `merge_domains`: a domain may be in several sources, each of which adds descriptors (MERGE_DOMAIN_CONFIG there). Else
// that is an error.
ImportedDomains ImportEnvoy(std::span<const SourceText> sources, bool merge_domains);

}  // namespace weir::config
