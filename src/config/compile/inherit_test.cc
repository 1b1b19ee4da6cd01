#include "config/compile/inherit.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

RateLimitRule Numbers(std::uint64_t max_requests, std::uint32_t window_seconds) {
  RateLimitRule rule;
  rule.max_requests = max_requests;
  rule.window_seconds = window_seconds;
  return rule;
}

TEST(Inherit, TakesWhatTheSpecificRuleDoesNotWrite) {
  RateLimitRule general = Numbers(100, 60);
  general.identifier = EnhancedIdentifier{UserId{}};
  general.headers = HeaderConfig::Detailed();
  general.mode = RuleMode::kShadow;
  general.penalties = PenaltyConfig{.enabled = true};
  general.schedule = Schedule{};
  general.on_store_failure = StoreFailurePolicy::kDeny;
  general.algorithm = SlidingWindowLog{};
  general.name = "general";
  general.from_template = "t";

  RateLimitRule inherited = Inherit({}, general);
  EXPECT_FALSE(inherited.name);  // these two belong to one rule
  EXPECT_FALSE(inherited.from_template);
  inherited.name = general.name;
  inherited.from_template = general.from_template;
  EXPECT_EQ(inherited, general);

  RateLimitRule specific = Numbers(5, 1);
  specific.identifier = EnhancedIdentifier{ApiKey{}};
  specific.mode = RuleMode::kEnforce;
  specific.name = "specific";
  const RateLimitRule both = Inherit(specific, general);
  EXPECT_EQ(both.max_requests, 5U);
  EXPECT_EQ(both.window_seconds, 1U);
  EXPECT_EQ(both.identifier, specific.identifier);
  EXPECT_EQ(both.mode, RuleMode::kEnforce);
  EXPECT_EQ(both.name, "specific");
  EXPECT_EQ(both.on_store_failure, StoreFailurePolicy::kDeny);
}

TEST(Inherit, NumbersEndUnlimited) {
  EXPECT_EQ(Inherit({}, RateLimitRule::Unlimited()).unlimited, true);
  EXPECT_EQ(Inherit(Numbers(5, 60), RateLimitRule::Unlimited()).unlimited, std::nullopt);
  EXPECT_EQ(Inherit(RateLimitRule::Unlimited(), Numbers(5, 60)).unlimited, true);
  RateLimitRule limited_again;
  limited_again.unlimited = false;
  EXPECT_EQ(Inherit(limited_again, RateLimitRule::Unlimited()).unlimited, false);
}

TEST(Inherit, AnInheritedAlgorithmFollowsTheNewNumbers) {
  RateLimitRule general = Numbers(1000, 3600);
  general.algorithm = TokenBucket{.refill_rate = 0.5, .burst_capacity = 100};
  const auto bucket = [&](const RateLimitRule& specific) {
    return std::get<TokenBucket>(*Inherit(specific, general).algorithm);
  };
  EXPECT_EQ(bucket({}), (TokenBucket{0.5, 100}));
  EXPECT_EQ(bucket(Numbers(10'000, 3600)), (TokenBucket{5.0, 1000}));
  EXPECT_EQ(bucket(Numbers(1000, 1800)), (TokenBucket{1.0, 100}));
  EXPECT_EQ(bucket(Numbers(1, 3600)).burst_capacity, 1U);  // never 0: that would mean "derived"
  EXPECT_EQ(bucket(Numbers(0, 3600)), (TokenBucket{0.5, 100}));

  RateLimitRule own = Numbers(10'000, 3600);
  own.algorithm = TokenBucket{.refill_rate = 7, .burst_capacity = 7};
  EXPECT_EQ(bucket(own), (TokenBucket{7, 7}));

  general.algorithm = LeakyBucket{.leak_rate = 0, .capacity = 10, .shape = true};
  EXPECT_EQ(Inherit(Numbers(2000, 3600), general).algorithm, RateLimitAlgorithm(LeakyBucket{0, 20, true}));
  general.algorithm = Concurrency{.max_in_flight = 4, .lease_seconds = 9};
  EXPECT_EQ(Inherit(Numbers(3000, 3600), general).algorithm, RateLimitAlgorithm(Concurrency{12, 9}));
  general.algorithm = Adaptive{.learning_window = 1, .adjustment_factor = 1, .min_limit = 10, .max_limit = 0};
  EXPECT_EQ(Inherit(Numbers(2000, 3600), general).algorithm, RateLimitAlgorithm(Adaptive{1, 1, 20, 0}));
}

TEST(Inherit, DefaultsComeFromTheDocument) {
  EnterpriseRateLimitConfig document;
  RateLimitRule complete = WithDefaults(Numbers(10, 60), document);
  EXPECT_EQ(complete.identifier, EnhancedIdentifier{IpAddress{}});
  EXPECT_EQ(complete.algorithm, RateLimitAlgorithm(SlidingWindow{}));
  EXPECT_EQ(complete.headers, HeaderConfig{});
  EXPECT_EQ(complete.mode, RuleMode::kEnforce);
  EXPECT_EQ(complete.unlimited, false);
  EXPECT_EQ(complete.penalties, PenaltyConfig{});
  EXPECT_EQ(complete.on_store_failure, StoreFailurePolicy::kLocal);
  EXPECT_EQ(WithDefaults(complete, document), complete);

  document.algorithm = TokenBucket{};
  document.global.penalties.enabled = true;
  document.global.burst = {.enabled = true, .multiplier = 2.5};
  document.storage.on_store_failure = StoreFailurePolicy::kDeny;
  complete = WithDefaults(Numbers(10, 60), document);
  EXPECT_EQ(complete.algorithm, RateLimitAlgorithm(TokenBucket{0, 25}));
  EXPECT_TRUE(complete.penalties->enabled);
  EXPECT_EQ(complete.on_store_failure, StoreFailurePolicy::kDeny);
  RateLimitRule own = Numbers(10, 60);
  own.algorithm = TokenBucket{.refill_rate = 1, .burst_capacity = 3};
  EXPECT_EQ(WithDefaults(own, document).algorithm, own.algorithm);
}

TEST(Inherit, TiersInheritFromFree) {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = Numbers(10, 60);
  document.global.pro_tier.max_requests = 20;
  document.global.enterprise_tier = RateLimitRule::Unlimited();
  document.global.tiers["gold"].window_seconds = 1;
  EXPECT_EQ(TierRule(document, "free"), Numbers(10, 60));
  EXPECT_EQ(TierRule(document, ""), Numbers(10, 60));
  EXPECT_EQ(TierRule(document, "unheard of"), Numbers(10, 60));
  EXPECT_EQ(TierRule(document, "pro"), Numbers(20, 60));
  EXPECT_EQ(TierRule(document, "pro_tier"), Numbers(20, 60));
  EXPECT_EQ(TierRule(document, "gold"), Numbers(10, 1));
  EXPECT_EQ(TierRule(document, "enterprise").unlimited, true);
  EXPECT_TRUE(KnowsTier(document, "gold"));
  EXPECT_TRUE(KnowsTier(document, "enterprise_tier"));
  EXPECT_FALSE(KnowsTier(document, ""));
  EXPECT_EQ(SharedRule(Numbers(1, 1), document), Numbers(1, 1));
  EXPECT_EQ(SharedRule({}, document), Numbers(10, 60));
}

TEST(Inherit, TemplatesStandBetweenARuleAndItsLevel) {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = Numbers(1000, 3600);
  RateLimitRule slow = Numbers(5, 300);
  slow.algorithm = TokenBucket{.refill_rate = 0, .burst_capacity = 50};
  slow.name = "slow";
  document.templates["slow"] = slow;
  EndpointLimits login;
  login.rule.from_template = "slow";
  login.rule.max_requests = 10;
  document.endpoints["/login"] = login;
  document.users["bob"].rule = RateLimitRule{};
  document.users["bob"].rule->from_template = "none of these";

  const EnterpriseRateLimitConfig expanded = ExpandTemplates(document);
  const RateLimitRule& rule = expanded.endpoints.at("/login").rule;
  EXPECT_EQ(rule.max_requests, 10U);
  EXPECT_EQ(rule.window_seconds, 300U);
  EXPECT_EQ(rule.algorithm, RateLimitAlgorithm(TokenBucket{0, 100}));
  EXPECT_EQ(rule.name, "slow");
  EXPECT_FALSE(rule.from_template);
  EXPECT_EQ(expanded.templates, document.templates);
  EXPECT_EQ(ExpandTemplates(expanded).endpoints, expanded.endpoints);
}

TEST(Inherit, QuotasAndAggregatesHaveTheirOwnSubject) {
  EXPECT_EQ(AggregateRule(Numbers(5, 60)).identifier, EnhancedIdentifier{TenantId{}});
  RateLimitRule by_ip = Numbers(5, 60);
  by_ip.identifier = EnhancedIdentifier{IpAddress{}};
  EXPECT_EQ(AggregateRule(by_ip), by_ip);

  const RateLimitRule monthly =
      QuotaRule({.max_requests = 9, .period = WindowAlignment::kMonth, .rolling = false, .time_zone = "Europe/Berlin"},
                EnhancedIdentifier{UserId{}});
  EXPECT_EQ(monthly.max_requests, 9U);
  EXPECT_EQ(monthly.identifier, EnhancedIdentifier{UserId{}});
  EXPECT_EQ(monthly.algorithm, RateLimitAlgorithm(FixedWindow{WindowAlignment::kMonth, "Europe/Berlin", false}));
  const RateLimitRule rolling =
      QuotaRule({.max_requests = 9, .period = WindowAlignment::kWeek, .rolling = true, .time_zone = "UTC"}, {});
  EXPECT_EQ(rolling.window_seconds, 7U * 86'400);
  EXPECT_EQ(std::get<FixedWindow>(*rolling.algorithm).aligned, WindowAlignment::kRolling);
}

TEST(Inherit, MissingIdentifiersUnitsLimitsAndConditions) {
  RateLimitRule general = Numbers(100, 60);
  general.on_missing = OnMissing::kDeny;
  general.counts = CountedUnit{.kind = CountedUnit::Kind::kAttribute, .attribute = "bytes"};
  general.when = "true";
  general.limits = {{.max_requests = 10, .window_seconds = 1, .algorithm = TokenBucket{.burst_capacity = 20}}};
  EXPECT_EQ(Inherit({}, general), general);
  const RateLimitRule half = Inherit(Numbers(50, 60), general);
  EXPECT_EQ(half.limits->front().max_requests, 5U) << "as the rate of the rule itself";
  EXPECT_EQ(std::get<TokenBucket>(*half.limits->front().algorithm).burst_capacity, 10U);
  RateLimitRule specific;
  specific.limits.emplace();
  specific.on_missing = OnMissing::kSkip;
  EXPECT_TRUE(Inherit(specific, general).limits->empty());
  EXPECT_EQ(Inherit(specific, general).on_missing, OnMissing::kSkip);
  EXPECT_EQ(AsBase({}).on_missing, OnMissing::kIp);
  EXPECT_EQ(AsBase(specific).on_missing, OnMissing::kSkip);
  EXPECT_EQ(WithDefaults({}, {}).on_missing, OnMissing::kSkip);
  EXPECT_EQ(WithDefaults({}, {}).counts, CountedUnit{});
}

TEST(Inherit, AFurtherLimitIsTheRuleWithOtherNumbers) {
  RateLimitRule rule = Numbers(100, 3600);
  rule.algorithm = FixedWindow{.aligned = WindowAlignment::kDay, .time_zone = "Europe/Berlin"};
  rule.identifier = EnhancedIdentifier{UserId{}};
  rule.mode = RuleMode::kShadow;
  rule.limits = {{.max_requests = 5, .window_seconds = 10},
                 {.max_requests = 6, .window_seconds = 20, .algorithm = SlidingWindowLog{}, .name = "log"}};
  const RateLimitRule complete = WithDefaults(rule, {});
  const RateLimitRule first = FurtherRule(complete, 0);
  EXPECT_EQ(first.max_requests, 5U);
  EXPECT_EQ(first.window_seconds, 10U);
  EXPECT_EQ(std::get<FixedWindow>(*first.algorithm).aligned, WindowAlignment::kRolling) << "not another day";
  EXPECT_EQ(first.identifier, rule.identifier);
  EXPECT_EQ(first.mode, RuleMode::kShadow);
  EXPECT_EQ(first.name, std::nullopt) << "its path";
  const RateLimitRule second = FurtherRule(complete, 1);
  EXPECT_TRUE(std::holds_alternative<SlidingWindowLog>(*second.algorithm));
  EXPECT_EQ(second.name, "log");
}

}  // namespace
}  // namespace weir::config
