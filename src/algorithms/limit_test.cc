#include "algorithms/limit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "algorithms/sliding_window.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

TEST(Sanitize, IsIdempotentOnAnything) {
  for (int kind = 0; kind < 12; ++kind) {
    for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
      Random random(seed);
      const Limit once = HostileLimit(static_cast<Kind>(kind), random);
      ASSERT_EQ(Sanitize(once), once) << Describe(once);
    }
  }
}

TEST(Sanitize, LeavesSaneLimitsAlone) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.capacity = 100;
  limit.window = kHour;
  limit.precision = kMinute;
  EXPECT_EQ(Sanitize(limit), limit);
  limit.kind = Kind::kTokenBucket;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  EXPECT_EQ(Sanitize(limit), limit);
}

TEST(Sanitize, BoundsTheNumberOfSubWindows) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.window = 30 * kDay;
  limit.precision = kSecond;
  limit = Sanitize(limit);
  EXPECT_EQ(limit.precision, 30 * kDay / 3600);
  limit.window = 10 * kMillisecond;
  limit.precision = 1;
  EXPECT_EQ(Sanitize(limit).precision, kMillisecond);
}

TEST(Sanitize, KeepsAWindowOfNothingWhereItMeansSomething) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.capacity = 1;
  limit.precision = kMinute;
  limit.count_denied = true;
  limit = Sanitize(limit);
  EXPECT_TRUE(sliding_window::IsAnchored(limit));
  // Each request opens a new window, also in the same instant.
  Counter counter(limit);
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = counter.Check(1, kStart);
    EXPECT_EQ(outcome.verdict, Verdict::kAllowed);
    EXPECT_EQ(outcome.used, 1U);
    EXPECT_EQ(outcome.reset_after_ns, 0);
  }
  EXPECT_EQ(counter.Check(2, kStart).verdict, Verdict::kNever);
}

TEST(RatePerSecond, IsTheNearestFraction) {
  for (const double rate : {0.001, 0.2777, 1.0 / 3, 0.1, 1.0, 3.0, 10.0, 1000.0 / 60, 12345.678, 999'999.0}) {
    const Rate got = RatePerSecond(rate);
    EXPECT_EQ(got.count, 1U);
    EXPECT_NEAR(1e9 / rate, static_cast<double>(got.period), 0.5 + 1e-6 * 1e9 / rate);
  }
  EXPECT_EQ(RatePerSecond(10).period, 100 * kMillisecond);
  EXPECT_EQ(RatePerSecond(0.1).period, 10 * kSecond);
  EXPECT_EQ(RatePerSecond(5e6).count, 5'000'000U);
  EXPECT_EQ(RatePerSecond(1'500'000.25).count, 1'500'000'250U);
  EXPECT_EQ(RatePerSecond(1'500'000.25).period, 1000 * kSecond);
}

TEST(RatePerSecond, AnswersNonsense) {
  using Double = std::numeric_limits<double>;
  for (const double rate : {0.0, -1.0, -Double::infinity(), Double::quiet_NaN(), Double::denorm_min(), 1e-30}) {
    EXPECT_EQ(RatePerSecond(rate).count, 1U);
    EXPECT_EQ(RatePerSecond(rate).period, 3650 * kDay);
  }
  for (const double rate : {Double::infinity(), Double::max(), 1e18}) EXPECT_EQ(RatePerSecond(rate).count, kMaxCount);
}

TEST(Registry, KnowsEveryKindByItsIndex) {
  EXPECT_EQ(All().size(), 11U);
  for (const Algorithm& algorithm : All()) {
    EXPECT_EQ(&Of(algorithm.kind), &algorithm);
    EXPECT_FALSE(algorithm.name.empty());
    EXPECT_EQ(algorithm.apply_word != nullptr, algorithm.shape == Shape::kWord);
    EXPECT_EQ(algorithm.apply_list != nullptr, algorithm.shape == Shape::kList);
    EXPECT_EQ(algorithm.used_word != nullptr && algorithm.expires_word != nullptr, algorithm.shape == Shape::kWord);
    EXPECT_EQ(algorithm.used_list != nullptr && algorithm.expires_list != nullptr, algorithm.shape == Shape::kList);
  }
  EXPECT_EQ(Of(static_cast<Kind>(200)).kind, Kind::kUnlimited);
}

}  // namespace
}  // namespace weir::algorithms::testing
