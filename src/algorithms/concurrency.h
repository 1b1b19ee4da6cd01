// concurrency: at most `capacity` slots held at once; each acquisition is named by a token and is freed by its release
// or when its lease runs out. Uses capacity (at most 65,536), lease.
//
// State: [total, token_0, slots_0, expiry_0, token_1, slots_1, expiry_1, ...] by ascending expiry (equal expiries: in
// the order they came). Empty = fresh; a damaged state (size not 1 + 3n, n >= 1) too.
//   token   Ask::token, its 64 bits as they are (0 is a name like any other)
//   slots   1..2^53;   expiry  instant (ns);   total  sum of all slots, 0..2^53 (additions saturate)
// An entry is expired when expiry <= now. used = total - slots of the expired ones.
// kCheck of cost > 0: cost > capacity -> kNever; used + cost <= capacity -> kAllowed: expired entries are removed and
// (token, cost, now + lease) is inserted after all entries with expiry <= its own; else kLater, nothing written,
// retry_after = expiry_i - now for the first live i with used - (slots of live entries up to i) + cost <= capacity.
// kRefund removes every entry with that token, whatever `cost` says; an unknown token (late, or twice) changes nothing.
// kCharge inserts without asking (not beyond kMostEntries entries: then nothing). kAssign: one entry, (token, cost, now
// + lease); cost 0: fresh. kReset: fresh. No entries left: fresh. limit = capacity, used after the decision, remaining
// = max(0, capacity - used), reset_after = last expiry - now (0 when nothing is live). Expires: the last expiry.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::concurrency {

inline constexpr std::uint64_t kMostSlots = 65'536;
inline constexpr std::size_t kMostEntries = 2 * kMostSlots;

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);
// Adds the live slots of another state: both by ascending expiry, those of `state` first among equals. Stops at
// kMostEntries and 2^53 slots.
void Join(const Words& other, Nanos now, Words& state);

}  // namespace weir::algorithms::concurrency
