// The usage examples of the specification, translated line by line: each compiles and does what it says. A line whose
// feature is not there yet is named in a comment at its place.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weir/testing.h"
#include "weir/weir.h"

namespace weir {
namespace {

GlobalLimits LimitsOfTheExample() {
  return {
      .free_tier =
          RateLimitRule{
              .max_requests = 1000,
              .window_seconds = 3600,
              .identifier = EnhancedIdentifier{ApiKey{
                  .quota_field = "quota",
                  .key_prefix = std::nullopt,
              }},
              .algorithm =
                  TokenBucket{
                      .refill_rate = 1000.0 / 3600.0,  // 1000 per hour
                      .burst_capacity = 100,
                  },
              .headers = HeaderConfig{},
          },
      .pro_tier =
          RateLimitRule{
              .max_requests = 10000,
              .window_seconds = 3600,
          },
      .enterprise_tier = RateLimitRule::Unlimited(),  // no limits for enterprise
  };
}

// "Basic Enterprise Setup".
StorageConfig StorageOfTheExample() {
  return {.kind = StorageConfig::Hybrid{
              .primary =
                  StorageConfig::Memory{
                      .max_entries = 100000,
                      .cleanup_interval = 300,
                  },
              .secondary =
                  StorageConfig::Redis{
                      .url = "redis://localhost:6379",
                      .cluster = false,
                      .pool_size = 10,
                  },
              .sync_interval = 60,
          }};
}

TEST(SpecExamples, BasicEnterpriseSetup) {
  auto config = EnterpriseRateLimitConfig::Builder()
                    .GlobalLimits(LimitsOfTheExample())
                    .Storage(StorageOfTheExample())
                    .Analytics(AnalyticsConfig{
                        .metrics_enabled = true,
                        .event_logging = true,
                        .insights_retention_days = 30,
                    })
                    .Build();
  ASSERT_TRUE(config) << config.error().message;

  // Create the enterprise rate limiter (a test has no Redis: its faults' store stands in for both halves).
  ManualClock clock;
  StoreFaults faults(clock);
  auto created = EnterpriseRateLimit::Create(*config, {.clock = &clock, .store_faults = &faults});
  ASSERT_TRUE(created) << created.error().message;

  // Use with middleware.
  EnterpriseRateLimitMiddleware middleware(std::move(*created), clock);
  EXPECT_TRUE(middleware.Before({.api_key = "k0"}).pass);
  EXPECT_EQ(middleware.Before({.api_key = "k0"}).headers.size(), 2U);
  EXPECT_TRUE(middleware.Before({.api_key = "k0", .cost = 98}).pass);
  const auto refused = middleware.Before({.api_key = "k0"});
  EXPECT_FALSE(refused.pass);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.content_type, "application/problem+json");
  EXPECT_NE(refused.body.find("violated-policies"), std::string::npos) << refused.body;
  EXPECT_EQ(refused.headers.back(), (HeaderField{"Retry-After", "4"}));

  RateLimiter* const rate_limiter = &middleware.limiter();
  const Request request{.peer_ip = "192.0.2.1", .api_key = "k1", .method = "GET", .path = "/"};
  const Decision decision = rate_limiter->Check(request);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(RateLimitHeaders(decision, clock).front(),
            (HeaderField{"RateLimit-Policy", R"("global.free_tier";q=100;w=360)"}));

  int allowed = 1;
  for (int i = 0; i < 200; ++i) allowed += rate_limiter->Check(request).allowed ? 1 : 0;
  EXPECT_EQ(allowed, 100) << "the burst";
  // The attribute `quota` says how many requests this key has.
  const Attribute quota{.name = "quota", .value = "7"};
  const Request bought{.api_key = "k2", .attributes = {&quota, 1}};
  EXPECT_EQ(rate_limiter->Check(bought).decider()->outcome.limit, 7U);
  // What the pro tier does not write it takes from the free tier: also that a tenth may come at once.
  EXPECT_EQ(rate_limiter->Check({.tier = "pro", .api_key = "k3"}).decider()->outcome.limit, 1'000U);
  EXPECT_EQ(rate_limiter->Check({.tier = "enterprise", .api_key = "k4"}).reason, Reason::kNoLimit);
}

// "Runtime Configuration Management".
TEST(SpecExamples, RuntimeConfigurationManagement) {
  ManualClock clock;
  const auto rate_limiter =
      EnterpriseRateLimit::Create(
          EnterpriseRateLimitConfig::Builder().GlobalLimits(LimitsOfTheExample()).Build().value(), {.clock = &clock})
          .value();
  ManagementApi& management_api = rate_limiter->management_api();

  // Update user-specific limits at run time.
  ASSERT_TRUE(
      management_api.SetUserLimit("user123", RateLimitRule{
                                                 .max_requests = 5000,
                                                 .window_seconds = 3600,
                                                 .identifier = EnhancedIdentifier{UserId{
                                                     .tier_field = "subscription_tier",
                                                     .fallback_to_ip = true,
                                                 }},
                                                 .algorithm = SlidingWindow{.precision = WindowPrecision::Minute()},
                                                 .headers = HeaderConfig::Detailed(),
                                             }));
  EXPECT_EQ(rate_limiter->Check({.user = "user123"}).decider()->outcome.limit, 5000U);
  EXPECT_EQ(RateLimitHeaders(rate_limiter->Check({.user = "user123"}), clock).size(), 5U);

  // Create endpoint-specific limits.
  ASSERT_TRUE(management_api.SetEndpointLimit("/api/v1/upload/*",
                                              RateLimitRule{
                                                  .max_requests = 100,
                                                  .window_seconds = 3600,
                                                  .identifier = EnhancedIdentifier{IpAddress{
                                                      .use_forwarded = true,
                                                      .geolocation = true,
                                                      .reputation_check = true,
                                                  }},
                                                  .algorithm =
                                                      LeakyBucket{
                                                          .leak_rate = 0.1,  // smooth rate limiting for uploads
                                                          .capacity = 100,
                                                      },
                                                  .headers = HeaderConfig::UploadOptimized(),
                                              }));
  const Decision upload = rate_limiter->Check({.peer_ip = "192.0.2.1", .user = "user123", .path = "/api/v1/upload/a"});
  EXPECT_EQ(upload.decider()->outcome.limit, 100U);
  EXPECT_TRUE(RateLimitHeaders(upload, clock).empty()) << "only a denial says anything";

  // Geographic rate limiting.
  ASSERT_TRUE(management_api.AddGeographicRule(GeographicRule{
      .countries = {"US", "CA", "GB"},
      .rule = RateLimitRule::Generous(),
      .action = GeographicAction::kAllow,
  }));
  const auto applied = management_api.AddGeographicRule(GeographicRule{
      .countries = {"CN", "RU"},
      .rule = RateLimitRule::Strict(),
      .action = GeographicAction::kThrottle,
  });
  ASSERT_TRUE(applied) << applied.error().message;
  // 1000 and 10 a minute; here too a tenth at once.
  EXPECT_EQ(rate_limiter->Check({.peer_ip = "192.0.2.2", .api_key = "k1", .country = "CA"}).decider()->outcome.limit,
            100U);
  int allowed = 0;
  for (int second = 0; second < 60; ++second, clock.Advance(kSecond)) {
    allowed += rate_limiter->Check({.peer_ip = "192.0.2.3", .api_key = "k2", .country = "RU"}).allowed ? 1 : 0;
  }
  EXPECT_EQ(allowed, 10);
}

// "Advanced Analytics Usage". analytics(), patterns and costs come with analytics; the limiter's own figures are here.
TEST(SpecExamples, RealtimeStatistics) {
  ManualClock clock;
  const auto rate_limiter =
      EnterpriseRateLimit::Create(
          EnterpriseRateLimitConfig::Builder().GlobalLimits(LimitsOfTheExample()).Build().value(), {.clock = &clock})
          .value();
  const Stats before = rate_limiter->GetStats();
  for (const char* const key : {"a", "b", "c"}) (void)rate_limiter->Check({.api_key = key});
  clock.Advance(2 * kSecond);
  const Stats stats = rate_limiter->GetStats();
  const std::uint64_t decisions = stats.allowed + stats.denied - before.allowed - before.denied;
  const double requests_per_second = static_cast<double>(decisions) / 2;
  std::printf("Current RPS: %.1f\n", requests_per_second);
  std::printf("Active rate limits: %llu\n", static_cast<unsigned long long>(stats.store.entries));
  EXPECT_EQ(requests_per_second, 1.5);
  EXPECT_EQ(stats.store.entries, 3U);
}

// "Migration Steps".
TEST(SpecExamples, MigrationSteps) {
  // Step 1: both can be included side by side.
  using BasicConfig = BasicRateLimitConfig;

  // Step 2: convert the existing configuration.
  const BasicConfig basic_config{};
  auto enterprise_config = EnterpriseRateLimitConfig::FromBasic(basic_config);

  // Step 3: enable enterprise features gradually.
  enterprise_config = std::move(enterprise_config).EnableRedisStorage().EnableAnalytics().EnableManagementApi();
  EXPECT_TRUE(std::holds_alternative<RedisConfig>(enterprise_config.storage.kind));

  // Step 4: replace the middleware. A test has no Redis.
  ManualClock clock;
  StoreFaults faults(clock);
  auto limiter = EnterpriseRateLimit::Create(enterprise_config, {.clock = &clock, .store_faults = &faults});
  ASSERT_TRUE(limiter) << limiter.error().message;
  EnterpriseRateLimitMiddleware middleware(std::move(*limiter), clock);
  const Attribute forwarded{.name = "X-Forwarded-For", .value = "192.0.2.1"};
  int allowed = 0;
  for (int i = 0; i < 120; ++i) {
    allowed += middleware.Before({.peer_ip = "10.0.0.1", .path = "/", .headers = {&forwarded, 1}}).pass ? 1 : 0;
  }
  EXPECT_EQ(allowed, 100) << "as the basic limiter does";
}

}  // namespace
}  // namespace weir
