#include "config/compile/inherit.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir::config {
namespace {

constexpr double kMostCount = 9007199254740992.0;  // 2^53, the bound of algorithms/limit.h

std::uint64_t Scaled(std::uint64_t count, double factor) {
  if (count == 0) return 0;  // derived from max_requests anyway
  return static_cast<std::uint64_t>(std::clamp(std::round(static_cast<double>(count) * factor), 1.0, kMostCount));
}

struct Scale {
  double count = 1;  // of max_requests
  double rate = 1;   // of max_requests / window_seconds
};

RateLimitAlgorithm Scaled(RateLimitAlgorithm algorithm, const Scale& scale) {
  if (auto* bucket = std::get_if<TokenBucket>(&algorithm)) {
    bucket->burst_capacity = Scaled(bucket->burst_capacity, scale.count);
    bucket->refill_rate *= scale.rate;
  } else if (auto* leaky = std::get_if<LeakyBucket>(&algorithm)) {
    leaky->capacity = Scaled(leaky->capacity, scale.count);
    leaky->leak_rate *= scale.rate;
  } else if (auto* concurrency = std::get_if<Concurrency>(&algorithm)) {
    concurrency->max_in_flight = Scaled(concurrency->max_in_flight, scale.count);
  } else if (auto* adaptive = std::get_if<Adaptive>(&algorithm)) {
    adaptive->min_limit = Scaled(adaptive->min_limit, scale.count);
    adaptive->max_limit = Scaled(adaptive->max_limit, scale.count);
  }
  return algorithm;
}

// How much more `merged` allows than `general`; 1 where either is not known or is 0.
Scale ScaleOf(const RateLimitRule& merged, const RateLimitRule& general) {
  Scale scale;
  const auto ratio = [](auto to, auto from) {
    return to.value_or(0) == 0 || from.value_or(0) == 0 ? 1.0 : static_cast<double>(*to) / static_cast<double>(*from);
  };
  scale.count = ratio(merged.max_requests, general.max_requests);
  scale.rate = scale.count / ratio(merged.window_seconds, general.window_seconds);
  return scale;
}

std::vector<FurtherLimit> Scaled(std::vector<FurtherLimit> limits, const Scale& scale) {
  for (FurtherLimit& limit : limits) {
    limit.max_requests = Scaled(limit.max_requests, scale.rate);
    if (limit.algorithm) limit.algorithm = Scaled(*limit.algorithm, {.count = scale.rate, .rate = scale.rate});
  }
  return limits;
}

// The algorithm with its numbers left to max_requests and window_seconds.
RateLimitAlgorithm WithoutNumbers(RateLimitAlgorithm algorithm) {
  if (auto* bucket = std::get_if<TokenBucket>(&algorithm)) {
    *bucket = {};
  } else if (auto* leaky = std::get_if<LeakyBucket>(&algorithm)) {
    leaky->capacity = 0;
    leaky->leak_rate = 0;
  } else if (auto* log = std::get_if<SlidingWindowLog>(&algorithm)) {
    log->log_retention = 0;
  } else if (auto* window = std::get_if<FixedWindow>(&algorithm)) {
    // A calendar's unit would be the window, whatever window_seconds says.
    if (window->aligned != WindowAlignment::kEpoch) window->aligned = WindowAlignment::kRolling;
  } else if (auto* concurrency = std::get_if<Concurrency>(&algorithm)) {
    concurrency->max_in_flight = 0;
  } else if (auto* adaptive = std::get_if<Adaptive>(&algorithm)) {
    adaptive->min_limit = adaptive->max_limit = 0;
  }
  return algorithm;
}

template <typename T>
void Fill(std::optional<T>& field, const std::optional<T>& from) {
  if (!field) field = from;
}

}  // namespace

RateLimitRule ExpandTemplate(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document) {
  if (!rule.from_template) return rule;
  const auto found = document.templates.find(*rule.from_template);
  RateLimitRule result = found == document.templates.end() ? rule : Inherit(rule, found->second);
  // A template may name the policy of the rules that start from it; a less specific level may not.
  if (found != document.templates.end()) Fill(result.name, found->second.name);
  result.from_template.reset();
  return result;
}

EnterpriseRateLimitConfig ExpandTemplates(const EnterpriseRateLimitConfig& document) {
  EnterpriseRateLimitConfig result = document;
  const auto expand = [&](RateLimitRule& rule) { rule = ExpandTemplate(rule, document); };
  const auto expand_some = [&](std::optional<RateLimitRule>& rule) {
    if (rule) expand(*rule);
  };
  expand(result.global.free_tier);
  expand(result.global.pro_tier);
  expand(result.global.enterprise_tier);
  for (auto& [name, rule] : result.global.tiers) expand(rule);
  for (auto& [name, tenant] : result.tenants) {
    expand_some(tenant.rule);
    expand_some(tenant.aggregate);
  }
  for (auto& [name, user] : result.users) expand_some(user.rule);
  for (auto& [pattern, endpoint] : result.endpoints) expand(endpoint.rule);
  for (auto& rule : result.ip_rules.rules) expand_some(rule.rule);
  const auto expand_tree = [&](auto& self, std::vector<DescriptorLimits>& descriptors) -> void {
    for (DescriptorLimits& one : descriptors) {
      expand_some(one.rule);
      for (RateLimitRule& rule : one.rules) expand(rule);
      self(self, one.descriptors);
    }
  };
  for (auto& [name, domain] : result.domains) {
    for (RateLimitRule& rule : domain.rules) expand(rule);
    expand_tree(expand_tree, domain.descriptors);
  }
  return result;
}

RateLimitRule Inherit(const RateLimitRule& specific, const RateLimitRule& general) {
  RateLimitRule result = specific;
  if (!result.unlimited && !specific.max_requests) result.unlimited = general.unlimited;
  Fill(result.max_requests, general.max_requests);
  Fill(result.window_seconds, general.window_seconds);
  Fill(result.identifier, general.identifier);
  if (!result.algorithm && general.algorithm) result.algorithm = Scaled(*general.algorithm, ScaleOf(result, general));
  Fill(result.headers, general.headers);
  Fill(result.mode, general.mode);
  Fill(result.penalties, general.penalties);
  Fill(result.schedule, general.schedule);
  Fill(result.on_store_failure, general.on_store_failure);
  Fill(result.on_missing, general.on_missing);
  Fill(result.counts, general.counts);
  Fill(result.on_exceeded, general.on_exceeded);
  Fill(result.max_wait_ms, general.max_wait_ms);
  Fill(result.denial, general.denial);
  Fill(result.when, general.when);
  if (!result.limits && general.limits) result.limits = Scaled(*general.limits, ScaleOf(result, general));
  return result;
}

RateLimitRule AsBase(RateLimitRule rule) {
  if (!rule.on_missing) rule.on_missing = OnMissing::kIp;
  return rule;
}

bool CanWait(const RateLimitAlgorithm& algorithm) {
  return std::holds_alternative<TokenBucket>(algorithm) || std::holds_alternative<LeakyBucket>(algorithm);
}

RateLimitRule IpRuleRule(const IpRule& rule, const EnterpriseRateLimitConfig& document) {
  RateLimitRule result = rule.rule.value_or(RateLimitRule{});
  if (rule.action == IpRule::Action::kChallenge && !result.on_exceeded) result.on_exceeded = Action::kChallenge;
  return SharedRule(result, document);
}

RateLimitRule FurtherRule(const RateLimitRule& rule, std::size_t i) {
  const FurtherLimit& limit = (*rule.limits)[i];
  RateLimitRule result = rule;
  result.limits.emplace();
  result.max_requests = limit.max_requests;
  result.window_seconds = limit.window_seconds;
  result.algorithm = limit.algorithm ? *limit.algorithm : WithoutNumbers(*rule.algorithm);
  if (limit.counts) result.counts = limit.counts;
  if (result.on_exceeded == Action::kWait && !CanWait(*result.algorithm)) result.on_exceeded = Action::kDeny;
  // Without a name it has its path's, as every rule.
  const bool named = rule.name && !rule.name->empty();
  result.name = limit.name ? limit.name
                : named    ? std::optional(*rule.name + ".limits." + std::to_string(i))
                           : std::nullopt;
  return result;
}

RateLimitRule WithDefaults(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document) {
  RateLimitRule result = rule;
  if (!result.identifier) result.identifier = EnhancedIdentifier{IpAddress{}};
  if (!result.algorithm) result.algorithm = document.algorithm.value_or(RateLimitAlgorithm{SlidingWindow{}});
  if (!result.headers) result.headers = HeaderConfig{};
  if (!result.mode) result.mode = RuleMode::kEnforce;
  if (!result.penalties) result.penalties = document.global.penalties;
  if (!result.on_store_failure) result.on_store_failure = document.storage.on_store_failure;
  if (!result.on_missing) result.on_missing = OnMissing::kSkip;
  if (!result.counts) result.counts = CountedUnit{};
  if (!result.on_exceeded) result.on_exceeded = Action::kDeny;
  if (!result.max_wait_ms) result.max_wait_ms = kDefaultMaxWaitMs;
  if (!result.denial) result.denial = document.denial;
  if (!result.limits) result.limits.emplace();
  if (!result.unlimited) result.unlimited = false;
  const BurstConfig& burst = document.global.burst;
  if (burst.enabled && burst.multiplier > 1) {
    if (auto* bucket = std::get_if<TokenBucket>(&*result.algorithm); bucket != nullptr && bucket->burst_capacity == 0) {
      bucket->burst_capacity = Scaled(result.max_requests.value_or(0), burst.multiplier);
    }
    if (auto* bucket = std::get_if<LeakyBucket>(&*result.algorithm); bucket != nullptr && bucket->capacity == 0) {
      bucket->capacity = Scaled(result.max_requests.value_or(0), burst.multiplier);
    }
  }
  return result;
}

namespace {

const RateLimitRule* FindTier(const GlobalLimits& global, std::string_view tier) {
  if (tier == "free" || tier == "free_tier") return &global.free_tier;
  if (tier == "pro" || tier == "pro_tier") return &global.pro_tier;
  if (tier == "enterprise" || tier == "enterprise_tier") return &global.enterprise_tier;
  const auto found = global.tiers.find(std::string(tier));
  return found == global.tiers.end() ? nullptr : &found->second;
}

}  // namespace

RateLimitRule TierRule(const EnterpriseRateLimitConfig& document, std::string_view tier) {
  const RateLimitRule* rule = FindTier(document.global, tier);
  if (rule == nullptr || rule == &document.global.free_tier) return document.global.free_tier;
  return Inherit(*rule, document.global.free_tier);
}

bool KnowsTier(const EnterpriseRateLimitConfig& document, std::string_view tier) {
  return FindTier(document.global, tier) != nullptr;
}

RateLimitRule SharedRule(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document) {
  return Inherit(rule, document.global.free_tier);
}

RateLimitRule AggregateRule(const RateLimitRule& aggregate) {
  RateLimitRule result = aggregate;
  if (!result.identifier) result.identifier = EnhancedIdentifier{TenantId{}};
  return result;
}

RateLimitRule QuotaRule(const Quota& quota, EnhancedIdentifier identifier) {
  constexpr std::uint32_t kDaySeconds = 86'400;
  const auto seconds = [&]() -> std::uint32_t {
    switch (quota.period) {
      case WindowAlignment::kMinute:
        return 60;
      case WindowAlignment::kHour:
        return 3'600;
      case WindowAlignment::kRolling:
      case WindowAlignment::kEpoch:
      case WindowAlignment::kDay:
        return kDaySeconds;
      case WindowAlignment::kWeek:
        return 7 * kDaySeconds;
      case WindowAlignment::kMonth:
        return 30 * kDaySeconds;
      case WindowAlignment::kYear:
        return 365 * kDaySeconds;
    }
    return kDaySeconds;
  };
  RateLimitRule rule;
  rule.max_requests = quota.max_requests;
  rule.window_seconds = seconds();
  rule.identifier = std::move(identifier);
  rule.algorithm = FixedWindow{.aligned = quota.rolling ? WindowAlignment::kRolling : quota.period,
                               .time_zone = quota.time_zone,
                               .count_denied = false};
  rule.penalties = PenaltyConfig{};
  rule.unlimited = false;
  return rule;
}

}  // namespace weir::config
