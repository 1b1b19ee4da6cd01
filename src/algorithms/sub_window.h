// sliding_window with several sub-windows, while one sub-window lasts. The counts of earlier sub-windows do not change
// then, and each request changes only the newest count. So a store can decide on the few numbers of a Frame and change
// the count by one compare-and-swap, without the state itself (storage/memory/lane_table.h). What a frame cannot answer
// is asked of the state, and both give the same answers (sub_window_test.cc). The arithmetic is that of
// sliding_window.h. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "algorithms/algorithm.h"
#include "algorithms/sliding_window.h"

namespace weir::algorithms::sub_window {

// Counts and costs are below this, so that two of them fit one word.
inline constexpr std::int64_t kMostCount = (std::int64_t{1} << 31) - 1;
// Up to this length (2.4 hours) a weight is computed in 64 bits.
inline constexpr Nanos kLongestPrecision = Nanos{1} << 43;

// What a state says during one sub-window, without what is charged in it from now on.
struct Frame {
  std::int64_t index = 0;   // of the sub-window, >= 0
  std::int64_t newest = 0;  // index of the newest entry, index - sub_windows..index. Below index: nothing was charged
                            // in this one yet, and only denials can be answered
  std::int64_t sub_windows = 0;  // in a window
  Nanos precision = 0;
  std::int64_t oldest = 0;  // count in the sub-window that is leaving the window
  std::int64_t rest = 0;    // counts in all that are younger; in `index` itself: up to now
  friend bool operator==(const Frame&, const Frame&) = default;
};

// Whether states of this limit can have frames: windows of whole sub-windows, and counts that fit.
inline bool Holds(const Limit& limit) {
  return limit.kind == Kind::kSlidingWindow && !limit.count_denied && !sliding_window::IsAnchored(limit) &&
         limit.precision <= kLongestPrecision && limit.window % limit.precision == 0 &&
         limit.capacity <= static_cast<std::uint64_t>(kMostCount);
}
// For limits that it Holds(); `now` clamped. nullopt: nothing is counted any more, a count is too large, the newest
// entry is later than `now` (the clock went back), or the state is damaged.
std::optional<Frame> FrameOf(const Limit& limit, const Words& state, Nanos now);

// Whether `frame` is of this limit and holds at this time. Needs no division.
inline bool IsOf(const Frame& frame, const Limit& limit, Nanos now) {
  const Nanos elapsed = now - frame.index * frame.precision;
  return limit.kind == Kind::kSlidingWindow && limit.precision == frame.precision &&
         limit.window == frame.precision * frame.sub_windows && !limit.count_denied &&
         limit.capacity <= static_cast<std::uint64_t>(kMostCount) && elapsed >= 0 && elapsed < frame.precision;
}

// The rest needs a frame for which IsOf() is true. `count`: what was charged since the frame was made.
inline std::int64_t Used(const Frame& frame, std::int64_t count, Nanos now) {
  const std::int64_t used = frame.rest + count;
  if (frame.oldest == 0) return used;
  const auto left = static_cast<std::uint64_t>((frame.index + 1) * frame.precision - now);
  const auto precision = static_cast<std::uint64_t>(frame.precision);
  const std::uint64_t weight = (left * sliding_window::kWeightOne + precision - 1) / precision;
  return used + sliding_window::Part(frame.oldest, static_cast<std::int64_t>(weight));
}
// kCheck of cost > 0 is allowed.
inline bool Fits(const Limit& limit, const Frame& frame, std::int64_t count, std::uint64_t cost, Nanos now) {
  return cost <= limit.capacity && static_cast<std::uint64_t>(Used(frame, count, now)) + cost <= limit.capacity;
}
// The outcome of kPeek of 0.
inline Outcome Describe(const Limit& limit, const Frame& frame, std::int64_t count, Nanos now) {
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = static_cast<std::uint64_t>(Used(frame, count, now));
  outcome.remaining = outcome.used < limit.capacity ? limit.capacity - outcome.used : 0;
  outcome.reset_after_ns = (frame.newest + 1) * frame.precision + limit.window - now;
  return outcome;
}
// For a cost <= capacity that does not fit now: the instant at which it fits, if that depends on the oldest sub-window
// only. nullopt: younger ones have to leave the window first.
std::optional<Nanos> FitsAt(const Limit& limit, const Frame& frame, std::int64_t count, std::uint64_t cost);

}  // namespace weir::algorithms::sub_window
