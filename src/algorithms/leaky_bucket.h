// leaky_bucket: holds `capacity` units and leaks rate_count of them every rate_period.
//  - as a meter (limit.shape false): a request is admitted while it fits; the same arithmetic as token_bucket, seen
//    from the other side (used = level).
//  - as a shaper (limit.shape true): a queue. The same requests are admitted, and the outcome carries `delay_ns`: what
//    was `spent` before this request (gcra.h), the time in which all that came earlier will have leaked. A caller who
//    holds each request that long lets them out exactly at the rate; a request denied with kLater found the queue full.
// State and arithmetic: gcra.h. Uses capacity, rate_count, rate_period, shape, max_wait. Peek answers the
// delay too.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::leaky_bucket {

Outcome Apply(const Limit& limit, const Ask& ask, Word& state);
std::uint64_t Used(const Limit& limit, Word state, Nanos now);
Nanos Expires(const Limit& limit, Word state);

}  // namespace weir::algorithms::leaky_bucket
