// penalty: the ban box. Strikes (kCharge: one each, whatever its cost) are counted in a window; `threshold` of them
// earn a ban; each ban is longer than the one before, and the level falls again with good behaviour. Uses threshold
// (1..2^31), window, first_ban, longest_ban (whole ms, 1 ms..10 years), ban_factor_pct (100..10,000), decay.
//
// State (5 words): [banned_until, level, decay_from, strikes, strikes_from]. Empty = fresh; another size too.
//   banned_until  instant (ns) at which the latest ban ends; 0 = none yet. Banned: now < banned_until
//   level         how many bans weigh on the subject, 0..kMostLevel, as of decay_from
//   decay_from    = end of the latest ban. level at now = level - floor((now - decay_from) / decay), at least 0 (level
//                 itself when now < decay_from): in a loop of at most `level` steps of one decay each
//   strikes       counted since strikes_from, 0..threshold-1; void (read as 0) when now - strikes_from >= window
// kCheck, kPeek (any cost): banned -> kLater, retry_after = banned_until - now; else kAllowed. They write nothing.
// kCharge: while banned nothing is counted. Else strikes are voided if old (a first strike sets strikes_from = now),
// one is added; when they reach threshold: ban(level at now) begins: banned_until = decay_from = now + ban, level =
// min(level at now + 1, kMostLevel), strikes = 0, strikes_from = 0.
//   ban(0) = first_ban; ban(n + 1) = min(longest_ban, floor(ban(n) * ban_factor_pct / 100)), in whole milliseconds
//   (below 2^39 ms * 10^4 < 2^53); ban(0) too is at most longest_ban (Sanitize).
// kRefund takes one live strike back (not a ban). kReset: fresh, also of a ban. kAssign: cost >= threshold: a first ban
// begins now (level becomes 1); else strikes = cost, strikes_from = now; cost 0: fresh.
// A state that expires (below) at or before now is written as empty.
// limit = threshold; used = threshold while banned, else live strikes; remaining = threshold - used;
// reset_after = Expires - now, at least 0. Expires: the latest of banned_until, decay_from + level * decay (level > 0),
// strikes_from + window (strikes > 0); saturating at INT64_MAX.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::penalty {

inline constexpr std::int64_t kMostLevel = 64;

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);
// Adds what another state of the limit says; carry_over.h says how.
void Join(const Limit& limit, const Words& other, Nanos now, Words& state);

// How long a ban lasts that is given at `level` (0 = the first).
Nanos BanLength(const Limit& limit, std::int64_t level);

}  // namespace weir::algorithms::penalty
