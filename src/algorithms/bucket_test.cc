#include <gtest/gtest.h>

#include <vector>

#include "algorithms/gcra.h"
#include "algorithms/oracle.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Bucket(std::uint64_t capacity, std::uint64_t count, Nanos period, Kind kind = Kind::kTokenBucket) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = capacity;
  limit.rate_count = count;
  limit.rate_period = period;
  return Sanitize(limit);
}

TEST(TokenBucket, StartsFullAndRefills) {
  Counter counter(Bucket(100, 10, kSecond));
  for (int i = 0; i < 100; ++i) {
    const Outcome outcome = counter.Check(1, kStart);
    ASSERT_EQ(outcome.verdict, Verdict::kAllowed);
    ASSERT_EQ(outcome.remaining, 99U - static_cast<unsigned>(i));
    ASSERT_EQ(outcome.limit, 100U);
  }
  const Outcome denied = counter.Check(1, kStart);
  EXPECT_EQ(denied.verdict, Verdict::kLater);
  EXPECT_EQ(denied.retry_after_ns, 100 * kMillisecond);
  EXPECT_EQ(denied.reset_after_ns, 10 * kSecond);
  int passed = 0;
  while (counter.Check(1, kStart + kSecond).verdict == Verdict::kAllowed) ++passed;
  EXPECT_EQ(passed, 10);
}

TEST(TokenBucket, ThirdsOfASecondStillFillExactly) {
  // 3 a second: a unit takes 333,333,334 ns. Neither one short nor one over, however the burst is split.
  for (const std::vector<std::uint64_t>& split : {std::vector<std::uint64_t>{1, 1, 1}, {2, 1}, {1, 2}, {3}}) {
    Counter counter(Bucket(3, 3, kSecond));
    for (const std::uint64_t cost : split) ASSERT_EQ(counter.Check(cost, kStart).verdict, Verdict::kAllowed);
    EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kLater);
  }
}

TEST(TokenBucket, WeightsSpendMoreAtOnce) {
  Counter counter(Bucket(10, 1, kSecond));
  EXPECT_EQ(counter.Check(7, kStart).remaining, 3U);
  const Outcome denied = counter.Check(5, kStart);
  EXPECT_EQ(denied.verdict, Verdict::kLater);
  EXPECT_EQ(denied.retry_after_ns, 2 * kSecond);
  EXPECT_EQ(denied.remaining, 3U);
  const Outcome never = counter.Check(11, kStart);
  EXPECT_EQ(never.verdict, Verdict::kNever);
  EXPECT_EQ(never.retry_after_ns, 0);
}

TEST(LeakyBucket, MetersLikeABucketSeenFromTheOtherSide) {
  Counter counter(Bucket(10, 1, kSecond, Kind::kLeakyBucket));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(counter.Check(1, kStart).delay_ns, 0);
  EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kLater);
  EXPECT_EQ(counter.Check(1, kStart + kSecond).verdict, Verdict::kAllowed);
  EXPECT_EQ(counter.Check(1, kStart + kSecond).verdict, Verdict::kLater);
}

TEST(LeakyBucket, ShaperLetsHeldRequestsOutAtTheRate) {
  Limit limit = Bucket(5, 2, kSecond, Kind::kLeakyBucket);
  limit.shape = true;
  Random random(3);
  Counter counter(limit);
  Nanos now = kStart;
  Nanos last_out = 0;
  int full = 0;
  for (int i = 0; i < 2000; ++i) {
    now += random.In(0, kSecond);
    const Outcome peek = counter.Peek(1, now);
    const Outcome outcome = counter.Check(1, now);
    ASSERT_EQ(peek, outcome);
    if (outcome.verdict != Verdict::kAllowed) {
      ++full;
      ASSERT_EQ(outcome.delay_ns, 0);
      continue;
    }
    // At most capacity are in the queue, so nobody waits longer than the others before it take.
    ASSERT_LE(outcome.delay_ns, 4 * 500 * kMillisecond);
    const Nanos out = now + outcome.delay_ns;
    if (last_out != 0) {
      ASSERT_GE(out - last_out, 500 * kMillisecond);
    }
    last_out = out;
  }
  EXPECT_GT(full, 10);
}

// Up to the burst nothing waits; then each waits until the bucket has room for it, and nobody longer than max_wait.
TEST(Buckets, WhatExceedsTheBurstWaitsForItsTurn) {
  for (const Kind kind : {Kind::kTokenBucket, Kind::kLeakyBucket}) {
    Limit limit = Bucket(3, 2, kSecond, kind);
    limit.max_wait = kSecond;
    limit = Sanitize(limit);
    Counter counter(limit);
    for (int i = 0; i < 3; ++i) ASSERT_EQ(counter.Check(1, kStart).delay_ns, 0);
    EXPECT_EQ(counter.Peek(1, kStart).delay_ns, 500 * kMillisecond);
    const Outcome first = counter.Check(1, kStart);
    EXPECT_EQ(first.verdict, Verdict::kAllowed);
    EXPECT_EQ(first.delay_ns, 500 * kMillisecond);
    EXPECT_EQ(first.remaining, 0U);
    EXPECT_EQ(first.used, 4U);
    EXPECT_EQ(first.limit, 3U);
    EXPECT_EQ(counter.Check(1, kStart).delay_ns, kSecond);
    const Outcome denied = counter.Check(1, kStart);
    EXPECT_EQ(denied.verdict, Verdict::kLater);
    EXPECT_EQ(denied.retry_after_ns, 500 * kMillisecond);  // until it may wait, not until it need not
    EXPECT_EQ(denied.delay_ns, 0);
    EXPECT_EQ(counter.Check(1, kStart + 500 * kMillisecond).delay_ns, kSecond);
    EXPECT_EQ(counter.Check(4, kStart + 10 * kSecond).verdict, Verdict::kNever);
    // Given back, it makes room for others at once.
    Counter again(limit);
    for (int i = 0; i < 5; ++i) (void)again.Check(1, kStart);
    EXPECT_EQ(again.Do(Op::kRefund, 2, kStart).used, 3U);
    EXPECT_EQ(again.Check(1, kStart).delay_ns, 500 * kMillisecond);
  }
}

// What is held as told is let out as a bucket without waiting would have admitted it.
TEST(Buckets, HeldRequestsComeOutWithinTheLimit) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Limit limit = RandomLimit(Kind::kTokenBucket, random);
    if (limit.rate_count != 1 || limit.capacity == 0) continue;
    const Limit plain = limit;
    limit.max_wait = random.In(1, 5 * gcra::Increment(plain, limit.capacity) + 1);
    limit = Sanitize(limit);
    Counter counter(limit);
    std::vector<std::pair<Nanos, std::uint64_t>> out;
    Nanos now = kStart;
    for (int i = 0; i < 300; ++i) {
      now += random.OneIn(2) ? 0 : random.In(0, Scale(limit));
      const auto cost = static_cast<std::uint64_t>(random.In(1, static_cast<std::int64_t>(limit.capacity)));
      const Outcome outcome = counter.Check(cost, now);
      if (outcome.verdict != Verdict::kAllowed) continue;
      ASSERT_LE(outcome.delay_ns, limit.max_wait);
      out.emplace_back(now + outcome.delay_ns, cost);
    }
    ASSERT_TRUE(std::ranges::is_sorted(out, {}, &std::pair<Nanos, std::uint64_t>::first));
    Counter bucket(plain);
    for (const auto& [at, cost] : out) ASSERT_EQ(bucket.Check(cost, at).verdict, Verdict::kAllowed);
  }
}

class BucketOracle : public ::testing::TestWithParam<Kind> {};

TEST_P(BucketOracle, AgreesWithAVesselOfRealNumbers) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(GetParam(), random);
    SCOPED_TRACE(Describe(limit));
    Counter counter(limit);
    VesselOracle vessel(limit);
    std::vector<Event> admitted;
    Nanos now = kStart;
    const bool exact = limit.rate_count == 1;
    for (int step = 0; step < 200; ++step) {
      now += random.In(0, Scale(limit) * (random.OneIn(15) ? 8 : 1));
      const std::int64_t cost = random.OneIn(4) ? random.In(1, static_cast<std::int64_t>(limit.capacity) + 1) : 1;
      const bool fits = vessel.Fits(cost, now);
      const Outcome outcome = counter.Check(static_cast<std::uint64_t>(cost), now);
      const bool allowed = outcome.verdict == Verdict::kAllowed;
      if (exact) {
        ASSERT_EQ(allowed, fits && cost <= static_cast<std::int64_t>(limit.capacity));
      }
      if (allowed) {
        vessel.Pour(cost, now);
        admitted.push_back({now, cost});
      }
      // Above a million units a second, whole nanoseconds allow at most one nanosecond's worth beyond the brim.
      ASSERT_LE(vessel.level(now), vessel.brim() + (exact ? 0 : vessel.grain()));
      if (exact) {
        ASSERT_EQ(outcome.used, vessel.used(now));
      }
    }
    // In no interval more than the capacity and what is restored meanwhile.
    for (std::size_t i = 0; i < admitted.size(); ++i) {
      Int128 sum = 0;
      for (std::size_t j = i; j < admitted.size(); ++j) {
        sum += admitted[j].cost;
        const Int128 span = admitted[j].at - admitted[i].at + (exact ? 0 : 1);
        ASSERT_LE(sum * limit.rate_period, vessel.brim() + span * static_cast<Int128>(limit.rate_count));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, BucketOracle, ::testing::Values(Kind::kTokenBucket, Kind::kLeakyBucket),
                         [](const auto& test) { return std::string(Of(test.param).name); });

TEST(Gcra, SanitizedRatesAreNeverAboveAndHardlyBelowWhatWasWritten) {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(1, random.Magnitude(1 << 30)));
    const Nanos period = std::max<Nanos>(1, random.Magnitude(365 * kDay));
    const Limit limit = Bucket(1, count, period);
    // limit rate <= written rate, in units per ns, cross-multiplied.
    const Int128 sanitized = static_cast<Int128>(limit.rate_count) * period;
    const Int128 written = static_cast<Int128>(count) * limit.rate_period;
    ASSERT_LE(sanitized, written);
    ASSERT_LE((written - sanitized) * 1000, written) << count << " per " << period;
  }
}

TEST(Gcra, FastRatesKeepTheirFraction) {
  // 120 MB/s: 8.33 ns a byte; packets of 1,500 bytes take 12,500 ns exactly.
  const Limit limit = Bucket(120'000'000, 120'000'000, kSecond);
  EXPECT_EQ(gcra::Increment(limit, 1500), 12'500);
  Counter counter(limit);
  std::uint64_t packets = 0;
  while (counter.Check(1500, kStart).verdict == Verdict::kAllowed) ++packets;
  EXPECT_EQ(packets, 80'000U);
}

TEST(Gcra, ExtremesSaturate) {
  const Limit limit = Bucket(UINT64_MAX, 1, kLongestWindow);
  EXPECT_LE(limit.capacity, kMaxCount);
  EXPECT_GE(limit.capacity, 3U);
  EXPECT_LE(gcra::Burst(limit), gcra::kLongestBurst);
  EXPECT_EQ(gcra::Increment(limit, UINT64_MAX), gcra::kLatestTat);
  Word tat = 0;
  gcra::Apply(limit, {.op = Op::kCharge, .cost = UINT64_MAX, .now = INT64_MAX}, tat);
  EXPECT_EQ(tat, gcra::kLatestTat);
  // A fresh bucket before 1970 is a full one.
  EXPECT_EQ(gcra::Apply(limit, {.op = Op::kCheck, .cost = 1, .now = INT64_MIN}, tat = 0).verdict, Verdict::kAllowed);
  const Limit none = Bucket(0, 0, 0);
  tat = 0;
  EXPECT_EQ(gcra::Apply(none, {.op = Op::kCheck, .cost = 1, .now = kStart}, tat).verdict, Verdict::kNever);
}

TEST(Gcra, TermsDecideAsApplyDoes) {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(Kind::kTokenBucket, random);
    const auto cost = static_cast<std::uint64_t>(random.In(1, static_cast<std::int64_t>(limit.capacity) + 2));
    const Word tat = kStart + random.In(-Scale(limit), Scale(limit) * static_cast<Nanos>(limit.capacity + 1));
    const gcra::Terms terms = gcra::MakeTerms(limit, cost);
    Word after = tat;
    const Outcome outcome = gcra::Apply(limit, {.op = Op::kCheck, .cost = cost, .now = kStart}, after);
    ASSERT_EQ(outcome.verdict == Verdict::kAllowed, terms.fits_ever && gcra::Fits(terms, tat, kStart));
    if (outcome.verdict == Verdict::kAllowed) {
      ASSERT_EQ(after, gcra::Charged(tat, kStart, terms.increment));
      ASSERT_EQ(outcome.remaining, gcra::Describe(limit, after, kStart).remaining);
    } else {
      ASSERT_EQ(outcome, gcra::DescribeDenied(limit, terms, tat, kStart));
    }
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
