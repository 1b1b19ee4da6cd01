#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include "weir/rate_limiter.h"
#include "weir/testing.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(PerKey, EachKeyHasTheLimitForItself) {
  ManualClock clock;
  auto limiter = RateLimiter::PerKey({3, 60s}, {.clock = &clock}).value();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limiter.Check("alice").allowed);
    EXPECT_TRUE(limiter.Check("bob").allowed);
  }
  EXPECT_FALSE(limiter.Check("alice").allowed);
  const Decision denied = limiter.Check("bob");
  EXPECT_FALSE(denied.allowed);
  EXPECT_EQ(denied.decider()->policy, "per_key");
  EXPECT_EQ(denied.decider()->outcome.limit, 3U);
  clock.Advance(60s + 1ms);
  EXPECT_TRUE(limiter.Check("alice").allowed);
}

TEST(PerKey, AnEmptyKeyIsLimitedToo) {
  ManualClock clock;
  auto limiter = RateLimiter::PerKey({2, 1min}, {.clock = &clock}).value();
  EXPECT_TRUE(limiter.Check("").allowed);
  EXPECT_TRUE(limiter.Check({}).allowed);
  EXPECT_FALSE(limiter.Check("").allowed);
  EXPECT_TRUE(limiter.Check("alice").allowed);
}

TEST(PerKey, CostsLooksRefundsAndResets) {
  ManualClock clock;
  auto limiter =
      RateLimiter::PerKey({.max_requests = 10, .window = 10s, .algorithm = TokenBucket{}}, {.clock = &clock}).value();
  EXPECT_TRUE(limiter.Check("alice", 8).allowed);
  EXPECT_FALSE(limiter.Peek("alice", 3).allowed);
  EXPECT_TRUE(limiter.Peek("alice", 2).allowed);
  EXPECT_TRUE(limiter.Refund("alice", 1));
  EXPECT_TRUE(limiter.Check("alice", 3).allowed);
  EXPECT_FALSE(limiter.Check("alice").allowed);
  clock.Advance(1s);
  EXPECT_TRUE(limiter.Check("alice").allowed) << "one a second comes back";
  EXPECT_TRUE(limiter.Reset("alice"));
  EXPECT_TRUE(limiter.Check("alice", 10).allowed);
  EXPECT_EQ(limiter.limiter().GetStats().denied, 1U);
}

TEST(PerKey, MovesWithItsCounts) {
  auto limiter = RateLimiter::PerKey({1, 1h}).value();
  EXPECT_TRUE(limiter.Check("alice").allowed);
  KeyedLimiter moved = std::move(limiter);
  EXPECT_FALSE(moved.Check("alice").allowed);
}

TEST(PerKey, ALimitOutOfRangeIsRefused) {
  for (const std::chrono::seconds window : {0s, -1s, 315'360'001s, std::chrono::seconds::max()}) {
    const auto limiter = RateLimiter::PerKey({100, window});
    ASSERT_FALSE(limiter) << window.count();
    EXPECT_EQ(limiter.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(limiter.error().message, "the window must be from 1 s to 315360000 s");
  }
  FixedWindow nowhere;
  nowhere.time_zone = "Nowhere/Land";
  const auto zone = RateLimiter::PerKey({100, 60s, nowhere});
  ASSERT_FALSE(zone);
  EXPECT_EQ(zone.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(RateLimiter::PerKey({100, 315'360'000s}));
}

}  // namespace
}  // namespace weir
