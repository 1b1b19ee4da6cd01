#include "engine/resolve/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/path.h"
#include "engine/resolve/condition_reader.h"
#include "engine/resolve/ruleset.h"

namespace weir::engine {
namespace {

using config::DomainEntry;
using config::EndpointMatch;
using config::EndpointQuery;
using config::IpMatch;
using config::Rule;
using config::Snapshot;
using config::TenantEntry;
using config::UserEntry;

class Resolver {
 public:
  Resolver(const Snapshot& snapshot, const Facts& facts, std::vector<ExplainStep>* trace, Resolution& result)
      : snapshot_(snapshot), facts_(facts), trace_(trace), result_(result) {}

  void Run() {
    FindWho();
    const bool in_domain = facts_.descriptor || !facts_.domain.empty();
    if (!in_domain || FindDomain()) [[likely]] {
      RunHierarchy();
    } else if (result_.kind == Resolution::Kind::kRules) {
      AddDomainRules();
    }
  }

 private:
  void FindWho();
  void FindAncestors();
  bool FindDomain();
  void AddDomainRules();
  void RunHierarchy();
  bool IsExempt(const PathReadings& paths);
  bool Exempt(std::string_view by, std::string_view what);
  void FindIpRules();
  bool IsBlocked();
  bool IsAllowed();
  bool IsChallenged(const IpMatch* allow);
  bool Holds(const Rule& rule, std::string_view stage) {
    if (rule.schedule == nullptr && rule.when == nullptr) [[likely]]
      return true;
    return HoldsNow(rule, stage);
  }
  bool HoldsNow(const Rule& rule, std::string_view stage);
  void AddEndpointsAndBase(const PathReadings& paths);
  bool AddEndpoints(std::string_view path);
  void AddBase();
  enum class Next : std::uint8_t { kStop, kLessSpecific };
  Next TryBase(const Rule& rule, std::string_view stage);
  const Rule& TierRule();
  void AddStacked();
  void AddIpRules();
  void Add(const Rule& rule);
  void AddOne(const Rule& rule);

  template <typename... Args>
  void Trace(std::string_view stage, fmt::format_string<Args...> format, Args&&... args) {
    if (trace_ == nullptr) [[likely]]
      return;
    trace_->push_back({std::string(stage), fmt::format(format, std::forward<Args>(args)...)});
  }

  const Snapshot& snapshot_;
  const Facts& facts_;
  std::vector<ExplainStep>* const trace_;
  Resolution& result_;
  const UserEntry* user_ = nullptr;
  const TenantEntry* tenant_ = nullptr;
  absl::InlinedVector<const TenantEntry*, 2> ancestors_;  // the nearest first
  const DomainEntry* domain_ = nullptr;                   // whose own rules hold
  const IpMatch* allow_ = nullptr;                        // whose rule takes the place of the base rule
  absl::InlinedVector<const Rule*, 2> shadow_allows_;
  absl::InlinedVector<IpMatch, 8> ip_rules_;
};

// Whether the schedule and the condition of a rule say that it exists.
bool Resolver::HoldsNow(const Rule& rule, std::string_view stage) {
  if (!rule.InForce(facts_.now)) {
    Trace(stage, "{} is out of schedule", rule.path);
    return false;
  }
  if (rule.when == nullptr) return true;
  using Answer = config::Condition::Answer;
  const ConditionReader reader(facts_, result_.tenant);
  const Answer answer = rule.when->Evaluate(reader);
  if (answer == Answer::kTrue) return true;
  if (answer == Answer::kFailed || reader.ambiguous()) {
    Trace(stage, "the condition of {} cannot be decided, so the rule applies: {}", rule.path, rule.when->text());
    return true;
  }
  Trace(stage, "{} does not apply: its condition is false: {}", rule.path, rule.when->text());
  return false;
}

void Resolver::RunHierarchy() {
  const PathReadings paths(facts_.path);
  if (IsExempt(paths)) return;
  FindIpRules();
  if (IsBlocked() || IsAllowed()) return;
  AddDomainRules();
  AddEndpointsAndBase(paths);
  AddStacked();
  AddIpRules();
}

// Looks the domain up; what its tree says is added later. Whether the hierarchy holds.
bool Resolver::FindDomain() {
  const DomainEntry* const domain = snapshot_.FindDomain(facts_.domain);
  if (domain == nullptr) {
    if (!facts_.descriptor) return true;
    result_.unknown_domain = true;
    const bool hierarchy = snapshot_.document().envoy.unknown_domain == UnknownDomain::kHierarchy;
    Trace("domain", "'{}' is not in the document{}", facts_.domain, hierarchy ? ", so the hierarchy holds alone" : "");
    if (!hierarchy) result_.kind = Resolution::Kind::kUnknownDomain;
    return hierarchy;
  }
  if (!facts_.domain_counted) domain_ = domain;
  const auto take = [this](const Rule& first) {
    for (const Rule& rule : config::TogetherWith(first)) {
      if (!Holds(rule, "domain")) continue;
      if (facts_.client_limit == nullptr) {
        result_.domain_rules.push_back(&rule);
      } else if (result_.shared == nullptr && SharesCount(rule, *facts_.client_limit)) {
        result_.shared = &rule;
      }
    }
  };
  if (domain->contained) {
    domain->ForEachContained(facts_.entries, take);
  } else if (const Rule* const first = domain->Find(facts_.entries)) {
    take(*first);
  } else {
    Trace("domain", "no rule of domains.{} ends at these entries", facts_.domain);
  }
  if (facts_.client_limit != nullptr) result_.domain_rules.push_back(domain->client_limit);
  return domain->hierarchy || !facts_.descriptor;
}

void Resolver::AddDomainRules() {
  for (const Rule* const rule : result_.domain_rules) {
    if (facts_.client_limit != nullptr) {
      const Rule* const shared = result_.shared;
      Trace("domain", "{} holds, with the limit that the client brings{}{}", rule->path,
            shared != nullptr ? " and the count of " : "", shared != nullptr ? shared->path : std::string_view());
    } else {
      Trace("domain", "{} holds{}", rule->path,
            rule->unlimited ? "; it is unlimited, so nothing is counted for it" : "");
    }
    if (!rule->unlimited) Add(*rule);
  }
  if (domain_ == nullptr) return;
  for (const Rule& rule : domain_->rules) {
    if (!rule.unlimited && Holds(rule, "domain")) {
      Trace("domain", "{} holds for all of the domain", rule.path);
      Add(rule);
    }
  }
}

void Resolver::FindWho() {
  if (facts_.key != nullptr) {
    const auto shown = [](std::string_view text) { return text.empty() ? std::string_view("(none)") : text; };
    Trace("api_key", "the API key is in the document: plan {}, tenant {}, user {}", shown(facts_.key->tier()),
          shown(facts_.key->tenant()), shown(facts_.key->user()));
  }
  if (!facts_.user.empty()) user_ = snapshot_.FindUser(facts_.user);
  if (!facts_.tenant.empty()) {
    result_.tenant = facts_.tenant;
    tenant_ = snapshot_.FindTenant(facts_.tenant);
  } else if (user_ != nullptr && !user_->tenant().empty()) {
    result_.tenant = user_->tenant();
    tenant_ = snapshot_.FindTenant(result_.tenant);
  }
  if (tenant_ != nullptr && !tenant_->parent().empty()) [[unlikely]] {
    FindAncestors();
  }
  if (user_ != nullptr && !user_->tenant().empty() && user_->tenant() != result_.tenant) [[unlikely]] {
    // Somebody else of that name: whoever may name users in one tenant must not use up those of another.
    const bool above =
        std::ranges::any_of(ancestors_, [&](const TenantEntry* ancestor) { return ancestor->name == user_->tenant(); });
    if (above) return;
    Trace("user", "users.{} is in tenant '{}', and the request in another: it does not hold", user_->name,
          user_->tenant());
    user_ = nullptr;
  }
}

void Resolver::FindAncestors() {
  const TenantEntry* at = tenant_;
  while (!at->parent().empty()) {
    const TenantEntry* const next = snapshot_.FindTenant(at->parent());
    if (next == nullptr)
      return Trace("tenant", "tenants.{} is a part of '{}', which is not in the document", at->name, at->parent());
    // No snapshot has that many, or a ring. One that had would be seen here, and would hang nothing.
    if (ancestors_.size() + 1 == config::kMostTenantLevels)
      return Trace("tenant", "tenants.{} is a part of {}, a level too many: it does not hold", at->name, next->name);
    Trace("tenant", "tenants.{} is a part of {}", at->name, next->name);
    ancestors_.push_back(next);
    result_.ancestors.push_back({next->name, next->stacked()});
    at = next;
  }
}

bool Resolver::Exempt(std::string_view by, std::string_view what) {
  result_.kind = Resolution::Kind::kExempt;
  result_.by = by;
  Trace("exemptions", "{} '{}' is exempt, so nothing is counted", by, what);
  return true;
}

bool Resolver::IsExempt(const PathReadings& paths) {
  if (snapshot_.ExemptPath(paths.first())) {
    const std::span<const std::string_view> others = paths.others();
    const auto other =
        std::ranges::find_if_not(others, [this](std::string_view path) { return snapshot_.ExemptPath(path); });
    if (other == others.end()) return Exempt("path", paths.first());
    Trace("exemptions", "path '{}' would be exempt, but some servers read it as '{}', which is not", paths.first(),
          *other);
  }
  if (facts_.client && snapshot_.ExemptAddress(*facts_.client)) {
    std::array<char, 46> buffer;
    return Exempt("address", trace_ == nullptr ? std::string_view() : FormatAddress(*facts_.client, buffer));
  }
  if (!facts_.user.empty() && (snapshot_.ExemptUser(facts_.user) || (user_ != nullptr && user_->exempt()))) {
    return Exempt("user", facts_.user);
  }
  // A key is a secret: it is not repeated.
  if (!facts_.api_key.empty() && snapshot_.ExemptApiKey(facts_.api_key)) return Exempt("api_key", "(not shown)");
  Trace("exemptions", "no exemption matches");
  return false;
}

void Resolver::FindIpRules() {
  if (snapshot_.ip_rule_count() == 0) return;
  const Address* const address = facts_.client ? &*facts_.client : nullptr;
  std::size_t room = ip_rules_.capacity();
  while (true) {
    ip_rules_.resize(room);
    const std::size_t found = snapshot_.FindIpRules(address, facts_.country, {ip_rules_.data(), room});
    if (found < room) {
      ip_rules_.resize(found);
      break;
    }
    room *= 2;
  }
  const auto is_out = [&](const IpMatch& match) { return match.rule != nullptr && !Holds(*match.rule, "ip_rule"); };
  ip_rules_.erase(std::remove_if(ip_rules_.begin(), ip_rules_.end(), is_out), ip_rules_.end());
}

bool Resolver::IsBlocked() {
  for (const IpMatch& match : ip_rules_) {
    if (match.action != IpRule::Action::kBlock) continue;
    if (match.rule != nullptr && match.rule->shadow) {
      Trace("ip_rule", "ip_rules.rules.{} would block the request, but is in shadow mode", match.name);
      continue;
    }
    result_.kind = Resolution::Kind::kBlocked;
    result_.by = match.name;
    result_.style = match.rule != nullptr ? match.rule->style : snapshot_.denial_style();
    Trace("ip_rule", "ip_rules.rules.{} blocks the request", match.name);
    return true;
  }
  return false;
}

// With its further limits.
void Resolver::Add(const Rule& rule) {
  for (std::size_t i = 0; i <= rule.further; ++i) AddOne((&rule)[i]);
}

void Resolver::AddOne(const Rule& rule) {
  if (std::ranges::find(result_.rules, &rule) == result_.rules.end()) result_.rules.push_back(&rule);
}

// Whether an ip rule without a rule challenges the request; `allow`: the one that allows it, or nullptr.
bool Resolver::IsChallenged(const IpMatch* allow) {
  for (const IpMatch& match : ip_rules_) {
    if (match.action != IpRule::Action::kChallenge || match.rule != nullptr) continue;
    if (allow != nullptr && allow->rank < match.rank) {
      Trace("ip_rule", "ip_rules.rules.{} would challenge the request, but {} allows it and is more specific",
            match.name, allow->name);
      continue;
    }
    result_.kind = Resolution::Kind::kChallenged;
    result_.by = match.name;
    result_.style = snapshot_.denial_style();
    Trace("ip_rule", "ip_rules.rules.{} challenges the request", match.name);
    return true;
  }
  return false;
}

// Finds the ip rule whose rule takes the place of the base rule (allow_). True: it has none, so nothing is counted, or
// the request is challenged.
bool Resolver::IsAllowed() {
  const auto allows = [](const IpMatch& match) { return match.action == IpRule::Action::kAllow; };
  const IpMatch* best = nullptr;
  for (const IpMatch& match : ip_rules_) {
    const bool shadow = match.rule != nullptr && match.rule->shadow;
    if (allows(match) && !shadow && (best == nullptr || match.rank < best->rank)) best = &match;
  }
  for (const IpMatch& match : ip_rules_) {
    const bool shadow = match.rule != nullptr && match.rule->shadow;
    if (!allows(match) || !shadow || (best != nullptr && match.rank >= best->rank)) continue;
    Trace("ip_rule", "ip_rules.rules.{} allows; its rule is in shadow mode: counted, but replacing nothing",
          match.name);
    if (!match.rule->unlimited) shadow_allows_.push_back(match.rule);
  }
  if (IsChallenged(best)) return true;
  if (best == nullptr) return false;
  if (best->rule != nullptr) {
    allow_ = best;
    return false;
  }
  result_.kind = Resolution::Kind::kExempt;
  result_.by = "ip_rule";
  Trace("ip_rule", "ip_rules.rules.{} allows and has no rule, so nothing is counted", best->name);
  return true;
}

void Resolver::AddEndpointsAndBase(const PathReadings& paths) {
  bool replaced = AddEndpoints(paths.first());
  for (const std::string_view other : paths.others()) {
    Trace("endpoint", "some servers read this path as '{}', so the request is held to each reading", other);
    // One reading that leaves the base rule in place is enough to keep it.
    const bool other_replaced = AddEndpoints(other);
    replaced = replaced && other_replaced;
  }
  if (allow_ != nullptr) {
    Trace("ip_rule", "ip_rules.rules.{} allows: its rule is the base rule{}", allow_->name,
          allow_->rule->unlimited ? "; it is unlimited, so nothing is counted for it" : "");
    if (!allow_->rule->unlimited) Add(*allow_->rule);
  } else if (!replaced) {
    AddBase();
  }
}

// Returns whether the base rule is replaced.
bool Resolver::AddEndpoints(std::string_view path) {
  bool replaced = false;
  bool any = false;
  const EndpointQuery query{
      .method = facts_.method, .path = path, .tenant = result_.tenant, .user = facts_.user, .now = facts_.now};
  const auto next = snapshot_.has_stacked_endpoints() ? Snapshot::Visit::kContinue : Snapshot::Visit::kStop;
  snapshot_.VisitEndpoints(query, [&](const EndpointMatch& match) {
    if (!Holds(*match.rule, "endpoint")) return Snapshot::Visit::kContinue;
    any = true;
    if (match.combine == Combine::kStack) {
      Trace("endpoint", "'{}' matches; its rule {} holds beside the others{}", match.pattern, match.rule->path,
            match.rule->unlimited ? ", but is unlimited" : "");
      if (!match.rule->unlimited) Add(*match.rule);
      return Snapshot::Visit::kContinue;
    }
    if (allow_ != nullptr) {
      Trace("endpoint", "'{}' matches; in the place of its rule {} is that of ip_rules.rules.{}", match.pattern,
            match.rule->path, allow_->name);
      return next;
    }
    if (replaced) return Snapshot::Visit::kContinue;
    if (match.rule->shadow) {
      Trace("endpoint", "'{}' matches; its rule {} is in shadow mode: counted, but replacing nothing", match.pattern,
            match.rule->path);
      if (!match.rule->unlimited) Add(*match.rule);
      return Snapshot::Visit::kContinue;
    }
    replaced = true;
    Trace("endpoint", "'{}' is the most specific pattern that matches; its rule {} replaces the base rule{}",
          match.pattern, match.rule->path, match.rule->unlimited ? " and is unlimited" : "");
    if (!match.rule->unlimited) Add(*match.rule);
    return next;
  });
  if (!any) Trace("endpoint", "no endpoint for this method, tenant, user and time matches '{}'", path);
  return replaced;
}

void Resolver::AddBase() {
  if (user_ == nullptr) {
    if (!facts_.user.empty()) Trace("user", "'{}' is not in the document", facts_.user);
  } else if (user_->rule() == nullptr) {
    Trace("user", "users.{} has no rule of its own", facts_.user);
  } else if (TryBase(*user_->rule(), "user") == Next::kStop) {
    return;
  }
  if (tenant_ == nullptr) {
    if (!result_.tenant.empty()) Trace("tenant", "'{}' is not in the document", result_.tenant);
  } else if (tenant_->rule() == nullptr) {
    Trace("tenant", "tenants.{} has no rule of its own", result_.tenant);
  } else if (TryBase(*tenant_->rule(), "tenant") == Next::kStop) {
    return;
  }
  for (const TenantEntry* const ancestor : ancestors_) {
    if (ancestor->rule() != nullptr && TryBase(*ancestor->rule(), "tenant") == Next::kStop) return;
  }
  TryBase(TierRule(), "tier");
}

// Whether a rule is the base rule, or the next less specific one is asked.
Resolver::Next Resolver::TryBase(const Rule& rule, std::string_view stage) {
  if (!Holds(rule, stage)) return Next::kLessSpecific;
  if (!rule.unlimited) Add(rule);
  if (rule.shadow) {
    Trace(stage, "{} is in shadow mode: counted, but replacing nothing", rule.path);
    return Next::kLessSpecific;
  }
  Trace(stage, "{} is the base rule{}", rule.path,
        rule.unlimited ? "; it is unlimited, so nothing is counted for it" : "");
  return Next::kStop;
}

const Rule& Resolver::TierRule() {
  const auto tell = [&](std::string_view tier, std::string_view why) {
    if (trace_ == nullptr) return;
    if (snapshot_.KnowsTier(tier)) {
      Trace("tier", "the tier is '{}', {}", tier, why);
    } else {
      Trace("tier", "tier '{}' ({}) is not in the document, so free_tier holds", tier, why);
    }
  };
  if (!facts_.tier.empty()) {
    const bool of_key = facts_.key != nullptr && facts_.tier.data() == facts_.key->tier().data();
    tell(facts_.tier, of_key ? "the plan of the API key" : "named by the request");
    return *snapshot_.FindTier(facts_.tier);
  }
  if (user_ != nullptr && user_->tier_rule() != nullptr) {
    tell(user_->tier(), "the user's");
    return *user_->tier_rule();
  }
  if (tenant_ != nullptr && tenant_->tier_rule() != nullptr) {
    tell(tenant_->tier(), "the tenant's");
    return *tenant_->tier_rule();
  }
  for (const TenantEntry* const ancestor : ancestors_) {
    if (ancestor->tier_rule() == nullptr) continue;
    tell(ancestor->tier(), "that of what the tenant is a part of");
    return *ancestor->tier_rule();
  }
  tell("free_tier", "the default");
  return *snapshot_.FindTier({});
}

void Resolver::AddStacked() {
  // Further limits are among them.
  const auto add = [&](std::span<const Rule> rules, std::string_view stage) {
    for (const Rule& rule : rules) {
      if (rule.unlimited || !Holds(rule, stage)) continue;
      Trace(stage, "{} holds beside the others", rule.path);
      AddOne(rule);
    }
  };
  if (tenant_ != nullptr) add(tenant_->stacked(), "tenant");
  for (const TenantEntry* const ancestor : ancestors_) add(ancestor->stacked(), "tenant");
  if (user_ != nullptr) add(user_->stacked(), "quota");
  if (facts_.key != nullptr) add(facts_.key->stacked(), "quota");
}

void Resolver::AddIpRules() {
  for (const Rule* const rule : shadow_allows_) Add(*rule);
  for (const IpMatch& match : ip_rules_) {
    if (match.action == IpRule::Action::kBlock || match.action == IpRule::Action::kAllow) continue;
    if (match.rule == nullptr) {
      const bool yielded = match.action == IpRule::Action::kChallenge;
      if (!yielded) Trace("ip_rule", "ip_rules.rules.{} matches and limits nothing", match.name);
      continue;
    }
    Trace("ip_rule", "ip_rules.rules.{} matches; its rule holds beside the others{}", match.name,
          match.rule->unlimited ? ", but is unlimited" : "");
    if (!match.rule->unlimited) Add(*match.rule);
  }
}

}  // namespace

Resolution Resolve(const Snapshot& snapshot, const Facts& facts, std::vector<ExplainStep>* trace) {
  Resolution resolution;
  Resolve(snapshot, facts, trace, resolution);
  return resolution;
}

void Resolve(const Snapshot& snapshot, const Facts& facts, std::vector<ExplainStep>* trace, Resolution& to) {
  Resolver(snapshot, facts, trace, to).Run();
}

}  // namespace weir::engine
