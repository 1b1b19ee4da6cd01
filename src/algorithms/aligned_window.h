// Windows on one word: an end and a count. Two kinds are held so, where Sanitize() finds that the count fits:
//   kAlignedWindow   fixed_window aligned to the calendar or the epoch: what quotas and Envoy's descriptors count in
//   kAnchoredWindow  sliding_window whose precision is not below its window, which is what a rule that names no
//                    algorithm gets for up to a minute: one window that opens with the subject's first request
// They say what their list forms say (anchored_window.h); an anchored window lasts up to one grid longer.
// Pure; thread-safe. The parts that decide are inline, for the memory store's hot path.
//
// State: end + count; 0 = fresh.
//   end    the instant (ns) at which the window ends, a multiple of Grid()
//   count  units used in it, 1..MostCount(), saturating
// So end = word - word % Grid() and count = word % Grid(). The word, taken for an instant, is one at which the window
// is over (at most 8.6 s later), which is all that a store needs to know of it. The state is live while end > now (with
// `now` clamped): a clock that goes back closes no window early. One that is not live reads as fresh; a window that
// opens now ends at
//   aligned   CalendarBounds(now).end
//   anchored  now + window, rounded up to the grid
// Of calendar units, when the wall clock has been set, `end` is PresentEnd() of it (time_zone.h).
//   cost > capacity           -> kNever
//   count + cost <= capacity  -> kAllowed; write end + count + cost
//   else                      -> kLater, retry_after = end - now; a denial writes nothing
// with a capacity of at most MostCount(), also of a limit that did not go through Sanitize(). The other operations and
// the outcomes are those of anchored_window.h.
//
// The grid of an anchored window, Limit::grid_shift, is the least 2^k microseconds above the rule's capacity: 1 us for
// a limit below 1,000, 1 ms for one of a million, 131 ms for 100 million a minute. So the end is late by less than `2 *
// capacity` ns, and no processor counts that many requests of cost 1 faster: a client that used the limit up by
// such requests waits no longer than the window. Rounded up, never down: a window that ended early could admit three
// times the limit.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "algorithms/algorithm.h"
#include "algorithms/instant.h"
#include "algorithms/limit.h"
#include "algorithms/time_zone.h"

namespace weir::algorithms::aligned_window {

// The most that is counted: below the grid, and so little that a word of units as small as bytes is not kept for long
// after its window.
inline constexpr std::uint64_t kMostCount = (std::uint64_t{1} << 33) - 1;
// An anchored window is late by less than this part of its length, or it is not held so.
inline constexpr Nanos kLeastGridsAWindow = 32;

// Of kAnchoredWindow: 2^k us, at most 8.4 s.
inline constexpr std::uint8_t kMostShift = 23;
inline int GridShift(const Limit& limit) { return std::min(limit.grid_shift, kMostShift); }
inline std::uint8_t GridShiftFor(std::uint64_t capacity) {
  return static_cast<std::uint8_t>(
      std::min<std::uint64_t>(kMostShift, std::bit_width(capacity / static_cast<std::uint64_t>(kMicrosecond))));
}

// What ends lie on: multiples of the window's own length for kEpoch; of a second for the units of a calendar, as a
// zone's offset is whole seconds.
inline Nanos Grid(const Limit& limit) {
  if (limit.kind == Kind::kAnchoredWindow) return kMicrosecond << GridShift(limit);
  return limit.calendar == Calendar::kEpoch ? std::max<Nanos>(1, limit.window) : kSecond;
}
inline std::uint64_t MostCount(const Limit& limit) {
  return std::min(kMostCount, static_cast<std::uint64_t>(Grid(limit) - 1));
}
// Whether a window of this capacity, of a one-word kind and without count_denied, can be held so.
inline bool Holds(const Limit& limit) {
  if (limit.kind == Kind::kAnchoredWindow && Grid(limit) > limit.window / kLeastGridsAWindow) return false;
  return limit.capacity <= MostCount(limit);
}

// word % Grid(), for word >= 0.
inline Nanos CountIn(const Limit& limit, Word word) {
  if (limit.kind != Kind::kAnchoredWindow) return word % Grid(limit);
  // By a constant: the division by a number that is not known costs as much as the rest of the decision.
  const int shift = GridShift(limit);
  const auto bits = static_cast<std::uint64_t>(word);
  const std::uint64_t upper = (bits >> shift) % static_cast<std::uint64_t>(kMicrosecond);
  return static_cast<Nanos>(upper << shift | (bits & ((std::uint64_t{1} << shift) - 1)));
}

// The window in force at `now`; end 0 when none is open.
struct Window {
  Nanos end = 0;
  std::uint64_t count = 0;
};
inline Window At(const Limit& limit, Word word, Nanos now) {
  if (word <= now) return {};
  const Nanos count = CountIn(limit, word);
  Nanos end = word - count;
  if (WallWasSet() && limit.kind == Kind::kAlignedWindow && limit.calendar != Calendar::kEpoch) [[unlikely]] {
    end = PresentEnd(limit, end, now);
  }
  if (end <= now) return {};
  return {end, std::min(kMaxCount, static_cast<std::uint64_t>(count))};
}

// The end of a window that opens at `now` (clamped).
Nanos EndOfNew(const Limit& limit, Nanos now);

inline std::uint64_t CapacityOf(const Limit& limit) { return std::min(limit.capacity, MostCount(limit)); }

// The word of `count` units in `window`, or, when none is open, in the one that opens now.
inline Word WordOf(const Limit& limit, const Window& window, std::uint64_t count, Nanos now) {
  if (count == 0) return 0;
  const Nanos end = window.end != 0 ? window.end : EndOfNew(limit, now);
  return SaturatingAdd(end, static_cast<Nanos>(std::min(count, MostCount(limit))));
}

Outcome Apply(const Limit& limit, const Ask& ask, Word& word);
inline std::uint64_t Used(const Limit& limit, Word word, Nanos now) { return At(limit, word, ClampNow(now)).count; }
inline Nanos Expires(const Limit& limit, Word word) { return word <= 0 ? kMinNanos : word - CountIn(limit, word); }

// The parts of it, for word.h. `now` clamped.
// kCheck of cost > 0 without its outcome: false, and `word` as it was, when it is denied.
inline bool Try(const Limit& limit, std::uint64_t cost, Nanos now, Word& word) {
  const Window window = At(limit, word, now);
  const std::uint64_t capacity = CapacityOf(limit);
  if (cost > capacity || window.count > capacity - cost) return false;
  word = WordOf(limit, window, window.count + cost, now);
  return true;
}
inline Outcome Describe(const Limit& limit, Word word, Nanos now) {
  const Window window = At(limit, word, now);
  Outcome outcome;
  outcome.limit = CapacityOf(limit);
  outcome.used = window.count;
  outcome.remaining = window.count < outcome.limit ? outcome.limit - window.count : 0;
  outcome.reset_after_ns = window.count > 0 ? window.end - now : 0;
  return outcome;
}
// Makes an outcome that describes a state say that an ask of `cost` was denied.
void Deny(const Limit& limit, std::uint64_t cost, Outcome& outcome);
// Takes `cost` back of what was charged in the window of `charged`; nothing when `word` is of another one by now.
Word Withdrawn(const Limit& limit, Word word, Word charged, std::uint64_t cost);
// Carrying over (carry_over.h): `count` units more, of a window that ends at `end`, 0: which is not of the same bounds.
Word Joined(const Limit& limit, Word word, Nanos now, std::uint64_t count, Nanos end);

// A store of starts and counts: the start that a window has that opens at `now` (clamped), and the word for what it
// keeps.
Nanos StartOfNew(const Limit& limit, Nanos now);
Word FromStartAndCount(const Limit& limit, Nanos start, Word count);

}  // namespace weir::algorithms::aligned_window
