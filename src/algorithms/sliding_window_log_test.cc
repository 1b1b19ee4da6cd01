#include "algorithms/sliding_window_log.h"

#include <gtest/gtest.h>

#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Log(std::uint64_t capacity, Nanos window) {
  Limit limit;
  limit.kind = Kind::kSlidingWindowLog;
  limit.capacity = capacity;
  limit.window = window;
  return Sanitize(limit);
}

TEST(SlidingWindowLog, IsExact) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const auto capacity = random.In(1, random.OneIn(3) ? 300 : 10);
    const Limit limit = Log(static_cast<std::uint64_t>(capacity), random.In(1, 100 * kSecond));
    SCOPED_TRACE(Describe(limit));
    Counter counter(limit);
    std::vector<Event> admitted;
    Nanos now = kStart;
    for (int step = 0; step < 150; ++step) {
      now += random.OneIn(3) ? 0 : random.In(0, limit.window / (random.OneIn(10) ? 1 : 15));
      const std::int64_t cost = random.OneIn(4) ? random.In(1, capacity + 1) : 1;
      const std::int64_t used = InTrailingWindow(admitted, limit.window, now);
      const Outcome outcome = counter.Check(static_cast<std::uint64_t>(cost), now);
      ASSERT_EQ(outcome.verdict == Verdict::kAllowed, used + cost <= capacity);
      ASSERT_EQ(outcome.verdict == Verdict::kNever, cost > capacity);
      if (outcome.verdict == Verdict::kAllowed) admitted.push_back({now, cost});
      ASSERT_EQ(outcome.used, static_cast<std::uint64_t>(InTrailingWindow(admitted, limit.window, now)));
      if (outcome.verdict == Verdict::kLater) {
        const Nanos at = now + outcome.retry_after_ns;
        ASSERT_LE(InTrailingWindow(admitted, limit.window, at) + cost, capacity);
        ASSERT_GT(InTrailingWindow(admitted, limit.window, at - 1) + cost, capacity);
      }
      if (!admitted.empty() && outcome.used > 0) {
        ASSERT_EQ(outcome.reset_after_ns, admitted.back().at + limit.window - now);
      }
    }
    ASSERT_LE(MostInAnyWindow(admitted, limit.window), capacity);
  }
}

TEST(SlidingWindowLog, MemoryIsBoundedByTheLimitAlsoUnderDebt) {
  const Limit limit = Log(8, kSecond);
  Counter counter(limit);
  for (int i = 0; i < 1000; ++i) counter.Do(Op::kCharge, 3, kStart + i);
  EXPECT_EQ(counter.Used(kStart + 1000), 3000U);
  EXPECT_LE(counter.words.size(), 2U + 2U * (2U * 8U + 1U));
  EXPECT_EQ(counter.Used(kStart + kSecond + 1000), 0U);
}

TEST(SlidingWindowLog, OneInstantIsOneEntry) {
  Counter counter(Log(1'000'000, kSecond));
  for (int i = 0; i < 1000; ++i) counter.Check(2, kStart);
  EXPECT_EQ(counter.words.size(), 4U);
  EXPECT_EQ(counter.Used(kStart), 2000U);
}

TEST(SlidingWindowLog, DroppedEntriesAreGivenBackInTime) {
  const Limit limit = Log(100, 100 * kMillisecond);
  Counter counter(limit);
  std::size_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    counter.Check(1, kStart + i * kMillisecond);
    most = std::max(most, counter.words.size());
  }
  // 100 live ones, as many dropped, and the header.
  EXPECT_LE(most, 2U + 2U * 201U);
}

TEST(SlidingWindowLog, RefundTakesTheLatestFirst) {
  const Limit limit = Log(10, kSecond);
  Counter counter(limit);
  counter.Check(4, kStart);
  counter.Check(4, kStart + 500 * kMillisecond);
  counter.Do(Op::kRefund, 6, kStart + 600 * kMillisecond);
  EXPECT_EQ(counter.Used(kStart + 600 * kMillisecond), 2U);
  EXPECT_EQ(counter.Used(kStart + kSecond), 0U);
}

}  // namespace
}  // namespace weir::algorithms::testing
