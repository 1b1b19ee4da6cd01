#include "config/validate/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "config/compile/inherit.h"
#include "config/document/document.h"
#include "config/document/scalar_place.h"
#include "config/document/types.h"
#include "config/snapshot/endpoint_table.h"
#include "config/snapshot/key_name.h"
#include "config/validate/tenant_chain.h"

namespace weir::config {

std::string Place::Path() const {
  std::string path = above != nullptr ? above->Path() : "";
  if (!path.empty()) path += '.';
  return path += secret ? kSecretSegment : segment;
}

void ValidationFaults::Add(Severity severity, const Place& place, std::string message, std::string hint) {
  if (full()) return;
  bool whole = false;
  AddAt(PlaceOf(NodeOf(place, whole)), severity, place, std::move(message), std::move(hint));
}

void ValidationFaults::ErrorWithin(const Place& place, std::size_t offset, std::string message) {
  if (full()) return;
  bool whole = false;
  const Node& node = NodeOf(place, whole);
  const auto at = whole ? PlaceInScalar(source_, node, offset) : std::nullopt;
  if (!at) message = fmt::format("column {}: {}", offset + 1, message);
  AddAt(at.value_or(PlaceOf(node)), Severity::kError, place, std::move(message), {});
}

void ValidationFaults::AddAt(TextPlace at, Severity severity, const Place& place, std::string message,
                             std::string hint) {
  Fault fault;
  fault.severity = severity;
  fault.path = place.Path();
  fault.line = at.line;
  fault.column = at.column;
  fault.message = std::move(message);
  fault.hint = std::move(hint);
  faults_.push_back(std::move(fault));
}

const Node& ValidationFaults::NodeOf(const Place& place, bool& whole) const {
  std::vector<std::string_view> segments;
  for (const Place* one = &place; one != nullptr; one = one->above) segments.push_back(one->segment);
  const Node* node = &root_;
  whole = true;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->empty()) continue;
    const Node* next = nullptr;
    if (node->kind == Node::Kind::kSequence) {
      std::size_t index = node->children.size();
      std::from_chars(segment->data(), segment->data() + segment->size(), index);
      if (index < node->children.size()) next = &node->children[index];
    } else if (next = node->Find(*segment); next == nullptr) {
      next = node->Find(PascalCase(*segment));
    }
    if (next == nullptr) {
      whole = false;
      break;
    }
    node = next;
  }
  return *node;
}

namespace {

class DocumentCheck {
 public:
  DocumentCheck(const EnterpriseRateLimitConfig& config, ValidationFaults& faults)
      : config_(config),
        expanded_(ExpandTemplates(config)),
        tenant_names_(Suggestions(config.tenants)),
        user_names_(Suggestions(config.users)),
        faults_(faults),
        rules_(config, faults) {}

  void Run() {
    CheckGlobal();
    CheckTenants();
    CheckUsers();
    CheckApiKeys();
    CheckEndpoints();
    CheckPatterns();
    CheckIpRulesOf();
    CheckTemplates();
    CheckDomains(config_, expanded_, rules_, faults_);
    if (config_.denial) CheckDenial({nullptr, "denial"}, *config_.denial, faults_);
    if (config_.algorithm) rules_.CheckAlgorithm({nullptr, "algorithm"}, *config_.algorithm);
    CheckExemptions({nullptr, "exemptions"}, config_.exemptions, faults_);
    CheckStorage({nullptr, "storage"}, config_.storage, faults_);
    CheckAnalytics({nullptr, "analytics"}, config_.analytics, faults_);
    CheckServer({nullptr, "server"}, config_.server, faults_);
    if (rules_.enforced() > 0) WarnOfUncounted(expanded_, faults_);
    if (rules_.enforced() == 0 && config_.envoy.files.empty()) {
      faults_.Warn({nullptr, "global"}, rules_.shadowed() > 0 ? "every rule is in shadow mode: nothing is enforced"
                                                              : "every rule is unlimited: nothing is enforced");
    }
  }

 private:
  // A rule as written, as expanded, and what it inherits from.
  void CheckRule(const Place& place, const RateLimitRule& written, const RateLimitRule& expanded,
                 const RateLimitRule& general) {
    rules_.CheckWritten(place, written);
    rules_.CheckWhole(place, expanded, general);
  }

  void CheckGlobal() {
    const Place global{nullptr, "global"};
    CheckRule(global.Below("free_tier"), config_.global.free_tier, expanded_.global.free_tier, {});
    const auto tier = [&](const Place& place, const RateLimitRule& written, const RateLimitRule& expanded) {
      rules_.CheckWritten(place, written);
      // A tier that writes nothing is free_tier again, whose faults are reported there.
      if (written != RateLimitRule{}) rules_.CheckWhole(place, expanded, expanded_.global.free_tier);
    };
    tier(global.Below("pro_tier"), config_.global.pro_tier, expanded_.global.pro_tier);
    tier(global.Below("enterprise_tier"), config_.global.enterprise_tier, expanded_.global.enterprise_tier);
    const Place tiers = global.Below("tiers");
    for (const auto& [name, rule] : config_.global.tiers) {
      const Place here = tiers.Below(name);
      constexpr std::string_view kBuiltIn[] = {"free", "free_tier", "pro", "pro_tier", "enterprise", "enterprise_tier"};
      if (std::ranges::find(kBuiltIn, name) != std::end(kBuiltIn)) {
        faults_.Error(here, Quoted(name) + " is built in",
                      "write it as global." + name.substr(0, name.find('_')) + "_tier");
      }
      tier(here, rule, expanded_.global.tiers.at(name));
    }
    rules_.CheckPenalties(global.Below("penalties"), config_.global.penalties);
  }

  void CheckTier(const Place& place, const std::optional<std::string>& tier) {
    if (!tier || faults_.full() || KnowsTier(config_, *tier)) return;
    std::vector<std::string_view> names = Suggestions(config_.global.tiers);
    names.insert(names.end(), {"free", "pro", "enterprise"});
    faults_.Error(place, "there is no tier " + Quoted(*tier), DidYouMean(*tier, names));
  }

  void CheckQuotas(const Place& place, const std::vector<Quota>& quotas, const std::optional<RateLimitRule>& beside) {
    for (std::size_t i = 0; i < quotas.size(); ++i) {
      const std::string index = std::to_string(i);
      const Place here = place.Below(index);
      rules_.CheckQuota(here, quotas[i]);
      if (beside) CheckReachable(here, quotas[i], *beside);
    }
  }

  // A quota above all that the rule beside it admits in the period is never reached. Buckets admit a capacity more.
  void CheckReachable(const Place& place, const Quota& quota, const RateLimitRule& inherited) {
    const RateLimitRule rule = WithDefaults(inherited, config_);
    const bool counts = std::holds_alternative<SlidingWindow>(*rule.algorithm) ||
                        std::holds_alternative<SlidingWindowLog>(*rule.algorithm);
    if (*rule.unlimited || rule.mode == RuleMode::kShadow || rule.schedule || !counts) return;
    if (rule.max_requests.value_or(0) == 0 || rule.window_seconds.value_or(0) == 0) return;
    const double period = *QuotaRule(quota, {}).window_seconds * 1.05;  // the longest month is longer than the nominal
    const double admitted = (std::ceil(period / *rule.window_seconds) + 1) * static_cast<double>(*rule.max_requests);
    if (static_cast<double>(quota.max_requests) > admitted) {
      faults_.Warn(
          place.Below("max_requests"),
          fmt::format("is never reached: the rule beside it admits at most about {:.0f} in that time", admitted));
    }
  }

  void CheckTenants() {
    const Place tenants{nullptr, "tenants"};
    for (const auto& [name, tenant] : config_.tenants) {
      const Place here = tenants.Below(name);
      const TenantLimits& expanded = expanded_.tenants.at(name);
      CheckTier(here.Below("tier"), tenant.tier);
      if (tenant.rule) {
        CheckRule(here.Below("rule"), *tenant.rule, *expanded.rule, TierRule(expanded_, tenant.tier.value_or("")));
      }
      if (tenant.aggregate)
        CheckRule(here.Below("aggregate"), *tenant.aggregate, AggregateRule(*expanded.aggregate), {});
      CheckQuotas(here.Below("quotas"), tenant.quotas, expanded.aggregate);
      CheckParent(here.Below("parent"), name, tenant);
    }
  }

  void CheckParent(const Place& place, const std::string& name, const TenantLimits& tenant) {
    CheckTenantOf(place, tenant.parent);
    if (!tenant.parent || faults_.full()) return;
    std::string fault = FaultOfParents(name, [this](std::string_view of) {
      const auto at = config_.tenants.find(std::string(of));
      const bool is_part = at != config_.tenants.end() && at->second.parent;
      return is_part ? std::string_view(*at->second.parent) : std::string_view();
    });
    if (!fault.empty()) faults_.Error(place, std::move(fault));
  }

  // What a user's rule inherits from, and what holds for a user who writes none.
  RateLimitRule BaseOf(const UserLimits& user) const {
    const auto tenant = user.tenant ? expanded_.tenants.find(*user.tenant) : expanded_.tenants.end();
    const bool known = tenant != expanded_.tenants.end();
    const RateLimitRule tier = TierRule(expanded_, user.tier ? *user.tier
                                                   : known   ? tenant->second.tier.value_or("")
                                                             : std::string());
    return known && tenant->second.rule ? Inherit(*tenant->second.rule, tier) : tier;
  }

  void CheckUsers() {
    const Place users{nullptr, "users"};
    for (const auto& [name, user] : config_.users) {
      const Place here = users.Below(name);
      const UserLimits& expanded = expanded_.users.at(name);
      CheckTier(here.Below("tier"), user.tier);
      CheckTenantOf(here.Below("tenant"), user.tenant);
      const RateLimitRule base = BaseOf(user);
      if (user.rule) CheckRule(here.Below("rule"), *user.rule, *expanded.rule, base);
      CheckQuotas(here.Below("quotas"), user.quotas, expanded.rule ? Inherit(*expanded.rule, base) : base);
      if (user.exempt && (user.rule || !user.quotas.empty())) {
        faults_.Warn(here.Below("exempt"),
                     "the user's rule and quotas have no effect: an exempt user is never limited");
      }
    }
  }

  void CheckApiKeys() {
    const Place keys{nullptr, "api_keys"};
    std::set<std::string> digests;
    for (const auto& [name, key] : config_.api_keys) {
      const Place here = keys.BelowSecret(name);
      const auto digest = DigestOfKeyName(name);
      if (!digest) {
        faults_.Error(here, "is no digest of a key", "write sha256: and 64 hex digits, or their first 32");
      } else if (!digests.insert(*digest).second) {
        faults_.Error(here, "is written twice: as a key, or as its digest", "keep one of them");
      }
      CheckTier(here.Below("plan"), key.plan);
      CheckTenantOf(here.Below("tenant"), key.tenant);
      CheckQuotas(here.Below("quotas"), key.quotas, {});
    }
  }

  void CheckTenantOf(const Place& place, const std::optional<std::string>& tenant) {
    if (!tenant || faults_.full() || config_.tenants.contains(*tenant)) return;
    faults_.Error(place, "there is no tenant " + Quoted(*tenant), DidYouMean(*tenant, tenant_names_));
  }

  void CheckEndpoints() {
    const Place endpoints{nullptr, "endpoints"};
    for (const auto& [pattern, endpoint] : config_.endpoints) {
      const Place here = endpoints.Below(pattern);
      CheckRule(here.Below("rule"), endpoint.rule, expanded_.endpoints.at(pattern).rule, expanded_.global.free_tier);
      CheckMethods(here.Below("methods"), endpoint.methods, faults_);
      WarnOfUnknown(here.Below("tenants"), "tenant", endpoint.tenants, tenant_names_);
      WarnOfUnknown(here.Below("users"), "user", endpoint.users, user_names_);
    }
  }

  // Patterns that cannot be read, and pairs of which neither is more specific.
  void CheckPatterns() {
    const auto nothing = MakeCounted<RuleParts>();
    nothing->identifier = std::make_shared<const Identifier>();
    const Rule none{CountedRef<const RuleParts>(nothing)};
    const std::vector<const Rule*> no_rules(config_.endpoints.size(), &none);
    FaultList found;
    EndpointTable().Build(config_.endpoints, no_rules, found);
    constexpr std::string_view kPrefix = "endpoints.";
    const Place endpoints{nullptr, kPrefix.substr(0, kPrefix.size() - 1)};
    for (const Fault& fault : found.faults()) {
      faults_.Error(endpoints.Below(std::string_view(fault.path).substr(kPrefix.size())), fault.message, fault.hint);
    }
  }

  // Requests may name tenants and users that the document does not; only a near miss of one that it does is suspect.
  void WarnOfUnknown(const Place& place, std::string_view what, const std::vector<std::string>& names,
                     const std::vector<std::string_view>& known) {
    for (std::size_t i = 0; i < names.size() && comparisons_left_ >= known.size(); ++i) {
      if (std::ranges::find(known, names[i]) != known.end()) continue;
      comparisons_left_ -= known.size();
      const std::string hint = DidYouMean(names[i], known);
      const std::string index = std::to_string(i);
      if (!hint.empty())
        faults_.Warn(place.Below(index), fmt::format("there is no {} {}", what, Quoted(names[i])), hint);
    }
  }

  void CheckIpRulesOf() {
    const Place ip_rules{nullptr, "ip_rules"};
    CheckIpRules(ip_rules, config_.ip_rules, faults_);
    const Place list = ip_rules.Below("rules");
    for (std::size_t i = 0; i < config_.ip_rules.rules.size(); ++i) {
      const IpRule& one = config_.ip_rules.rules[i];
      const std::string index = std::to_string(i);
      const Place here = list.Below(index);
      const bool challenges = one.action == IpRule::Action::kChallenge;
      if (one.action == IpRule::Action::kBlock || (challenges && !one.rule)) {
        rules_.CountEnforced();
      } else if (one.rule) {
        RateLimitRule rule = *expanded_.ip_rules.rules[i].rule;
        if (challenges && !rule.on_exceeded) rule.on_exceeded = Action::kChallenge;
        CheckRule(here.Below("rule"), *one.rule, rule, expanded_.global.free_tier);
      }
    }
  }

  void CheckTemplates() {
    const Place templates{nullptr, "templates"};
    for (const auto& [name, rule] : config_.templates) {
      const Place here = templates.Below(name);
      if (rule.from_template) faults_.Error(here.Below("template"), "a template cannot start from another");
      RateLimitRule alone = rule;
      alone.from_template.reset();
      rules_.CheckWritten(here, alone);
    }
  }

  // Looking for a near miss takes time for every name: only among so few.
  static std::vector<std::string_view> Suggestions(const auto& map) {
    std::vector<std::string_view> names;
    if (map.size() > 1000) return names;
    for (const auto& [name, value] : map) names.push_back(name);
    return names;
  }

  const EnterpriseRateLimitConfig& config_;
  const EnterpriseRateLimitConfig expanded_;
  const std::vector<std::string_view> tenant_names_;
  const std::vector<std::string_view> user_names_;
  ValidationFaults& faults_;
  RuleCheck rules_;
  std::size_t comparisons_left_ = 100'000;  // bounds what a document with very many names costs
};

}  // namespace

std::vector<Fault> Validate(const EnterpriseRateLimitConfig& config, const Node& root, std::string_view source) {
  ValidationFaults faults(root, source);
  DocumentCheck(config, faults).Run();
  return faults.Take();
}

}  // namespace weir::config
