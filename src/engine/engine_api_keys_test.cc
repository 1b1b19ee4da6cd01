// What a request's API key brings: plan, tenant, user, quotas, scopes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

using config::EntityChange;

constexpr std::string_view kPolicy = R"(
global:
  free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}
  pro_tier: {max_requests: 10, window_seconds: 3600}
tenants:
  acme: {aggregate: {max_requests: 30, window_seconds: 3600, algorithm: token_bucket}}
users:
  ann: {tier: pro}
  vip: {exempt: true}
endpoints:
  /write:
    combine: stack
    rule: {max_requests: 0, window_seconds: 60, when: '!("write" in scopes)'}
api_keys:
  k-pro: {plan: pro, tenant: acme, user: kim}
  k-ann: {user: ann}
  k-vip: {user: vip}
  k-quota: {quotas: [{max_requests: 3, period: day}], scopes: [write]}
)";

class ApiKeysTest : public EngineTest {
 protected:
  ApiKeysTest() { Start(kPolicy); }
  std::vector<std::string> RulesFor(const Request& request) {
    std::vector<std::string> rules;
    const Decision decision = Peek(request);
    for (std::size_t i = 0; i < decision.rule_count; ++i) rules.emplace_back(decision.rules()[i].rule);
    return rules;
  }
};

TEST_F(ApiKeysTest, BringPlanTenantAndUser) {
  EXPECT_EQ(RulesFor({.api_key = "k-pro"}), (std::vector<std::string>{"global.pro_tier", "tenants.acme.aggregate"}));
  EXPECT_EQ(CountAllowed({.api_key = "k-pro"}, 20), 10);
  EXPECT_EQ(CountAllowed({.user = "kim", .tier = "pro"}, 20), 0) << "it is kim who was counted";
  EXPECT_EQ(CountAllowed({.api_key = "k-ann"}, 20), 10) << "the tier of the key's user";
  EXPECT_EQ(Check({.api_key = "k-vip"}).reason, Reason::kExempt);
  EXPECT_EQ(RulesFor({.user = "x", .api_key = "unknown"}), std::vector<std::string>{"global.free_tier"});
}

TEST_F(ApiKeysTest, WhatARequestSaysItselfHolds) {
  const Request said{.user = "bob", .tenant = "other", .tier = "free", .api_key = "k-pro"};
  EXPECT_EQ(RulesFor(said), std::vector<std::string>{"global.free_tier"});
  EXPECT_EQ(CountAllowed(said, 20), 2);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 20), 0);
}

TEST_F(ApiKeysTest, HaveQuotasThatStack) {
  const Request request{.user = "dan", .tier = "pro", .api_key = "k-quota"};
  EXPECT_EQ(CountAllowed(request, 20), 3);
  const Decision decision = Peek(request);
  EXPECT_EQ(decision.decider()->level, Level::kApiKey);
  EXPECT_EQ(ToString(decision.decider()->level), "api_key");
  EXPECT_EQ(decision.decider()->policy, "api_key.quotas.0");
  EXPECT_EQ(std::string(decision.decider()->rule).find("k-quota"), std::string::npos);
  EXPECT_EQ(CountAllowed({.user = "dan", .tier = "pro"}, 20), 7) << "without the key, its quota does not hold";
}

TEST_F(ApiKeysTest, HaveScopesForConditions) {
  EXPECT_TRUE(Check({.user = "a", .api_key = "k-quota", .path = "/write"}).allowed);
  EXPECT_FALSE(Check({.user = "a", .api_key = "k-ann", .path = "/write"}).allowed);
  EXPECT_FALSE(Check({.user = "a", .path = "/write"}).allowed);
}

TEST_F(ApiKeysTest, ChangeWhileTheyAreAskedAbout) {
  EXPECT_EQ(CountAllowed({.user = "dan", .tier = "pro", .api_key = "k-quota"}, 2), 2);
  const ApiKeyLimits more{.quotas = {{.max_requests = 5}}};
  ASSERT_TRUE(engine_->ApplyEntities(
      {}, std::vector{EntityChange::Put("k-quota", more), EntityChange::Put("k-new", ApiKeyLimits{.user = "new"})}));
  EXPECT_EQ(CountAllowed({.user = "eve", .tier = "pro", .api_key = "k-quota"}, 20), 3) << "2 of 5 were used";
  EXPECT_EQ(CountAllowed({.api_key = "k-new"}, 20), 2);
  EXPECT_EQ(CountAllowed({.user = "new"}, 20), 0);
}

TEST_F(ApiKeysTest, AReservationOfAChangedQuotaIsSettled) {
  const Request request{.user = "dan", .tier = "pro", .api_key = "k-quota", .cost = 3};
  const Decision reserved = Reserve(request);
  ASSERT_TRUE(reserved.allowed);
  EXPECT_FALSE(Peek({.user = "eve", .tier = "pro", .api_key = "k-quota"}).allowed);
  ASSERT_TRUE(engine_->ApplyEntities(
      {}, std::vector{EntityChange::Put("k-quota", ApiKeyLimits{.quotas = {{.max_requests = 4}}})}));
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(CountAllowed({.user = "eve", .tier = "pro", .api_key = "k-quota"}, 20), 4);
}

TEST_F(ApiKeysTest, AreExplainedAndNotShown) {
  std::vector<ExplainStep> steps;
  Call call;
  call.kind = CallKind::kPeek;
  call.request = {.api_key = "k-pro"};
  call.trace = &steps;
  engine_->Run({&call, 1});
  std::string text;
  for (const ExplainStep& step : steps) text += step.stage + ": " + step.detail + "\n";
  EXPECT_NE(text.find("api_key: the API key is in the document: plan pro, tenant acme, user kim"), std::string::npos)
      << text;
  EXPECT_NE(text.find("the tier is 'pro', the plan of the API key"), std::string::npos) << text;
  EXPECT_EQ(text.find("tier_field"), std::string::npos) << text;
  EXPECT_EQ(text.find("k-pro"), std::string::npos) << text;
}

TEST_F(ApiKeysTest, ReplacingEntitiesRemovesTheOthers) {
  const auto user = [](std::uint64_t max_requests) {
    return UserLimits{.rule = RateLimitRule{.max_requests = max_requests, .window_seconds = 3600}};
  };
  ASSERT_TRUE(engine_->ApplyEntities(
      {}, std::vector{EntityChange::Put("eve", user(5)), EntityChange::Put("fay", user(6)),
                      EntityChange::Put("ann", user(7)), EntityChange::Put("k-new", ApiKeyLimits{.user = "eve"}),
                      EntityChange::Put("k-old", ApiKeyLimits{}), EntityChange::Put("org", TenantLimits{})}));
  ASSERT_TRUE(engine_->ReplaceEntities(
      {}, {EntityChange::Put("eve", user(50)), EntityChange::Put("k-new", ApiKeyLimits{.user = "fay"})}));
  const auto snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot->FindUser("eve")->rule()->limit.capacity, 50U);
  EXPECT_EQ(snapshot->FindUser("fay"), nullptr);
  EXPECT_EQ(snapshot->FindUser("ann")->rule(), nullptr) << "the document's again";
  EXPECT_EQ(snapshot->FindTenant("org"), nullptr);
  EXPECT_EQ(snapshot->FindApiKey("k-new")->user(), "fay");
  EXPECT_EQ(snapshot->FindApiKey("k-old"), nullptr);
  EXPECT_NE(snapshot->FindApiKey("k-pro"), nullptr) << "the document's stay";
  EXPECT_FALSE(engine_->ReplaceEntities({}, {EntityChange::Put("", user(1))}));
  EXPECT_NE(engine_->snapshot()->FindUser("eve"), nullptr) << "all or nothing";
}

}  // namespace
}  // namespace weir::engine
