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

Limit Kept(std::uint64_t capacity, Nanos window, Nanos retention, Nanos cleanup = 0) {
  Limit limit = Log(capacity, window);
  limit.retention = retention;
  limit.cleanup = cleanup;
  return Sanitize(limit);
}

std::size_t EntriesOf(const Counter& counter) { return counter.words.empty() ? 0 : (counter.words.size() - 2) / 2; }

// What is decided is the same whatever is kept: the log without retention beside those with it.
TEST(SlidingWindowLog, RetentionDecidesNothing) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const auto capacity = static_cast<std::uint64_t>(random.In(1, 12));
    const Nanos window = random.In(1, 10 * kSecond);
    Counter plain(Log(capacity, window));
    const Limit kept = Kept(capacity, window, random.In(0, 5 * window), random.OneIn(2) ? 0 : random.In(1, 3 * window));
    SCOPED_TRACE(Describe(kept));
    Counter counter(kept);
    Nanos now = kStart;
    for (int step = 0; step < 200; ++step) {
      now += random.In(0, window / (random.OneIn(10) ? 1 : 8));
      const Op op = random.OneIn(6) ? Op::kRefund : random.OneIn(8) ? Op::kCharge : Op::kCheck;
      const auto cost = static_cast<std::uint64_t>(random.In(1, 3));
      EXPECT_EQ(counter.Do(op, cost, now), plain.Do(op, cost, now));
      ASSERT_EQ(counter.Used(now), plain.Used(now));
    }
  }
}

TEST(SlidingWindowLog, EntriesGoAtTheEndOfTheirRetentionAndNeverInTheWindow) {
  // One a second: the last 10 count, 30 are kept.
  const Limit limit = Kept(1000, 10 * kSecond, 30 * kSecond);
  Counter counter(limit);
  for (int i = 0; i < 200; ++i) {
    counter.Check(1, kStart + i * kSecond);
    EXPECT_EQ(counter.Used(kStart + i * kSecond), static_cast<std::uint64_t>(std::min(10, i + 1)));
    EXPECT_GE(EntriesOf(counter), static_cast<std::size_t>(std::min(30, i + 1)));
    EXPECT_LE(EntriesOf(counter), 61U);
  }
  EXPECT_EQ(sliding_window_log::Expires(limit, counter.words), kStart + 199 * kSecond + 30 * kSecond);
}

TEST(SlidingWindowLog, IsCleanedAtTheInterval) {
  const Limit limit = Kept(1000, 10 * kSecond, 0, 5 * kSecond);
  Counter counter(limit);
  std::size_t before = 0;
  int last_cleaned = -1;
  for (int i = 0; i < 100; ++i) {
    counter.Check(1, kStart + i * kSecond);
    EXPECT_GE(EntriesOf(counter), static_cast<std::size_t>(std::min(10, i + 1)));
    EXPECT_LE(EntriesOf(counter), 15U) << "10 in the window, 5 of the interval";
    if (EntriesOf(counter) < before) {
      EXPECT_EQ(EntriesOf(counter), 10U) << "nothing is left of what is over";
      if (last_cleaned >= 0) {
        EXPECT_EQ(i - last_cleaned, 6) << "not more often than that";
      }
      last_cleaned = i;
    }
    before = EntriesOf(counter);
  }
  EXPECT_GE(last_cleaned, 0);
}

TEST(SlidingWindowLog, ALongerWindowCountsWhatWasKept) {
  const Limit before = Kept(100, 10 * kSecond, 60 * kSecond), after = Log(100, 40 * kSecond);
  Counter counter(before);
  for (int i = 0; i < 100; ++i) counter.Check(1, kStart + i * kSecond);
  const Nanos now = kStart + 99 * kSecond;
  EXPECT_EQ(counter.Used(now), 10U);
  Words wider = counter.words;
  sliding_window_log::Widen(before, after, now, wider);
  EXPECT_EQ(sliding_window_log::Used(after, wider, now), 40U);
  // Not beyond what is kept for certain.
  Words widest = counter.words;
  sliding_window_log::Widen(before, Log(100, 90 * kSecond), now, widest);
  EXPECT_EQ(sliding_window_log::Used(Log(100, 90 * kSecond), widest, now), 60U);
  Words same = counter.words;
  sliding_window_log::Widen(Log(100, 10 * kSecond), after, now, same);
  EXPECT_EQ(same, counter.words) << "without a retention nothing is known";
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
