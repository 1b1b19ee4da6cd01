// Tenants that are parts of others: each level's aggregate and quotas hold.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

using config::EntityChange;

constexpr std::string_view kPolicy = R"(
global:
  free_tier: {max_requests: 100, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}
  pro_tier: {max_requests: 50, window_seconds: 3600}
tenants:
  acme: {tier: pro, aggregate: {max_requests: 10, window_seconds: 3600, algorithm: token_bucket}}
  red: {parent: acme, aggregate: {max_requests: 6, window_seconds: 3600, algorithm: token_bucket}}
  blue: {parent: acme, quotas: [{max_requests: 8, period: day}]}
  small: {parent: red, rule: {max_requests: 3, window_seconds: 3600}}
  mixed: {parent: acme, aggregate: {max_requests: 9, window_seconds: 3600, algorithm: token_bucket,
          identifier: {composite: {primary: tenant_id, secondary: user_id, strategy: combine}}}}
)";

class TenantTreeTest : public EngineTest {
 protected:
  TenantTreeTest() { Start(kPolicy); }
  std::vector<std::string> RulesFor(const Request& request) {
    std::vector<std::string> rules;
    const Decision decision = Peek(request);
    for (std::size_t i = 0; i < decision.rule_count; ++i) rules.emplace_back(decision.rules()[i].rule);
    return rules;
  }
};

TEST_F(TenantTreeTest, PartsShareTheBudgetOfTheWhole) {
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "red"}, 20), 6) << "its own";
  EXPECT_EQ(CountAllowed({.user = "b", .tenant = "blue"}, 20), 4) << "what red has left of acme's";
  EXPECT_EQ(CountAllowed({.user = "c", .tenant = "acme"}, 20), 0);
  EXPECT_EQ(Check({.user = "c", .tenant = "acme"}).decider()->rule, "tenants.acme.aggregate");
}

TEST_F(TenantTreeTest, EveryLevelHolds) {
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "small"}),
            (std::vector<std::string>{"tenants.small.rule", "tenants.red.aggregate", "tenants.acme.aggregate"}));
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "small"}, 20), 3);
  EXPECT_EQ(CountAllowed({.user = "b", .tenant = "small"}, 20), 3);
  EXPECT_EQ(CountAllowed({.user = "c", .tenant = "small"}, 20), 0) << "red's six are spent";
}

// Whoever may name users in one tenant must not use up those of another.
TEST_F(TenantTreeTest, AUserOfAnotherTenantIsSomebodyElse) {
  const RateLimitRule rule{.max_requests = 2, .window_seconds = 3600};
  ASSERT_TRUE(
      engine_->ApplyEntities({}, std::vector{EntityChange::Put("ghost", UserLimits{.tenant = "red", .rule = rule}),
                                             EntityChange::Put("free", UserLimits{.rule = rule})}));
  EXPECT_EQ(RulesFor({.user = "ghost"}).front(), "users.ghost.rule") << "no tenant is named: the user's own";
  EXPECT_EQ(RulesFor({.user = "ghost", .tenant = "red"}).front(), "users.ghost.rule");
  EXPECT_EQ(RulesFor({.user = "ghost", .tenant = "small"}).front(), "users.ghost.rule") << "small is a part of red";
  EXPECT_EQ(RulesFor({.user = "ghost", .tenant = "blue"}).front(), "global.pro_tier");
  EXPECT_EQ(RulesFor({.user = "ghost", .tenant = "acme"}).front(), "global.pro_tier");
  EXPECT_EQ(RulesFor({.user = "ghost", .tenant = "unknown"}).front(), "global.free_tier");
  EXPECT_EQ(RulesFor({.user = "free", .tenant = "blue"}).front(), "users.free.rule") << "of no tenant: of all";
}

TEST_F(TenantTreeTest, TheNearestRuleAndTierHold) {
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "blue"}).front(), "global.pro_tier") << "acme's tier";
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "red"}).front(), "global.pro_tier");
  ASSERT_TRUE(engine_->ApplyEntities(
      {}, std::vector{EntityChange::Put("acme", TenantLimits{.rule = RateLimitRule{.max_requests = 1}})}));
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "red"}).front(), "tenants.acme.rule");
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "small"}).front(), "tenants.small.rule");
}

TEST_F(TenantTreeTest, AnOutcomeOfOneLevelTakesNothingFromTheOthers) {
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "red", .cost = 7}, 3), 0);
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "acme"}, 20), 10) << "what red refused is not counted above";
}

TEST_F(TenantTreeTest, AnIdentifierWithTheTenantInItCountsTheLevelsOwn) {
  // By user within the tenant that the rule is of.
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "mixed", .cost = 5}, 3), 1);
  EXPECT_EQ(CountAllowed({.user = "b", .tenant = "mixed", .cost = 5}, 3), 1);
}

TEST_F(TenantTreeTest, AReservationIsSettledOnEveryLevel) {
  const Decision reserved = Reserve({.user = "a", .tenant = "red", .cost = 6});
  ASSERT_TRUE(reserved.allowed);
  EXPECT_EQ(CountAllowed({.user = "b", .tenant = "acme"}, 20), 4);
  ASSERT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 1));
  EXPECT_EQ(CountAllowed({.user = "b", .tenant = "acme"}, 20), 5);
}

TEST_F(TenantTreeTest, NoTenantIsAPartOfItself) {
  const auto error = [&](std::vector<EntityChange> changes) {
    const auto applied = engine_->ApplyEntities({}, changes);
    return applied ? std::string() : applied.error().message;
  };
  EXPECT_NE(error({EntityChange::Put("acme", TenantLimits{.parent = "small"})}).find("tenants.acme.parent"),
            std::string::npos);
  EXPECT_NE(error({EntityChange::Put("x", TenantLimits{.parent = "x"})}).find("a part of itself"), std::string::npos);
  // Both change at once.
  EXPECT_EQ(error({EntityChange::Put("acme", TenantLimits{.parent = "red"}),
                   EntityChange::Put("red", TenantLimits{.quotas = {{.max_requests = 1}}})}),
            "");
  EXPECT_EQ(CountAllowed({.user = "a", .tenant = "acme"}, 5), 1) << "red is above it now";
}

TEST_F(TenantTreeTest, OnlySoManyLevels) {
  std::vector<EntityChange> changes;
  for (int i = 1; i <= 8; ++i) {
    TenantLimits limits{.quotas = {{.max_requests = 100}}};
    if (i > 1) limits.parent = "level" + std::to_string(i - 1);
    changes.push_back(EntityChange::Put("level" + std::to_string(i), limits));
  }
  ASSERT_TRUE(engine_->ApplyEntities({}, changes));
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "level8"}).size(), 9U);
  EXPECT_FALSE(engine_->ApplyEntities({}, std::vector{EntityChange::Put("level9", TenantLimits{.parent = "level8"})}));
}

// All that holds for the deepest goes on to hold: a level is refused, never dropped.
TEST_F(TenantTreeTest, ATreeThatMovesIsHeldToItsLevels) {
  std::vector<EntityChange> changes;
  for (int i = 1; i <= 8; ++i) {
    TenantLimits limits{.quotas = {{.max_requests = 100}}};
    if (i > 1) limits.parent = "level" + std::to_string(i - 1);
    changes.push_back(EntityChange::Put("level" + std::to_string(i), limits));
  }
  ASSERT_TRUE(engine_->ApplyEntities({}, changes));
  const auto rules = RulesFor({.user = "a", .tenant = "level8"});
  const auto moved = engine_->ApplyEntities(
      {}, std::vector{EntityChange::Put("level1", TenantLimits{.quotas = {{.max_requests = 100}}, .parent = "acme"})});
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(moved.error().message.find("tenants.level8.parent: is more than 8 levels deep: 'level8' in"),
            std::string::npos)
      << moved.error().message;
  EXPECT_EQ(RulesFor({.user = "a", .tenant = "level8"}), rules);
  // A document that would do it is refused as well.
  EnterpriseRateLimitConfig document = engine_->snapshot()->document();
  document.tenants["level0"] = {};
  document.tenants["level1"].parent = "level0";
  EXPECT_TRUE(engine_->Apply({}, document)) << "level1 was put by itself, and so holds";
  ASSERT_TRUE(engine_->ApplyEntities({}, std::vector{EntityChange::Remove(EntityChange::Kind::kTenant, "level8")}));
  EXPECT_TRUE(engine_->ApplyEntities({}, std::vector{EntityChange::Remove(EntityChange::Kind::kTenant, "level1")}));
  EXPECT_FALSE(engine_->ApplyEntities({}, std::vector{EntityChange::Put("level8", TenantLimits{.parent = "level7"})}));
}

TEST_F(TenantTreeTest, IsExplained) {
  std::vector<ExplainStep> steps;
  Call call;
  call.kind = CallKind::kPeek;
  call.request = {.user = "a", .tenant = "small"};
  call.trace = &steps;
  engine_->Run({&call, 1});
  std::string text;
  for (const ExplainStep& step : steps) text += step.detail + "\n";
  EXPECT_NE(text.find("tenants.small is a part of red"), std::string::npos) << text;
  EXPECT_NE(text.find("tenants.red is a part of acme"), std::string::npos) << text;
}

}  // namespace
}  // namespace weir::engine
