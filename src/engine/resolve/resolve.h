// From the facts of a request to the rules that apply to it. Pure; allocates nothing for up to 8 rules and paths that
// are normal or shorter than 512 bytes.
//
// 1. Exemptions: path, address, user, api key. 2. Ip rules that block, or challenge without a
// rule. 3. Ip rules that allow: the one with the most
// specific network takes the place of 4 and 5; without a rule nothing is counted. 4. The base rule: the user's, else
// the tenant's, else the tier's. 5. Of the endpoints that replace, the most specific one replaces the base rule. 6.
// What always stacks: every endpoint that does, the tenant's aggregate and quotas, the user's quotas, the API key's, ip
// rules.
//
//  - The tier is the request's, else the API key's plan, else the user's, else the tenant's, else free_tier (also for
//  an
//    unknown name). The user is the request's, else the key's; the tenant the request's, else the key's, else the
//    user's.
// A descriptor is resolved by its domain's tree, and by all of the above only where the domain says so (or where it is
// unknown, and envoy.unknown_domain is `hierarchy`). For any other request that names a domain of the document, the
// tree's rule for its attributes holds beside the others.
//
//  - A rule out of schedule, or whose condition (`when`) is false, does not exist. A condition that fails holds.
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
#include "base/arena.h"
#include "config/snapshot/snapshot.h"
#include "engine/identify/fact_source.h"
#include "weir/decision.h"

namespace weir::engine {

class Extractors;  // identify/extractors.h

// A request after its address and tier were established. Views borrow from the request and the snapshot.
struct Facts {
  // What conditions read besides the facts; nullptr: nothing of it is known.
  const Request* request = nullptr;
  const Extractors* extractors = nullptr;
  Arena* arena = nullptr;
  std::optional<Address> client;  // after trusted proxies; nullopt = unknown
  // The same as text, when the request client_limit it in canonical form; empty: format it.
  std::string_view client_text;
  // The API key's, where the request does not say so itself: user, tenant, tier.
  std::string_view user, tenant, tier, api_key, country, method;
  const config::ApiKeyEntry* key = nullptr;  // what is known of `api_key`; nullptr = nothing
  std::string_view path;                     // raw or normal; a query is ignored
  Nanos now = 0;
  // What the configuration asks for, and so was looked up (Snapshot::needs()). `country` is the request's own, else
  // this one's.
  KnownFacts known = {};
  // Of a request with a domain.
  std::string_view domain = {};
  std::span<const Attribute> entries = {};
  bool descriptor = false;
  const algorithms::Limit* client_limit =
      nullptr;                  // the client's limit, which stands for the tree's rules; nullptr = none
  bool domain_counted = false;  // another descriptor of the request counts the domain's own rules
};

struct Resolution {
  enum class Kind : std::uint8_t { kRules, kExempt, kBlocked, kChallenged, kUnknownDomain };
  Kind kind = Kind::kRules;
  // kExempt: "path", "address", "user", "api_key", "ip_rule"; kBlocked, kChallenged: the ip rule's name.
  std::string_view by;
  const ResponseStyle* style = nullptr;  // kBlocked, kChallenged: Decision::own_style
  std::string_view tenant;  // the tenant that was found: what a tenant_id identifier counts. Borrowed as the facts are
  // What the tenant is a part of, and its rules that always hold: a tenant_id identifier of these counts that one.
  struct Ancestor {
    std::string_view tenant;
    std::span<const config::Rule> rules;
  };
  absl::InlinedVector<Ancestor, 2> ancestors;
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
