// Document -> snapshot: which rule inherits from which, and where each can be looked up.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <initializer_list>
#include <map>
#include <string>
#include <utility>

#include "config/compile/compile_entities.h"
#include "config/compile/inherit.h"
#include "config/snapshot/snapshot_tables.h"
#include "config/validate/country_code.h"

namespace weir::config {
namespace {

constexpr std::size_t kBuiltInTiers = 3;

std::size_t CountRules(const EnterpriseRateLimitConfig& document) {
  return kBuiltInTiers + document.global.tiers.size() + document.endpoints.size() + document.ip_rules.rules.size() +
         DomainTable::CountRules(document.domains);
}

std::shared_ptr<const EnterpriseRateLimitConfig> Expanded(std::shared_ptr<const EnterpriseRateLimitConfig> policy) {
  if (policy->templates.empty()) return policy;
  return std::make_shared<const EnterpriseRateLimitConfig>(ExpandTemplates(*policy));
}

}  // namespace

class SnapshotCompiler {
 public:
  SnapshotCompiler(EnterpriseRateLimitConfig document, const Snapshot* previous, Nanos now,
                   std::span<const std::string> registered_extractors)
      : tenants_(std::exchange(document.tenants, {})),
        users_(std::exchange(document.users, {})),
        tables_(std::make_unique<SnapshotTables>()),
        document_(*(tables_->source = Expanded(
                        tables_->document = std::make_shared<const EnterpriseRateLimitConfig>(std::move(document))))),
        previous_(previous),
        rules_(document_, registered_extractors, previous, now, CountRules(document_), {}, faults_) {}

  Result<std::shared_ptr<const Snapshot>> Run() {
    CompileTiers();
    CompileEndpoints();
    CompileIpRules();
    CompileExemptions();
    tables_->domains.Build(document_.domains, document_.envoy.count_all, previous_, rules_, faults_);
    if (!document_.envoy.files.empty()) {
      faults_.Add("envoy.files", "was not loaded", "LoadConfigFile loads what it names");
    }
    tables_->rules = rules_.TakeRules();
    AddFamilies();
    auto entities = std::make_unique<Snapshot::Entities>();
    if (previous_ != nullptr) entities->version = previous_->version() + 1;
    entities->classes = std::make_shared<EntityClasses>();
    EntityCompiler(*tables_, rules_, *entities, faults_)
        .Build(tenants_, users_, previous_ == nullptr ? nullptr : previous_->entities_.get());
    if (!faults_.empty()) return std::unexpected(faults_.ToError());
    (void)rules_.TellCut();
    entities->traits = std::make_shared<const RuleTraits>(rules_.TakeTraits());
    return std::shared_ptr<const Snapshot>(new Snapshot(std::move(tables_), std::move(entities)));
  }

  static Result<std::shared_ptr<const Snapshot>> Change(const Snapshot& from, std::span<const EntityChange> changes,
                                                        Nanos now, std::span<const std::string> registered_extractors) {
    FaultList faults;
    auto entities = std::make_unique<Snapshot::Entities>(*from.entities_);
    ++entities->version;
    RuleCompiler rules(*from.policy_->source, registered_extractors, nullptr, now, 0, from.traits(), faults);
    EntityCompiler compiler(*from.policy_, rules, *entities, faults);
    for (const EntityChange& change : changes) {
      if (auto done = compiler.Apply(change); !done) return std::unexpected(done.error());
    }
    compiler.CompileUsersOfChangedTenants();
    if (!faults.empty()) return std::unexpected(faults.ToError());
    // One that changes all the time is told of once a minute.
    if (Nanos& told = entities->classes->told_cut; now - told >= kMinute || now < told) {
      if (rules.TellCut()) told = now;
    }
    if (RuleTraits traits = rules.TakeTraits(); traits != *entities->traits) {
      entities->traits = std::make_shared<const RuleTraits>(std::move(traits));
    }
    return std::shared_ptr<const Snapshot>(new Snapshot(from.policy_, std::move(entities)));
  }

 private:
  void CompileTiers();
  void CompileTier(std::string_view path, std::initializer_list<std::string_view> names);
  void AddFamilies();
  void CompileEndpoints();
  void CompileIpRules();
  void CompileExemptions();

  // The parts joined by dots; valid until the next call.
  std::string_view Path(std::initializer_list<std::string_view> parts);
  NetworkMap Networks(const std::vector<std::string>& cidrs, std::string_view path);
  void AddNetworks(const std::vector<std::string>& cidrs, std::string_view path, std::uint32_t value,
                   std::vector<NetworkMap::Entry>& entries);

  FaultList faults_;
  const std::map<std::string, TenantLimits> tenants_;
  const std::map<std::string, UserLimits> users_;
  std::unique_ptr<SnapshotTables> tables_;
  const EnterpriseRateLimitConfig& document_;  // templates expanded
  const Snapshot* const previous_;
  RuleCompiler rules_;
  std::string path_;
};

std::string_view SnapshotCompiler::Path(std::initializer_list<std::string_view> parts) {
  path_.clear();
  for (const std::string_view part : parts) {
    if (!path_.empty()) path_ += '.';
    path_ += part;
  }
  return path_;
}

void SnapshotCompiler::CompileTier(std::string_view path, std::initializer_list<std::string_view> names) {
  const Rule& rule = rules_.Add(path, Level::kGlobal, TierRule(document_, *names.begin()));
  for (const std::string_view name : names) tables_->tiers.Insert(name, rule.index);
}

void SnapshotCompiler::CompileTiers() {
  CompileTier("global.free_tier", {"free_tier", "free"});
  tables_->free_tier = &rules_.Since(0).front();
  CompileTier("global.pro_tier", {"pro_tier", "pro"});
  CompileTier("global.enterprise_tier", {"enterprise_tier", "enterprise"});
  for (const auto& [name, rule] : document_.global.tiers) {
    if (tables_->tiers.Contains(name)) {
      faults_.Add(std::string(Path({"global.tiers", name})), "is the name of a built-in tier");
      continue;
    }
    CompileTier(Path({"global.tiers", name}), {std::string_view(name)});
  }
  tables_->tier_rules = rules_.size();
}

// A family for each kind of rule that a user or tenant has, of each tier that it may name, and of none: EntityCompiler
// counts on the order.
void SnapshotCompiler::AddFamilies() {
  for (const EntityFamily& family : kEntityFamilies) {
    tables_->families.push_back({.path = std::string(family.path), .level = family.level, .tier = {}});
    for (std::size_t i = 0; i < tables_->tier_rules; ++i) {
      const std::string_view path = tables_->rules[i].path;
      tables_->families.push_back({.path = std::string(family.path),
                                   .level = family.level,
                                   .tier = std::string(path.substr(path.rfind('.') + 1))});
    }
  }
}

void SnapshotCompiler::CompileEndpoints() {
  const std::size_t first = rules_.size();
  for (const auto& [pattern, endpoint] : document_.endpoints) {
    rules_.Add(Path({"endpoints", pattern, "rule"}), Level::kEndpoint, SharedRule(endpoint.rule, document_));
  }
  tables_->endpoints.Build(document_.endpoints, rules_.Since(first), faults_);
}

void SnapshotCompiler::CompileIpRules() {
  std::vector<NetworkMap::Entry> networks;
  absl::flat_hash_set<std::string_view> names;
  for (const IpRule& rule : document_.ip_rules.rules) {
    const auto index = static_cast<std::uint32_t>(tables_->ip_rules.size());
    const std::string path(Path({"ip_rules.rules", rule.name}));
    if (!names.insert(rule.name).second) faults_.Add(path, "is the name of two ip rules; names are unique");
    IpMatch match{.rule = nullptr, .action = rule.action, .name = rule.name};
    if (rule.rule) match.rule = &rules_.Add(Path({path, "rule"}), Level::kIp, SharedRule(*rule.rule, document_));
    tables_->ip_rules.push_back(match);
    AddNetworks(rule.cidrs, path + ".cidrs", index, networks);
    if (!rule.countries.empty()) rules_.Need(kNeedCountry);
    for (const std::string& country : rule.countries) {
      const std::uint16_t code = CountryCode(country);
      if (code == 0) {
        faults_.Add(path + ".countries", fmt::format("'{}' is not a country code of two letters", country));
        continue;
      }
      std::vector<std::uint32_t>& rules = tables_->ip_rule_countries[code];
      if (rules.empty() || rules.back() != index) rules.push_back(index);
    }
  }
  tables_->ip_rule_networks = NetworkMap(std::move(networks));
  tables_->trusted_proxies = Networks(document_.ip_rules.trusted_proxies, "ip_rules.trusted_proxies");
}

void SnapshotCompiler::CompileExemptions() {
  const Exemptions& exemptions = document_.exemptions;
  tables_->exempt_paths = ExemptPaths(exemptions.paths);
  tables_->exempt_networks = Networks(exemptions.cidrs, "exemptions.cidrs");
  // An empty name is an unknown one: it is nobody's.
  for (const std::string& user : exemptions.users) {
    if (!user.empty()) tables_->exempt_users.Insert(user, 0);
  }
  for (const std::string& key : exemptions.api_keys) {
    if (!key.empty()) tables_->exempt_api_keys.Insert(key, 0);
  }
}

void SnapshotCompiler::AddNetworks(const std::vector<std::string>& cidrs, std::string_view path, std::uint32_t value,
                                   std::vector<NetworkMap::Entry>& entries) {
  for (const std::string& cidr : cidrs) {
    if (const auto network = ParseNetwork(cidr)) {
      entries.push_back({.network = *network, .value = value});
    } else {
      faults_.Add(std::string(path), fmt::format("'{}' is not a network, or has bits set beyond its prefix", cidr),
                  "write 10.0.0.0/8, 2001:db8::/32 or a single address");
    }
  }
}

NetworkMap SnapshotCompiler::Networks(const std::vector<std::string>& cidrs, std::string_view path) {
  std::vector<NetworkMap::Entry> entries;
  AddNetworks(cidrs, path, 0, entries);
  return NetworkMap(std::move(entries));
}

Result<std::shared_ptr<const Snapshot>> Snapshot::Compile(EnterpriseRateLimitConfig config, const Snapshot* previous,
                                                          Nanos now,
                                                          std::span<const std::string> registered_extractors) {
  return SnapshotCompiler(std::move(config), previous, now, registered_extractors).Run();
}

Result<std::shared_ptr<const Snapshot>> Snapshot::With(std::span<const EntityChange> changes, Nanos now,
                                                       std::span<const std::string> registered_extractors) const {
  return SnapshotCompiler::Change(*this, changes, now, registered_extractors);
}

}  // namespace weir::config
