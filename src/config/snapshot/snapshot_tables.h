// What a snapshot is made of. Filled by compile_snapshot.cc, read by snapshot.cc.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/snapshot/domain_table.h"
#include "config/snapshot/endpoint_table.h"
#include "config/snapshot/entity_map.h"
#include "config/snapshot/exempt_paths.h"
#include "config/snapshot/network_map.h"
#include "config/snapshot/snapshot.h"
#include "config/snapshot/string_map.h"

namespace weir::config {

class EntityClasses;

// Entries hold views into `document` and `source`, and pointers into `rules` and each other's lists, none of which move
// after compilation.
struct SnapshotTables {
  std::shared_ptr<const EnterpriseRateLimitConfig> document;  // without entities
  std::shared_ptr<const EnterpriseRateLimitConfig> source;    // the document with its templates expanded
  std::vector<Rule> rules;
  std::vector<RuleFamily> families;

  const Rule* free_tier = nullptr;
  StringMap tiers;             // -> rules
  std::size_t tier_rules = 0;  // the first of `rules`
  EndpointTable endpoints;
  DomainTable domains;

  std::vector<IpMatch> ip_rules;
  NetworkMap ip_rule_networks;  // -> ip_rules
  absl::flat_hash_map<std::uint16_t, std::vector<std::uint32_t>> ip_rule_countries;
  NetworkMap trusted_proxies;
  std::vector<Network> nat64_prefixes;  // the well-known one first
  Snapshot::ClientSource client_source = Snapshot::ClientSource::kXForwardedFor;
  std::string client_header = "x-forwarded-for";

  std::shared_ptr<const ResponseStyle> denial_style;  // Snapshot::denial_style
  ExemptPaths exempt_paths;
  NetworkMap exempt_networks;
  StringMap exempt_users;
  StringMap exempt_api_keys;
};

// How many entities name a tenant, whether there is such a tenant or not.
struct TenantUse : Counted {
  TenantUse(std::string_view of, std::size_t entities) : label(Name::Of(of)), name(label), count(entities) {}
  Name label;
  std::string_view name;
  std::size_t count;
};

struct Snapshot::Entities {
  std::uint64_t version = 1;
  std::shared_ptr<const RuleTraits> traits;
  EntityMap<TenantEntry> tenants;
  EntityMap<UserEntry> users;
  EntityMap<ApiKeyEntry> api_keys;         // by digest
  EntityMap<TenantUse> uses;               // by users with rules of their own
  EntityMap<TenantUse> parts;              // by tenants that are parts of it
  std::shared_ptr<EntityClasses> classes;  // compile/entity_classes.h: of this policy
};

}  // namespace weir::config
