#include "algorithms/adaptive.h"

#include <gtest/gtest.h>

#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Learner() {
  Limit limit;
  limit.kind = Kind::kAdaptive;
  limit.capacity = 100;
  limit.window = kMinute;
  limit.learning_window = kHour;
  limit.adjustment_ppm = 3'000'000;
  limit.min_capacity = 10;
  limit.max_capacity = 1000;
  return Sanitize(limit);
}

// `windows` windows of `per_window` single requests each, from `now` on. Returns when it ends.
Nanos Live(Counter& counter, Nanos now, int windows, int per_window) {
  for (int w = 0; w < windows; ++w) {
    for (int i = 0; i < per_window; ++i) counter.Check(1, now + i);
    now += kMinute;
  }
  return now;
}

adaptive::View Explain(const Counter& counter, Nanos now) {
  return adaptive::Explain(counter.limit(), counter.words, now);
}

TEST(Adaptive, HoldsTheConfiguredLimitWhileLearning) {
  Counter counter(Learner());
  EXPECT_EQ(counter.Check(1, kStart).limit, 100U);
  const Nanos now = Live(counter, kStart, 30, 20);
  const adaptive::View view = Explain(counter, now);
  EXPECT_TRUE(view.learning);
  EXPECT_EQ(view.samples, 30U);
  EXPECT_EQ(view.samples_needed, 60U);
  EXPECT_EQ(view.effective_limit, 100U);
  EXPECT_NEAR(view.mean, 20, 1);
}

TEST(Adaptive, LearnsWhatIsNormal) {
  Counter counter(Learner());
  Nanos now = kStart;
  Random random(1);
  for (int w = 0; w < 200; ++w) now = Live(counter, now, 1, static_cast<int>(random.In(35, 45)));
  const adaptive::View view = Explain(counter, now);
  EXPECT_FALSE(view.learning);
  EXPECT_NEAR(view.mean, 40, 2);
  EXPECT_GT(view.deviation, 1);
  EXPECT_LT(view.deviation, 5);
  // Normal and three deviations: room for what is usual, and not much more.
  EXPECT_GT(view.effective_limit, 43U);
  EXPECT_LT(view.effective_limit, 60U);
  EXPECT_EQ(view.learned_limit, view.effective_limit);
}

TEST(Adaptive, StaysWithinItsBounds) {
  Limit limit = Learner();
  Counter idle(limit);
  Nanos now = Live(idle, kStart, 200, 1);
  EXPECT_EQ(Explain(idle, now).effective_limit, limit.min_capacity);
  limit.max_capacity = 120;
  Counter busy(limit);
  now = Live(busy, kStart, 2000, 500);
  EXPECT_LE(Explain(busy, now).effective_limit, 120U);
}

TEST(Adaptive, AFloodDoesNotBecomeNormalQuickly) {
  Counter counter(Learner());
  Nanos now = Live(counter, kStart, 200, 40);
  const std::uint64_t before = Explain(counter, now).effective_limit;
  now = Live(counter, now, 10, 10'000);
  EXPECT_LE(Explain(counter, now).effective_limit, before + 20);
}

TEST(Adaptive, ASampleCountsNoMoreThanFourDeviationsAboveNormal) {
  Counter counter(Learner());
  Nanos now = Live(counter, kStart, 200, 40);
  // One charge far beyond the limit (a commit above its reservation) is one sample like any other.
  counter.Do(Op::kCharge, 1000, now);
  now += kMinute;
  counter.Check(1, now);
  EXPECT_LT(Explain(counter, now).mean, 42);
}

TEST(Adaptive, ABaselineLearnedFromASlowStartComesDownQuickly) {
  Counter counter(Learner());
  const auto hear = [&](int times, Nanos latency) {
    for (int i = 0; i < times; ++i) adaptive::Feedback(counter.limit(), counter.words, latency, false, kStart);
    return Explain(counter, kStart);
  };
  hear(1, kSecond);
  EXPECT_LT(hear(80, 20 * kMillisecond).normal_latency_ms, 100);
}

TEST(Adaptive, FollowsGrowthInTheEnd) {
  Counter counter(Learner());
  Nanos now = Live(counter, kStart, 200, 40);
  const std::uint64_t before = Explain(counter, now).effective_limit;
  now = Live(counter, now, 600, 80);
  EXPECT_GT(Explain(counter, now).effective_limit, before);
}

TEST(Adaptive, KnowsTheHoursOfTheDay) {
  Counter counter(Learner());
  // Three days: from 09:00 to 17:00 UTC 60 a minute, else 5.
  const Nanos midnight = kStart - kStart % kDay;
  for (int minute = 0; minute < 3 * 24 * 60; ++minute) {
    const int hour = minute / 60 % 24;
    Live(counter, midnight + minute * kMinute, 1, hour >= 9 && hour < 17 ? 60 : 5);
  }
  const adaptive::View noon = Explain(counter, midnight + 3 * kDay + 12 * kHour);
  const adaptive::View night = Explain(counter, midnight + 3 * kDay + 2 * kHour);
  EXPECT_TRUE(noon.seasonal);
  EXPECT_TRUE(night.seasonal);
  EXPECT_GT(noon.season, 50);
  EXPECT_LT(night.season, 10);
  EXPECT_GE(noon.effective_limit, 60U);
  EXPECT_LT(night.effective_limit, 40U);
}

TEST(Adaptive, SlowUpstreamLowersTheLimitAndRecoveryRaisesIt) {
  Counter counter(Learner());
  const auto hear = [&](int times, Nanos latency, bool error) {
    for (int i = 0; i < times; ++i)
      adaptive::Feedback(counter.limit(), counter.words, latency, error, kStart + kSecond);
    return Explain(counter, kStart + kSecond);
  };
  counter.Check(1, kStart);
  adaptive::View view = hear(200, 20 * kMillisecond, false);
  EXPECT_EQ(view.health, 1);
  EXPECT_EQ(view.effective_limit, 100U);
  EXPECT_NEAR(view.latency_ms, 20, 1);
  view = hear(30, 200 * kMillisecond, false);
  EXPECT_LT(view.health, 0.8);
  EXPECT_LT(view.effective_limit, 80U);
  EXPECT_LT(counter.Peek(0, kStart + kSecond).limit, 80U);
  view = hear(200, 20 * kMillisecond, false);
  EXPECT_EQ(view.health, 1);
  EXPECT_EQ(view.effective_limit, 100U);
}

TEST(Adaptive, ErrorsLowerTheLimitDownToItsMinimum) {
  Counter counter(Learner());
  for (int i = 0; i < 500; ++i) adaptive::Feedback(counter.limit(), counter.words, 5 * kMillisecond, true, kStart);
  const adaptive::View view = Explain(counter, kStart);
  EXPECT_GT(view.error_share, 0.99);
  EXPECT_EQ(view.effective_limit, 10U);
}

TEST(Adaptive, HealthWithoutNewsIsForgotten) {
  Counter counter(Learner());
  for (int i = 0; i < 500; ++i) adaptive::Feedback(counter.limit(), counter.words, 5 * kMillisecond, true, kStart);
  EXPECT_EQ(Explain(counter, kStart + kHour).health, 1);
}

TEST(Adaptive, FeedbackEntersThroughAChargeOfNothing) {
  Counter counter(Learner());
  counter.Check(5, kStart);
  Words direct = counter.words;
  adaptive::Feedback(counter.limit(), direct, 30 * kMillisecond, true, kStart + 1);
  const Outcome outcome = counter.Do(Op::kCharge, 0, kStart + 1, adaptive::FeedbackToken(30 * kMillisecond, true));
  EXPECT_EQ(counter.words, direct);
  EXPECT_EQ(outcome.used, 5U);
  // Another token is no feedback.
  counter.Do(Op::kCharge, 0, kStart + 2, 12345);
  EXPECT_EQ(counter.words, direct);
  for (const Nanos latency : {INT64_MIN, Nanos{0}, INT64_MAX}) EXPECT_NE(adaptive::FeedbackToken(latency, false), 0U);
}

TEST(Adaptive, NeverAdmitsMoreThanItsMaximumInAWindow) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(Kind::kAdaptive, random);
    Counter counter(limit);
    Nanos now = kStart;
    Nanos opened = -1;
    std::uint64_t admitted = 0;
    for (int step = 0; step < 500; ++step) {
      now += random.In(0, limit.window / 10 + 1);
      if (random.OneIn(5)) adaptive::Feedback(limit, counter.words, random.In(0, kSecond), random.OneIn(3), now);
      const auto cost = static_cast<std::uint64_t>(random.In(1, 5));
      const Outcome outcome = counter.Check(cost, now);
      ASSERT_GE(outcome.limit, limit.min_capacity);
      ASSERT_LE(outcome.limit, limit.max_capacity);
      if (outcome.verdict != Verdict::kAllowed) continue;
      if (counter.words[0] != opened) admitted = 0;
      opened = counter.words[0];
      admitted += cost;
      ASSERT_LE(admitted, limit.max_capacity);
    }
  }
}

TEST(Adaptive, ForgetsASubjectThatStaysAway) {
  Counter counter(Learner());
  const Nanos now = Live(counter, kStart, 200, 40);
  const Nanos expires = counter.Expires();
  EXPECT_GT(expires, now + 6 * kDay);
  EXPECT_FALSE(Explain(counter, expires - 1).learning);
  EXPECT_TRUE(Explain(counter, expires).learning);
}

TEST(Adaptive, WhatCostsMoreThanTheLimitNeverFits) {
  Counter counter(Learner());
  EXPECT_EQ(counter.Check(101, kStart).verdict, Verdict::kNever) << "also in an empty window";
  EXPECT_EQ(counter.Check(101, kStart).retry_after_ns, 0);
  EXPECT_EQ(counter.Check(100, kStart).verdict, Verdict::kAllowed);
  EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kLater);
  EXPECT_EQ(counter.Check(101, kStart + kMinute).verdict, Verdict::kNever);
}

}  // namespace
}  // namespace weir::algorithms::testing
