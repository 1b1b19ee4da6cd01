// What a snapshot is made of. Filled by compile_snapshot.cc, read by snapshot.cc.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/snapshot/domain_table.h"
#include "config/snapshot/endpoint_table.h"
#include "config/snapshot/exempt_paths.h"
#include "config/snapshot/network_map.h"
#include "config/snapshot/snapshot.h"
#include "config/snapshot/string_map.h"

namespace weir::config {

// Entries hold views into `document` and `source`, and pointers into `rules` and each other's lists, none of which move
// after compilation.
struct SnapshotTables {
  std::shared_ptr<const EnterpriseRateLimitConfig> document;
  std::shared_ptr<const EnterpriseRateLimitConfig> source;  // the document with its templates expanded
  std::uint64_t version = 1;
  std::vector<Rule> rules;
  std::vector<std::string> extractors;

  const Rule* free_tier = nullptr;
  StringMap tiers;  // -> rules
  StringMap tenants;
  std::vector<TenantEntry> tenant_entries;
  StringMap users;
  std::vector<UserEntry> user_entries;
  EndpointTable endpoints;
  DomainTable domains;

  std::vector<IpMatch> ip_rules;
  NetworkMap ip_rule_networks;  // -> ip_rules
  absl::flat_hash_map<std::uint16_t, std::vector<std::uint32_t>> ip_rule_countries;
  NetworkMap trusted_proxies;
  std::vector<Network> nat64_prefixes;  // the well-known one first
  Snapshot::ClientSource client_source = Snapshot::ClientSource::kXForwardedFor;
  std::string client_header = "x-forwarded-for";

  ExemptPaths exempt_paths;
  NetworkMap exempt_networks;
  StringMap exempt_users;
  StringMap exempt_api_keys;
};

}  // namespace weir::config
