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
#include "config/compile/response_style.h"
#include "config/snapshot/snapshot_tables.h"
#include "config/validate/country_code.h"

namespace weir::config {
namespace {

constexpr std::size_t kBuiltInTiers = 3;

std::size_t CountRules(const EnterpriseRateLimitConfig& document) {
  const std::size_t rules =
      kBuiltInTiers + document.global.tiers.size() + document.endpoints.size() + document.ip_rules.rules.size();
  return rules * (1 + CountFurther(document)) + DomainTable::CountRules(document.domains);
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
      : entities_(document),
        tables_(std::make_unique<SnapshotTables>()),
        document_(*(tables_->source = Expanded(
                        tables_->document = std::make_shared<const EnterpriseRateLimitConfig>(std::move(document))))),
        previous_(previous),
        rules_(document_, registered_extractors, previous, now, CountRules(document_), {}, faults_) {}

  Result<std::shared_ptr<const Snapshot>> Run() {
    CompileClientAddress();
    CompileTiers();
    CompileEndpoints();
    CompileIpRules();
    CompileExemptions();
    if (document_.denial) {
      CheckDenial(*document_.denial, [this](std::string_view below, std::string message) {
        faults_.Add(fmt::format("denial.{}", below), std::move(message));
      });
    }
    tables_->denial_style = CompileStyle({}, document_.denial);
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
        .Build(entities_, previous_ == nullptr ? nullptr : previous_->entities_.get());
    if (!faults_.empty()) return std::unexpected(faults_.ToError());
    (void)rules_.TellCut();
    entities->traits = std::make_shared<const RuleTraits>(rules_.TakeTraits());
    return std::shared_ptr<const Snapshot>(new Snapshot(std::move(tables_), std::move(entities)));
  }

  static Result<std::shared_ptr<const Snapshot>> Change(const Snapshot& from, std::span<const EntityChange> changes,
                                                        Nanos now, std::span<const std::string> registered_extractors,
                                                        TreeCheck check) {
    FaultList faults;
    auto entities = std::make_unique<Snapshot::Entities>(*from.entities_);
    ++entities->version;
    RuleCompiler rules(*from.policy_->source, registered_extractors, nullptr, now, 0, from.traits(), faults);
    EntityCompiler compiler(*from.policy_, rules, *entities, faults);
    for (const EntityChange& change : changes) {
      if (auto done = compiler.Apply(change); !done) return std::unexpected(done.error());
    }
    if (check == TreeCheck::kNow) compiler.CheckParents();
    compiler.CompileUsersOfChangedTenants();
    if (!faults.empty()) return std::unexpected(faults.ToError());
    // An entity that changes all the time is logged once a minute.
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
  void CompileClientAddress();
  void CompileIpRules();
  void CompileExemptions();

  // The parts joined by dots; valid until the next call.
  std::string_view Path(std::initializer_list<std::string_view> parts);
  Network Canonical(const Network& network) const;
  NetworkMap Networks(const std::vector<std::string>& cidrs, std::string_view path);
  void AddNetworks(const std::vector<std::string>& cidrs, std::string_view path, std::uint32_t value,
                   std::vector<NetworkMap::Entry>& entries);

  FaultList faults_;
  const WrittenEntities entities_;
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
  const Rule& rule = rules_.Add(path, Level::kGlobal, AsBase(TierRule(document_, *names.begin())));
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

// A family for each kind of rule that an entity has, of each tier that it may name, and of none: EntityCompiler
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
  std::vector<const Rule*> rules;
  rules.reserve(document_.endpoints.size());
  for (const auto& [pattern, endpoint] : document_.endpoints) {
    const RateLimitRule rule = SharedRule(endpoint.rule, document_);
    rules.push_back(&rules_.Add(Path({"endpoints", pattern, "rule"}), Level::kEndpoint,
                                endpoint.combine == Combine::kReplace ? AsBase(rule) : rule));
  }
  tables_->endpoints.Build(document_.endpoints, rules, faults_);
}

void SnapshotCompiler::CompileClientAddress() {
  const IpRules& rules = document_.ip_rules;
  tables_->nat64_prefixes.push_back(*ParseNetwork("64:ff9b::/96"));
  for (const std::string& text : rules.nat64_prefixes) {
    const auto network = ParseNetwork(text);
    if (network && IsNat64Prefix(*network)) {
      tables_->nat64_prefixes.push_back(*network);
    } else {
      faults_.Add("ip_rules.nat64_prefixes", fmt::format("'{}' is no NAT64 prefix", text),
                  "an IPv6 network of 32, 40, 48, 56, 64 or 96 bits, such as 2001:db8:64::/96");
    }
  }
  constexpr std::string_view kHeader = "header:";
  if (rules.client_address == "forwarded") {
    tables_->client_source = Snapshot::ClientSource::kForwarded;
  } else if (rules.client_address.starts_with(kHeader) && rules.client_address.size() > kHeader.size()) {
    tables_->client_source = Snapshot::ClientSource::kHeader;
    tables_->client_header = rules.client_address.substr(kHeader.size());
  } else if (rules.client_address != "x_forwarded_for") {
    faults_.Add("ip_rules.client_address", fmt::format("'{}' is no source of addresses", rules.client_address),
                "x_forwarded_for, forwarded or header:NAME");
  }
}

void SnapshotCompiler::CompileIpRules() {
  std::vector<NetworkMap::Entry> networks;
  absl::flat_hash_set<std::string_view> names;
  for (const IpRule& rule : document_.ip_rules.rules) {
    const auto index = static_cast<std::uint32_t>(tables_->ip_rules.size());
    const std::string path(Path({"ip_rules.rules", rule.name}));
    if (!names.insert(rule.name).second) faults_.Add(path, "is the name of two ip rules; names are unique");
    IpMatch match{.rule = nullptr, .action = rule.action, .name = rule.name};
    if (rule.rule) {
      const RateLimitRule shared = IpRuleRule(rule, document_);
      const bool alone = rule.action == IpRule::Action::kAllow;
      match.rule = &rules_.Add(Path({path, "rule"}), Level::kIp, alone ? AsBase(shared) : shared);
    }
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
  // An empty name identifies no user.
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
      entries.push_back({.network = Canonical(*network), .value = value});
    } else {
      faults_.Add(std::string(path), fmt::format("'{}' is not a network, or has bits set beyond its prefix", cidr),
                  "write 10.0.0.0/8, 2001:db8::/32 or a single address");
    }
  }
}

// A network within a NAT64 prefix, as the IPv4 network that its addresses are read as. The prefix itself is left alone:
// it would be all of IPv4.
Network SnapshotCompiler::Canonical(const Network& network) const {
  for (const Network& prefix : tables_->nat64_prefixes) {
    const bool convertible = network.bits == 128 || (prefix.bits == 96 && network.bits > 96);
    if (!convertible || network.address.is_v4() || !prefix.Contains(network.address)) continue;
    if (const auto embedded = EmbeddedIpv4(network.address, prefix.bits)) {
      return {.address = *embedded, .bits = network.bits};
    }
  }
  return network;
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
                                                       std::span<const std::string> registered_extractors,
                                                       TreeCheck check) const {
  return SnapshotCompiler::Change(*this, changes, now, registered_extractors, check);
}

}  // namespace weir::config
