#include "engine/resolve/ruleset.h"

#include <algorithm>
#include <numeric>

#include "algorithms/aligned_window.h"
#include "base/hash.h"
#include "config/compile/compile_rules.h"
#include "engine/identify/client_address.h"
#include "engine/identify/request_fields.h"

namespace weir::engine {
namespace {

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

}  // namespace

bool SharesCount(const config::Rule& rule, const algorithms::Limit& client_limit) {
  const algorithms::Limit& limit = rule.limit;
  const bool holds = limit.kind != algorithms::Kind::kAlignedWindow || algorithms::aligned_window::Holds(client_limit);
  return holds && algorithms::IsFixedWindow(limit.kind) && algorithms::IsFixedWindow(client_limit.kind) &&
         limit.calendar == algorithms::Calendar::kEpoch && client_limit.calendar == limit.calendar &&
         client_limit.window == limit.window && rule.identifier.kind == config::Identifier::Kind::kDescriptor &&
         !rule.descriptor->contained &&
         std::ranges::all_of(rule.descriptor->steps, [](const auto& step) { return step.shared.empty(); });
}

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

namespace {

config::Rule MakeThrottle(StoreFailurePolicy on_store_failure) {
  const auto parts = MakeCounted<config::RuleParts>();
  parts->identifier = std::make_shared<const config::Identifier>();
  config::Rule rule{CountedRef<const config::RuleParts>(parts)};
  rule.path = rule.policy = rule.generation = Name::Of("throttle").Shown();
  rule.seed = Hash64(rule.generation);
  rule.on_store_failure = on_store_failure;
  rule.use.headers = config::PlanOf({});
  return rule;
}

}  // namespace

std::shared_ptr<const Ruleset::Policy> Ruleset::MakePolicy(const config::Snapshot& snapshot, Counters& counters) {
  const EnterpriseRateLimitConfig& document = snapshot.document();
  const auto made = std::make_shared<Policy>(counters, MakeThrottle(document.storage.on_store_failure));
  made->instances = std::max<std::uint32_t>(1, document.storage.instances);
  made->counters.reserve(snapshot.rules().size() + snapshot.families().size());
  for (const config::Rule& rule : snapshot.rules()) {
    made->counters.push_back(counters.Take(rule.path, rule.level));
    made->by_path.emplace(rule.path, &rule.use);
    for (const config::PreviousRule* one = rule.previous.get(); one != nullptr; one = one->before.get()) {
      if (config::PathOfGeneration(one->generation) != rule.path) made->moved.emplace(one->generation, &rule.use);
    }
  }
  for (const config::RuleFamily& family : snapshot.families()) {
    made->counters.push_back(counters.Take(family.path, family.level, family.tier));
  }
  made->throttle.use.rule = &made->throttle;
  made->throttle.index = static_cast<std::uint32_t>(made->counters.size());
  made->counters.push_back(counters.Take(made->throttle.path, made->throttle.level));
  const config::Rule& base = *snapshot.FindTier({});
  if (!base.unlimited && base.use.simple) made->likely = base.identifier.kind;
  return made;
}

Result<std::shared_ptr<Ruleset>> Ruleset::Create(std::shared_ptr<const config::Snapshot> snapshot,
                                                 const Extractors::Registered& registered, Counters& counters,
                                                 const Ruleset* previous, const FactSource* fact_source) {
  const bool same_policy = previous != nullptr && previous->snapshot_->SamePolicy(*snapshot);
  std::shared_ptr<const Extractors> extractors;
  if (same_policy && std::ranges::equal(previous->snapshot_->extractors(), snapshot->extractors())) {
    extractors = previous->extractors_;
  } else {
    auto made = Extractors::Create(snapshot->extractors(), snapshot->document().jwt, registered);
    if (!made) return std::unexpected(made.error());
    extractors = std::make_shared<const Extractors>(std::move(*made));
  }
  auto policy = same_policy ? previous->policy_ : MakePolicy(*snapshot, counters);
  std::shared_ptr<Ruleset> made(new Ruleset(std::move(snapshot), std::move(extractors), std::move(policy)));
  made->fact_source_ = fact_source;
  if (fact_source != nullptr) made->asked_facts_ = made->snapshot_->needs();
  return made;
}

namespace {

const RuleUse* CountingIn(const RuleUse& use, std::string_view generation) {
  if (use.rule->generation == generation) return &use;
  const config::PreviousRule* one = use.rule->previous.get();
  while (one != nullptr && one->generation != generation) one = one->before.get();
  return one == nullptr ? nullptr : &use;
}

}  // namespace

const RuleUse* Ruleset::FindCounting(std::string_view generation) const {
  if (const auto moved = policy_->moved.find(generation); moved != policy_->moved.end()) return moved->second;
  const std::string_view path = config::PathOfGeneration(generation);
  const auto found = policy_->by_path.find(path);
  if (found != policy_->by_path.end()) return CountingIn(*found->second, generation);
  const RuleUse* own = nullptr;
  for (const config::Rule& rule : snapshot_->FindEntityRules(path)) {
    const RuleUse* const counting = CountingIn(rule.use, generation);
    if (counting == nullptr) continue;
    if (rule.path != path) return counting;  // it moved within a list
    own = counting;
  }
  return own;
}

Facts Ruleset::FactsOf(const Request& request, Nanos now, Arena& arena) const {
  Facts facts;
  facts.request = &request;
  facts.extractors = extractors_.get();
  facts.arena = &arena;
  facts.client_text = FindClient(*snapshot_, request, facts.client);
  facts.user = request.user;
  facts.tenant = request.tenant;
  facts.tier =
      request.tier.empty() && !snapshot_->traits().tier_fields.empty() ? FindTier(request, now, arena) : request.tier;
  facts.api_key = request.api_key;
  if (!request.api_key.empty()) AddKey(facts);
  facts.country = request.country;
  facts.method = request.method;
  facts.path = request.path;
  facts.now = now;
  if (asked_facts_ != 0) [[unlikely]] {
    fact_source_->Fill(request, facts.client ? &*facts.client : nullptr, asked_facts_, now, facts.known);
    if (facts.country.empty()) facts.country = facts.known.country;
  }
  return facts;
}

// What the request does not say itself, its key may.
void Ruleset::AddKey(Facts& facts) const {
  facts.key = snapshot_->FindApiKey(facts.api_key);
  if (facts.key == nullptr) return;
  if (facts.user.empty()) facts.user = facts.key->user();
  if (facts.tenant.empty()) facts.tenant = facts.key->tenant();
  if (facts.tier.empty()) facts.tier = facts.key->tier();
}

std::string_view Ruleset::FindTier(const Request& request, Nanos now, Arena& arena) const {
  for (const std::string& field : snapshot_->traits().tier_fields) {
    if (const auto named = FindAttribute(request, field); named && snapshot_->KnowsTier(*named)) return *named;
    if (!extractors_->jwt().verifies()) continue;
    const auto token = FindBearerToken(request);
    const auto claim = token ? extractors_->jwt().Read(*token, field, now, arena) : std::nullopt;
    if (claim && snapshot_->KnowsTier(claim->text)) return claim->text;
  }
  return {};
}

}  // namespace weir::engine
