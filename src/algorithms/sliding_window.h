// sliding_window: counts by sub-windows of `precision` that end with the present one; the oldest, of which a part has
// left the window, counts in proportion (interpolated), rounded against the caller.
//
// Error: let m be the most that was admitted within one sub-window (m <= capacity). In any trailing window at most
// capacity + m - 1 < 2 * capacity are admitted; steady traffic meets the limit to within m / 2^20 + 1 a window. An
// adversary who sends a burst at the very end of a sub-window does reach nearly twice the limit: sliding_window_log or
// a small bucket have no such gap.
//
// When precision >= window there is one window that opens with the subject's first request: aligned_window.h, or, where
// Sanitize() finds that one word cannot hold it, anchored_window.h (state [start, count]). Everything below is the
// other form. Uses capacity, window, precision, count_denied.
//
// Terms (p = precision, q = 2^20; all by Locate() from limit and now, in the caller's process):
//   current = floor(now / p)             index of the sub-window that contains now
//   oldest  = floor((now - window) / p)  index of the one in which the trailing window begins (may be negative)
//   weight  = ceil(((oldest + 1) * p - (now - window)) * q / p), 1..q: how much of `oldest` still counts, in 2^-20
// Indices are below 2^44 in size (Sanitize: p >= 1 ms).
//
// State: [total, index_0, count_0, index_1, count_1, ...] by ascending index, counts >= 1, total = sum of the counts
// (0..2^53: additions saturate so that total stays <= 2^53). Empty = fresh; a damaged state (even size, no entry) also.
//   newest = the last index. If newest > current (the clock went back), decide as of the beginning of `newest`:
//   current = newest, oldest = newest - K, weight = W0, with K = ceil(window / p) and
//   W0 = ceil((window - (K - 1) * p) * q / p)      (LocateIndex() gives the same).
//   live entries: index >= oldest; others read as absent. rest = sum of counts with index > oldest
//   part(c, w) = ceil(c * w / q), computed as floor(c / q) * w + ceil((c mod q) * w / q): every product < 2^53
//   used = rest + part(count at oldest, weight)            (0 when there is no entry at `oldest`)
// kCheck of cost > 0: cost > capacity -> kNever; used + cost <= capacity -> kAllowed, cost is added at `current`;
// else kLater. A denial writes nothing, but with count_denied it is added too, before the outcome is described.
// Whenever something is written, entries with index < oldest are dropped first (and their counts leave total).
// kCharge adds. kRefund takes from the newest live entries first; entries that reach 0 are removed. kAssign: the state
// is [cost, current(now), cost] (saturated); cost 0: fresh. kReset: fresh. cost 0 writes nothing. No entries left:
// fresh. The outcome: limit = capacity; used as above after the decision; remaining = max(0, capacity - used);
// reset_after = (newest + 1) * p + window - now when there is a live entry, else 0.
// retry_after: go through the live entries from the oldest: rest_i = sum of the counts after entry i,
//   budget = capacity - cost - rest_i. The first with budget >= 0: w = floor(budget * q / count_i), limited to q
//   (in doubles: 20 steps of doubling budget and subtracting count_i), then retry_after = TimeOfWeight(index_i, w) -
//   now where TimeOfWeight(i, w) = (i + 1) * p + window - floor(w * p / q): the first instant at which at most w of it
//   counts. There always is one: cost <= capacity, and rest of the last entry is 0.
// Expires: (newest + 1) * p + window.
// A remote store sends current, oldest, weight, K, W0, cost, capacity; all it does is add and compare counts and
// indices, and it answers used, newest and (index_i, w); instants are computed here.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::sliding_window {

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);

// One window anchored at the first request instead of sub-windows.
inline bool IsAnchored(const Limit& limit) { return limit.precision >= limit.window; }

// For limits that are not anchored.
struct Position {
  std::int64_t current = 0;
  std::int64_t oldest = 0;
  std::int64_t weight = 0;  // 1..kWeightOne
};
inline constexpr std::int64_t kWeightOne = std::int64_t{1} << 20;
Position Locate(const Limit& limit, Nanos now);
// As of the first instant of sub-window `index`.
Position LocateIndex(const Limit& limit, std::int64_t index);
// The first instant at which no more than `weight` (0..kWeightOne) of sub-window `index` counts.
Nanos TimeOfWeight(const Limit& limit, std::int64_t index, std::int64_t weight);
// ceil(count * weight / kWeightOne) for count 0..2^53.
std::int64_t Part(std::int64_t count, std::int64_t weight);

}  // namespace weir::algorithms::sliding_window
