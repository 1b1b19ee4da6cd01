#include "algorithms/penalty.h"

#include <gtest/gtest.h>

#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Box() {
  Limit limit;
  limit.kind = Kind::kPenalty;
  limit.threshold = 3;
  limit.window = kMinute;
  limit.first_ban = 10 * kSecond;
  limit.ban_factor_pct = 200;
  limit.longest_ban = kMinute;
  limit.decay = kHour;
  return Sanitize(limit);
}

// Three strikes at once; returns how long the ban lasts.
Nanos Strikes(Counter& counter, Nanos now) {
  for (int i = 0; i < 3; ++i) counter.Do(Op::kCharge, 1, now);
  return counter.Peek(1, now).retry_after_ns;
}

TEST(Penalty, BansAtTheThreshold) {
  Counter counter(Box());
  EXPECT_EQ(counter.Do(Op::kCharge, 1, kStart).remaining, 2U);
  EXPECT_EQ(counter.Do(Op::kCharge, 99, kStart + 1).remaining, 1U);
  EXPECT_EQ(counter.Check(1, kStart + 1).verdict, Verdict::kAllowed);
  const Outcome last = counter.Do(Op::kCharge, 1, kStart + 2);
  EXPECT_EQ(last.verdict, Verdict::kAllowed);
  EXPECT_EQ(last.remaining, 0U);
  for (const Nanos wait : {Nanos{0}, 5 * kSecond, 10 * kSecond - 1}) {
    const Outcome banned = counter.Check(1, kStart + 2 + wait);
    EXPECT_EQ(banned.verdict, Verdict::kLater);
    EXPECT_EQ(banned.retry_after_ns, 10 * kSecond - wait);
  }
  EXPECT_EQ(counter.Check(1, kStart + 2 + 10 * kSecond).verdict, Verdict::kAllowed);
}

TEST(Penalty, StrikesAreForgottenWithTheirWindow) {
  Counter counter(Box());
  counter.Do(Op::kCharge, 1, kStart);
  counter.Do(Op::kCharge, 1, kStart + 1);
  counter.Do(Op::kCharge, 1, kStart + kMinute);
  EXPECT_EQ(counter.Check(1, kStart + kMinute).verdict, Verdict::kAllowed);
  EXPECT_EQ(counter.Used(kStart + kMinute), 1U);
}

TEST(Penalty, EachBanIsLongerUpToTheLongest) {
  Counter counter(Box());
  Nanos now = kStart;
  for (const Nanos expected : {10 * kSecond, 20 * kSecond, 40 * kSecond, kMinute, kMinute}) {
    EXPECT_EQ(Strikes(counter, now), expected);
    now += expected;
  }
}

TEST(Penalty, StrikesDuringABanDoNotCount) {
  Counter counter(Box());
  Strikes(counter, kStart);
  const Counter banned = counter;
  for (int i = 0; i < 100; ++i) counter.Do(Op::kCharge, 1, kStart + kSecond);
  EXPECT_TRUE(counter.SameState(banned));
}

TEST(Penalty, GoodBehaviourLowersTheLevelOneByOne) {
  Counter counter(Box());
  Nanos now = kStart;
  for (int i = 0; i < 3; ++i) now += Strikes(counter, now);
  // Level 3; an hour and a half later 2, so the next ban is the third again.
  EXPECT_EQ(Strikes(counter, now + 90 * kMinute), 40 * kSecond);
  // Level 3 again from the end of that ban; three hours clear it.
  const Nanos end = now + 90 * kMinute + 40 * kSecond;
  EXPECT_EQ(counter.Expires(), end + 3 * kHour);
  EXPECT_EQ(Strikes(counter, end + 3 * kHour), 10 * kSecond);
}

TEST(Penalty, ForgivesAStrikeButNotABan) {
  Counter counter(Box());
  counter.Do(Op::kCharge, 1, kStart);
  counter.Do(Op::kRefund, 1, kStart);
  EXPECT_TRUE(counter.SameState(Counter(Box())));
  Strikes(counter, kStart);
  counter.Do(Op::kRefund, 1, kStart);
  EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kLater);
  counter.Do(Op::kReset, 1, kStart);
  EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kAllowed);
}

TEST(Penalty, ClockBackwardsKeepsTheBan) {
  Counter counter(Box());
  Strikes(counter, kStart);
  const Outcome outcome = counter.Check(1, kStart - kHour);
  EXPECT_EQ(outcome.verdict, Verdict::kLater);
  EXPECT_EQ(outcome.retry_after_ns, kHour + 10 * kSecond);
}

TEST(Penalty, RandomHistoriesKeepThePromises) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const Limit limit = RandomLimit(Kind::kPenalty, random);
    Counter counter(limit);
    Nanos now = kStart;
    Nanos last_end = 0;
    Nanos last_ban = 0;
    for (int step = 0; step < 200; ++step) {
      now += random.OneIn(2) ? 0 : random.In(0, limit.window / 4);
      const bool was_banned = counter.Peek(1, now).verdict == Verdict::kLater;
      counter.Do(Op::kCharge, 1, now);
      const Outcome outcome = counter.Peek(1, now);
      ASSERT_LE(outcome.remaining, outcome.limit);
      ASSERT_EQ(outcome.used + outcome.remaining, outcome.limit);
      if (was_banned || outcome.verdict == Verdict::kAllowed) continue;
      // A ban has begun.
      const Nanos ban = outcome.retry_after_ns;
      ASSERT_LE(ban, limit.longest_ban);
      ASSERT_GE(ban, limit.first_ban);
      if (last_end != 0 && now - last_end < limit.decay) {
        ASSERT_GE(ban, last_ban);
      }
      ASSERT_EQ(counter.Peek(1, now + ban - 1).verdict, Verdict::kLater);
      ASSERT_EQ(counter.Peek(1, now + ban).verdict, Verdict::kAllowed);
      last_end = now + ban;
      last_ban = ban;
    }
    const Nanos expires = counter.Expires();
    if (expires != kMinNanos) {
      ASSERT_EQ(counter.Peek(1, expires), Counter(limit).Peek(1, expires));
    }
  }
}

TEST(Penalty, AnyStateAnyLimitAnyAskIsAnswered) {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    Counter counter(HostileLimit(Kind::kPenalty, random));
    counter.words.resize(random.OneIn(4) ? 4 : 5);
    for (Word& word : counter.words)
      word = random.OneIn(2) ? static_cast<Word>(random.Bits()) : random.Magnitude(INT64_MAX);
    for (int step = 0; step < 4; ++step) {
      const auto now = random.OneIn(2) ? static_cast<Nanos>(random.Bits()) : kStart;
      const Outcome outcome = counter.Do(static_cast<Op>(random.In(0, 5)), random.Bits(), now);
      ASSERT_LE(outcome.remaining, outcome.limit);
      ASSERT_GE(outcome.reset_after_ns, 0);
      ASSERT_GE(outcome.retry_after_ns, 0);
      counter.Expires();
    }
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
