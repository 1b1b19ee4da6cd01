#include "io/breaker.h"

#include <gtest/gtest.h>

#include "io/backoff.h"

namespace weir::io {
namespace {

constexpr BreakerOptions kOptions{.failures_to_open = 3, .open_min = 100, .open_max = 400};
constexpr double kLongest = 0.999999;  // jitter: nearly the whole wait

Breaker Closed(Nanos now) {
  Breaker breaker(kOptions);
  EXPECT_TRUE(breaker.AllowProbe(now));
  breaker.OnProbe(true, now, 0);
  return breaker;
}

TEST(Breaker, StartsOpenAndDueForAProbe) {
  Breaker breaker(kOptions);
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  EXPECT_EQ(breaker.opened(), 0u);
  EXPECT_TRUE(breaker.AllowProbe(-1'000'000));
  EXPECT_EQ(breaker.state(), BreakerState::kHalfOpen);
  EXPECT_FALSE(breaker.AllowProbe(-1'000'000)) << "one probe at a time";
  breaker.OnProbe(true, 0, 0);
  EXPECT_EQ(breaker.state(), BreakerState::kClosed);
}

TEST(Breaker, OpensAfterFailuresInARowOnly) {
  Breaker breaker = Closed(0);
  breaker.OnFailure(1, 0);
  breaker.OnFailure(1, 0);
  breaker.OnSuccess();
  breaker.OnFailure(2, 0);
  breaker.OnFailure(2, 0);
  EXPECT_EQ(breaker.state(), BreakerState::kClosed);
  breaker.OnFailure(2, 0);
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  EXPECT_EQ(breaker.opened(), 1u);
}

TEST(Breaker, WaitsLongerAfterEachFailedProbeUpToTheCap) {
  Breaker breaker = Closed(0);
  breaker.Trip(0, kLongest);
  Nanos now = 0;
  for (const Nanos wait : {100, 200, 400, 400}) {
    EXPECT_LE(breaker.probe_at() - now, wait);
    EXPECT_GE(breaker.probe_at() - now, wait / 2);
    EXPECT_FALSE(breaker.AllowProbe(breaker.probe_at() - 1));
    now = breaker.probe_at();
    EXPECT_TRUE(breaker.AllowProbe(now));
    breaker.OnProbe(false, now, kLongest);
    EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  }
  EXPECT_EQ(breaker.opened(), 1u) << "a failed probe is not a new opening";
  ASSERT_TRUE(breaker.AllowProbe(breaker.probe_at()));
  breaker.OnProbe(true, now, 0);
  breaker.Trip(now, kLongest);
  EXPECT_LE(breaker.probe_at() - now, 100) << "having been closed, it begins with the shortest wait";
}

TEST(Breaker, ASignOfLifeShortensTheWait) {
  Breaker breaker = Closed(0);
  breaker.Trip(0, kLongest);
  ASSERT_FALSE(breaker.AllowProbe(10));
  breaker.Hasten(10);
  EXPECT_TRUE(breaker.AllowProbe(10));
}

TEST(Breaker, StragglersOfADeadTimeSayNothing) {
  Breaker breaker = Closed(0);
  breaker.Trip(0, 0);
  const Nanos at = breaker.probe_at();
  for (int i = 0; i < 10; ++i) breaker.OnFailure(1, 0);
  breaker.OnSuccess();
  breaker.OnProbe(true, 1, 0);
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  EXPECT_EQ(breaker.probe_at(), at);
}

TEST(Breaker, TrippingWhileHalfOpenOpensAgain) {
  Breaker breaker(kOptions);
  ASSERT_TRUE(breaker.AllowProbe(0));
  breaker.Trip(0, 0);
  EXPECT_EQ(breaker.state(), BreakerState::kOpen);
  EXPECT_GT(breaker.probe_at(), 0);
}

TEST(Backoff, GrowsToItsCapWithJitterAndStartsAnew) {
  Backoff backoff(100, 1000);
  for (const Nanos wait : {100, 200, 400, 800, 1000, 1000}) {
    const Nanos next = backoff.Next(0.5);
    EXPECT_GE(next, wait / 2);
    EXPECT_LE(next, wait);
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(kLongest), 100);
}

TEST(Backoff, ExtremesDoNotOverflow) {
  Backoff backoff(INT64_MAX / 2, INT64_MAX);
  for (int i = 0; i < 5; ++i) EXPECT_GT(backoff.Next(kLongest), 0);
  Backoff none(0, 0);
  EXPECT_GE(none.Next(0), 0);
}

}  // namespace
}  // namespace weir::io
