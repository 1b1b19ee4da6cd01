// token_bucket: starts full with `capacity` tokens and regains rate_count of them every rate_period. Allows bursts up
// to capacity and the rate on average: in any t ns at most capacity + floor(t * rate) are admitted.
// State and arithmetic: gcra.h. Uses capacity, rate_count, rate_period, and max_wait with shape.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::token_bucket {

Outcome Apply(const Limit& limit, const Ask& ask, Word& state);
std::uint64_t Used(const Limit& limit, Word state, Nanos now);
Nanos Expires(const Limit& limit, Word state);

}  // namespace weir::algorithms::token_bucket
