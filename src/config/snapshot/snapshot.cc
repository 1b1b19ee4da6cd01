#include "config/snapshot/snapshot.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/snapshot/key_name.h"
#include "config/snapshot/snapshot_tables.h"
#include "config/validate/country_code.h"

namespace weir::config {
namespace {

struct Smallest {
  std::uint32_t number = 0;
  std::uint8_t list = 0;  // the first that begins with it
};
// The smallest number at the front of any list; takes it off every list that begins with it. The lists are ascending.
// nullopt when all are empty.
std::optional<Smallest> TakeSmallest(std::span<std::span<const std::uint32_t>> lists) {
  std::optional<Smallest> smallest;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (lists[i].empty() || (smallest && lists[i].front() >= smallest->number)) continue;
    smallest = {.number = lists[i].front(), .list = static_cast<std::uint8_t>(i)};
  }
  for (auto& list : lists) {
    if (!list.empty() && list.front() == smallest->number) list = list.subspan(1);
  }
  return smallest;
}

}  // namespace

Snapshot::Snapshot(std::shared_ptr<const SnapshotTables> policy, std::unique_ptr<const Entities> entities)
    : policy_(std::move(policy)), entities_(std::move(entities)) {}
Snapshot::~Snapshot() = default;

const EnterpriseRateLimitConfig& Snapshot::document() const { return *policy_->document; }
std::uint64_t Snapshot::version() const { return entities_->version; }
std::span<const Rule> Snapshot::rules() const { return policy_->rules; }
std::span<const RuleFamily> Snapshot::families() const { return policy_->families; }
const RuleTraits& Snapshot::traits() const { return *entities_->traits; }
const ResponseStyle* Snapshot::denial_style() const { return policy_->denial_style.get(); }
unsigned Snapshot::ipv4_prefix() const { return policy_->document->ip_rules.ipv4_prefix; }
unsigned Snapshot::ipv6_prefix() const { return policy_->document->ip_rules.ipv6_prefix; }

const Rule* Snapshot::FindTier(std::string_view tier) const {
  if (tier.empty()) return policy_->free_tier;
  const auto found = policy_->tiers.Find(tier);
  return found ? &policy_->rules[*found] : policy_->free_tier;
}

bool Snapshot::KnowsTier(std::string_view tier) const { return policy_->tiers.Contains(tier); }

const TenantEntry* Snapshot::FindTenant(std::string_view name) const { return entities_->tenants.Find(name); }
const UserEntry* Snapshot::FindUser(std::string_view name) const { return entities_->users.Find(name); }
const ApiKeyEntry* Snapshot::FindApiKey(std::string_view key) const {
  if (entities_->api_keys.size() == 0) [[likely]]
    return nullptr;
  const KeyDigest digest = DigestOfKey(key);
  return entities_->api_keys.Find({digest.data(), digest.size()});
}
const ApiKeyEntry* Snapshot::FindApiKeyNamed(std::string_view name) const {
  const auto digest = DigestOfKeyName(name);
  return digest ? entities_->api_keys.Find(*digest) : nullptr;
}
std::size_t Snapshot::api_key_count() const { return entities_->api_keys.size(); }
void Snapshot::VisitApiKeys(absl::FunctionRef<void(const ApiKeyEntry&)> visit) const {
  entities_->api_keys.ForEach(visit);
}
std::size_t Snapshot::tenant_count() const { return entities_->tenants.size(); }
std::size_t Snapshot::user_count() const { return entities_->users.size(); }
void Snapshot::VisitTenants(absl::FunctionRef<void(const TenantEntry&)> visit) const {
  entities_->tenants.ForEach(visit);
}
void Snapshot::VisitUsers(absl::FunctionRef<void(const UserEntry&)> visit) const { entities_->users.ForEach(visit); }

std::span<const Rule> Snapshot::FindEntityRules(std::string_view path) const {
  constexpr std::string_view kUsers = "users.", kTenants = "tenants.", kKeys = "api_keys.";
  const auto prefix = path.starts_with(kUsers)     ? kUsers
                      : path.starts_with(kTenants) ? kTenants
                      : path.starts_with(kKeys)    ? kKeys
                                                   : std::string_view();
  if (prefix.empty()) return {};
  // A name may have dots, and look like the end of a path; the end itself tells what it is.
  path.remove_prefix(prefix.size());
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view end = path.substr(dot);
  std::string_view name = path.substr(0, dot);
  if (end != ".rule" && end != ".aggregate") {
    constexpr std::string_view kQuotas = ".quotas";
    if (!name.ends_with(kQuotas)) return {};
    name.remove_suffix(kQuotas.size());
  }
  const auto rules_of = [name](const auto& entities) {
    const auto* const found = entities.Find(name);
    return found == nullptr ? std::span<const Rule>() : found->rules;
  };
  if (prefix == kUsers) return rules_of(entities_->users);
  return prefix == kKeys ? rules_of(entities_->api_keys) : rules_of(entities_->tenants);
}

EnterpriseRateLimitConfig Snapshot::Written() const {
  EnterpriseRateLimitConfig document = *policy_->document;
  VisitTenants([&](const TenantEntry& one) { document.tenants.emplace(one.name, one.of->Written()); });
  VisitUsers([&](const UserEntry& one) { document.users.emplace(one.name, one.of->Written()); });
  VisitApiKeys(
      [&](const ApiKeyEntry& one) { document.api_keys.emplace(KeyNameOfDigest(one.name), one.of->Written()); });
  return document;
}

const DomainEntry* Snapshot::FindDomain(std::string_view name) const { return policy_->domains.Find(name); }

void Snapshot::VisitEndpoints(const EndpointQuery& query, absl::FunctionRef<Visit(const EndpointMatch&)> visit) const {
  policy_->endpoints.Visit(query, visit);
}

std::optional<EndpointMatch> Snapshot::FindEndpoint(const EndpointQuery& query) const {
  std::optional<EndpointMatch> found;
  VisitEndpoints(query, [&](const EndpointMatch& match) {
    found = match;
    return Visit::kStop;
  });
  return found;
}

std::size_t Snapshot::FindIpRules(const Address* address, std::string_view country, std::span<IpMatch> matches) const {
  const SnapshotTables& tables = *policy_;
  std::array<std::span<const std::uint32_t>, NetworkMap::kMaxDepth + 1> lists;
  std::size_t count = 0;
  if (address != nullptr)
    count = tables.ip_rule_networks.Find(*address, std::span(lists).first<NetworkMap::kMaxDepth>());
  if (!country.empty() && !tables.ip_rule_countries.empty()) {
    const auto found = tables.ip_rule_countries.find(CountryCode(country));
    if (found != tables.ip_rule_countries.end()) lists[count++] = found->second;
  }
  std::size_t written = 0;
  while (written < matches.size()) {
    const auto next = TakeSmallest(std::span(lists).first(count));
    if (!next) break;
    matches[written] = tables.ip_rules[next->number];
    matches[written++].rank = next->list;
  }
  return written;
}

Address Snapshot::Canonical(const Address& address) const {
  if (address.is_v4()) return address;
  for (const Network& prefix : policy_->nat64_prefixes) {
    if (!prefix.Contains(address)) continue;
    if (const auto embedded = EmbeddedIpv4(address, prefix.bits)) return *embedded;
  }
  return address;
}
Snapshot::ClientSource Snapshot::client_source() const { return policy_->client_source; }
std::string_view Snapshot::client_header() const { return policy_->client_header; }
bool Snapshot::has_stacked_endpoints() const { return policy_->endpoints.has_stacked(); }
std::size_t Snapshot::ip_rule_count() const { return policy_->ip_rules.size(); }
bool Snapshot::IsTrustedProxy(const Address& address) const { return policy_->trusted_proxies.Contains(address); }
bool Snapshot::ExemptPath(std::string_view path) const { return policy_->exempt_paths.Contains(path); }
bool Snapshot::ExemptAddress(const Address& address) const { return policy_->exempt_networks.Contains(address); }
bool Snapshot::ExemptUser(std::string_view user) const { return policy_->exempt_users.Contains(user); }
bool Snapshot::ExemptApiKey(std::string_view key) const { return policy_->exempt_api_keys.Contains(key); }

}  // namespace weir::config
