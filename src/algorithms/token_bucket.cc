#include "algorithms/token_bucket.h"

#include "algorithms/gcra.h"

namespace weir::algorithms::token_bucket {

Outcome Apply(const Limit& limit, const Ask& ask, Word& state) { return gcra::Apply(limit, ask, state); }

std::uint64_t Used(const Limit& limit, Word state, Nanos now) { return gcra::Used(limit, state, now); }

Nanos Expires(const Limit& /*limit*/, Word state) { return gcra::Expires(state); }

}  // namespace weir::algorithms::token_bucket
