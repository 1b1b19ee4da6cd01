// The part of the configuration document that answers Envoy's rate limit service: domains, their trees of descriptors,
// and how the service behaves. Part of weir/config.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weir/rule.h"

namespace weir {

// A node in a domain's tree of descriptors. A descriptor of a request (a list of key and value) walks down the tree, an
// entry a level: first the node of that key and value, then those whose value has a '*' and matches in document order,
// then the one of that key without a value. Its rule holds only when the walk ends there with the last entry.
struct DescriptorLimits {
  std::string key = {};
  std::string value = {};  // empty: any value. Each '*' in it stands for any text, also none
  // What it does not write: identifier = the descriptor's own values, algorithm = fixed_window aligned to the epoch.
  // Absent: nothing is counted here. `name` and `replaces`: see below.
  std::optional<RateLimitRule> rule = {};
  // Further ones beside it: each counts for itself, and all must pass.
  std::vector<RateLimitRule> rules = {};
  std::vector<std::string> replaces = {};  // names of rules that do not hold in a request in which this one does
  // Does not deny alone: a request is over only when every descriptor of it that is in quota mode is.
  bool quota_mode = false;
  bool detailed_metric = false;  // metrics name the values of all entries, also where the document has none
  bool value_to_metric = false;  // metrics name this entry's value
  bool share_threshold = false;  // only with '*': all values that match share one counter
  // A JSON object (its text) that goes into the answer's dynamic metadata while the descriptor is not over; empty:
  // none.
  std::string metadata = {};
  std::vector<DescriptorLimits> descriptors = {};
  friend bool operator==(const DescriptorLimits& a, const DescriptorLimits& b) = default;
};
// Which rules of the tree hold for a descriptor of a request. kExact: the one at which the walk of all its entries
// ends. kContained: each whose own entries are all among those of the request, in whatever order and whatever else is
// there.
enum class DescriptorMatch : std::uint8_t { kExact, kContained };
struct DomainLimits {
  // Hold for every request to the domain, whatever its descriptors, and count it once. What they do not write is as in
  // a descriptor's rule, but for the identifier, which is `global`: all of the domain is one subject.
  std::vector<RateLimitRule> rules = {};
  std::vector<DescriptorLimits> descriptors = {};
  DescriptorMatch match = DescriptorMatch::kExact;
  // Whether tiers, tenants, users, endpoints, ip rules and exemptions hold for its descriptors too, by the attributes
  // that `envoy.attributes` makes of their keys. Default: only when it has no descriptors of its own.
  std::optional<bool> hierarchy = {};
  friend bool operator==(const DomainLimits&, const DomainLimits&) = default;
};
// kHierarchy: as a domain without descriptors.
enum class UnknownDomain : std::uint8_t { kAllow, kDeny, kError, kHierarchy };
struct EnvoyConfig {
  // envoyproxy/ratelimit's YAML, or directories of it. LoadConfigFile merges them into `domains`; a document that still
  // names some when it is compiled is refused.
  std::vector<std::string> files = {};
  bool merge_domains = false;  // a domain may be in several of them; each adds descriptors
  UnknownDomain unknown_domain = UnknownDomain::kAllow;
  bool count_all = false;  // as envoyproxy/ratelimit: descriptors count also when another denies, and denied hits do
  bool response_headers = true;   // the rules' rate limit headers, for Envoy to add to its response
  bool dynamic_metadata = false;  // domain, descriptors and quota mode, as envoyproxy/ratelimit tells them
  // Descriptor key -> ip, user, tenant, tier, api_key, country, method, path, or none. Added to the built-in table:
  // remote_address, masked_remote_address: ip; user, user_id: user; tenant, tenant_id: tenant; tier, api_key, country,
  // method, path: themselves.
  std::map<std::string, std::string> attributes = {};
  friend bool operator==(const EnvoyConfig&, const EnvoyConfig&) = default;
};

}  // namespace weir
