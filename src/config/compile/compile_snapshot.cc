// Document -> snapshot: which rule inherits from which, and where each can be looked up.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>

#include "config/compile/inherit.h"
#include "config/snapshot/snapshot_tables.h"
#include "config/validate/country_code.h"

namespace weir::config {
namespace {

constexpr std::size_t kBuiltInTiers = 3;

std::size_t CountRules(const EnterpriseRateLimitConfig& document) {
  std::size_t count =
      kBuiltInTiers + document.global.tiers.size() + document.endpoints.size() + document.ip_rules.rules.size();
  for (const auto& [name, tenant] : document.tenants) {
    count += (tenant.rule ? 1u : 0u) + (tenant.aggregate ? 1u : 0u) + tenant.quotas.size();
  }
  for (const auto& [name, user] : document.users) count += (user.rule ? 1u : 0u) + user.quotas.size();
  count *= 1 + CountFurther(document);
  return count + DomainTable::CountRules(document.domains);
}

class SnapshotCompiler {
 public:
  SnapshotCompiler(std::shared_ptr<const EnterpriseRateLimitConfig> document, const Snapshot* previous, Nanos now,
                   std::span<const std::string> registered_extractors)
      : tables_(std::make_unique<SnapshotTables>()),
        document_(*(tables_->source = document->templates.empty() ? document
                                                                  : std::make_shared<const EnterpriseRateLimitConfig>(
                                                                        ExpandTemplates(*document)))),
        previous_(previous),
        rules_(document_, registered_extractors, previous, now, CountRules(document_), faults_) {
    tables_->document = std::move(document);
    tables_->version = previous == nullptr ? 1 : previous->version() + 1;
  }

  Result<std::unique_ptr<const SnapshotTables>> Run() {
    CompileClientAddress();
    CompileTiers();
    CompileTenants();
    CompileUsers();
    CompileEndpoints();
    CompileIpRules();
    CompileExemptions();
    tables_->domains.Build(document_.domains, document_.envoy.count_all, previous_, rules_, faults_);
    if (!document_.envoy.files.empty()) {
      faults_.Add("envoy.files", "was not loaded", "LoadConfigFile loads what it names");
    }
    if (!faults_.empty()) return std::unexpected(faults_.ToError());
    tables_->extractors = rules_.TakeExtractors();
    tables_->rules = rules_.TakeRules();  // moving a vector moves no rule
    return std::move(tables_);
  }

 private:
  void CompileTiers();
  void CompileTier(std::string_view path, std::initializer_list<std::string_view> names);
  void CompileTenants();
  void CompileUsers();
  std::uint32_t CompileUser(const std::string& name, const UserLimits& user);
  void CompileEndpoints();
  void CompileClientAddress();
  void CompileIpRules();
  void CompileExemptions();

  // The rule of a tier with what it inherits; compiled ones are kept, since many tenants and users ask for few tiers.
  const RateLimitRule& TierOf(std::string_view tier);
  // nullptr for no tier.
  const Rule* TierRuleOf(std::string_view tier) const;
  // What a user's rule inherits from.
  RateLimitRule UserBase(const UserLimits& user);
  // The parts joined by dots; valid until the next call.
  std::string_view Path(std::initializer_list<std::string_view> parts);
  Network Canonical(const Network& network) const;
  NetworkMap Networks(const std::vector<std::string>& cidrs, std::string_view path);
  void AddNetworks(const std::vector<std::string>& cidrs, std::string_view path, std::uint32_t value,
                   std::vector<NetworkMap::Entry>& entries);

  FaultList faults_;
  std::unique_ptr<SnapshotTables> tables_;
  const EnterpriseRateLimitConfig& document_;  // templates expanded
  const Snapshot* const previous_;
  RuleCompiler rules_;
  std::string path_;
  absl::flat_hash_map<std::string_view, std::unique_ptr<const RateLimitRule>> tiers_;
  absl::flat_hash_map<std::string_view, std::unique_ptr<const RateLimitRule>> tenant_rules_;
  absl::flat_hash_map<std::tuple<std::string_view, std::string_view, bool>, std::uint32_t> plain_users_;
};

std::string_view SnapshotCompiler::Path(std::initializer_list<std::string_view> parts) {
  path_.clear();
  for (const std::string_view part : parts) {
    if (!path_.empty()) path_ += '.';
    path_ += part;
  }
  return path_;
}

const RateLimitRule& SnapshotCompiler::TierOf(std::string_view tier) {
  auto& rule = tiers_[tier];
  if (rule == nullptr) rule = std::make_unique<const RateLimitRule>(TierRule(document_, tier));
  return *rule;
}

const Rule* SnapshotCompiler::TierRuleOf(std::string_view tier) const {
  if (tier.empty()) return nullptr;
  const auto known = tables_->tiers.Find(tier);
  return known ? &rules_.Since(*known).front() : tables_->free_tier;
}

void SnapshotCompiler::CompileTier(std::string_view path, std::initializer_list<std::string_view> names) {
  const Rule& rule = rules_.Add(path, Level::kGlobal, AsBase(TierOf(*names.begin())));
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
}

void SnapshotCompiler::CompileTenants() {
  tables_->tenant_entries.reserve(document_.tenants.size());  // users point to them
  tables_->tenants = StringMap(document_.tenants.size());
  for (const auto& [name, tenant] : document_.tenants) {
    TenantEntry entry;
    entry.name = name;
    if (tenant.tier) entry.tier = *tenant.tier;
    entry.tier_rule = TierRuleOf(entry.tier);
    if (tenant.rule) {
      auto& inherited = tenant_rules_[name];
      inherited = std::make_unique<const RateLimitRule>(Inherit(*tenant.rule, TierOf(entry.tier)));
      entry.rule = &rules_.Add(Path({"tenants", name, "rule"}), Level::kTenant, AsBase(*inherited));
    }
    const std::size_t first_stacked = rules_.size();
    if (tenant.aggregate) {
      rules_.Add(Path({"tenants", name, "aggregate"}), Level::kTenant, AggregateRule(*tenant.aggregate));
    }
    const TenantEntry* const previous = previous_ == nullptr ? nullptr : previous_->FindTenant(name);
    const std::size_t first_quota = rules_.size();
    for (std::size_t i = 0; i < tenant.quotas.size(); ++i) {
      rules_.AddToList(Path({"tenants", name, "quotas", std::to_string(i)}), Level::kTenant,
                       QuotaRule(tenant.quotas[i], {TenantId{}}));
    }
    rules_.FollowList(first_quota, previous == nullptr ? std::span<const Rule>() : previous->quotas);
    entry.quotas = rules_.Since(first_quota);
    entry.stacked = rules_.Since(first_stacked);
    tables_->tenants.Insert(name, static_cast<std::uint32_t>(tables_->tenant_entries.size()));
    tables_->tenant_entries.push_back(entry);
  }
}

RateLimitRule SnapshotCompiler::UserBase(const UserLimits& user) {
  std::string_view tier = user.tier ? std::string_view(*user.tier) : std::string_view();
  if (user.tenant) {
    const auto rule = tenant_rules_.find(*user.tenant);
    if (rule != tenant_rules_.end()) return *rule->second;
    const auto tenant = document_.tenants.find(*user.tenant);
    if (tier.empty() && tenant != document_.tenants.end() && tenant->second.tier) tier = *tenant->second.tier;
  }
  return TierOf(tier);
}

std::uint32_t SnapshotCompiler::CompileUser(const std::string& name, const UserLimits& user) {
  const auto next = static_cast<std::uint32_t>(tables_->user_entries.size());
  UserEntry entry;
  if (user.tier) entry.tier = *user.tier;
  entry.tier_rule = TierRuleOf(entry.tier);
  if (user.tenant) entry.tenant = *user.tenant;
  entry.exempt = user.exempt;
  if (!user.rule && user.quotas.empty()) {
    const auto [known, is_new] = plain_users_.try_emplace(std::tuple(entry.tier, entry.tenant, entry.exempt), next);
    if (!is_new) return known->second;
  }
  if (const auto tenant = tables_->tenants.Find(entry.tenant)) entry.tenant_entry = &tables_->tenant_entries[*tenant];
  if (user.rule) {
    entry.rule = &rules_.Add(Path({"users", name, "rule"}), Level::kUser, AsBase(Inherit(*user.rule, UserBase(user))));
  }
  const UserEntry* const previous = previous_ == nullptr ? nullptr : previous_->FindUser(name);
  const std::size_t first_stacked = rules_.size();
  for (std::size_t i = 0; i < user.quotas.size(); ++i) {
    rules_.AddToList(Path({"users", name, "quotas", std::to_string(i)}), Level::kUser,
                     QuotaRule(user.quotas[i], {UserId{}}));
  }
  rules_.FollowList(first_stacked, previous == nullptr ? std::span<const Rule>() : previous->stacked);
  entry.stacked = rules_.Since(first_stacked);
  tables_->user_entries.push_back(entry);
  return next;
}

void SnapshotCompiler::CompileUsers() {
  tables_->users = StringMap(document_.users.size());
  for (const auto& [name, user] : document_.users) {
    if (!tables_->users.Insert(name, CompileUser(name, user))) {
      faults_.Add(std::string(Path({"users", name})), "does not fit: the names of users together exceed 16 GiB");
    }
  }
  tables_->user_entries.shrink_to_fit();
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
      const RateLimitRule shared = SharedRule(*rule.rule, document_);
      const bool alone = rule.action == IpRule::Action::kAllow;
      match.rule = &rules_.Add(Path({path, "rule"}), Level::kIp, alone ? AsBase(shared) : shared);
    }
    tables_->ip_rules.push_back(match);
    AddNetworks(rule.cidrs, path + ".cidrs", index, networks);
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

}  // namespace

Result<std::shared_ptr<const Snapshot>> Snapshot::Compile(std::shared_ptr<const EnterpriseRateLimitConfig> config,
                                                          const Snapshot* previous, Nanos now,
                                                          std::span<const std::string> registered_extractors) {
  auto tables = SnapshotCompiler(std::move(config), previous, now, registered_extractors).Run();
  if (!tables) return std::unexpected(tables.error());
  return std::shared_ptr<const Snapshot>(new Snapshot(std::move(*tables)));
}

Result<std::shared_ptr<const Snapshot>> Snapshot::Compile(const EnterpriseRateLimitConfig& config,
                                                          const Snapshot* previous, Nanos now,
                                                          std::span<const std::string> registered_extractors) {
  return Compile(std::make_shared<const EnterpriseRateLimitConfig>(config), previous, now, registered_extractors);
}

}  // namespace weir::config
