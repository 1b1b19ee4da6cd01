#include "headers/rate_limit_headers.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <limits>
#include <string>

namespace weir::headers {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr Nanos kNow = 1'800'000'000 * kSecond + 250 * kMillisecond;

Decision Allowed(HeaderPlan plan) {
  Decision decision;
  decision.reason = Reason::kOk;
  decision.deciding = 0;
  decision.rule_count = 1;
  RuleOutcome& rule = decision.inline_rules[0] = {};
  rule.rule = "global.free_tier";
  rule.policy = "free";
  rule.window_seconds = 60;
  rule.subject_hash = 0x0123456789abcdef;
  rule.headers = plan;
  rule.headers.retry_after = true;
  rule.headers.on_allowed = true;
  rule.outcome = {.verdict = Verdict::kAllowed,
                  .limit = 100,
                  .remaining = 50,
                  .used = 50,
                  .reset_after_ns = 29'500'000'000,
                  .retry_after_ns = 0,
                  .delay_ns = 0};
  return decision;
}

Decision Denied(HeaderPlan plan) {
  Decision decision = Allowed(plan);
  decision.allowed = false;
  decision.reason = Reason::kOverLimit;
  Outcome& outcome = decision.inline_rules[0].outcome;
  outcome.verdict = Verdict::kLater;
  outcome.remaining = 0;
  outcome.used = 100;
  outcome.retry_after_ns = 600'000'001;
  return decision;
}

HeaderPlan Plan(auto set) {
  HeaderPlan plan;
  set(plan);
  return plan;
}
const HeaderPlan kIetf = Plan([](HeaderPlan& p) { p.ietf = true; });
const HeaderPlan kDraft06 = Plan([](HeaderPlan& p) { p.draft06 = true; });
const HeaderPlan kDraft07 = Plan([](HeaderPlan& p) { p.draft07 = true; });
const HeaderPlan kX = Plan([](HeaderPlan& p) { p.x_ratelimit = true; });

std::string Lines(const Decision& decision) {
  std::string out;
  AppendRateLimitHeaders(decision, kNow, &out);
  return out;
}

TEST(RateLimitHeaders, Ietf) {
  EXPECT_EQ(Lines(Allowed(kIetf)), "RateLimit-Policy: \"free\";q=100;w=60\r\nRateLimit: \"free\";r=50;t=30\r\n");
  EXPECT_EQ(Lines(Denied(kIetf)),
            "Cache-Control: no-store\r\nRateLimit-Policy: \"free\";q=100;w=60\r\nRateLimit: \"free\";r=0;t=1\r\n"
            "Retry-After: 1\r\n");
}

TEST(RateLimitHeaders, IetfPartitionKey) {
  EXPECT_EQ(
      Lines(Allowed(Plan([](HeaderPlan& p) { p.ietf = p.partition_key = true; }))),
      "RateLimit-Policy: \"free\";q=100;w=60;pk=:ASNFZ4mrze8=:\r\nRateLimit: \"free\";r=50;t=30;pk=:ASNFZ4mrze8=:\r\n");
}

TEST(RateLimitHeaders, IetfWithoutAWindow) {
  Decision decision = Allowed(kIetf);
  decision.inline_rules[0].window_seconds = 0;
  EXPECT_EQ(Lines(decision), "RateLimit-Policy: \"free\";q=100\r\nRateLimit: \"free\";r=50;t=30\r\n");
}

TEST(RateLimitHeaders, NamesAreEscaped) {
  Decision decision = Allowed(kIetf);
  decision.inline_rules[0].policy = "a\"b\\c\r\nX: y\xc3\xa9";
  EXPECT_EQ(Lines(decision),
            "RateLimit-Policy: \"a\\\"b\\\\c%0D%0AX: y%C3%A9\";q=100;w=60\r\n"
            "RateLimit: \"a\\\"b\\\\c%0D%0AX: y%C3%A9\";r=50;t=30\r\n");
}

TEST(RateLimitHeaders, IntegersStayStructured) {
  Decision decision = Allowed(kIetf);
  decision.inline_rules[0].outcome.limit = std::numeric_limits<std::uint64_t>::max() - 1;
  decision.inline_rules[0].outcome.remaining = 1'000'000'000'000'000;
  decision.inline_rules[0].outcome.reset_after_ns = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(
      Lines(decision),
      "RateLimit-Policy: \"free\";q=999999999999999;w=60\r\nRateLimit: \"free\";r=999999999999999;t=9223372037\r\n");
}

TEST(RateLimitHeaders, Draft06) {
  EXPECT_EQ(Lines(Allowed(kDraft06)),
            "RateLimit-Limit: 100\r\nRateLimit-Remaining: 50\r\nRateLimit-Reset: 30\r\nRateLimit-Policy: 100;w=60\r\n");
}

TEST(RateLimitHeaders, Draft07) {
  EXPECT_EQ(Lines(Allowed(kDraft07)), "RateLimit: limit=100, remaining=50, reset=30\r\nRateLimit-Policy: 100;w=60\r\n");
}

TEST(RateLimitHeaders, NoFieldIsSentInTwoShapes) {
  HeaderPlan all = Plan([](HeaderPlan& p) { p.ietf = p.draft06 = p.draft07 = p.x_ratelimit = true; });
  EXPECT_EQ(Lines(Allowed(all)),
            "RateLimit-Policy: \"free\";q=100;w=60\r\nRateLimit: \"free\";r=50;t=30\r\n"
            "RateLimit-Limit: 100\r\nRateLimit-Remaining: 50\r\nRateLimit-Reset: 30\r\n"
            "X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 50\r\nX-RateLimit-Reset: 30\r\n");
}

TEST(RateLimitHeaders, XRateLimit) {
  EXPECT_EQ(Lines(Denied(kX)),
            "Cache-Control: no-store\r\nX-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 30\r\n"
            "Retry-After: 1\r\n");
  // 0.25 s after the full second and 29.5 s to go: the first whole second after it.
  EXPECT_EQ(Lines(Allowed(Plan([](HeaderPlan& p) { p.x_ratelimit = p.reset_as_epoch = true; }))),
            "X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 50\r\nX-RateLimit-Reset: 1800000030\r\n");
}

TEST(RateLimitHeaders, NoneAndOnDenialOnly) {
  Decision decision = Allowed(HeaderPlan{});
  EXPECT_EQ(Lines(decision), "");
  decision = Denied(HeaderPlan{});
  decision.inline_rules[0].headers.retry_after = false;
  EXPECT_EQ(Lines(decision), "Cache-Control: no-store\r\n");
  decision = Allowed(kIetf);
  decision.inline_rules[0].headers.on_allowed = false;
  EXPECT_EQ(Lines(decision), "");
  EXPECT_EQ(Lines(Decision{}), "");
}

TEST(RateLimitHeaders, UnlimitedHasNoNumbers) {
  Decision decision = Allowed(Plan([](HeaderPlan& p) { p.ietf = p.draft06 = p.x_ratelimit = true; }));
  decision.inline_rules[0].outcome.limit = decision.inline_rules[0].outcome.remaining =
      std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(Lines(decision), "");
}

TEST(RateLimitHeaders, NeverHasNoRetryAfter) {
  Decision decision = Denied(kIetf);
  decision.reason = Reason::kNeverFits;
  decision.inline_rules[0].outcome.verdict = Verdict::kNever;
  decision.inline_rules[0].outcome.retry_after_ns = 0;
  EXPECT_EQ(Lines(decision),
            "Cache-Control: no-store\r\nRateLimit-Policy: \"free\";q=100;w=60\r\nRateLimit: \"free\";r=0;t=30\r\n");
  // The basic limiter told the end of the window.
  decision.inline_rules[0].headers = kX;
  decision.inline_rules[0].headers.retry_after = decision.inline_rules[0].headers.basic_body = true;
  EXPECT_EQ(Lines(decision),
            "Cache-Control: no-store\r\nX-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 30\r\n"
            "Retry-After: 30\r\n");
}

TEST(RateLimitHeaders, AFailedStoreHasNoNumbers) {
  Decision decision = Denied(kIetf);
  decision.reason = Reason::kStoreDenied;
  EXPECT_EQ(Lines(decision), "Cache-Control: no-store\r\nRetry-After: 1\r\n");
  decision = Allowed(kIetf);
  decision.reason = Reason::kStoreAllowed;
  EXPECT_EQ(Lines(decision), "");
}

TEST(RateLimitHeaders, ABlockedClientIsToldNothing) {
  Decision decision;
  decision.allowed = false;
  decision.reason = Reason::kBlocked;
  EXPECT_EQ(Lines(decision), "Cache-Control: no-store\r\n");
}

std::uint64_t NumberAfter(const std::string& text, std::string_view what) {
  const std::size_t at = text.find(what);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + what.size()));
}

TEST(RateLimitHeaders, WhoWaitsAsToldIsNotTooEarly) {
  ASSERT_TRUE(rc::check([] {
    const auto wait = *rc::gen::inRange<std::int64_t>(1, std::numeric_limits<std::int64_t>::max());
    const auto reset = *rc::gen::inRange<std::int64_t>(0, std::numeric_limits<std::int64_t>::max());
    Decision decision = Denied(Plan([](HeaderPlan& p) { p.ietf = p.draft06 = p.x_ratelimit = true; }));
    decision.inline_rules[0].outcome.retry_after_ns = wait;
    decision.inline_rules[0].outcome.reset_after_ns = reset;
    const std::string lines = Lines(decision);
    const std::uint64_t told = NumberAfter(lines, "Retry-After: ");
    RC_ASSERT(told >= 1U);
    // Enough, and less than a second too much.
    const auto exact = static_cast<Wide>(wait);
    RC_ASSERT(static_cast<Wide>(told) * 1'000'000'000U >= exact);
    RC_ASSERT(static_cast<Wide>(told - 1) * 1'000'000'000U < exact);
    RC_ASSERT(told >= NumberAfter(lines, ";t="));                // draft 11
    RC_ASSERT(NumberAfter(lines, "RateLimit-Reset: ") >= told);  // drafts 06, 07
  }));
}

TEST(RateLimitHeaders, RoundingIsUp) {
  EXPECT_EQ(CeilSeconds(-1), 0U);
  EXPECT_EQ(CeilSeconds(0), 0U);
  EXPECT_EQ(CeilSeconds(1), 1U);
  EXPECT_EQ(CeilSeconds(kSecond), 1U);
  EXPECT_EQ(CeilSeconds(kSecond + 1), 2U);
  EXPECT_EQ(CeilMilliseconds(1), 1U);
  EXPECT_EQ(CeilMilliseconds(kMillisecond), 1U);
  EXPECT_EQ(CeilMilliseconds(std::numeric_limits<std::int64_t>::max()), 9'223'372'036'855U);
}

TEST(RateLimitHeaders, AreVisitedAsPairs) {
  std::string seen;
  const auto visit = [&seen](std::string_view name, std::string_view value) {
    seen += std::string(name) + "=" + std::string(value) + "|";
  };
  ForEachHeader("", visit);
  ForEachHeader("A: 1\r\nB: \"x: y\";r=2\r\nC: \r\n", visit);
  EXPECT_EQ(seen, "A=1|B=\"x: y\";r=2|C=|");
}

TEST(RateLimitHeaders, FieldsMayHaveOtherNames) {
  const std::string longest(100, 'n');
  const ResponseStyle style{.names = {.policy = "X-Policy",
                                      .ratelimit = "X-State",
                                      .limit = "X-Six-Limit",
                                      .remaining = {},
                                      .reset = longest,
                                      .x_limit = "X-Limit",
                                      .x_remaining = "X-Left",
                                      .x_reset = "X-Reset",
                                      .retry_after = "X-Again"},
                            .denial_message = {},
                            .denial_headers = {}};
  Decision decision = Denied(Plan([](HeaderPlan& p) { p.ietf = p.draft06 = p.x_ratelimit = true; }));
  decision.inline_rules[0].style = &style;
  std::string out;
  AppendRateLimitHeaders(decision, kNow, &out);
  EXPECT_EQ(out,
            "Cache-Control: no-store\r\n"
            "X-Policy: \"free\";q=100;w=60\r\nX-State: \"free\";r=0;t=1\r\n"
            "X-Six-Limit: 100\r\nRateLimit-Remaining: 0\r\n" +
                longest + ": 30\r\nX-Limit: 100\r\nX-Left: 0\r\nX-Reset: 30\r\nX-Again: 1\r\n");
  Decision old = Allowed(kDraft07);
  old.inline_rules[0].style = &style;
  out.clear();
  AppendRateLimitHeaders(old, kNow, &out);
  EXPECT_EQ(out, "X-State: limit=100, remaining=50, reset=30\r\nX-Policy: 100;w=60\r\n");
}

}  // namespace
}  // namespace weir::headers
