#include "weir/stats.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "weir/rate_limiter.h"
#include "weir/testing.h"

namespace weir {
namespace {

EnterpriseRateLimitConfig Limits(std::uint64_t max_requests) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = max_requests, .window_seconds = 60};
  return config;
}

TEST(Stats, TellWhatWasDecided) {
  ManualClock clock;
  EnterpriseRateLimitConfig config = Limits(3);
  config.exemptions.users = {"root"};
  config.ip_rules.rules = {{.name = "bad", .cidrs = {"198.51.100.0/24"}, .action = IpRule::Action::kBlock}};
  EndpointLimits& tried = config.endpoints["/tried"];
  tried.combine = Combine::kStack;
  tried.rule = {.max_requests = 1, .window_seconds = 60};
  tried.rule.identifier = EnhancedIdentifier{IpAddress{}};
  tried.rule.mode = RuleMode::kShadow;
  const auto limiter = RateLimiter::Create(config, {.clock = &clock}).value();
  for (int i = 0; i < 5; ++i) (void)limiter->Check({.peer_ip = "192.0.2.1"});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter->Check({.peer_ip = "192.0.2.2", .path = "/tried"}).allowed);
  (void)limiter->Check({.peer_ip = "198.51.100.7"});
  (void)limiter->Check({.peer_ip = "192.0.2.1", .user = "root"});
  (void)limiter->Peek({.peer_ip = "192.0.2.1"});
  EXPECT_NE(limiter->Reserve({.peer_ip = "192.0.2.3"}).reservation, 0U);

  const Stats stats = limiter->GetStats();
  EXPECT_EQ(stats.allowed, 3U + 3 + 1 + 1);
  EXPECT_EQ(stats.denied, 2U + 1) << "a peek is not counted";
  EXPECT_EQ(stats.shadow_denied, 2U);
  EXPECT_EQ(stats.blocked, 1U);
  EXPECT_EQ(stats.exempt, 1U);
  EXPECT_EQ(stats.banned, 0U);
  EXPECT_EQ(stats.no_limit, 0U);
  EXPECT_EQ(stats.reservations_open, 1U);
  EXPECT_EQ(stats.store.name, "memory");
  EXPECT_EQ(stats.store.state, StoreState::kUp);
  EXPECT_EQ(stats.store.entries, 4U) << "three addresses, and one of them under the endpoint's rule";
  EXPECT_GE(stats.store.capacity, 1'000'000U);
  EXPECT_GT(stats.store.memory_bytes, 0U);
  EXPECT_FALSE(stats.local);
}

TEST(Stats, TellHowTheStoreFares) {
  ManualClock clock;
  StoreFaults faults(clock);
  const auto limiter = RateLimiter::Create(Limits(3), {.clock = &clock, .store_faults = &faults}).value();
  faults.SetDown(true);
  for (int i = 0; i < 5; ++i) (void)limiter->Check({.peer_ip = "192.0.2.1"});
  const Stats down = limiter->GetStats();
  EXPECT_EQ(down.store.state, StoreState::kDown);
  EXPECT_EQ(down.store.failures, faults.failed());
  EXPECT_EQ(down.store_failures_local, 5U);
  ASSERT_TRUE(down.local);
  EXPECT_EQ(down.local->entries, 1U);
  faults.SetDown(false);
  EXPECT_EQ(limiter->GetStats().store.state, StoreState::kUp);
}

TEST(Stats, StatesHaveNames) {
  EXPECT_EQ(ToString(StoreState::kUp), "up");
  EXPECT_EQ(ToString(StoreState::kDegraded), "degraded");
  EXPECT_EQ(ToString(StoreState::kDown), "down");
}

}  // namespace
}  // namespace weir
