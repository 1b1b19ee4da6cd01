#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/manual_clock.h"
#include "weir/management.h"
#include "weir/rate_limiter.h"

namespace weir {
namespace {

RateLimitRule Rule(std::uint64_t requests) {
  return {.max_requests = requests,
          .window_seconds = 3600,
          .identifier = EnhancedIdentifier{UserId{}},
          .algorithm = TokenBucket{}};
}

class ManagementApiTest : public testing::Test {
 protected:
  ManagementApiTest() {
    EnterpriseRateLimitConfig config;
    config.global.free_tier = Rule(2);
    config.users["written"] = {.tier = "pro", .rule = Rule(3)};
    config.tenants["acme"] = {.rule = Rule(4)};
    config.api_keys["secret-key"] = {.plan = "pro"};
    limiter_ = RateLimiter::Create(config, {.clock = &clock_}).value();
  }

  ManagementApi& api() { return limiter_->management_api(); }
  std::uint64_t LimitOf(const Request& request) { return limiter_->Peek(request).decider()->outcome.limit; }
  std::uint64_t LimitOf(std::string_view user) { return LimitOf(Request{.user = user}); }

  ManualClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
};

TEST_F(ManagementApiTest, AUsersLimitTakesItsCountAlong) {
  ASSERT_TRUE(limiter_->Check({.user = "ann", .cost = 2}).allowed);
  EXPECT_FALSE(limiter_->Check({.user = "ann"}).allowed);
  ASSERT_TRUE(api().SetUserLimit("ann", {.max_requests = 5}));
  EXPECT_EQ(LimitOf("ann"), 5U);
  ASSERT_TRUE(api().SetUserLimit("ann", {.max_requests = 7}));
  EXPECT_EQ(LimitOf("ann"), 7U);
  EXPECT_EQ(LimitOf("ben"), 2U);
}

TEST_F(ManagementApiTest, TheRestOfAUserStays) {
  ASSERT_TRUE(api().SetUserLimit("written", Rule(9)));
  EXPECT_EQ(LimitOf("written"), 9U);
  EXPECT_EQ(api().FindUser("written")->tier, "pro");
  ASSERT_TRUE(api().SetUser("written", {.exempt = true}));
  EXPECT_EQ(limiter_->Peek({.user = "written"}).reason, Reason::kExempt);
  EXPECT_EQ(api().FindUser("written")->tier, std::nullopt);
}

TEST_F(ManagementApiTest, WhatIsRemovedIsGoneWhoeverWroteIt) {
  ASSERT_TRUE(api().SetUserLimit("ann", Rule(8)));
  for (const char* const user : {"ann", "written"}) {
    ASSERT_TRUE(api().RemoveUser(user)) << user;
    EXPECT_EQ(LimitOf(user), 2U) << user;
    EXPECT_EQ(api().FindUser(user), std::nullopt);
    EXPECT_EQ(api().RemoveUser(user).error().code, ErrorCode::kNotFound);
  }
  // Written in the document, and changed since.
  ASSERT_TRUE(api().SetTenant("acme", {.rule = Rule(6)}));
  EXPECT_EQ(LimitOf({.user = "u", .tenant = "acme"}), 6U);
  ASSERT_TRUE(api().RemoveTenant("acme"));
  EXPECT_EQ(LimitOf({.user = "u", .tenant = "acme"}), 2U);
  ASSERT_TRUE(api().RemoveApiKey("secret-key"));
  EXPECT_EQ(api().FindApiKey("secret-key"), std::nullopt);
  const Error none = api().RemoveApiKey("secret-key").error();
  EXPECT_EQ(none.code, ErrorCode::kNotFound);
  EXPECT_EQ(none.message.find("secret"), std::string::npos);
}

TEST_F(ManagementApiTest, KeysByThemselvesOrByDigest) {
  ASSERT_TRUE(api().SetTierLimit("pro", Rule(50)));
  ASSERT_TRUE(api().SetApiKey("another", {.plan = "pro", .user = "zoe"}));
  EXPECT_EQ(LimitOf({.api_key = "another"}), 50U);
  EXPECT_EQ(api().FindApiKey("another")->user, "zoe");
}

TEST_F(ManagementApiTest, ThePolicyChangesAndEntitiesStay) {
  ASSERT_TRUE(api().SetUserLimit("ann", Rule(8)));
  ASSERT_TRUE(api().SetTierLimit("free", Rule(11)));
  ASSERT_TRUE(api().SetTierLimit("gold", Rule(12)));
  EXPECT_EQ(LimitOf("ben"), 11U);
  EXPECT_EQ(LimitOf({.user = "ben", .tier = "gold"}), 12U);
  EXPECT_EQ(LimitOf("ann"), 8U);
  EXPECT_EQ(LimitOf("written"), 3U);
  ASSERT_TRUE(api().SetEndpoint("/a", {.methods = {"POST"}, .rule = Rule(20)}));
  ASSERT_TRUE(api().SetEndpointLimit("/a", Rule(21)));
  EXPECT_EQ(LimitOf({.user = "ben", .method = "POST", .path = "/a"}), 21U);
  EXPECT_EQ(LimitOf({.user = "ben", .method = "PUT", .path = "/a"}), 11U) << "its methods stay";
  ASSERT_TRUE(api().RemoveEndpoint("/a"));
  EXPECT_EQ(LimitOf({.user = "ben", .method = "POST", .path = "/a"}), 11U);
  EXPECT_EQ(api().RemoveEndpoint("/a").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(api().ChangePolicy([](EnterpriseRateLimitConfig& policy) {
    EXPECT_TRUE(policy.users.empty());
    policy.exemptions.users = {"root"};
  }));
  EXPECT_EQ(limiter_->Peek({.user = "root"}).reason, Reason::kExempt);
  EXPECT_EQ(LimitOf("written"), 3U);
}

TEST_F(ManagementApiTest, RulesForCountries) {
  ASSERT_TRUE(api().AddGeographicRule(
      {.countries = {"US", "CA"}, .rule = RateLimitRule::Generous(), .action = GeographicAction::kAllow}));
  ASSERT_TRUE(api().AddGeographicRule({.countries = {"XX"}, .action = GeographicAction::kBlock}));
  EXPECT_FALSE(limiter_->Check({.peer_ip = "192.0.2.1", .user = "u", .country = "XX"}).allowed);
  ASSERT_TRUE(api().RemoveIpRule("block XX"));
  EXPECT_TRUE(limiter_->Check({.peer_ip = "192.0.2.1", .user = "u", .country = "XX"}).allowed);
  EXPECT_EQ(api().RemoveIpRule("block XX").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(api().AddGeographicRule({}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ManagementApiTest, WhatIsWrongChangesNothing) {
  for (const auto& [what, refused] : std::initializer_list<std::pair<const char*, Result<>>>{
           {"no day", api().SetTierLimit("free", {.max_requests = 1, .schedule = Schedule{.days = {"noday"}}})},
           {"no pattern", api().SetEndpointLimit("no slash", Rule(1))},
           {"no tier", api().SetUser("ann", {.tier = "nobody's"})},
           {"no tenant", api().SetUser("ann", {.tenant = "nobody's"})}}) {
    ASSERT_FALSE(refused) << what;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << what;
  }
  EXPECT_EQ(LimitOf("ann"), 2U);
}

TEST_F(ManagementApiTest, ManyThreadsChangeAtOnce) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 20; ++i) {
        const std::string user = "user" + std::to_string(thread) + "." + std::to_string(i);
        EXPECT_TRUE(api().SetUserLimit(user, Rule(100)));
        EXPECT_TRUE(api().SetEndpointLimit("/" + user, Rule(100)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int thread = 0; thread < 4; ++thread) {
    for (int i = 0; i < 20; ++i) {
      const std::string user = "user" + std::to_string(thread) + "." + std::to_string(i);
      EXPECT_EQ(LimitOf(user), 100U);
      EXPECT_EQ(LimitOf({.user = "ben", .path = "/" + user}), 100U);
    }
  }
}

}  // namespace
}  // namespace weir
