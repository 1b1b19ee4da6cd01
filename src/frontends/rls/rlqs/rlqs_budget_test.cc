#include "frontends/rls/rlqs/rlqs_budget.h"

#include <gtest/gtest.h>

#include <memory>

namespace weir::rls {
namespace {

using algorithms::Kind;

// What a budget reads of a rule, to be written to.
struct TestRule {
  algorithms::Limit limit;
  std::uint64_t window_seconds = 0;
  bool shadow = false;
  bool unlimited = false;
};

TestRule Rule(Kind kind, std::uint64_t capacity, std::uint64_t window_seconds) {
  TestRule rule{.limit = {}, .window_seconds = window_seconds};
  rule.limit.kind = kind;
  rule.limit.capacity = capacity;
  return rule;
}

Budget BudgetOf(const TestRule& test) {
  const auto parts = MakeCounted<config::RuleParts>();
  parts->identifier = std::make_shared<const config::Identifier>();
  parts->limit = test.limit;
  config::Rule rule{CountedRef<const config::RuleParts>(parts)};
  rule.window_seconds = test.window_seconds;
  rule.shadow = test.shadow;
  rule.unlimited = test.unlimited;
  return rls::BudgetOf(&rule);
}

TEST(RlqsBudget, AWindowIsItsLimitAtOnceAndInItsLength) {
  for (const Kind kind : {Kind::kFixedWindow, Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kAdaptive}) {
    const TestRule rule = Rule(kind, 5'000, 60);
    EXPECT_EQ(BudgetOf(rule), (Budget{Budget::Kind::kTokens, 5'000, 5'000, 60}));
  }
}

TEST(RlqsBudget, SmallLimitsAreStretchedSoThatTheyCanBeDivided) {
  const TestRule rule = Rule(Kind::kFixedWindow, 3, 60);
  EXPECT_EQ(BudgetOf(rule), (Budget{Budget::Kind::kTokens, 3, 30, 600}));
  const TestRule second = Rule(Kind::kFixedWindow, 10, 1);
  EXPECT_EQ(BudgetOf(second), (Budget{Budget::Kind::kTokens, 10, 1'000, 100}));
  const TestRule day = Rule(Kind::kFixedWindow, 3, 86'400);
  EXPECT_EQ(BudgetOf(day), (Budget{Budget::Kind::kTokens, 3, 3, 86'400}));
}

TEST(RlqsBudget, ABucketIsItsRateAndItsBurst) {
  TestRule rule = Rule(Kind::kTokenBucket, 20, 2);
  rule.limit.rate_count = 1;
  rule.limit.rate_period = kSecond / 10;
  EXPECT_EQ(BudgetOf(rule), (Budget{Budget::Kind::kTokens, 20, 2'000, 200}));
  rule.limit.kind = Kind::kLeakyBucket;
  EXPECT_EQ(BudgetOf(rule), (Budget{Budget::Kind::kTokens, 20, 2'000, 200}));
  // One in three hours.
  rule.limit.capacity = 1;
  rule.limit.rate_period = 3 * kHour;
  rule.window_seconds = 1;
  EXPECT_EQ(BudgetOf(rule), (Budget{Budget::Kind::kTokens, 1, 1, 10'800}));
}

TEST(RlqsBudget, NeverMoreThanTheRate) {
  for (std::uint64_t count : {1U, 3U, 7U, 999U, 1'000'003U}) {
    for (const Nanos period : {Nanos{1}, Nanos{7}, kMillisecond + 1, kSecond, 13 * kSecond, kHour}) {
      TestRule rule = Rule(Kind::kTokenBucket, 10, 1);
      rule.limit.rate_count = count;
      rule.limit.rate_period = period;
      const Budget budget = BudgetOf(rule);
      ASSERT_EQ(budget.kind, Budget::Kind::kTokens);
      EXPECT_GE(budget.tokens, 1U);
      EXPECT_GE(budget.interval_seconds, 1U);
      const double rate = static_cast<double>(count) / static_cast<double>(period) * 1e9;
      EXPECT_LE(budget.tokens / static_cast<double>(budget.interval_seconds), rate * 1.000001);
    }
  }
}

TEST(RlqsBudget, WhatIsNotEnforcedPassesAndNothingIsNothing) {
  EXPECT_EQ(rls::BudgetOf(nullptr).kind, Budget::Kind::kAllowAll);
  TestRule rule = Rule(Kind::kFixedWindow, 5, 60);
  rule.shadow = true;
  EXPECT_EQ(BudgetOf(rule).kind, Budget::Kind::kAllowAll);
  rule.shadow = false;
  rule.unlimited = true;
  EXPECT_EQ(BudgetOf(rule).kind, Budget::Kind::kAllowAll);
  const TestRule none = Rule(Kind::kFixedWindow, 0, 60);
  EXPECT_EQ(BudgetOf(none).kind, Budget::Kind::kDenyAll);
  const TestRule slots = Rule(Kind::kConcurrency, 5, 0);
  EXPECT_EQ(BudgetOf(slots).kind, Budget::Kind::kUnknown);
}

TEST(RlqsBudget, PartsOfIt) {
  const Budget budget{Budget::Kind::kTokens, 10, 1'000, 100};
  EXPECT_EQ(PartOf(budget, 1'000), (Assignment{Assignment::Kind::kTokens, 10, 1'000, 100}));
  EXPECT_EQ(PartOf(budget, 250), (Assignment{Assignment::Kind::kTokens, 2, 250, 100}));
  EXPECT_EQ(PartOf(budget, 1), (Assignment{Assignment::Kind::kTokens, 1, 1, 100}));
  EXPECT_EQ(PartOf(budget, 0).kind, Assignment::Kind::kDenyAll);
  EXPECT_EQ(PartOf({.kind = Budget::Kind::kDenyAll}, 0).kind, Assignment::Kind::kDenyAll);
  EXPECT_EQ(PartOf({}, 0).kind, Assignment::Kind::kAllowAll);
}

TEST(RlqsBudget, DemandIsInTokensOfAnInterval) {
  const Budget budget{Budget::Kind::kTokens, 10, 1'000, 100};
  EXPECT_EQ(DemandOf(budget, 50, 10 * kSecond), 500U);
  EXPECT_EQ(DemandOf(budget, 1, 3 * kSecond), 34U);
  EXPECT_EQ(DemandOf(budget, 7, 0), 700U);
  EXPECT_EQ(DemandOf(budget, UINT64_MAX, 1), 4294967295U);
  EXPECT_EQ(DemandOf({}, 5, kSecond), 0U);
}

}  // namespace
}  // namespace weir::rls
