// When a rule's algorithm or numbers change at run time, what was used stays used.
#include <gtest/gtest.h>

#include <tuple>

#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

// As a store converts: as it is where that says the same, else by number.
Counter Convert(const Counter& from, const Limit& to, Nanos now) {
  Counter converted(to);
  if (CarriesOver(from.limit(), to)) {
    converted.word = from.word;
    converted.words = from.words;
  } else {
    converted.Do(Op::kAssign, from.Used(now), now);
  }
  return converted;
}

class Conversion : public ::testing::TestWithParam<std::tuple<Kind, Kind>> {};

TEST_P(Conversion, WhatWasUsedStaysUsed) {
  const auto [from_kind, to_kind] = GetParam();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const Limit from = RandomLimit(from_kind, random);
    Limit to = RandomLimit(to_kind, random);
    if (random.OneIn(3)) {
      // The same rule with another number.
      to = from;
      to.kind = to_kind;
      to.capacity = to.max_capacity = from.capacity + 5;
      to = Sanitize(to);
    }
    SCOPED_TRACE(Describe(from) + " -> " + Describe(to));
    Counter counter(from);
    Nanos now = kStart;
    for (int step = 0; step < 50; ++step) {
      now += random.In(0, Scale(from) / 4);
      counter.Check(static_cast<std::uint64_t>(random.In(1, 3)), now, static_cast<std::uint64_t>(step));
    }
    const std::uint64_t used = counter.Used(now);
    const Counter converted = Convert(counter, to, now);
    const std::uint64_t carried = converted.Used(now);
    // A window of nothing keeps nothing.
    if (to.window == 0 && (to_kind == Kind::kFixedWindow || to_kind == Kind::kSlidingWindow)) continue;
    if (CarriesOver(from, to)) {
      // A longer window may remember more of what was used, a shorter one less: it is the history that stays.
      if (to.window == from.window && to.lease == from.lease) {
        EXPECT_GE(carried + Grain(to), used);
        EXPECT_LE(carried, used + Grain(to) + Grain(from));
      }
    } else {
      EXPECT_GE(carried + Grain(to), used);
      EXPECT_LE(carried, used + Grain(to));
    }
    // And it counts: what is left is the new limit less what was used.
    const Outcome outcome = converted.Peek(0, now);
    EXPECT_EQ(outcome.remaining, carried < outcome.limit ? outcome.limit - carried : 0);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryPair, Conversion,
                         ::testing::Combine(::testing::ValuesIn(kRuleKinds), ::testing::ValuesIn(kRuleKinds)),
                         [](const auto& test) {
                           return std::string(Of(std::get<0>(test.param)).name) + "_to_" +
                                  std::string(Of(std::get<1>(test.param)).name);
                         });

TEST(Conversion, PenaltiesKeepBansAndLevels) {
  Random random(1);
  Limit from = RandomLimit(Kind::kPenalty, random);
  Limit to = from;
  to.threshold += 10;
  Counter counter(from);
  for (std::uint32_t i = 0; i < from.threshold; ++i) counter.Do(Op::kCharge, 1, kStart);
  EXPECT_EQ(Convert(counter, to, kStart).Peek(1, kStart).retry_after_ns, counter.Peek(1, kStart).retry_after_ns);
}

TEST(Conversion, OnlyStatesThatMeanTheSameAreCopied) {
  Limit bucket;
  bucket.kind = Kind::kTokenBucket;
  bucket.capacity = 5;
  bucket.rate_count = 1;
  bucket.rate_period = kSecond;
  Limit other = bucket;
  other.capacity = 50;
  EXPECT_TRUE(CarriesOver(bucket, other));
  other.rate_period = kMinute;
  EXPECT_FALSE(CarriesOver(bucket, other));
  other = bucket;
  other.kind = Kind::kLeakyBucket;
  EXPECT_FALSE(CarriesOver(bucket, other));
  Limit sliding;
  sliding.kind = Kind::kSlidingWindow;
  sliding.window = kHour;
  sliding.precision = kMinute;
  Limit anchored = sliding;
  anchored.precision = kHour;
  EXPECT_FALSE(CarriesOver(sliding, anchored));
  anchored.capacity = 10;
  const Limit word = Sanitize(anchored);
  anchored.capacity = 500;
  EXPECT_TRUE(CarriesOver(word, Sanitize(anchored)));
  anchored.capacity = 5000;
  EXPECT_FALSE(CarriesOver(word, Sanitize(anchored))) << "of another grid";
  anchored.capacity = 10;
  anchored.window = anchored.precision = kMinute;
  EXPECT_FALSE(CarriesOver(word, Sanitize(anchored))) << "of another length";
  Limit daily;
  daily.kind = Kind::kFixedWindow;
  daily.calendar = Calendar::kDay;
  Limit elsewhere = daily;
  elsewhere.zone = 1;
  EXPECT_FALSE(CarriesOver(daily, elsewhere));
  Limit epoch = daily;
  epoch.calendar = Calendar::kEpoch;
  epoch.window = kMinute;
  EXPECT_FALSE(CarriesOver(daily, epoch));
  other = epoch;
  other.zone = 1;
  EXPECT_TRUE(CarriesOver(epoch, other));
  other.window = kHour;
  EXPECT_FALSE(CarriesOver(epoch, other));
}

}  // namespace
}  // namespace weir::algorithms::testing
