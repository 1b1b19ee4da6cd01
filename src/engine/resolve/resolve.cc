#include "engine/resolve/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "algorithms/aligned_window.h"
#include "base/path.h"

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

// Whether a limit that a client brings goes on with the rule's count: the windows are the same, and so are the
// subjects. As with the reference server, whose counters are named by the entries and the window, and not by the limit.
// Only where the rule's count can be held up to that limit.
bool SharesCount(const Rule& rule, const algorithms::Limit& client_limit) {
  const algorithms::Limit& limit = rule.limit;
  const bool holds = limit.kind != algorithms::Kind::kAlignedWindow || algorithms::aligned_window::Holds(client_limit);
  return holds && algorithms::IsFixedWindow(limit.kind) && algorithms::IsFixedWindow(client_limit.kind) &&
         limit.calendar == algorithms::Calendar::kEpoch && client_limit.calendar == limit.calendar &&
         client_limit.window == limit.window && rule.identifier.kind == config::Identifier::Kind::kDescriptor &&
         std::ranges::all_of(rule.descriptor->steps, [](const auto& step) { return step.shared.empty(); });
}

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
  bool FindDomain();
  void AddDomainRules();
  void RunHierarchy();
  bool IsExempt(const PathReadings& paths);
  bool Exempt(std::string_view by, std::string_view what);
  void FindIpRules();
  bool IsBlocked();
  void AddEndpointsAndBase(const PathReadings& paths);
  bool AddEndpoints(std::string_view path);
  void AddBase();
  enum class Next : std::uint8_t { kStop, kLessSpecific };
  Next TryBase(const Rule& rule, std::string_view stage);
  const Rule& TierRule();
  void AddStacked();
  void AddIpRules();
  void Add(const Rule& rule);

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
  const DomainEntry* domain_ = nullptr;  // whose own rules hold
  absl::InlinedVector<IpMatch, 8> ip_rules_;
};

void Resolver::RunHierarchy() {
  const PathReadings paths(facts_.path);
  if (IsExempt(paths)) return;
  FindIpRules();
  if (IsBlocked()) return;
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
  const Rule* const first = domain->Find(facts_.entries);
  if (first == nullptr) Trace("domain", "no rule of domains.{} ends at these entries", facts_.domain);
  for (const Rule& rule : first == nullptr ? std::span<const Rule>() : config::TogetherWith(*first)) {
    if (!rule.InForce(facts_.now)) {
      Trace("domain", "{} is out of schedule", rule.path);
    } else if (facts_.client_limit == nullptr) {
      result_.domain_rules.push_back(&rule);
    } else if (result_.shared == nullptr && SharesCount(rule, *facts_.client_limit)) {
      result_.shared = &rule;
    }
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
    if (!rule.InForce(facts_.now)) {
      Trace("domain", "{} is out of schedule", rule.path);
    } else if (!rule.unlimited) {
      Trace("domain", "{} holds for all of the domain", rule.path);
      Add(rule);
    }
  }
}

void Resolver::FindWho() {
  if (!facts_.user.empty()) user_ = snapshot_.FindUser(facts_.user);
  if (!facts_.tenant.empty()) {
    result_.tenant = facts_.tenant;
    tenant_ = snapshot_.FindTenant(facts_.tenant);
  } else if (user_ != nullptr && !user_->tenant.empty()) {
    result_.tenant = user_->tenant;
    tenant_ = user_->tenant_entry;
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
  if (!facts_.user.empty() && (snapshot_.ExemptUser(facts_.user) || (user_ != nullptr && user_->exempt))) {
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
  const auto out_of_schedule = [&](const IpMatch& match) {
    return match.rule != nullptr && !match.rule->InForce(facts_.now);
  };
  ip_rules_.erase(std::remove_if(ip_rules_.begin(), ip_rules_.end(), out_of_schedule), ip_rules_.end());
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
    Trace("ip_rule", "ip_rules.rules.{} blocks the request", match.name);
    return true;
  }
  return false;
}

void Resolver::Add(const Rule& rule) {
  if (std::ranges::find(result_.rules, &rule) == result_.rules.end()) result_.rules.push_back(&rule);
}

void Resolver::AddEndpointsAndBase(const PathReadings& paths) {
  bool replaced = AddEndpoints(paths.first());
  for (const std::string_view other : paths.others()) {
    Trace("endpoint", "some servers read this path as '{}', so the request is held to each reading", other);
    // One reading that leaves the base rule in place is enough to keep it.
    const bool other_replaced = AddEndpoints(other);
    replaced = replaced && other_replaced;
  }
  if (!replaced) AddBase();
}

// Returns whether the base rule is replaced.
bool Resolver::AddEndpoints(std::string_view path) {
  bool replaced = false;
  bool any = false;
  const EndpointQuery query{
      .method = facts_.method, .path = path, .tenant = result_.tenant, .user = facts_.user, .now = facts_.now};
  snapshot_.VisitEndpoints(query, [&](const EndpointMatch& match) {
    any = true;
    if (match.rule->shadow) {
      Trace("endpoint", "'{}' matches; its rule {} is in shadow mode: counted, but replacing nothing", match.pattern,
            match.rule->path);
      if (!match.rule->unlimited) Add(*match.rule);
      return Snapshot::Visit::kContinue;
    }
    replaced = match.combine == Combine::kReplace;
    Trace("endpoint", "'{}' is the most specific pattern that matches; its rule {} {} the base rule{}", match.pattern,
          match.rule->path, replaced ? "replaces" : "holds beside", match.rule->unlimited ? " and is unlimited" : "");
    if (!match.rule->unlimited) Add(*match.rule);
    return Snapshot::Visit::kStop;
  });
  if (!any) Trace("endpoint", "no endpoint for this method, tenant, user and time matches '{}'", path);
  return replaced;
}

void Resolver::AddBase() {
  if (user_ == nullptr) {
    if (!facts_.user.empty()) Trace("user", "'{}' is not in the document", facts_.user);
  } else if (user_->rule == nullptr) {
    Trace("user", "users.{} has no rule of its own", facts_.user);
  } else if (TryBase(*user_->rule, "user") == Next::kStop) {
    return;
  }
  if (tenant_ == nullptr) {
    if (!result_.tenant.empty()) Trace("tenant", "'{}' is not in the document", result_.tenant);
  } else if (tenant_->rule == nullptr) {
    Trace("tenant", "tenants.{} has no rule of its own", result_.tenant);
  } else if (TryBase(*tenant_->rule, "tenant") == Next::kStop) {
    return;
  }
  TryBase(TierRule(), "tier");
}

// Whether a rule is the base rule, or the next less specific one is asked.
Resolver::Next Resolver::TryBase(const Rule& rule, std::string_view stage) {
  if (!rule.InForce(facts_.now)) {
    Trace(stage, "{} is out of schedule", rule.path);
    return Next::kLessSpecific;
  }
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
    tell(facts_.tier, "named by the request");
    return *snapshot_.FindTier(facts_.tier);
  }
  if (user_ != nullptr && user_->tier_rule != nullptr) {
    tell(user_->tier, "the user's");
    return *user_->tier_rule;
  }
  if (tenant_ != nullptr && tenant_->tier_rule != nullptr) {
    tell(tenant_->tier, "the tenant's");
    return *tenant_->tier_rule;
  }
  tell("free_tier", "the default");
  return *snapshot_.FindTier({});
}

void Resolver::AddStacked() {
  const auto add = [&](std::span<const Rule> rules, std::string_view stage) {
    for (const Rule& rule : rules) {
      if (rule.unlimited) continue;
      if (!rule.InForce(facts_.now)) {
        Trace(stage, "{} is out of schedule", rule.path);
        continue;
      }
      Trace(stage, "{} holds beside the others", rule.path);
      Add(rule);
    }
  };
  if (tenant_ != nullptr) add(tenant_->stacked, "tenant");
  if (user_ != nullptr) add(user_->stacked, "quota");
}

void Resolver::AddIpRules() {
  for (const IpMatch& match : ip_rules_) {
    if (match.action == IpRule::Action::kBlock) continue;
    if (match.rule == nullptr) {
      Trace("ip_rule", "ip_rules.rules.{} matches and limits nothing", match.name);
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
