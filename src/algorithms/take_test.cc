#include "algorithms/take.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <variant>

#include "algorithms/algorithm.h"

namespace weir::algorithms {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

Limit LimitOf(Kind kind, std::uint64_t capacity) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = capacity;
  limit.rate_count = 7;
  limit.rate_period = kSecond;
  limit.window = kMinute;
  limit.precision = kSecond;
  limit.lease = kMinute;
  limit.learning_window = kHour;
  limit.adjustment_ppm = 1'000'000;
  limit.min_capacity = 1;
  limit.max_capacity = capacity;
  limit.threshold = 2;
  limit.first_ban = limit.longest_ban = kMinute;
  limit.ban_factor_pct = 100;
  limit.decay = kMinute;
  return Sanitize(limit);
}

// A state of either shape, asked through the table.
struct Subject {
  explicit Subject(const Limit& the_limit) : limit(the_limit) {}
  Outcome Ask(Op op, std::uint64_t cost, Nanos now, std::uint64_t token = 1) {
    const algorithms::Ask ask{.op = op, .cost = cost, .now = now, .token = token};
    const Algorithm& algorithm = Of(limit.kind);
    return algorithm.shape == Shape::kWord ? algorithm.apply_word(limit, ask, word)
                                           : algorithm.apply_list(limit, ask, words);
  }
  bool operator==(const Subject& other) const { return word == other.word && words == other.words; }
  Limit limit;
  Word word = 0;
  Words words;
};

constexpr Kind kCounting[] = {Kind::kTokenBucket, Kind::kLeakyBucket, Kind::kSlidingWindow, Kind::kSlidingWindowLog,
                              Kind::kFixedWindow, Kind::kConcurrency, Kind::kAdaptive};

TEST(Take, GrantsExactlyWhatACheckWouldAdmitAndNotOneMore) {
  std::mt19937_64 random(7);
  for (const Kind kind : kCounting) {
    for (const std::uint64_t rate : {1U, 7U, 3'000'017U}) {
      Limit limit = LimitOf(kind, 100);
      limit.rate_count = rate;
      Subject subject(Sanitize(limit));
      Nanos now = kNow;
      for (int i = 0; i < 500; ++i) {
        now += static_cast<Nanos>(random() % static_cast<std::uint64_t>(2 * kSecond));
        const std::uint64_t cost = 1 + random() % 60;
        Subject before = subject;
        const Outcome taken = subject.Ask(Op::kTake, cost, now, random());
        ASSERT_LE(taken.granted, cost);
        ASSERT_EQ(taken.verdict == Verdict::kAllowed, taken.granted > 0);
        Subject other = before;
        if (taken.granted > 0) {
          const Outcome checked = other.Ask(Op::kCheck, taken.granted, now);
          ASSERT_EQ(checked.verdict, Verdict::kAllowed) << Of(kind).name;
          ASSERT_EQ(checked.used, taken.used);
        } else {
          ASSERT_TRUE(subject == before) << "nothing granted changes nothing";
          ASSERT_EQ(taken.retry_after_ns, other.Ask(Op::kPeek, 1, now).retry_after_ns);
        }
        other = before;
        if (taken.granted < cost) {
          ASSERT_NE(other.Ask(Op::kCheck, taken.granted + 1, now).verdict, Verdict::kAllowed) << Of(kind).name;
        }
      }
    }
  }
}

TEST(Take, OfNothingIsAPeek) {
  for (const Kind kind : kCounting) {
    Subject subject(LimitOf(kind, 5));
    subject.Ask(Op::kCheck, 3, kNow);
    const Subject before = subject;
    const Outcome outcome = subject.Ask(Op::kTake, 0, kNow);
    EXPECT_EQ(outcome.granted, 0U);
    EXPECT_EQ(outcome.used, 3U);
    EXPECT_TRUE(subject == before);
  }
}

TEST(Take, OfMoreThanAnybodyHasGrantsTheRest) {
  for (const Kind kind : kCounting) {
    Subject subject(LimitOf(kind, 5));
    EXPECT_EQ(subject.Ask(Op::kTake, UINT64_MAX, kNow).granted, 5U) << Of(kind).name;
    EXPECT_EQ(subject.Ask(Op::kTake, UINT64_MAX, kNow).granted, 0U) << Of(kind).name;
  }
}

TEST(Take, WhereNothingEverFitsNeverGrants) {
  for (const Kind kind : {Kind::kTokenBucket, Kind::kSlidingWindow, Kind::kFixedWindow, Kind::kConcurrency}) {
    Subject subject(LimitOf(kind, 0));
    const Outcome outcome = subject.Ask(Op::kTake, 10, kNow);
    EXPECT_EQ(outcome.granted, 0U);
    EXPECT_EQ(outcome.verdict, Verdict::kNever) << Of(kind).name;
  }
}

TEST(Take, InDebtGrantsNothingUntilItIsPaid) {
  Subject subject(LimitOf(Kind::kFixedWindow, 5));
  subject.Ask(Op::kCharge, 8, kNow);
  EXPECT_EQ(subject.Ask(Op::kTake, 1, kNow).granted, 0U);
  EXPECT_EQ(subject.Ask(Op::kTake, 9, kNow + kMinute).granted, 5U);
}

TEST(Take, ADenialThatCountsIsNotCounted) {
  for (const Kind kind : {Kind::kFixedWindow, Kind::kSlidingWindow}) {
    Limit limit = LimitOf(kind, 2);
    limit.count_denied = true;
    Subject subject(Sanitize(limit));
    EXPECT_EQ(subject.Ask(Op::kTake, 5, kNow).granted, 2U);
    EXPECT_EQ(subject.Ask(Op::kTake, 5, kNow).granted, 0U);
    EXPECT_EQ(subject.Ask(Op::kPeek, 0, kNow).used, 2U);
  }
}

TEST(Take, SlotsAreGivenBackByTheirName) {
  Subject subject(LimitOf(Kind::kConcurrency, 10));
  EXPECT_EQ(subject.Ask(Op::kTake, 6, kNow, 1).granted, 6U);
  EXPECT_EQ(subject.Ask(Op::kTake, 6, kNow, 2).granted, 4U);
  subject.Ask(Op::kRefund, 0, kNow, 1);
  EXPECT_EQ(subject.Ask(Op::kPeek, 0, kNow).used, 4U);
}

TEST(Take, APenaltyGrantsAllOrNothing) {
  Subject subject(LimitOf(Kind::kPenalty, 0));
  EXPECT_EQ(subject.Ask(Op::kTake, 1000, kNow).granted, 1000U);
  EXPECT_EQ(subject.Ask(Op::kPeek, 0, kNow).used, 0U) << "no strike";
  subject.Ask(Op::kCharge, 1, kNow);
  subject.Ask(Op::kCharge, 1, kNow);
  const Outcome banned = subject.Ask(Op::kTake, 1000, kNow);
  EXPECT_EQ(banned.granted, 0U);
  EXPECT_EQ(banned.retry_after_ns, kMinute);
}

}  // namespace
}  // namespace weir::algorithms
