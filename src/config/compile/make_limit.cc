#include "config/compile/make_limit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "algorithms/time_zone.h"
#include "config/compile/inherit.h"

namespace weir::config {
namespace {

using algorithms::Calendar;
using algorithms::Kind;
using algorithms::Limit;

Nanos Seconds(std::uint64_t seconds) {
  constexpr std::uint64_t kMost = static_cast<std::uint64_t>(std::numeric_limits<Nanos>::max() / kSecond);
  return static_cast<Nanos>(std::min(seconds, kMost)) * kSecond;
}

// What is not written is derived from these two.
struct Numbers {
  std::uint64_t max_requests = 0;
  Nanos window = 0;
};

// The rate of a bucket: as written, or exactly max_requests in a window.
void SetRate(double per_second, const Numbers& numbers, Limit& limit) {
  if (per_second > 0) {
    const algorithms::Rate rate = algorithms::RatePerSecond(per_second);
    limit.rate_count = rate.count;
    limit.rate_period = rate.period;
    return;
  }
  limit.rate_count = numbers.max_requests;
  limit.rate_period = std::max<Nanos>(numbers.window, 1);
}

Calendar CalendarOf(WindowAlignment aligned) {
  switch (aligned) {
    case WindowAlignment::kRolling:
      return Calendar::kNone;
    case WindowAlignment::kMinute:
      return Calendar::kMinute;
    case WindowAlignment::kHour:
      return Calendar::kHour;
    case WindowAlignment::kDay:
      return Calendar::kDay;
    case WindowAlignment::kWeek:
      return Calendar::kWeek;
    case WindowAlignment::kMonth:
      return Calendar::kMonth;
    case WindowAlignment::kYear:
      return Calendar::kYear;
    case WindowAlignment::kEpoch:
      return Calendar::kEpoch;
  }
  return Calendar::kNone;
}

// Nominal: what a header tells. `window`: of those that no calendar gives a length.
Nanos LengthOf(Calendar calendar, Nanos window) {
  switch (calendar) {
    case Calendar::kNone:
    case Calendar::kEpoch:
      return window;
    case Calendar::kMinute:
      return kMinute;
    case Calendar::kHour:
      return kHour;
    case Calendar::kDay:
      return kDay;
    case Calendar::kWeek:
      return 7 * kDay;
    case Calendar::kMonth:
      return 30 * kDay;
    case Calendar::kYear:
      return 365 * kDay;
  }
  return 0;
}

struct Fill {
  const Numbers& numbers;
  Limit& limit;

  Result<> operator()(const TokenBucket& bucket) const {
    limit.kind = Kind::kTokenBucket;
    if (bucket.burst_capacity != 0) limit.capacity = bucket.burst_capacity;
    SetRate(bucket.refill_rate, numbers, limit);
    return {};
  }
  Result<> operator()(const LeakyBucket& bucket) const {
    limit.kind = Kind::kLeakyBucket;
    limit.shape = bucket.shape;
    if (bucket.capacity != 0) limit.capacity = bucket.capacity;
    SetRate(bucket.leak_rate, numbers, limit);
    return {};
  }
  Result<> operator()(const SlidingWindow& window) const {
    limit.kind = Kind::kSlidingWindow;
    limit.window = numbers.window;
    limit.precision = Seconds(window.precision.seconds);
    limit.count_denied = window.count_denied;
    return {};
  }
  Result<> operator()(const SlidingWindowLog& log) const {
    limit.kind = Kind::kSlidingWindowLog;
    limit.window = numbers.window;
    limit.retention = Seconds(log.log_retention);
    limit.cleanup = Seconds(log.cleanup_interval);
    return {};
  }
  Result<> operator()(const FixedWindow& window) const {
    limit.kind = Kind::kFixedWindow;
    limit.calendar = CalendarOf(window.aligned);
    limit.window = LengthOf(limit.calendar, numbers.window);
    limit.count_denied = window.count_denied;
    if (limit.calendar == Calendar::kNone || limit.calendar == Calendar::kEpoch) return {};
    const auto zone = algorithms::ZoneIndex(window.time_zone);
    if (!zone) return std::unexpected(zone.error());
    limit.zone = *zone;
    return {};
  }
  Result<> operator()(const Concurrency& concurrency) const {
    limit.kind = Kind::kConcurrency;
    if (concurrency.max_in_flight != 0) limit.capacity = concurrency.max_in_flight;
    limit.lease = Seconds(concurrency.lease_seconds);
    return {};
  }
  Result<> operator()(const Adaptive& adaptive) const {
    limit.kind = Kind::kAdaptive;
    limit.window = numbers.window;
    limit.learning_window = Seconds(adaptive.learning_window);
    limit.adjustment_ppm =
        static_cast<std::uint32_t>(std::clamp(std::round(adaptive.adjustment_factor * 1e6), 0.0, 4e9));
    limit.min_capacity =
        adaptive.min_limit != 0 ? adaptive.min_limit : std::max<std::uint64_t>(1, numbers.max_requests / 10);
    limit.max_capacity =
        adaptive.max_limit != 0 ? adaptive.max_limit : std::min(numbers.max_requests, algorithms::kMaxCount / 10) * 10;
    return {};
  }
};

// Whether window_seconds decides anything.
bool UsesWindow(const RateLimitAlgorithm& algorithm) {
  if (const auto* bucket = std::get_if<TokenBucket>(&algorithm)) return bucket->refill_rate <= 0;
  if (const auto* bucket = std::get_if<LeakyBucket>(&algorithm)) return bucket->leak_rate <= 0;
  if (const auto* window = std::get_if<FixedWindow>(&algorithm)) {
    return window->aligned == WindowAlignment::kRolling || window->aligned == WindowAlignment::kEpoch;
  }
  return !std::holds_alternative<Concurrency>(algorithm);
}

}  // namespace

Result<Limit> MakeLimit(const RateLimitRule& complete) {
  Limit limit;
  if (complete.unlimited.value_or(false)) return algorithms::Sanitize(limit);
  const Numbers numbers{complete.max_requests.value_or(0), Seconds(complete.window_seconds.value_or(0))};
  limit.capacity = numbers.max_requests;
  const RateLimitAlgorithm algorithm = complete.algorithm.value_or(RateLimitAlgorithm{SlidingWindow{}});
  if (auto filled = std::visit(Fill{numbers, limit}, algorithm); !filled) return std::unexpected(filled.error());
  // A queue waits already.
  if (complete.on_exceeded == Action::kWait && !limit.shape && CanWait(algorithm)) {
    limit.max_wait = static_cast<Nanos>(complete.max_wait_ms.value_or(kDefaultMaxWaitMs)) * kMillisecond;
  }
  if (limit.capacity > 0 && UsesWindow(algorithm) && numbers.window == 0) return algorithms::Sanitize(Limit{});
  return algorithms::Sanitize(limit);
}

std::optional<Limit> MakePenalty(const PenaltyConfig& penalties) {
  if (!penalties.enabled) return std::nullopt;
  Limit limit;
  limit.kind = Kind::kPenalty;
  limit.threshold = penalties.threshold;
  limit.window = Seconds(penalties.window_seconds);
  limit.first_ban = Seconds(penalties.first_ban_seconds);
  limit.longest_ban = Seconds(penalties.longest_ban_seconds);
  limit.decay = Seconds(penalties.decay_seconds);
  limit.ban_factor_pct = static_cast<std::uint32_t>(std::clamp(std::round(penalties.factor * 100), 100.0, 1e6));
  return algorithms::Sanitize(limit);
}

std::uint64_t HeaderWindowSeconds(const Limit& limit) {
  const auto rounded_up = [](Nanos length) { return static_cast<std::uint64_t>((length + kSecond - 1) / kSecond); };
  switch (limit.kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket: {
      if (limit.rate_count == 0) return 0;
      __extension__ typedef unsigned __int128 Wide;
      const Wide product = Wide{limit.capacity} * static_cast<std::uint64_t>(limit.rate_period);
      const Wide seconds = (product / limit.rate_count + kSecond - 1) / kSecond;
      return static_cast<std::uint64_t>(std::min<Wide>(seconds, std::numeric_limits<std::uint32_t>::max()));
    }
    case Kind::kSlidingWindow:
    case Kind::kAnchoredWindow:
    case Kind::kSlidingWindowLog:
    case Kind::kAdaptive:
      return rounded_up(limit.window);
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      return rounded_up(LengthOf(limit.calendar, limit.window));
    case Kind::kUnlimited:
    case Kind::kConcurrency:
    case Kind::kPenalty:
      return 0;
  }
  return 0;
}

}  // namespace weir::config
