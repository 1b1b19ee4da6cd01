#include "algorithms/fixed_window.h"

#include "algorithms/anchored_window.h"

namespace weir::algorithms::fixed_window {

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) { return anchored_window::Apply(limit, ask, state); }

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  return anchored_window::Used(limit, state, now);
}

Nanos Expires(const Limit& limit, const Words& state) { return anchored_window::Expires(limit, state); }

}  // namespace weir::algorithms::fixed_window
