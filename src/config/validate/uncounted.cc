// Where a request that leaves something out meets no enforced rule.
//
// The base rule counts nothing only where it says `on_missing: skip`; so what is looked for is such a rule whose
// identifier may find nothing, or one that is not enforced beside stacked rules whose identifiers may. Rules by tier,
// tenant and user are walked once; a rule that inherits both its identifier and its on_missing was told of where they
// are written.
#include <fmt/format.h>

#include <algorithm>

#include "config/compile/inherit.h"
#include "config/validate/validate.h"

namespace weir::config {
namespace {

// What the identifier may find nothing of: "a user"; empty: it always finds somebody. Only what the document says: an
// extractor may know better.
std::string Missing(const EnhancedIdentifier& identifier) {
  if (std::holds_alternative<IpAddress>(identifier.kind)) return "an address";
  if (const auto* user = std::get_if<UserId>(&identifier.kind)) return user->fallback_to_ip ? "" : "a user";
  if (const auto* key = std::get_if<ApiKey>(&identifier.kind)) {
    return key->key_prefix ? fmt::format("an API key that begins with {}", Quoted(*key->key_prefix)) : "an API key";
  }
  if (std::holds_alternative<TenantId>(identifier.kind)) return "a tenant";
  if (const auto* custom = std::get_if<CustomIdentifier>(&identifier.kind)) {
    return custom->extractor == "basic:ip" ? "" : Quoted(custom->extractor.substr(0, 40));
  }
  if (const auto* composite = std::get_if<Composite>(&identifier.kind)) {
    if (!composite->primary || !composite->secondary) return "";
    const std::string first = Missing(*composite->primary);
    const std::string second = Missing(*composite->secondary);
    if (composite->strategy == CompositeStrategy::kCombine) return first.empty() ? second : first;
    return first.empty() || second.empty() ? "" : fmt::format("{} and {}", first, second);
  }
  return "";
}

class UncountedCheck {
 public:
  UncountedCheck(const EnterpriseRateLimitConfig& expanded, ValidationFaults& faults)
      : document_(expanded), faults_(faults) {}

  void Run() {
    if (EverythingIsCovered()) return;
    const Place global{nullptr, "global"};
    const RateLimitRule free = AsBase(document_.global.free_tier);
    CheckBase(global.Below("free_tier"), document_.global.free_tier, free);
    CheckTier(global.Below("pro_tier"), document_.global.pro_tier);
    CheckTier(global.Below("enterprise_tier"), document_.global.enterprise_tier);
    const Place tiers = global.Below("tiers");
    for (const auto& [name, rule] : document_.global.tiers) CheckTier(tiers.Below(name), rule);
    CheckTenants();
    CheckUsers();
    base_is_enforced_ = IsEnforced(free);
    CheckEndpoints();
    if (!base_is_enforced_ && !named_.empty()) {
      faults_.Warn(
          global.Below("free_tier"),
          fmt::format("is not enforced: a request that names no {} of this document meets no enforced rule", named_),
          "give it a limit, or count such requests with an endpoint '/**' that stacks");
    }
  }

 private:
  bool IsEnforced(const RateLimitRule& inherited) const {
    const RateLimitRule rule = WithDefaults(inherited, document_);
    return !*rule.unlimited && rule.mode == RuleMode::kEnforce;
  }
  // What a request must bring so that the rule counts or denies it; empty: nothing.
  std::string Needs(const RateLimitRule& inherited) const {
    const RateLimitRule rule = WithDefaults(inherited, document_);
    return rule.on_missing == OnMissing::kSkip ? Missing(*rule.identifier) : "";
  }
  static bool WritesEither(const RateLimitRule& rule) { return rule.identifier || rule.on_missing; }

  // Whether some rule counts every request.
  bool EverythingIsCovered() const {
    return std::ranges::any_of(document_.endpoints, [&](const auto& one) {
      const auto& [pattern, endpoint] = one;
      const bool all = pattern == "/**" || pattern == "/*" || pattern == "**" || pattern == "*";
      const bool any_request = endpoint.methods.empty() && endpoint.tenants.empty() && endpoint.users.empty();
      if (!all || !any_request || endpoint.combine != Combine::kStack) return false;
      const RateLimitRule rule = SharedRule(endpoint.rule, document_);
      return IsEnforced(rule) && !rule.schedule && !rule.when && Needs(rule).empty();
    });
  }

  void Warn(const Place& place, const std::string& needs) {
    faults_.Warn(place, fmt::format("a request without {} meets no enforced rule", needs),
                 "`on_missing: ip` counts its address, `on_missing: deny` denies it");
  }
  // `inherited`: AsBase. The rule holds alone.
  void CheckBase(const Place& place, const RateLimitRule& written, const RateLimitRule& inherited) {
    if (!IsEnforced(inherited) || !WritesEither(written)) return;
    if (const std::string needs = Needs(inherited); !needs.empty()) Warn(place, needs);
  }
  void CheckTier(const Place& place, const RateLimitRule& rule) {
    const RateLimitRule inherited = AsBase(Inherit(rule, document_.global.free_tier));
    CheckBase(place, rule, inherited);
    if (rule != RateLimitRule{} && IsEnforced(inherited)) Name("tier");
  }

  void CheckTenants() {
    const Place tenants{nullptr, "tenants"};
    for (const auto& [name, tenant] : document_.tenants) {
      if (faults_.full() || !tenant.rule) continue;
      const RateLimitRule inherited = AsBase(Inherit(*tenant.rule, TierRule(document_, tenant.tier.value_or(""))));
      CheckBase(tenants.Below(name).Below("rule"), *tenant.rule, inherited);
      if (IsEnforced(inherited)) Name("tenant");
    }
  }

  // A user who has a rule by user is always found by it: only what else it counts by can be missing.
  void CheckUsers() {
    const Place users{nullptr, "users"};
    for (const auto& [name, user] : document_.users) {
      if (faults_.full() || !user.rule) continue;
      const RateLimitRule inherited = AsBase(Inherit(*user.rule, TierRule(document_, user.tier.value_or(""))));
      const bool by_user = inherited.identifier && std::holds_alternative<UserId>(inherited.identifier->kind);
      if (!by_user) CheckBase(users.Below(name).Below("rule"), *user.rule, inherited);
      if (IsEnforced(inherited)) Name("user");
    }
  }

  void CheckEndpoints() {
    const Place endpoints{nullptr, "endpoints"};
    for (const auto& [pattern, endpoint] : document_.endpoints) {
      if (faults_.full()) return;
      const bool alone = endpoint.combine == Combine::kReplace;
      const RateLimitRule shared = SharedRule(endpoint.rule, document_);
      if (alone) {
        CheckBase(endpoints.Below(pattern).Below("rule"), endpoint.rule, AsBase(shared));
      } else if (!base_is_enforced_ && IsEnforced(shared)) {
        if (const std::string needs = Needs(shared); !needs.empty()) {
          Warn(endpoints.Below(pattern).Below("rule"), needs);
        }
      }
    }
  }

  void Name(std::string_view level) {
    if (named_.find(level) != std::string::npos) return;
    named_ += (named_.empty() ? "" : " or ") + std::string(level);
  }

  const EnterpriseRateLimitConfig& document_;
  ValidationFaults& faults_;
  bool base_is_enforced_ = true;
  std::string named_;  // levels at which something is enforced
};

}  // namespace

void WarnOfUncounted(const EnterpriseRateLimitConfig& expanded, ValidationFaults& faults) {
  UncountedCheck(expanded, faults).Run();
}

}  // namespace weir::config
