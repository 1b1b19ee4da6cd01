#include "engine/resolve/ruleset.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "algorithms/word.h"
#include "base/hash.h"
#include "engine/counters/detail.h"
#include "engine/identify/client_address.h"
#include "engine/identify/identify.h"
#include "engine/identify/request_fields.h"

namespace weir::engine {
namespace {

using Kind = config::Identifier::Kind;

std::uint64_t PartOf(std::uint64_t count, std::uint32_t instances) {
  return count == 0 ? 0 : std::max<std::uint64_t>(1, count / instances);
}

// Whatever the number has become, the count is found where the rule's own would be.
algorithms::Limit SameForm(const algorithms::Limit& rules, const algorithms::Limit& limit) {
  algorithms::Limit sane = algorithms::Sanitize(limit);
  sane.kind = rules.kind;
  sane.grid_shift = rules.grid_shift;
  return sane;
}

void CollectTierFields(const config::Identifier& identifier, std::vector<std::string>& fields) {
  if (identifier.kind == Kind::kUser && !identifier.tier_field.empty() &&
      std::ranges::find(fields, identifier.tier_field) == fields.end()) {
    fields.push_back(identifier.tier_field);
  }
  if (identifier.primary) CollectTierFields(*identifier.primary, fields);
  if (identifier.secondary) CollectTierFields(*identifier.secondary, fields);
}

bool IsPlain(const config::Rule& rule) {
  return rule.penalty == nullptr && rule.limit.kind != algorithms::Kind::kConcurrency && !rule.identifier.reads_quota();
}

}  // namespace

algorithms::Limit ShareOf(algorithms::Limit limit, std::uint32_t instances) {
  if (instances <= 1) return limit;
  limit.capacity = PartOf(limit.capacity, instances);
  limit.min_capacity = PartOf(limit.min_capacity, instances);
  limit.max_capacity = PartOf(limit.max_capacity, instances);
  // A longer period rather than a smaller count: exact for rates like 1 a minute.
  if (limit.rate_period <= INT64_MAX / static_cast<Nanos>(instances)) {
    limit.rate_period *= static_cast<Nanos>(instances);
  } else {
    limit.rate_count = PartOf(limit.rate_count, instances);
  }
  return SameForm(limit, limit);
}

algorithms::Limit WithQuota(algorithms::Limit limit, std::uint64_t quota) {
  quota = std::min(quota, algorithms::kMaxCount);
  if (limit.capacity > 0 && limit.rate_count > 0 && quota > 0) {
    // rate * quota / capacity, with the fraction shortened so that it fits.
    const std::uint64_t common = std::gcd(quota, limit.capacity);
    const std::uint64_t more = quota / common;
    const std::uint64_t longer = limit.capacity / common;
    const long double count = static_cast<long double>(limit.rate_count) * static_cast<long double>(more);
    const long double period = static_cast<long double>(limit.rate_period) * static_cast<long double>(longer);
    const long double most = static_cast<long double>(algorithms::kMaxCount);
    const long double shrink = std::max({1.0L, count / most, period / most});
    limit.rate_count = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(count / shrink));
    limit.rate_period = std::max<Nanos>(1, static_cast<Nanos>(period / shrink));
  }
  limit.capacity = quota;
  return SameForm(limit, limit);
}

HeaderPlan PlanHeaders(const HeaderConfig& headers) {
  HeaderPlan plan;
  for (const HeaderStyle style : headers.styles) {
    switch (style) {
      case HeaderStyle::kIetf:
        plan.ietf = true;
        break;
      case HeaderStyle::kDraft06:
        plan.draft06 = true;
        break;
      case HeaderStyle::kDraft07:
        plan.draft07 = true;
        break;
      case HeaderStyle::kXRateLimit:
        plan.x_ratelimit = true;
        break;
      case HeaderStyle::kNone:
        break;
    }
  }
  plan.reset_as_epoch = headers.reset_as_epoch;
  plan.retry_after = headers.retry_after;
  plan.on_allowed = headers.on_allowed;
  plan.partition_key = headers.partition_key;
  plan.basic_body = headers.basic_body;
  return plan;
}

Result<std::shared_ptr<const Ruleset>> Ruleset::Create(std::shared_ptr<const config::Snapshot> snapshot,
                                                       const Extractors::Registered& registered, Counters& counters) {
  const EnterpriseRateLimitConfig& document = snapshot->document();
  auto extractors = Extractors::Create(snapshot->extractors(), document.jwt, registered);
  if (!extractors) return std::unexpected(extractors.error());
  std::shared_ptr<Ruleset> made(new Ruleset(std::move(snapshot), std::move(*extractors)));
  made->instances_ = std::max<std::uint32_t>(1, document.storage.instances);
  made->AddThrottle(document.storage.on_store_failure, counters);
  for (const config::Rule& rule : made->snapshot_->rules()) {
    if (NamedSubjects(rule.identifier) > kMostSubjects) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}.identifier: counts more than {} subjects a request", rule.path, kMostSubjects));
    }
    // In both modes it is in shadow, as with envoyproxy/ratelimit.
    const bool quota = rule.descriptor != nullptr && rule.descriptor->quota && !rule.shadow;
    made->uses_.push_back({.rule = &rule,
                           .headers = PlanHeaders(rule.headers),
                           .shadow = rule.shadow || quota,
                           .quota = quota,
                           .detailed = IsDetailed(rule),
                           .plain = IsPlain(rule),
                           .simple = IsSimple(rule.identifier),
                           .most_subjects = static_cast<std::uint8_t>(MostSubjects(rule.identifier)),
                           .counter = counters.PlaceOf(rule.path, rule.level),
                           .instances = made->instances_,
                           .share = ShareOf(rule.limit, made->instances_)});
    made->keeps_words_ |= algorithms::ShapeOf(rule.limit.kind) == algorithms::Shape::kWord;
    made->by_path_.emplace(rule.path, rule.index);
    for (const config::PreviousRule* one = rule.previous.get(); one != nullptr; one = one->before.get()) {
      if (config::PathOfGeneration(one->generation) != rule.path) made->moved_.emplace(one->generation, rule.index);
    }
    CollectTierFields(rule.identifier, made->tier_fields_);
  }
  const config::Rule& base = *made->snapshot_->FindTier({});
  if (!base.unlimited && IsSimple(base.identifier)) made->likely_ = base.identifier.kind;
  return made;
}

void Ruleset::AddThrottle(StoreFailurePolicy on_store_failure, Counters& counters) {
  constexpr std::string_view kName = "throttle";
  throttle_rule_.path = throttle_rule_.policy = throttle_rule_.generation = kName;
  throttle_rule_.seed = Hash64(kName);
  throttle_rule_.on_store_failure = on_store_failure;
  throttle_ = {.rule = &throttle_rule_,
               .headers = PlanHeaders(throttle_rule_.headers),
               .counter = counters.PlaceOf(kName, throttle_rule_.level),
               .instances = instances_,
               .share = {}};
}

const RuleUse* Ruleset::FindCounting(std::string_view generation) const {
  if (const auto moved = moved_.find(generation); moved != moved_.end()) return &uses_[moved->second];
  const auto found = by_path_.find(config::PathOfGeneration(generation));
  if (found == by_path_.end()) return nullptr;
  const RuleUse& use = uses_[found->second];
  if (use.rule->generation == generation) return &use;
  const config::PreviousRule* one = use.rule->previous.get();
  while (one != nullptr && one->generation != generation) one = one->before.get();
  return one == nullptr ? nullptr : &use;
}

Facts Ruleset::FactsOf(const Request& request, Nanos now, Arena& arena) const {
  Facts facts;
  facts.client_text = FindClient(*snapshot_, request, facts.client);
  facts.user = request.user;
  facts.tenant = request.tenant;
  facts.tier = request.tier.empty() && !tier_fields_.empty() ? FindTier(request, now, arena) : request.tier;
  facts.api_key = request.api_key;
  facts.country = request.country;
  facts.method = request.method;
  facts.path = request.path;
  facts.now = now;
  return facts;
}

std::string_view Ruleset::FindTier(const Request& request, Nanos now, Arena& arena) const {
  for (const std::string& field : tier_fields_) {
    if (const auto named = FindAttribute(request, field); named && snapshot_->KnowsTier(*named)) return *named;
    if (!extractors_.jwt().verifies()) continue;
    const auto token = FindBearerToken(request);
    const auto claim = token ? extractors_.jwt().Read(*token, field, now, arena) : std::nullopt;
    if (claim && snapshot_->KnowsTier(claim->text)) return claim->text;
  }
  return {};
}

}  // namespace weir::engine
