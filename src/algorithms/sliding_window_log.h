// sliding_window_log: exact. Remembers every admitted cost with its instant; in no trailing window are more than
// `capacity` admitted. Memory: one entry (two words) for each distinct instant with something admitted in the window,
// so at most `capacity` entries a subject, and at most kMostEntries. A longer `retention` keeps entries that count no
// more, so that a window that is made longer counts them again (Widen).
//
// State: [total, head, at_0, cost_0, at_1, cost_1, ...] by ascending instant, costs >= 1. Empty = fresh; a damaged
// state (odd size, no entry) too.
//   head   how many leading entries are dropped already: they wait for the end of their retention, 0..entries
//   total  sum of the costs from `head` on, 0..2^53 (additions saturate)
// An entry is expired when at <= now - window, and then counts no more. used = total - expired costs. It is outdated
// when at <= now - retention, and then may be removed; of the dropped ones a write removes
//   - the outdated, when one of them has been so for `cleanup` or longer; with cleanup 0 when they outnumber the rest;
//   - the oldest, while there are more than kMostEntries entries.
// kCheck of cost > 0: cost > capacity -> kNever; used + cost <= capacity -> kAllowed: expired entries are dropped (head
// moves, total shrinks), then cost is added at max(now, at of the newest entry), in the newest entry when that has the
// same instant; else kLater, nothing written, retry_after = at_i + window - now for the first live entry i with
// used - (cost_0 + ... + cost_i, live ones) + cost <= capacity.
// kCharge adds. When clamp(capacity, 1, kMostEntries) entries are live (debt, or more than a million instants) and the
// newest is not of the same instant, it takes the cost and moves to the new instant (against the caller). kRefund takes
// from the newest live entries first; of a charge that it names, only from the live entry with the charge's instant
// (an entry that was moved to another's instant, in debt, is not found). Emptied ones are removed. kAssign: [cost, 0,
// now, cost]; cost 0: fresh. kReset: fresh. cost 0 writes nothing. No live entries after a write: fresh. limit =
// capacity, used after the decision, remaining = max(0, capacity - used), reset_after = newest at + window - now (0
// when nothing is live). Expires: newest at + retention. A remote store may keep the log in any form (a list of pairs);
// instants need only be compared: send now and now
// - window.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::sliding_window_log {

inline constexpr std::size_t kMostEntries = std::size_t{1} << 20;

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);

// The state goes on under `to`: where its window is longer than that of `from`, what was kept of it counts again.
void Widen(const Limit& from, const Limit& to, Nanos now, Words& state);

}  // namespace weir::algorithms::sliding_window_log
