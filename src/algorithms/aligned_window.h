// fixed_window aligned to the calendar or the epoch, on one word: what quotas and Envoy's descriptors count in. It says
// what fixed_window says (fixed_window.h); Sanitize() takes this form of it wherever the count fits beside the end.
// Pure; thread-safe.
//
// State: end + count; 0 = fresh.
//   end    the instant (ns) at which the window ends, a multiple of Grid()
//   count  units used in it, 1..MostCount(), saturating
// So end = word - word % Grid() and count = word % Grid(). The word, taken for an instant, is one at which the window
// is over (at most a window's length later, in practice some microseconds), which is all that a store needs to know of
// it. The state is live while end > now (with `now` clamped): a clock that goes back closes no window early. One that
// is not live reads as fresh; a window that opens now ends at CalendarBounds(now).end.
//   cost > capacity           -> kNever
//   count + cost <= capacity  -> kAllowed; write end + count + cost
//   else                      -> kLater, retry_after = end - now; a denial writes nothing
// The other operations and what is told of a state are anchored_window.h's.
#pragma once

#include <cstdint>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"

namespace weir::algorithms::aligned_window {

// What ends lie on: multiples of the window's own length for kEpoch; of a second for the units of a calendar, as a
// zone's offset is whole seconds.
inline Nanos Grid(const Limit& limit) { return limit.calendar == Calendar::kEpoch ? limit.window : kSecond; }
// The most that is counted.
std::uint64_t MostCount(const Limit& limit);

Outcome Apply(const Limit& limit, const Ask& ask, Word& word);
std::uint64_t Used(const Limit& limit, Word word, Nanos now);
Nanos Expires(const Limit& limit, Word word);

// The parts of it, for word.h. `now` clamped.
// kCheck of cost > 0 without its outcome: false, and `word` as it was, when it is denied.
bool Try(const Limit& limit, std::uint64_t cost, Nanos now, Word& word);
Outcome Describe(const Limit& limit, Word word, Nanos now);
// Adds to what is told of a state that an ask of `cost` was denied in it.
void Deny(const Limit& limit, std::uint64_t cost, Outcome& outcome);
Word Charged(const Limit& limit, Word word, Nanos now, std::uint64_t cost);
Word Refunded(const Limit& limit, Word word, Nanos now, std::uint64_t cost);

// The word for what a store of starts and counts keeps (anchored_window.h).
Word FromStartAndCount(const Limit& limit, Nanos start, Word count);

}  // namespace weir::algorithms::aligned_window
