// fixed_window aligned to the calendar or the epoch, on one word: what quotas and Envoy's descriptors count in. It says
// what fixed_window says (fixed_window.h); Sanitize() takes this form of it wherever the count fits beside the end.
// Pure; thread-safe.
//
// State: end + count; 0 = fresh.
//   end    the instant (ns) at which the window ends, a multiple of Grid()
//   count  units used in it, 1..MostCount(), saturating
// So end = word - word % Grid() and count = word % Grid(). The word, taken for an instant, is one at which the window
// is over (at most 8.6 s later), which is all that a store needs to know of it. The state is live while end > now (with
// `now` clamped): a clock that goes back closes no window early. (When the wall clock has been set, `end` is
// PresentEnd() of it, time_zone.h.) One that is not live reads as fresh; a window that
// opens now ends at CalendarBounds(now).end.
//   cost > capacity           -> kNever
//   count + cost <= capacity  -> kAllowed; write end + count + cost
//   else                      -> kLater, retry_after = end - now; a denial writes nothing
// with a capacity of at most MostCount(), also of a limit that did not go through Sanitize(). The other operations and
// what is told of a state are anchored_window.h's.
#pragma once

#include <algorithm>
#include <cstdint>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"

namespace weir::algorithms::aligned_window {

// What ends lie on: multiples of the window's own length for kEpoch; of a second for the units of a calendar, as a
// zone's offset is whole seconds.
inline Nanos Grid(const Limit& limit) { return limit.calendar == Calendar::kEpoch ? limit.window : kSecond; }
// The most that is counted: below the grid, and so little that a word of units as small as bytes is not kept for long
// after its window.
inline constexpr std::uint64_t kMostCount = (std::uint64_t{1} << 33) - 1;
inline std::uint64_t MostCount(const Limit& limit) {
  return std::min(kMostCount, static_cast<std::uint64_t>(Grid(limit) - 1));
}
// Whether an aligned window with this capacity and without count_denied can be held so.
inline bool Holds(const Limit& limit) { return limit.capacity <= MostCount(limit); }

Outcome Apply(const Limit& limit, const Ask& ask, Word& word);
std::uint64_t Used(const Limit& limit, Word word, Nanos now);
Nanos Expires(const Limit& limit, Word word);

// The parts of it, for word.h. `now` clamped.
// kCheck of cost > 0 without its outcome: false, and `word` as it was, when it is denied.
bool Try(const Limit& limit, std::uint64_t cost, Nanos now, Word& word);
Outcome Describe(const Limit& limit, Word word, Nanos now);
// Adds to what is told of a state that an ask of `cost` was denied in it.
void Deny(const Limit& limit, std::uint64_t cost, Outcome& outcome);
// Takes `cost` back of what was charged in the window of `charged`; nothing when `word` is of another one by now.
Word Withdrawn(const Limit& limit, Word word, Word charged, std::uint64_t cost);
// Carrying over (carry_over.h): `count` units more, of a window that ends at `end`, 0: which is not of the same bounds.
Word Joined(const Limit& limit, Word word, Nanos now, std::uint64_t count, Nanos end);

// The word for what a store of starts and counts keeps (anchored_window.h).
Word FromStartAndCount(const Limit& limit, Nanos start, Word count);

}  // namespace weir::algorithms::aligned_window
