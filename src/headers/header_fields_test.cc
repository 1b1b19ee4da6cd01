#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "base/manual_clock.h"
#include "weir/headers.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

Decision Denied(HeaderPlan plan) {
  Decision decision;
  decision.allowed = false;
  decision.reason = Reason::kOverLimit;
  decision.rule_count = 1;
  decision.deciding = 0;
  RuleOutcome rule;
  rule.policy = "login";
  rule.headers = plan;
  rule.window_seconds = 60;
  rule.outcome = {.verdict = Verdict::kLater, .limit = 5, .reset_after_ns = 40 * kSecond, .retry_after_ns = 1};
  decision.inline_rules[0] = rule;
  return decision;
}

TEST(RateLimitHeaders, AreTheFieldsThatTheRuleWants) {
  HeaderPlan plan;
  plan.ietf = plan.x_ratelimit = plan.retry_after = plan.reset_as_epoch = true;
  const ManualClock clock(1000 * kSecond);
  EXPECT_EQ(RateLimitHeaders(Denied(plan), clock), (std::vector<HeaderField>{
                                                       {"Cache-Control", "no-store"},
                                                       {"RateLimit-Policy", R"("login";q=5;w=60)"},
                                                       {"RateLimit", R"("login";r=0;t=1)"},
                                                       {"X-RateLimit-Limit", "5"},
                                                       {"X-RateLimit-Remaining", "0"},
                                                       {"X-RateLimit-Reset", "1040"},
                                                       {"Retry-After", "1"},
                                                   }));
  EXPECT_EQ(RetryAfter(Denied(plan)), 1s) << "never 0 on a denial";
}

TEST(RateLimitHeaders, ThereAreNoneWithoutARule) {
  EXPECT_TRUE(RateLimitHeaders({}).empty());
  EXPECT_EQ(RetryAfter({}), std::nullopt);
}

TEST(RateLimitHeaders, WhatNeverFitsHasNoTime) {
  Decision decision = Denied({});
  decision.reason = Reason::kNeverFits;
  decision.inline_rules[0].outcome = {.verdict = Verdict::kNever, .limit = 5};
  EXPECT_EQ(RetryAfter(decision), std::nullopt);
  EXPECT_EQ(RateLimitHeaders(decision), (std::vector<HeaderField>{{"Cache-Control", "no-store"}}));
}

}  // namespace
}  // namespace weir
