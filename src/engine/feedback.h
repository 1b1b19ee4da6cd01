// How an upstream fared with a request, as clients report it (CallKind::kFeedback).
#pragma once

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace weir::engine {

struct Feedback {
  Nanos latency = 0;
  bool failed = false;
};

// To the nearest nanosecond; `milliseconds` >= 0. More than what is told apart (algorithms::adaptive::FeedbackToken:
// about 134 s) may come out smaller, but never below that.
inline Nanos LatencyOf(double milliseconds) {
  constexpr double kMost = 1e9;
  return std::llround(std::min(milliseconds, kMost) * static_cast<double>(kMillisecond));
}

}  // namespace weir::engine
