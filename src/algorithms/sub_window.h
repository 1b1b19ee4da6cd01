// sliding_window with several sub-windows, as long as one sub-window lasts. What lies before it then stands still, and
// all that changes with each request is one count: so a store can decide on these few numbers, and change the count by
// one compare-and-swap, without the state itself (storage/memory/lane_table.h). Whatever these do not answer is asked
// of the state, and the two answer alike (sub_window_test.cc). The arithmetic is sliding_window.h's. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "algorithms/algorithm.h"
#include "algorithms/sliding_window.h"

namespace weir::algorithms::sub_window {

// Counts and costs are below this, so that two of them fit one word.
inline constexpr std::int64_t kMostCount = (std::int64_t{1} << 31) - 1;
// weight is then computed in 64 bits: 2.4 hours.
inline constexpr Nanos kLongestPrecision = Nanos{1} << 43;

// A state as of one sub-window: all but what is charged in this one from now on.
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

// Whether limits like this one are ever held so: whole sub-windows, counts that fit.
inline bool Holds(const Limit& limit) {
  return limit.kind == Kind::kSlidingWindow && !limit.count_denied && !sliding_window::IsAnchored(limit) &&
         limit.precision <= kLongestPrecision && limit.window % limit.precision == 0 &&
         limit.capacity <= static_cast<std::uint64_t>(kMostCount);
}
// nullopt: nothing is counted any more, a count is too large, or the clock went back before the newest entry. Of limits
// that it Holds(); `now` clamped.
std::optional<Frame> FrameOf(const Limit& limit, const Words& state, Nanos now);

// Whether `frame` is one of this limit, at this time. Without a division.
inline bool IsOf(const Frame& frame, const Limit& limit, Nanos now) {
  const Nanos elapsed = now - frame.index * frame.precision;
  return limit.kind == Kind::kSlidingWindow && limit.precision == frame.precision &&
         limit.window == frame.precision * frame.sub_windows && !limit.count_denied &&
         limit.capacity <= static_cast<std::uint64_t>(kMostCount) && elapsed >= 0 && elapsed < frame.precision;
}

// The rest is for frames that are of the limit and the time; `count`: what has been charged since the frame was made.
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
// The instant at which `cost` <= capacity fits that does not now, if that is for the oldest sub-window to say.
std::optional<Nanos> FitsAt(const Limit& limit, const Frame& frame, std::int64_t count, std::uint64_t cost);

}  // namespace weir::algorithms::sub_window
