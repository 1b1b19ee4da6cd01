#include "algorithms/limit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/adaptive.h"
#include "algorithms/aligned_window.h"
#include "algorithms/concurrency.h"
#include "algorithms/gcra.h"
#include "algorithms/instant.h"
#include "algorithms/sliding_window.h"

namespace weir::algorithms {
namespace {

__extension__ typedef unsigned __int128 Uint128;

constexpr Nanos kMostSubWindows = 3'600;
// Up to this rate (1 unit in 1,000 ns) a unit takes a whole number of nanoseconds; the rounding is below 0.1%.
constexpr Nanos kLeastWholeIncrement = 1'000;

void SanitizeBucket(Limit& limit) {
  if (limit.rate_count == 0 || limit.rate_period <= 0) {
    limit.rate_period = limit.rate_count == 0 ? kLongestWindow : 1;
    limit.rate_count = std::max<std::uint64_t>(1, limit.rate_count);
  }
  limit.rate_count = std::min(limit.rate_count, kMaxCount);
  limit.rate_period = std::min(limit.rate_period, kLongestWindow);
  const auto period = static_cast<std::uint64_t>(limit.rate_period);
  const std::uint64_t whole = period / limit.rate_count + (period % limit.rate_count != 0 ? 1 : 0);
  if (whole > static_cast<std::uint64_t>(kLeastWholeIncrement) || period % limit.rate_count == 0) {
    limit.rate_period = static_cast<Nanos>(whole);
    limit.rate_count = 1;
  } else {
    const std::uint64_t divisor = std::gcd(period, limit.rate_count);
    limit.rate_period = static_cast<Nanos>(period / divisor);
    limit.rate_count /= divisor;
  }
  const Uint128 most =
      static_cast<Uint128>(gcra::kLongestBurst) * limit.rate_count / static_cast<std::uint64_t>(limit.rate_period);
  if (limit.capacity > most) limit.capacity = static_cast<std::uint64_t>(most);
  limit.max_wait = std::clamp<Nanos>(limit.max_wait, 0, kLongestWindow);
  limit.shape |= limit.max_wait > 0;
}

void SanitizeSlidingWindow(Limit& limit) {
  limit.window = std::clamp<Nanos>(limit.window, 0, kLongestWindow);
  limit.precision = std::clamp<Nanos>(limit.precision, 0, kLongestWindow);
  if (limit.precision < limit.window) {
    const Nanos least = (limit.window - 1) / kMostSubWindows + 1;
    limit.precision = std::max({limit.precision, least, kMillisecond});
  }
  const bool anchored = sliding_window::IsAnchored(limit);
  if (!anchored) limit.capacity = std::min(limit.capacity, kMaxCount / 2);
  limit.grid_shift = aligned_window::GridShiftFor(limit.capacity);
  limit.kind = Kind::kAnchoredWindow;
  if (anchored && !limit.count_denied && aligned_window::Holds(limit)) return;
  limit.kind = Kind::kSlidingWindow;
  limit.grid_shift = 0;
}

void SanitizeAdaptive(Limit& limit) {
  limit.window = std::clamp<Nanos>(limit.window, 1, kLongestWindow);
  limit.learning_window = std::clamp<Nanos>(limit.learning_window, 1, kLongestWindow);
  limit.adjustment_ppm = std::min<std::uint32_t>(limit.adjustment_ppm, 16'000'000);
  if (limit.max_capacity == 0) limit.max_capacity = limit.capacity;
  limit.max_capacity = std::min(limit.max_capacity, adaptive::kMostCapacity);
  limit.min_capacity = std::min(limit.min_capacity, limit.max_capacity);
  limit.capacity = std::clamp(limit.capacity, limit.min_capacity, limit.max_capacity);
}

Nanos WholeMilliseconds(Nanos duration) {
  const Nanos bounded = std::clamp(duration, kMillisecond, kLongestWindow);
  return (bounded + kMillisecond - 1) / kMillisecond * kMillisecond;
}

void SanitizePenalty(Limit& limit) {
  limit.threshold = std::clamp<std::uint32_t>(limit.threshold, 1, std::uint32_t{1} << 31);
  limit.window = std::clamp<Nanos>(limit.window, 1, kLongestWindow);
  limit.longest_ban = WholeMilliseconds(limit.longest_ban);
  limit.first_ban = std::min(WholeMilliseconds(limit.first_ban), limit.longest_ban);
  limit.ban_factor_pct = std::clamp<std::uint32_t>(limit.ban_factor_pct, 100, 10'000);
  limit.decay = std::clamp<Nanos>(limit.decay, kMillisecond, kLongestWindow);
}

void SanitizeFixedWindow(Limit& limit) {
  limit.window = std::clamp<Nanos>(limit.window, 0, kLongestWindow);
  if (limit.window == 0 && limit.calendar == Calendar::kEpoch) limit.calendar = Calendar::kNone;
  const bool aligned = limit.calendar != Calendar::kNone && !limit.count_denied;
  limit.kind = aligned ? Kind::kAlignedWindow : Kind::kFixedWindow;
  if (aligned && !aligned_window::Holds(limit)) limit.kind = Kind::kFixedWindow;
}

}  // namespace

Limit Sanitize(Limit limit) {
  if (limit.kind > Kind::kAnchoredWindow) limit.kind = Kind::kUnlimited;
  if (limit.calendar > Calendar::kEpoch) limit.calendar = Calendar::kNone;
  limit.capacity = std::min(limit.capacity, kMaxCount);
  switch (limit.kind) {
    case Kind::kUnlimited:
      break;
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
      SanitizeBucket(limit);
      break;
    case Kind::kSlidingWindow:
    case Kind::kAnchoredWindow:
      SanitizeSlidingWindow(limit);
      break;
    case Kind::kSlidingWindowLog:
      limit.window = std::clamp<Nanos>(limit.window, 1, kLongestWindow);
      limit.retention = std::clamp(limit.retention, limit.window, kLongestWindow);
      limit.cleanup = std::clamp<Nanos>(limit.cleanup, 0, kLongestWindow);
      break;
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      SanitizeFixedWindow(limit);
      break;
    case Kind::kConcurrency:
      limit.capacity = std::min(limit.capacity, concurrency::kMostSlots);
      limit.lease = std::clamp<Nanos>(limit.lease, 1, kLongestWindow);
      break;
    case Kind::kAdaptive:
      SanitizeAdaptive(limit);
      break;
    case Kind::kPenalty:
      SanitizePenalty(limit);
      break;
  }
  return limit;
}

Rate RatePerSecond(double per_second) {
  if (!(per_second > 0)) return {.count = 1, .period = kLongestWindow};
  if (per_second >= static_cast<double>(kMaxCount)) return {.count = kMaxCount, .period = kSecond};
  constexpr double kNanosPerSecond = 1e9;
  if (per_second <= 1e6) {
    const double period = std::round(kNanosPerSecond / per_second);
    return {.count = 1,
            .period = period >= static_cast<double>(kLongestWindow) ? kLongestWindow : static_cast<Nanos>(period)};
  }
  // Thousandths are kept while the count stays exact.
  const bool fine = per_second < 1e12 && per_second != std::floor(per_second);
  return {.count = static_cast<std::uint64_t>(std::llround(fine ? per_second * 1000 : per_second)),
          .period = fine ? 1000 * kSecond : kSecond};
}

}  // namespace weir::algorithms
