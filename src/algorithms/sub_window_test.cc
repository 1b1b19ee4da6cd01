#include "algorithms/sub_window.h"

#include <gtest/gtest.h>

#include "algorithms/testing.h"

namespace weir::algorithms {
namespace {

using testing::Counter;
using testing::kStart;
using testing::Random;

Limit SlidingOf(std::uint64_t capacity, Nanos window, Nanos precision) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.capacity = capacity;
  limit.window = window;
  limit.precision = precision;
  return Sanitize(limit);
}

TEST(SubWindow, HoldsWholeSubWindowsAndCountsThatFit) {
  EXPECT_TRUE(sub_window::Holds(SlidingOf(1000, kHour, kMinute)));
  EXPECT_TRUE(sub_window::Holds(SlidingOf((1U << 31) - 1, kMinute, kSecond)));
  EXPECT_FALSE(sub_window::Holds(SlidingOf(1U << 31, kMinute, kSecond)));
  EXPECT_FALSE(sub_window::Holds(SlidingOf(1000, kMinute, 7 * kSecond)));
  EXPECT_FALSE(sub_window::Holds(SlidingOf(1000, kMinute, kMinute)));
  EXPECT_FALSE(sub_window::Holds(SlidingOf(1000, 100 * kDay, kDay)));
  Limit counting = SlidingOf(1000, kHour, kMinute);
  counting.count_denied = true;
  EXPECT_FALSE(sub_window::Holds(counting));
}

// What a frame and its count answer, the state answers to the nanosecond: over random histories, as long as the
// sub-window lasts.
TEST(SubWindow, AnswersAsTheStateDoes) {
  int allowed = 0, denied = 0, never = 0, by_oldest = 0, without = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random(seed);
    const Nanos precision = random.OneIn(2) ? random.In(1, 50) * kMillisecond : random.In(kMillisecond, kMinute);
    const Limit limit =
        SlidingOf(static_cast<std::uint64_t>(random.OneIn(9) ? sub_window::kMostCount : random.In(1, 40)),
                  precision * random.In(2, 9), precision);
    ASSERT_TRUE(sub_window::Holds(limit));
    Counter state(limit);
    Nanos now = kStart + random.In(0, kMinute);
    for (int step = 0; step < 200; ++step) {
      now += random.OneIn(4) ? random.In(0, limit.window) : random.In(0, limit.precision);
      const auto high = static_cast<std::int64_t>(limit.capacity / 3 + 2);
      state.Do(random.OneIn(6)   ? Op::kRefund
               : random.OneIn(9) ? Op::kCharge
                                 : Op::kCheck,
               static_cast<std::uint64_t>(random.In(1, high)), now);
      const auto frame = sub_window::FrameOf(limit, state.words, now);
      if (!frame) continue;
      // The same requests, of the state and of the frame.
      Counter asked = state;
      std::int64_t count = 0;
      for (int i = 0; i < 8; ++i) {
        now += random.In(0, limit.precision / 3);
        if (!sub_window::IsOf(*frame, limit, now)) break;
        const auto cost = static_cast<std::uint64_t>(random.In(0, high));
        const bool fits = cost == 0 || sub_window::Fits(limit, *frame, count, cost, now);
        const Outcome expected = asked.Peek(cost, now);
        ASSERT_EQ(fits, expected.verdict == Verdict::kAllowed) << "seed " << seed;
        if (fits && cost > 0 && frame->newest != frame->index) {
          ++without;
          break;
        }
        if (fits) {
          count += static_cast<std::int64_t>(cost);
          ASSERT_EQ(sub_window::Describe(limit, *frame, count, now), asked.Check(cost, now)) << "seed " << seed;
          ++allowed;
          continue;
        }
        Outcome outcome = sub_window::Describe(limit, *frame, count, now);
        if (cost > limit.capacity) {
          ASSERT_EQ(expected.verdict, Verdict::kNever);
          outcome.verdict = Verdict::kNever;
          ++never;
        } else {
          outcome.verdict = Verdict::kLater;
          outcome.retry_after_ns = expected.retry_after_ns;
          if (const auto at = sub_window::FitsAt(limit, *frame, count, cost)) {
            outcome.retry_after_ns = std::max<Nanos>(1, *at - now);
            ++by_oldest;
          }
          ++denied;
        }
        ASSERT_EQ(outcome, expected) << "seed " << seed;
      }
      if (random.OneIn(2)) state = asked;
    }
  }
  EXPECT_GT(allowed, 1000);
  EXPECT_GT(denied, 1000);
  EXPECT_GT(never, 100);
  EXPECT_GT(by_oldest, 100);
  EXPECT_GT(without, 100);
}

TEST(SubWindow, ThereIsNoFrameOfWhatItCannotSay) {
  const Limit limit = SlidingOf(100, kMinute, kSecond);
  EXPECT_FALSE(sub_window::FrameOf(limit, {}, kStart));
  EXPECT_FALSE(sub_window::FrameOf(limit, {1, 2}, kStart));
  const Word index = kStart / kSecond;
  EXPECT_TRUE(sub_window::FrameOf(limit, {3, index, 3}, kStart));
  EXPECT_FALSE(sub_window::FrameOf(limit, {3, index + 1, 3}, kStart)) << "the clock went back";
  EXPECT_FALSE(sub_window::FrameOf(limit, {3, index - 61, 3}, kStart)) << "it has expired";
  EXPECT_FALSE(sub_window::FrameOf(limit, {1, index, Word{1} << 31}, kStart)) << "debt";
  EXPECT_FALSE(sub_window::FrameOf(limit, {1, index, -5}, kStart)) << "damaged";
  EXPECT_FALSE(sub_window::FrameOf(limit, {INT64_MAX, index, 3}, kStart)) << "another total than its counts";
  EXPECT_FALSE(sub_window::FrameOf(limit, {6, index, 3, index, 3}, kStart)) << "one sub-window twice";
  EXPECT_FALSE(sub_window::FrameOf(limit, {6, index, 3, index - 1, 3}, kStart)) << "out of order";
  EXPECT_TRUE(sub_window::FrameOf(limit, {6, index - 70, 3, index, 3}, kStart)) << "one of two has expired";
}

}  // namespace
}  // namespace weir::algorithms
