#include "config/compile/make_limit.h"

#include <gtest/gtest.h>

#include "algorithms/time_zone.h"
#include "config/compile/inherit.h"

namespace weir::config {
namespace {

using algorithms::Calendar;
using algorithms::Kind;
using algorithms::Limit;

Limit Made(std::uint64_t max_requests, std::uint32_t window_seconds, RateLimitAlgorithm algorithm) {
  RateLimitRule rule;
  rule.max_requests = max_requests;
  rule.window_seconds = window_seconds;
  rule.algorithm = std::move(algorithm);
  const auto limit = MakeLimit(rule);
  EXPECT_TRUE(limit.has_value());
  return limit.value_or(Limit{});
}

TEST(MakeLimit, BucketsDeriveWhatTheyDoNotWrite) {
  const Limit derived = Made(1000, 3600, TokenBucket{});
  EXPECT_EQ(derived.kind, Kind::kTokenBucket);
  EXPECT_EQ(derived.capacity, 1000U);
  // Exactly 1000 in 3600 s, in whatever terms.
  EXPECT_EQ(derived.rate_count * 3600U * static_cast<std::uint64_t>(kSecond),
            1000U * static_cast<std::uint64_t>(derived.rate_period));
  EXPECT_EQ(HeaderWindowSeconds(derived), 3600U);

  const Limit burst = Made(1000, 3600, TokenBucket{.refill_rate = 0, .burst_capacity = 100});
  EXPECT_EQ(burst.capacity, 100U);
  EXPECT_EQ(HeaderWindowSeconds(burst), 360U);

  const Limit written = Made(100, 3600, LeakyBucket{.leak_rate = 0.1, .capacity = 100, .shape = true});
  EXPECT_EQ(written.kind, Kind::kLeakyBucket);
  EXPECT_TRUE(written.shape);
  EXPECT_EQ(written.capacity, 100U);
  EXPECT_EQ(HeaderWindowSeconds(written), 1000U);
}

TEST(MakeLimit, Windows) {
  const Limit sliding = Made(10, 300, SlidingWindow{.precision = WindowPrecision::TenSecond(), .count_denied = true});
  EXPECT_EQ(sliding.kind, Kind::kSlidingWindow);
  EXPECT_EQ(sliding.window, 300 * kSecond);
  EXPECT_EQ(sliding.precision, 10 * kSecond);
  EXPECT_TRUE(sliding.count_denied);
  EXPECT_EQ(HeaderWindowSeconds(sliding), 300U);
  const Limit minute = Made(100'000'000, 60, SlidingWindow{});
  EXPECT_EQ(minute.kind, Kind::kAnchoredWindow) << "the default, on one word";
  EXPECT_EQ(HeaderWindowSeconds(minute), 60U);
  EXPECT_EQ(Made(10, 3600, SlidingWindow{}).kind, Kind::kSlidingWindow);
  EXPECT_EQ(Made(10, 300, SlidingWindowLog{}).kind, Kind::kSlidingWindowLog);

  const Limit monthly = Made(10, 0, FixedWindow{WindowAlignment::kMonth, "Europe/Berlin", false});
  EXPECT_EQ(monthly.kind, Kind::kAlignedWindow);
  EXPECT_EQ(monthly.calendar, Calendar::kMonth);
  EXPECT_EQ(algorithms::ZoneName(monthly.zone), "Europe/Berlin");
  EXPECT_EQ(HeaderWindowSeconds(monthly), 30U * 86'400);
  const Limit rolling = Made(10, 90, FixedWindow{});
  EXPECT_EQ(rolling.kind, Kind::kFixedWindow);
  EXPECT_EQ(rolling.calendar, Calendar::kNone);
  EXPECT_EQ(rolling.window, 90 * kSecond);
  const Limit epoch = Made(10, 90, FixedWindow{WindowAlignment::kEpoch, "Europe/Berlin", false});
  EXPECT_EQ(epoch.kind, Kind::kAlignedWindow);
  EXPECT_EQ(epoch.calendar, Calendar::kEpoch);
  EXPECT_EQ(epoch.window, 90 * kSecond);
  EXPECT_EQ(epoch.zone, 0);
  EXPECT_EQ(HeaderWindowSeconds(epoch), 90U);
  EXPECT_EQ(Made(10, 0, FixedWindow{WindowAlignment::kEpoch, "UTC", false}).kind, Kind::kUnlimited);

  RateLimitRule nowhere;
  nowhere.max_requests = 1;
  nowhere.algorithm = FixedWindow{WindowAlignment::kDay, "Nowhere/Nothing", false};
  EXPECT_EQ(MakeLimit(nowhere).error().code, ErrorCode::kInvalidArgument);
}

TEST(MakeLimit, ConcurrencyAndAdaptive) {
  const Limit slots = Made(7, 0, Concurrency{.max_in_flight = 0, .lease_seconds = 30});
  EXPECT_EQ(slots.kind, Kind::kConcurrency);
  EXPECT_EQ(slots.capacity, 7U);
  EXPECT_EQ(slots.lease, 30 * kSecond);
  EXPECT_EQ(HeaderWindowSeconds(slots), 0U);

  const Limit learned =
      Made(100, 60, Adaptive{.learning_window = 600, .adjustment_factor = 2.5, .min_limit = 0, .max_limit = 0});
  EXPECT_EQ(learned.kind, Kind::kAdaptive);
  EXPECT_EQ(learned.min_capacity, 10U);
  EXPECT_EQ(learned.max_capacity, 1000U);
  EXPECT_EQ(learned.adjustment_ppm, 2'500'000U);
  EXPECT_EQ(learned.learning_window, 600 * kSecond);
  EXPECT_EQ(Made(3, 60, Adaptive{}).min_capacity, 1U);
}

TEST(MakeLimit, ZeroesMeanWhatTheBasicLimiterMeantByThem) {
  EXPECT_EQ(Made(0, 60, SlidingWindow{}).capacity, 0U);
  EXPECT_EQ(Made(0, 60, SlidingWindow{}).kind, Kind::kAnchoredWindow);
  for (const RateLimitAlgorithm& algorithm :
       {RateLimitAlgorithm(SlidingWindow{}), RateLimitAlgorithm(SlidingWindowLog{}), RateLimitAlgorithm(TokenBucket{}),
        RateLimitAlgorithm(LeakyBucket{}), RateLimitAlgorithm(FixedWindow{}), RateLimitAlgorithm(Adaptive{})}) {
    EXPECT_EQ(Made(1, 0, algorithm).kind, Kind::kUnlimited);
    EXPECT_NE(Made(0, 0, algorithm).kind, Kind::kUnlimited);
  }
  EXPECT_EQ(Made(1, 0, TokenBucket{.refill_rate = 1, .burst_capacity = 0}).kind, Kind::kTokenBucket);
}

TEST(MakeLimit, UnlimitedAndSanitized) {
  EXPECT_EQ(MakeLimit(RateLimitRule::Unlimited())->kind, Kind::kUnlimited);
  const Limit limit = Made(std::uint64_t{1} << 53, 315'360'000,
                           TokenBucket{.refill_rate = 1e12, .burst_capacity = std::uint64_t{1} << 53});
  EXPECT_EQ(limit, algorithms::Sanitize(limit));
  EXPECT_LE(limit.capacity, algorithms::kMaxCount);
}

TEST(MakePenalty, OnlyWhenThereAreAny) {
  EXPECT_FALSE(MakePenalty(PenaltyConfig{}).has_value());
  PenaltyConfig penalties;
  penalties.enabled = true;
  penalties.factor = 1.5;
  const auto limit = MakePenalty(penalties);
  ASSERT_TRUE(limit.has_value());
  EXPECT_EQ(limit->kind, Kind::kPenalty);
  EXPECT_EQ(limit->threshold, 10U);
  EXPECT_EQ(limit->ban_factor_pct, 150U);
  EXPECT_EQ(limit->first_ban, 60 * kSecond);
  EXPECT_EQ(limit->longest_ban, 3600 * kSecond);
}

}  // namespace
}  // namespace weir::config
