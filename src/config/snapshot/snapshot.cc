#include "config/snapshot/snapshot.h"

#include <algorithm>
#include <array>
#include <utility>

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

Snapshot::Snapshot(std::unique_ptr<const SnapshotTables> tables) : tables_(std::move(tables)) {}
Snapshot::~Snapshot() = default;

const EnterpriseRateLimitConfig& Snapshot::document() const { return *tables_->document; }
std::uint64_t Snapshot::version() const { return tables_->version; }
std::span<const Rule> Snapshot::rules() const { return tables_->rules; }
std::span<const std::string> Snapshot::extractors() const { return tables_->extractors; }
unsigned Snapshot::ipv4_prefix() const { return tables_->document->ip_rules.ipv4_prefix; }
unsigned Snapshot::ipv6_prefix() const { return tables_->document->ip_rules.ipv6_prefix; }

const Rule* Snapshot::FindTier(std::string_view tier) const {
  if (tier.empty()) return tables_->free_tier;
  const auto found = tables_->tiers.Find(tier);
  return found ? &tables_->rules[*found] : tables_->free_tier;
}

bool Snapshot::KnowsTier(std::string_view tier) const { return tables_->tiers.Contains(tier); }

const TenantEntry* Snapshot::FindTenant(std::string_view name) const {
  const auto found = tables_->tenants.Find(name);
  return found ? &tables_->tenant_entries[*found] : nullptr;
}

const UserEntry* Snapshot::FindUser(std::string_view name) const {
  const auto found = tables_->users.Find(name);
  return found ? &tables_->user_entries[*found] : nullptr;
}

const DomainEntry* Snapshot::FindDomain(std::string_view name) const { return tables_->domains.Find(name); }

void Snapshot::VisitEndpoints(const EndpointQuery& query, absl::FunctionRef<Visit(const EndpointMatch&)> visit) const {
  tables_->endpoints.Visit(query, visit);
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
  const SnapshotTables& tables = *tables_;
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
  for (const Network& prefix : tables_->nat64_prefixes) {
    if (!prefix.Contains(address)) continue;
    if (const auto embedded = EmbeddedIpv4(address, prefix.bits)) return *embedded;
  }
  return address;
}
Snapshot::ClientSource Snapshot::client_source() const { return tables_->client_source; }
std::string_view Snapshot::client_header() const { return tables_->client_header; }
bool Snapshot::has_stacked_endpoints() const { return tables_->endpoints.has_stacked(); }
std::size_t Snapshot::ip_rule_count() const { return tables_->ip_rules.size(); }
bool Snapshot::IsTrustedProxy(const Address& address) const { return tables_->trusted_proxies.Contains(address); }
bool Snapshot::ExemptPath(std::string_view path) const { return tables_->exempt_paths.Contains(path); }
bool Snapshot::ExemptAddress(const Address& address) const { return tables_->exempt_networks.Contains(address); }
bool Snapshot::ExemptUser(std::string_view user) const { return tables_->exempt_users.Contains(user); }
bool Snapshot::ExemptApiKey(std::string_view key) const { return tables_->exempt_api_keys.Contains(key); }

}  // namespace weir::config
