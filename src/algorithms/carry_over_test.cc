#include "algorithms/carry_over.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "algorithms/adaptive.h"
#include "algorithms/penalty.h"
#include "algorithms/sliding_window_log.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

constexpr std::uint64_t kToken = 77;

void Add(Counter& here, const Counter& there, Nanos now) {
  const Previous previous{.limit = there.limit(), .word = there.word, .words = &there.words};
  if (Of(here.limit().kind).shape == Shape::kWord) {
    CarryOver(here.limit(), previous, now, here.word);
  } else {
    CarryOver(here.limit(), previous, now, kToken, here.words);
  }
}

// The same rule with other numbers, so that states mean the same.
Limit OtherNumbers(const Limit& limit, Random& random) {
  Limit other = limit;
  other.capacity = other.max_capacity = limit.capacity + static_cast<std::uint64_t>(random.In(1, 10));
  other.threshold = limit.threshold + static_cast<std::uint32_t>(random.In(0, 3));
  return Sanitize(other);
}

class CarriedOver : public ::testing::TestWithParam<std::tuple<Kind, Kind>> {
 protected:
  void SetUp() override { std::tie(from_kind_, to_kind_) = GetParam(); }

  // Calls `check(from, to, now)` with random states of both kinds; now and then with alike limits.
  template <typename Check>
  void ForRandomPairs(const Check& check) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      Random random(seed);
      const Limit from_limit = RandomLimit(from_kind_, random);
      Limit to_limit = RandomLimit(to_kind_, random);
      if (from_kind_ == to_kind_ && random.OneIn(2)) to_limit = OtherNumbers(from_limit, random);
      if (to_limit.window == 0) continue;  // keeps nothing
      Counter from(from_limit), to(to_limit);
      Nanos now = kStart;
      for (int step = 0; step < 40; ++step) {
        now += random.In(0, std::min(Scale(from_limit), Scale(to_limit)) / 4);
        const auto token = static_cast<std::uint64_t>(step);
        if (!random.OneIn(4)) from.Check(static_cast<std::uint64_t>(random.In(1, 3)), now, token);
        if (random.OneIn(3)) to.Check(static_cast<std::uint64_t>(random.In(1, 3)), now, 100 + token);
      }
      if (from.Expires() <= now) continue;
      SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(from_limit) + " -> " + Describe(to_limit));
      check(from, to, now);
      if (HasFailure()) return;
    }
  }

  Kind from_kind_{}, to_kind_{};
};

// The state of one limit under another that is alike.
Counter Moved(const Counter& from, const Limit& to, Nanos now) {
  Counter moved(to);
  moved.word = from.word;
  moved.words = from.words;
  if (to.kind == Kind::kSlidingWindowLog && from.limit().kind == to.kind) {
    sliding_window_log::Widen(from.limit(), to, now, moved.words);
  }
  return moved;
}

TEST_P(CarriedOver, WhatWasUsedThereIsAddedHere) {
  ForRandomPairs([](const Counter& from, Counter to, Nanos now) {
    // A shorter window looks back less far: alike, it is the history that moves.
    const bool alike = CarriesOver(from.limit(), to.limit());
    const Counter moved = Moved(from, to.limit(), now);
    const std::uint64_t there = alike ? moved.Used(now) : from.Used(now), here = to.Used(now);
    Add(to, from, now);
    const std::uint64_t grain = Grain(from.limit()) + 2 * Grain(to.limit()) + (alike ? 1 : 0);
    EXPECT_GE(to.Used(now) + grain, here + there);
    EXPECT_LE(to.Used(now), here + there + grain);
    const Outcome outcome = to.Peek(0, now);
    EXPECT_EQ(outcome.remaining, to.Used(now) < outcome.limit ? outcome.limit - to.Used(now) : 0);
  });
}

TEST_P(CarriedOver, ToAFreshStateItIsAsConversionDoes) {
  ForRandomPairs([](const Counter& from, const Counter& to, Nanos now) {
    Counter fresh(to.limit()), expected(to.limit());
    Add(fresh, from, now);
    if (CarriesOver(from.limit(), to.limit())) {
      expected = Moved(from, to.limit(), now);
    } else {
      expected.Do(Op::kAssign, from.Used(now), now, kToken);
    }
    EXPECT_EQ(fresh.Used(now), expected.Used(now));
    if (expected.Expires() > now && from.Used(now) > 0) {
      EXPECT_TRUE(fresh.SameState(expected));
    }
  });
}

TEST_P(CarriedOver, AFreshStateAddsNothing) {
  ForRandomPairs([](const Counter& from, Counter to, Nanos now) {
    const Counter before = to;
    Counter nothing(from.limit());
    Add(to, nothing, now);
    EXPECT_TRUE(to.SameState(before));
  });
}

INSTANTIATE_TEST_SUITE_P(EveryPair, CarriedOver,
                         ::testing::Combine(::testing::ValuesIn(kRuleKinds), ::testing::ValuesIn(kRuleKinds)),
                         [](const auto& test) {
                           return std::string(Of(std::get<0>(test.param)).name) + "_to_" +
                                  std::string(Of(std::get<1>(test.param)).name);
                         });

TEST(CarryOver, OfBucketsOfOneRateIsExactToTheNanosecond) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(Kind::kTokenBucket, random);
    const Limit other = OtherNumbers(limit, random);
    if (!CarriesOver(limit, other)) continue;
    Counter from(limit), to(other);
    from.word = kStart + random.Magnitude(kDay);
    to.word = random.OneIn(3) ? kStart - random.Magnitude(kDay) : kStart + random.Magnitude(kDay);
    const Nanos spent = (from.word - kStart) + std::max<Nanos>(0, to.word - kStart);
    Add(to, from, kStart);
    EXPECT_EQ(std::max(to.word, kStart) - kStart, spent);
  }
}

TEST(CarryOver, SaturatesInsteadOfOverflowing) {
  Random random(3);
  for (const Kind kind : kRuleKinds) {
    Limit limit = RandomLimit(kind, random);
    limit.window = kHour;
    limit.precision = kMinute;
    limit.calendar = Calendar::kNone;
    limit = Sanitize(limit);
    Limit other = limit;
    other.rate_period = 2 * limit.rate_period + 1;
    for (const Limit& to : {limit, Sanitize(other)}) {
      Counter from(limit), here(to);
      from.Do(Op::kCharge, kMaxCount, kStart, 1);
      here.Do(Op::kCharge, kMaxCount, kStart, 2);
      Add(here, from, kStart);
      EXPECT_GE(here.Used(kStart),
                std::min(kMaxCount, static_cast<std::uint64_t>(INT64_MAX - kStart) /
                                        static_cast<std::uint64_t>(std::max<Nanos>(1, to.rate_period))))
          << Of(kind).name;
      EXPECT_LE(here.Used(kStart), kMaxCount);
    }
  }
}

TEST(CarryOver, EverySlotOfBothIsStillHeldByItsNameAndUntilItsTime) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Limit limit = RandomLimit(Kind::kConcurrency, random);
    limit.capacity = 50;
    limit.lease = 10 * kSecond;
    Limit other = limit;
    other.lease = random.In(1, 20) * kSecond;
    Counter from(limit), to(other);
    Nanos now = kStart;
    for (std::uint64_t token = 0; token < 20; ++token) {
      now += random.In(0, kSecond);
      (random.OneIn(2) ? from : to).Check(static_cast<std::uint64_t>(random.In(1, 2)), now, token);
    }
    const Counter before_from = from, before_to = to;
    Add(to, from, now);
    for (Nanos later = now; later < now + 21 * kSecond; later += kSecond / 3) {
      ASSERT_EQ(to.Used(later), before_from.Used(later) + before_to.Used(later)) << "seed " << seed;
    }
    for (std::uint64_t token = 0; token < 20; ++token) to.Do(Op::kRefund, 1, now, token);
    EXPECT_EQ(to.Used(now), 0u) << "seed " << seed;
  }
}

TEST(CarryOver, ABanIsNeverShortenedAndALevelNeverForgotten) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(Kind::kPenalty, random);
    const Limit other = OtherNumbers(limit, random);
    Counter from(limit), to(other);
    Nanos now = kStart;
    for (int strike = 0; strike < 20; ++strike) {
      now += random.In(0, 3 * kSecond);
      (random.OneIn(2) ? from : to).Do(Op::kCharge, 1, now);
    }
    if (from.Expires() <= now) continue;
    const Counter before = to;
    Add(to, from, now);
    EXPECT_GE(to.Peek(1, now).retry_after_ns, before.Peek(1, now).retry_after_ns);
    if (from.Expires() > now) {
      EXPECT_GE(to.Peek(1, now).retry_after_ns, from.Peek(1, now).retry_after_ns);
    }
    const auto level_of = [](const Counter& counter) { return counter.words.empty() ? 0 : counter.words[1]; };
    // As of the latest ban's end; levels that had decayed by then are gone in either.
    EXPECT_GE(level_of(to), std::min<Word>(level_of(from.Expires() > before.Expires() ? from : before), 1));
    EXPECT_LE(level_of(to), std::min<Word>(penalty::kMostLevel, level_of(from) + level_of(before) + 1));
  }
}

TEST(CarryOver, WhoHasLearnedMoreKnowsBetter) {
  Limit limit;
  limit.kind = Kind::kAdaptive;
  limit.capacity = 50;
  limit.window = kMinute;
  limit.learning_window = kHour;
  limit.adjustment_ppm = 1'000'000;
  limit.min_capacity = 1;
  limit.max_capacity = 500;
  limit = Sanitize(limit);
  Counter learned(limit), novice(limit);
  Nanos now = kStart;
  for (int window = 0; window < 70; ++window, now += kMinute) learned.Check(10, now);
  novice.Check(3, now - kMinute);
  novice.Check(3, now - kSecond);
  learned.Check(4, now - kSecond);
  const Outcome expected = learned.Peek(0, now);
  for (const bool to_novice : {true, false}) {
    Counter here = to_novice ? novice : learned;
    Add(here, to_novice ? learned : novice, now);
    EXPECT_EQ(here.Peek(0, now).limit, expected.limit) << to_novice;
    EXPECT_EQ(here.Used(now), learned.Used(now) + novice.Used(now)) << to_novice;
    EXPECT_EQ(adaptive::Samples(limit, here.words), adaptive::Samples(limit, learned.words));
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
