#include "algorithms/sliding_window.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Sliding(std::uint64_t capacity, Nanos window, Nanos precision) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.capacity = capacity;
  limit.window = window;
  limit.precision = precision;
  return Sanitize(limit);
}

Limit RandomSliding(Random& random) {
  const Nanos window = random.OneIn(2) ? random.In(3, 200) * kSecond : random.In(3 * kMillisecond, 10 * kSecond);
  // Also precisions that do not divide the window.
  const Nanos precision = window / random.In(2, 12) + random.In(0, 3);
  return Sliding(static_cast<std::uint64_t>(random.In(1, random.OneIn(3) ? 500 : 15)), window, precision);
}

std::int64_t MostInOneSubWindow(const std::vector<Event>& events, Nanos precision) {
  std::int64_t most = 0;
  for (const Event& a : events) {
    std::int64_t sum = 0;
    for (const Event& b : events) sum += a.at / precision == b.at / precision ? b.cost : 0;
    most = std::max(most, sum);
  }
  return most;
}

TEST(SlidingWindow, AgreesWithTheWholeHistory) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const Limit limit = RandomSliding(random);
    ASSERT_FALSE(sliding_window::IsAnchored(limit));
    SCOPED_TRACE(Describe(limit));
    const auto capacity = static_cast<std::int64_t>(limit.capacity);
    Counter counter(limit);
    std::vector<Event> admitted;
    Nanos now = kStart + random.In(0, kHour);
    for (int step = 0; step < 120; ++step) {
      now += random.OneIn(3) ? 0 : random.In(0, limit.window / (random.OneIn(10) ? 1 : 20));
      const std::int64_t cost = random.OneIn(4) ? random.In(1, capacity + 1) : 1;
      const std::int64_t used = Interpolated(admitted, limit, now);
      ASSERT_EQ(counter.Used(now), static_cast<std::uint64_t>(used));
      const Outcome outcome = counter.Check(static_cast<std::uint64_t>(cost), now);
      ASSERT_EQ(outcome.verdict == Verdict::kAllowed, used + cost <= capacity);
      if (outcome.verdict == Verdict::kAllowed) {
        admitted.push_back({now, cost});
        ASSERT_EQ(outcome.used, static_cast<std::uint64_t>(Interpolated(admitted, limit, now)));
      } else if (cost <= capacity) {
        const Nanos at = now + outcome.retry_after_ns;
        ASSERT_LE(Interpolated(admitted, limit, at) + cost, capacity);
        ASSERT_GT(Interpolated(admitted, limit, at - 1) + cost, capacity);
      }
    }
    // The bound that the header states.
    const std::int64_t most = MostInOneSubWindow(admitted, limit.precision);
    ASSERT_LE(most, capacity);
    ASSERT_LE(MostInAnyWindow(admitted, limit.window), capacity + most - 1);
  }
}

TEST(SlidingWindow, AnAdversaryReachesNearlyTwiceTheLimitButNotMore) {
  const Limit limit = Sliding(1000, 60 * kSecond, 10 * kSecond);
  Counter counter(limit);
  std::vector<Event> admitted;
  const Nanos sub = kStart - kStart % limit.precision;
  const auto flood = [&](Nanos at) {
    while (counter.Check(1, at).verdict == Verdict::kAllowed) admitted.push_back({at, 1});
  };
  // All at the very end of one sub-window, and again just before that one has left the window.
  flood(sub + limit.precision - 1);
  EXPECT_EQ(admitted.size(), 1000U);
  flood(sub + limit.precision + limit.window - 2);
  const std::int64_t most = MostInAnyWindow(admitted, limit.window);
  EXPECT_GT(most, 1900);
  EXPECT_LT(most, 2000);
}

TEST(SlidingWindow, SteadyTrafficMeetsTheLimit) {
  const Limit limit = Sliding(100, 60 * kSecond, kSecond);
  Counter counter(limit);
  int allowed = 0;
  // Twice the rate, evenly, for ten windows.
  for (int i = 0; i < 2000; ++i) {
    if (counter.Check(1, kStart + i * 300 * kMillisecond).verdict == Verdict::kAllowed) ++allowed;
  }
  EXPECT_LE(allowed, 1100);
  EXPECT_GE(allowed, 980);
}

TEST(SlidingWindow, CountedDenialsGrowTheCount) {
  Limit limit = Sliding(3, 60 * kSecond, 10 * kSecond);
  limit.count_denied = true;
  Counter counter(limit);
  for (unsigned i = 1; i <= 10; ++i) {
    const Outcome outcome = counter.Check(1, kStart);
    EXPECT_EQ(outcome.used, i);
    EXPECT_EQ(outcome.verdict, i <= 3 ? Verdict::kAllowed : Verdict::kLater);
  }
}

TEST(SlidingWindow, PartIsTheRoundedUpProduct) {
  EXPECT_TRUE(rc::check("part", [] {
    const auto count = *rc::gen::inRange<std::int64_t>(0, (std::int64_t{1} << 53) + 1);
    const auto weight = *rc::gen::inRange<std::int64_t>(0, sliding_window::kWeightOne + 1);
    const Int128 exact = (static_cast<Int128>(count) * weight + sliding_window::kWeightOne - 1) >> 20;
    RC_ASSERT(sliding_window::Part(count, weight) == static_cast<std::int64_t>(exact));
  }));
}

TEST(SlidingWindow, TimeOfWeightIsTheFirstInstantOfThatWeight) {
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    Random random(seed);
    const Limit limit = RandomSliding(random);
    const std::int64_t index = kStart / limit.precision + random.In(0, 1000);
    const std::int64_t weight = random.In(1, sliding_window::kWeightOne - 1);
    const Nanos at = sliding_window::TimeOfWeight(limit, index, weight);
    const auto weight_at = [&](Nanos now) {
      const sliding_window::Position position = sliding_window::Locate(limit, now);
      return position.oldest < index ? sliding_window::kWeightOne : position.oldest > index ? 0 : position.weight;
    };
    ASSERT_LE(weight_at(at), weight);
    ASSERT_GT(weight_at(at - 1), weight);
  }
}

TEST(SlidingWindow, LocateIndexIsLocateAtTheBeginningOfThatSubWindow) {
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    Random random(seed);
    const Limit limit = RandomSliding(random);
    const std::int64_t index = kStart / limit.precision + random.In(0, 1000);
    const sliding_window::Position a = sliding_window::LocateIndex(limit, index);
    const sliding_window::Position b = sliding_window::Locate(limit, index * limit.precision);
    ASSERT_EQ(a.current, b.current);
    ASSERT_EQ(a.oldest, b.oldest);
    ASSERT_EQ(a.weight, b.weight);
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
