// From the facts of a request to the rules that apply to it. Pure; allocates nothing for up to 8 rules and paths that
// are normal or shorter than 512 bytes.
//
// 1. Exemptions: path, address, user, api key. 2. Ip rules that block. 3. The base rule: the user's, else the tenant's,
// else the tier's. 4. The most specific endpoint: it replaces the base rule or holds beside it. 5. What always stacks:
// the tenant's aggregate and quotas, the user's quotas, ip rules.
//
//  - The tier is the request's, else the user's, else the tenant's, else free_tier (also for an unknown name). The
//  tenant
//    is the request's, else the user's.
// A descriptor is resolved by its domain's tree, and by all of the above only where the domain says so (or where it is
// unknown, and envoy.unknown_domain is `hierarchy`). For any other request that names a domain of the document, the
// tree's rule for its attributes holds beside the others.
//
//  - A rule out of schedule does not exist.
//  - A rule in shadow mode takes nothing away: it is listed, and the next less specific one holds as if it were not
//  there.
//  - An unlimited rule replaces what it would replace, and is not listed itself.
//  - A path that servers may read in several ways (base/path.h) is held to each reading: exempt only if all are, and
//    under the endpoints of all.
#pragma once

#include <absl/container/inlined_vector.h>

#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "config/snapshot/snapshot.h"
#include "weir/decision.h"

namespace weir::engine {

// A request after its address and tier were established. Views borrow from the request and the snapshot.
struct Facts {
  std::optional<Address> client;  // after trusted proxies; nullopt = unknown
  // The same as text, when the request client_limit it in canonical form; empty: format it.
  std::string_view client_text;
  std::string_view user, tenant, tier, api_key, country, method;
  std::string_view path;  // raw or normal; a query is ignored
  Nanos now = 0;
  // Of a request with a domain.
  std::string_view domain = {};
  std::span<const Attribute> entries = {};
  bool descriptor = false;
  const algorithms::Limit* client_limit =
      nullptr;                  // the client's limit, which stands for the tree's rules; nullptr = none
  bool domain_counted = false;  // another descriptor of the request counts the domain's own rules
};

struct Resolution {
  enum class Kind : std::uint8_t { kRules, kExempt, kBlocked, kUnknownDomain };
  Kind kind = Kind::kRules;
  std::string_view by;      // kExempt: "path", "address", "user", "api_key"; kBlocked: the ip rule's name
  std::string_view tenant;  // the tenant that was found: what a tenant_id identifier counts. Borrowed as the facts are
  absl::InlinedVector<const config::Rule*, kInlineRules> rules;  // enforced and shadow; never unlimited ones
  bool unknown_domain = false;  // of a descriptor, however envoy.unknown_domain has it decided
  // What the domain's tree said, also what is unlimited and so not among `rules`.
  absl::InlinedVector<const config::Rule*, 2> domain_rules;
  // Where the client brings a limit: the tree's rule whose count it goes on with; nullptr = it counts by itself.
  const config::Rule* shared = nullptr;
};

// `trace`: nullptr on the hot path; otherwise each step is told to it.
Resolution Resolve(const config::Snapshot& snapshot, const Facts& facts, std::vector<ExplainStep>* trace);
// The same, into a fresh one.
void Resolve(const config::Snapshot& snapshot, const Facts& facts, std::vector<ExplainStep>* trace, Resolution& to);

}  // namespace weir::engine
