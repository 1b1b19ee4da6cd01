#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kSimple = R"(
global:
  free_tier: {max_requests: 3, window_seconds: 60, algorithm: token_bucket}
)";

TEST_F(EngineTest, AllowsUpToTheLimitAndThenSaysWhen) {
  Start(kSimple);
  const Request request{.peer_ip = "192.0.2.1", .method = "GET", .path = "/"};
  for (int i = 0; i < 3; ++i) {
    const Decision decision = Check(request);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.reason, Reason::kOk);
    ASSERT_NE(decision.decider(), nullptr);
    EXPECT_EQ(decision.decider()->outcome.limit, 3U);
    EXPECT_EQ(decision.decider()->outcome.remaining, static_cast<std::uint64_t>(2 - i));
  }
  const Decision denied = Check(request);
  EXPECT_FALSE(denied.allowed);
  EXPECT_EQ(denied.reason, Reason::kOverLimit);
  ASSERT_NE(denied.decider(), nullptr);
  EXPECT_EQ(denied.decider()->rule, "global.free_tier");
  EXPECT_EQ(denied.decider()->outcome.retry_after_ns, 20 * kSecond);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.2"}).allowed) << "another subject";
  clock_.Advance(20 * kSecond - 1);
  EXPECT_FALSE(Check(request).allowed);
  clock_.Advance(1);
  EXPECT_TRUE(Check(request).allowed);
}

TEST_F(EngineTest, PeekAndCostZeroCountNothing) {
  Start(kSimple);
  const Request request{.peer_ip = "192.0.2.1"};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Peek(request).allowed);
    EXPECT_TRUE(Check({.peer_ip = "192.0.2.1", .cost = 0}).allowed);
  }
  EXPECT_EQ(CountAllowed(request, 10), 3);
  EXPECT_FALSE(Peek(request).allowed);
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.allowed, 3U);
  EXPECT_EQ(counts.denied, 7U);
}

TEST_F(EngineTest, ACostThatNeverFitsSaysNever) {
  Start(kSimple);
  const Decision decision = Check({.peer_ip = "192.0.2.1", .cost = 4});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, Reason::kNeverFits);
  EXPECT_EQ(decision.decider()->outcome.retry_after_ns, 0);
}

TEST_F(EngineTest, RefundAndResetGiveBack) {
  Start(kSimple);
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(CountAllowed(request, 5), 3);
  EXPECT_TRUE(Run(CallKind::kRefund, {.peer_ip = "192.0.2.1", .cost = 2}).status);
  EXPECT_EQ(CountAllowed(request, 5), 2);
  EXPECT_TRUE(Run(CallKind::kReset, request).status);
  EXPECT_EQ(CountAllowed(request, 5), 3);
}

TEST_F(EngineTest, ADeniedRequestConsumesNothingOfAnyRule) {
  Start(R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60, algorithm: token_bucket}
endpoints:
  /a:
    combine: stack
    rule: {max_requests: 2, window_seconds: 60, algorithm: token_bucket}
)");
  const Request a{.peer_ip = "192.0.2.1", .method = "GET", .path = "/a"};
  const Request b{.peer_ip = "192.0.2.1", .method = "GET", .path = "/b"};
  EXPECT_EQ(CountAllowed(a, 100), 2);
  const Decision denied = Check(a);
  EXPECT_EQ(denied.rule_count, 2U);
  EXPECT_EQ(denied.decider()->rule, "endpoints./a.rule");
  EXPECT_EQ(denied.decider()->level, Level::kEndpoint);
  EXPECT_EQ(CountAllowed(b, 100), 8) << "the 98 denials took nothing from the base rule";
}

TEST_F(EngineTest, ShadowRulesAreCountedAndNeverDeny) {
  Start(R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60, algorithm: token_bucket}
endpoints:
  /a:
    combine: stack
    rule: {max_requests: 2, window_seconds: 60, algorithm: token_bucket, mode: shadow}
)");
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .path = "/a"}, 100), 10);
  const Decision decision = Check({.peer_ip = "192.0.2.1", .path = "/a"});
  ASSERT_EQ(decision.rule_count, 2U);
  EXPECT_EQ(decision.decider()->rule, "global.free_tier");
  const Engine::Counts counts = engine_->GetCounts();
  bool seen = false;
  for (const auto& rule : counts.rules) {
    if (rule.rule != "endpoints./a.rule") continue;
    seen = true;
    EXPECT_EQ(rule.allowed, 2U);
    EXPECT_EQ(rule.denied, 0U);
    EXPECT_EQ(rule.shadow_denied, 99U);
  }
  EXPECT_TRUE(seen);
}

TEST_F(EngineTest, ExemptAndBlockedRequestsAskNoStore) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 60}
exemptions: {paths: [/health]}
ip_rules:
  rules:
    - {name: bad, cidrs: [198.51.100.0/24], action: block}
)");
  const std::uint64_t before = store_->plans_seen();
  const Decision exempt = Check({.peer_ip = "192.0.2.1", .path = "/health?x=1"});
  EXPECT_TRUE(exempt.allowed);
  EXPECT_EQ(exempt.reason, Reason::kExempt);
  const Decision blocked = Check({.peer_ip = "198.51.100.7", .path = "/"});
  EXPECT_FALSE(blocked.allowed);
  EXPECT_EQ(blocked.reason, Reason::kBlocked);
  EXPECT_EQ(blocked.deciding, -1);
  EXPECT_EQ(store_->plans_seen(), before);
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.exempt, 1U);
  EXPECT_EQ(counts.blocked, 1U);
}

TEST_F(EngineTest, ARuleWithoutSubjectDoesNotApplyAndIsCounted) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 60, identifier: user_id}
)");
  const Decision decision = Check({.peer_ip = "192.0.2.1"});
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.reason, Reason::kNoLimit);
  EXPECT_EQ(decision.rule_count, 0U);
  EXPECT_EQ(engine_->GetCounts().unidentified, 1U);
  EXPECT_EQ(CountAllowed({.user = "u"}, 2), 1);
}

TEST_F(EngineTest, StrictestCountsBothParts) {
  Start(R"(
global:
  free_tier:
    max_requests: 2
    window_seconds: 60
    algorithm: token_bucket
    identifier: {composite: {primary: ip_address, secondary: user_id, strategy: strictest_limit}}
)");
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.1", .user = "a"}).allowed);
  const Decision second = Check({.peer_ip = "192.0.2.1", .user = "b"});
  EXPECT_TRUE(second.allowed);
  EXPECT_EQ(second.rule_count, 2U);
  EXPECT_FALSE(Check({.peer_ip = "192.0.2.1", .user = "c"}).allowed) << "the address is used up";
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.2", .user = "c"}).allowed) << "c was not charged by the denial";
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.2", .user = "c"}).allowed);
  EXPECT_FALSE(Check({.peer_ip = "192.0.2.3", .user = "c"}).allowed) << "the user is used up";
}

TEST_F(EngineTest, ManyCallsOfAllKindsInOneSubmit) {
  Start(kSimple);
  std::vector<std::string> addresses;
  for (int i = 0; i < 100; ++i) addresses.push_back("10.0.0." + std::to_string(i));
  std::vector<Call> calls(500);
  for (std::size_t i = 0; i < calls.size(); ++i) calls[i].request.peer_ip = addresses[i % 100];
  engine_->Run(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i].decision.allowed, i < 300) << i;
  engine_->Run({});
}

TEST_F(EngineTest, ThrottlesKeepTheirStateWhenTheirNumbersChange) {
  Start(kSimple);
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 3;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  limit = algorithms::Sanitize(limit);
  std::vector<Call> throttles(100);
  for (Call& call : throttles) call = ThrottleOf("k", limit);
  EXPECT_TRUE(engine_->Submit(throttles, nullptr));
  for (std::size_t i = 0; i < throttles.size(); ++i) {
    EXPECT_EQ(throttles[i].decision.allowed, i < 3) << i;
  }
  limit.capacity = 4;
  limit = algorithms::Sanitize(limit);
  Call more = ThrottleOf("k", limit);
  EXPECT_TRUE(engine_->Submit({&more, 1}, nullptr));
  EXPECT_TRUE(more.decision.allowed);
  ASSERT_EQ(more.decision.rule_count, 1U);
  EXPECT_EQ(more.decision.rules()[0].outcome.remaining, 0U);
}

// A throttle is decided, counted and told as any call is, alone and in a batch; a refund tells what is left.
TEST_F(EngineTest, ThrottlesAreCountedUnderTheBuiltInRule) {
  Start(kSimple);
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 2;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  limit = algorithms::Sanitize(limit);
  const auto ask = [&](CallKind kind, std::uint64_t cost, bool alone) {
    std::vector<Call> calls(alone ? 1 : 2);
    for (Call& call : calls) call = ThrottleOf("k", limit);
    calls[0].kind = kind;
    calls[0].request.cost = cost;
    if (!alone) calls[1].kind = CallKind::kPeek;
    EXPECT_TRUE(engine_->Submit(calls, nullptr));
    return calls[0].decision;
  };
  for (const bool alone : {true, false}) {
    EXPECT_TRUE(ask(CallKind::kCheck, 2, alone).allowed);
    const Decision denied = ask(CallKind::kCheck, 1, alone);
    EXPECT_FALSE(denied.allowed);
    EXPECT_EQ(denied.reason, Reason::kOverLimit);
    ASSERT_NE(denied.decider(), nullptr);
    EXPECT_EQ(denied.decider()->rule, "throttle");
    EXPECT_EQ(ask(CallKind::kCheck, 3, alone).reason, Reason::kNeverFits);
    EXPECT_EQ(ask(CallKind::kPeek, 1, alone).rules()[0].outcome.remaining, 0U);
    const Decision back = ask(CallKind::kRefund, 2, alone);
    EXPECT_EQ(back.rules()[0].outcome.remaining, 2U);
  }
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.allowed, 2U);
  EXPECT_EQ(counts.denied, 4U);
  const auto rule = std::ranges::find(counts.rules, "throttle", &Engine::RuleCounts::rule);
  ASSERT_NE(rule, counts.rules.end());
  EXPECT_EQ(rule->allowed, 2U);
  EXPECT_EQ(rule->denied, 4U);
}

TEST_F(EngineTest, ApplyRefusesAnotherStoreAndKeepsTheRest) {
  Start(kSimple);
  EnterpriseRateLimitConfig other = ParseOrDie(kSimple);
  other.storage.kind = RedisStorage{};
  const Result<> refused = engine_->Apply(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(engine_->snapshot()->version(), 1U);
  EXPECT_TRUE(engine_->Apply(ParseOrDie(kSimple)));
  EXPECT_EQ(engine_->snapshot()->version(), 2U);
}

TEST_F(EngineTest, ARaisedLimitKeepsWhatWasUsed) {
  Start(kSimple);
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(CountAllowed(request, 5), 3);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(R"(
global:
  free_tier: {max_requests: 5, window_seconds: 60, algorithm: token_bucket}
)")));
  EXPECT_EQ(CountAllowed(request, 5), 2);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(R"(
global:
  free_tier: {max_requests: 7, window_seconds: 60, algorithm: sliding_window_log}
)")));
  EXPECT_EQ(CountAllowed(request, 5), 2);
}

TEST_F(EngineTest, MoreThanEightRulesSpill) {
  std::string yaml = R"(
global:
  free_tier: {max_requests: 100, window_seconds: 60}
tenants:
  acme:
    quotas:
)";
  for (int i = 0; i < 12; ++i) yaml += "      - {max_requests: " + std::to_string(50 + i) + ", period: day}\n";
  Start(yaml);
  const Decision decision = Check({.peer_ip = "192.0.2.1", .tenant = "acme"});
  EXPECT_TRUE(decision.allowed);
  ASSERT_EQ(decision.rule_count, 13U);
  EXPECT_EQ(decision.spilled_rules.size(), 13U);
  EXPECT_EQ(decision.decider()->rule, "tenants.acme.quotas.0") << "49 of 50 left is the nearest to denying";
}

TEST_F(EngineTest, AFullStoreDeniesAndSaysSo) {
  Setup setup;
  setup.store.max_entries = 1;
  setup.store.full_policy = storage::memory::FullPolicy::kDenyNew;
  Start(kSimple, std::move(setup));
  std::vector<std::string> addresses;
  Decision decision;
  for (int i = 0; i < 1000 && decision.allowed; ++i) decision = Check({.peer_ip = "10.0." + std::to_string(i) + ".1"});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, Reason::kStoreFull);
  ASSERT_NE(decision.decider(), nullptr);
  EXPECT_GT(decision.decider()->outcome.retry_after_ns, 0);
  EXPECT_GE(engine_->GetCounts().store_full, 1U);
}

TEST_F(EngineTest, QuotaFieldReplacesTheLimit) {
  Start(R"(
global:
  free_tier:
    max_requests: 3
    window_seconds: 60
    algorithm: token_bucket
    identifier: {api_key: {quota_field: quota, key_prefix: "k_"}}
)");
  const Attribute five{"quota", "5"};
  const Attribute odd{"quota", "5x"};
  EXPECT_EQ(CountAllowed({.api_key = "k_1", .attributes = {&five, 1}}, 10), 5);
  EXPECT_EQ(CountAllowed({.api_key = "k_2", .attributes = {&odd, 1}}, 10), 3);
  EXPECT_EQ(CountAllowed({.api_key = "x_3"}, 10), 10) << "not a key of ours: no subject";
  clock_.Advance(12 * kSecond);
  EXPECT_EQ(CountAllowed({.api_key = "k_1", .attributes = {&five, 1}}, 10), 1) << "restored at 5 a minute";
}

TEST_F(EngineTest, AQuotaOfBillionsIsEnforced) {
  Start(R"(
global:
  free_tier:
    max_requests: 1000
    algorithm: {fixed_window: {aligned: month}}
    identifier: {api_key: {quota_field: quota}}
)");
  const Attribute bytes{"quota", "2000000000"}, fewer{"quota", "2100"};
  EXPECT_EQ(CountAllowed({.api_key = "k", .attributes = {&bytes, 1}, .cost = 500'000'000}, 50), 4);
  EXPECT_EQ(CountAllowed({.api_key = "k", .attributes = {&fewer, 1}}, 1), 0) << "the same count, whatever the number";
  EXPECT_EQ(CountAllowed({.api_key = "other", .attributes = {&fewer, 1}, .cost = 1000}, 5), 2);
}

TEST_F(EngineTest, ExplainsEveryStage) {
  Start(R"(
global:
  free_tier: {max_requests: 3, window_seconds: 60, algorithm: token_bucket}
)");
  const Request request{.peer_ip = "192.0.2.1", .method = "GET", .path = "/"};
  Check(request);
  Call call;
  call.request = request;
  std::vector<ExplainStep> trace;
  call.trace = &trace;
  engine_->Run({&call, 1});
  std::string text;
  for (const ExplainStep& step : trace) text += step.stage + ": " + step.detail + "\n";
  EXPECT_NE(text.find("client: The client is the peer, 192.0.2.1."), std::string::npos) << text;
  EXPECT_NE(text.find("identify: Rule global.free_tier counts \"192.0.2.1\" by ip_address."), std::string::npos)
      << text;
  EXPECT_NE(text.find("1 of 3 were used; with a cost of 1 it is now 2, which leaves 1"), std::string::npos) << text;
  EXPECT_NE(text.find("decide: Allowed (ok); nearest to denying is global.free_tier."), std::string::npos) << text;
}

}  // namespace
}  // namespace weir::engine
