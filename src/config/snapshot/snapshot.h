// A configuration, validated and compiled: immutable, and all that the hot path reads.
//
// What the document leaves open is decided here, once:
//  - a user's rule inherits from the rule of the tenant that the user's entry names, else from the tier it names (its
//  own,
//    else that tenant's, else free_tier); a request that names another tenant does not change that;
//  - an endpoint's or an ip rule's rule holds for all tiers and inherits from free_tier;
//  - an ip rule matches when the address is in one of its cidrs OR the country is one of its countries.
//
// Thread-safe: everything is const after Compile.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/limit.h"
#include "base/address.h"
#include "base/clock.h"
#include "weir/config.h"
#include "weir/decision.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::config {

// Who is counted. A tree only for composites.
struct Identifier {
  enum class Kind : std::uint8_t {
    kIp,
    kUser,
    kApiKey,
    kTenant,
    kGlobal,
    kExtractor,
    kDescriptor,  // the entries of the request's descriptor; of Rule::descriptor
    kCombine,
    kFirstAvailable,
    kStrictest
  };
  Kind kind = Kind::kIp;
  bool use_forwarded = false;                            // kIp
  bool fallback_to_ip = false;                           // kUser
  std::string tier_field;                                // kUser; empty = none
  std::string quota_field;                               // kApiKey; empty = none
  std::string key_prefix;                                // kApiKey
  std::string extractor;                                 // kExtractor: "header:x-tenant", ...
  Nanos cache_duration = 0;                              // kExtractor
  std::uint32_t extractor_index = 0;                     // kExtractor: position in Snapshot::extractors()
  std::unique_ptr<const Identifier> primary, secondary;  // composites

  // Whether a request may bring the rule's capacity.
  bool reads_quota() const {
    return !quota_field.empty() || (primary && primary->reads_quota()) || (secondary && secondary->reads_quota());
  }
};

// How a rule looked before its latest change, kept until its states have expired.
struct PreviousRule {
  algorithms::Limit limit;
  std::uint64_t seed = 0;
  std::string_view generation;  // interned
  Nanos until = 0;              // not looked up after this time
  // What it had followed itself, while states of that may still live: of subjects that have asked nothing since. At
  // most kMostPrevious in a row (each is looked up with every request); what is cut off is told in the log. nullptr =
  // none.
  std::shared_ptr<const PreviousRule> before = nullptr;
};
inline constexpr int kMostPrevious = 16;

// What a rule of a domain's tree knows of the walk to it.
struct DescriptorPath {
  struct Step {
    std::string key = {};          // only of a rule that is `contained`
    bool by_value = false;         // matched by key and value, or by a pattern; false: by key alone
    bool value_to_metric = false;  // see DescriptorLimits
    std::string shared = {};       // share_threshold: the pattern ("files*"), which stands for the value in the subject
  };
  std::vector<Step> steps;  // one an entry
  std::vector<std::string> replaces;
  bool quota = false;
  bool contained = false;  // holds beside entries that are not of it: its steps name those that are
  bool detailed_metric = false;
  std::string metadata = {};  // DescriptorLimits::metadata
  std::uint32_t beside = 0;   // how many more rules of the same node follow this one in Snapshot::rules()
};

struct CompiledSchedule;  // schedule.h
struct SnapshotTables;    // snapshot_tables.h

// Rule::path of a Rule::generation.
constexpr std::string_view PathOfGeneration(std::string_view generation) {
  return generation.substr(0, generation.rfind('@'));
}
// What comes behind the path: the same for all rules whose states mean the same.
constexpr std::string_view SemanticsOfGeneration(std::string_view generation) {
  return generation.substr(generation.rfind('@') + 1);
}

struct Rule {
  // What resolving reads of a rule lies together.
  std::uint32_t index = 0;  // position in Snapshot::rules()
  Level level = Level::kGlobal;
  bool shadow = false;
  bool unlimited = false;  // known, named, but never counted
  StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal;
  std::shared_ptr<const CompiledSchedule> schedule;  // nullptr = always
  std::string_view path;    // interned, stable: "global.free_tier", "tenants.acme.quotas.0", "endpoints./a/*.rule"
  std::string_view policy;  // interned: the rule's `name`, else its path
  // interned: path + '@' + hash of what decides the meaning of its states. Two rules with the same generation count the
  // same thing the same way; a change of limit or algorithm makes a new one. Seeds and remote key names derive from it.
  std::string_view generation;
  std::uint64_t seed = 0;  // Hash64(generation)
  algorithms::Limit limit;
  std::uint64_t window_seconds = 0;  // for headers, rounded up
  Identifier identifier;
  std::uint64_t identifier_hash = 0;  // equal: subjects of both mean the same
  HeaderConfig headers;
  HeaderPlan header_plan;                            // the same as bits
  std::unique_ptr<const algorithms::Limit> penalty;  // kind kPenalty; nullptr = none
  std::uint64_t penalty_seed = 0;
  std::string_view penalty_generation;
  std::shared_ptr<const PreviousRule> penalty_previous;  // of its penalty; nullptr = none
  std::shared_ptr<const PreviousRule> previous;          // nullptr = none
  // level kDomain; nullptr elsewhere, and in DomainEntry::client_limit. Without steps: of DomainEntry::rules.
  std::unique_ptr<const DescriptorPath> descriptor;

  // Its schedule says so. No lock, no allocation.
  bool InForce(Nanos now) const { return schedule == nullptr || InForceBySchedule(now); }

 private:
  bool InForceBySchedule(Nanos now) const;
};

// What an endpoint pattern that matched says.
struct EndpointMatch {
  const Rule* rule = nullptr;
  Combine combine = Combine::kReplace;
  std::string_view pattern;  // as written
};

// Empty fields are unknown: no constraint on them holds. Methods compare without case.
struct EndpointQuery {
  std::string_view method, path, tenant, user;
  Nanos now = 0;
};

// Views and pointers into the snapshot.
struct TenantEntry {
  std::string_view name;
  std::string_view tier;            // empty = none
  const Rule* tier_rule = nullptr;  // FindTier(tier); nullptr when it names none
  const Rule* rule = nullptr;       // nullptr = none: its tier's rule holds
  std::span<const Rule> stacked;    // aggregate and quotas
  std::span<const Rule> quotas;     // the latter
};
// Users that say the same share one entry, so that one that only names a tier or tenant costs its name and 24 bytes.
struct UserEntry {
  std::string_view tier, tenant;              // empty = none
  const TenantEntry* tenant_entry = nullptr;  // of `tenant`, when the document has it
  const Rule* tier_rule = nullptr;            // FindTier(tier); nullptr when it names none
  const Rule* rule = nullptr;
  std::span<const Rule> stacked;  // quotas
  bool exempt = false;
};
struct DescriptorNode;  // domain_table.h
struct DomainEntry {
  std::string_view name;
  bool hierarchy = false;  // tiers, tenants, users, endpoints, ip rules and exemptions hold too
  // Stands for limits that clients bring ("domains.NAME.client_limit"): identifier kDescriptor, never shadow.
  const Rule* client_limit = nullptr;
  std::span<const Rule> rules;  // of the domain itself: hold for each request to it
  const DescriptorNode* root = nullptr;
  bool contained = false;  // DescriptorMatch: ForEachContained finds the rules, not Find
  // The rule, or the first of the rules (TogetherWith), at which the walk of these entries ends (DescriptorLimits says
  // how); also one that is unlimited or out of schedule. nullptr = none. No lock, no allocation.
  const Rule* Find(std::span<const Attribute> entries) const;
  // The first rule of each node all of whose entries are among these. No lock, no allocation.
  void ForEachContained(std::span<const Attribute> entries, absl::FunctionRef<void(const Rule& first)> visit) const;
  // The same for entries that have no order of their own: of the orders in which a walk ends at a rule, the first (the
  // order of `entries` counts). `order` gets their positions in it, when there is one. Looks at no more nodes than the
  // tree has; allocates.
  const Rule* FindInAnyOrder(std::span<const Attribute> entries, std::vector<std::uint32_t>& order) const;
};
// All rules of the node of which `first` is the first.
inline std::span<const Rule> TogetherWith(const Rule& first) { return {&first, 1 + first.descriptor->beside}; }
struct IpMatch {
  const Rule* rule = nullptr;  // nullptr for a plain block or allow; a block's rule only lends it its schedule
  IpRule::Action action = IpRule::Action::kLimit;
  std::string_view name;  // of the ip rule; lives as long as the snapshot
};

class Snapshot {
 public:
  // Compiles a document. Faults of meaning that the reader cannot see (two patterns that tie, a bad regex, an unknown
  // time zone or registered function) are all reported, with their paths. `previous`: the snapshot that this one
  // follows (or nullptr), from which rules inherit PreviousRule; `now`: when the change happens.
  static Result<std::shared_ptr<const Snapshot>> Compile(const EnterpriseRateLimitConfig& config,
                                                         const Snapshot* previous, Nanos now,
                                                         std::span<const std::string> registered_extractors = {});
  // The same without copying the document.
  static Result<std::shared_ptr<const Snapshot>> Compile(std::shared_ptr<const EnterpriseRateLimitConfig> config,
                                                         const Snapshot* previous, Nanos now,
                                                         std::span<const std::string> registered_extractors = {});
  ~Snapshot();

  const EnterpriseRateLimitConfig& document() const;
  std::uint64_t version() const;  // counts up with each Compile that had a previous; starts at 1
  std::span<const Rule> rules() const;
  // Distinct extractor strings of all custom identifiers (and tier fields are not among them).
  std::span<const std::string> extractors() const;

  // Look-ups of the hot path: no lock, no allocation. nullptr / no match when there is none.
  const Rule* FindTier(std::string_view tier) const;  // unknown and empty: free_tier's rule
  bool KnowsTier(std::string_view tier) const;
  const TenantEntry* FindTenant(std::string_view name) const;
  const UserEntry* FindUser(std::string_view name) const;
  const DomainEntry* FindDomain(std::string_view name) const;
  // The endpoints that match, the most specific first, until `visit` returns kStop. `path` is in normal form
  // (base/path.h); a final '/' does not matter. Per segment from the left: literal, then `*` or {} within a segment
  // (more fixed characters first), then a whole-segment {param} or `*`, then the rest. Of one pattern: those for the
  // user, then for the tenant, then for the method, then for all. Rules out of schedule are passed over.
  enum class Visit : std::uint8_t { kContinue, kStop };
  void VisitEndpoints(const EndpointQuery& query, absl::FunctionRef<Visit(const EndpointMatch&)> visit) const;
  // The first of them.
  std::optional<EndpointMatch> FindEndpoint(const EndpointQuery& query) const;
  // Writes every ip rule that matches to `matches`, in document order; returns how many (at most matches.size()).
  std::size_t FindIpRules(const Address* address, std::string_view country, std::span<IpMatch> matches) const;
  std::size_t ip_rule_count() const;
  bool IsTrustedProxy(const Address& address) const;
  // Exemptions; each returns whether it matches. `path` is in normal form.
  bool ExemptPath(std::string_view path) const;
  bool ExemptAddress(const Address& address) const;
  bool ExemptUser(std::string_view user) const;
  bool ExemptApiKey(std::string_view key) const;
  unsigned ipv4_prefix() const;
  unsigned ipv6_prefix() const;

 private:
  explicit Snapshot(std::unique_ptr<const SnapshotTables> tables);
  std::unique_ptr<const SnapshotTables> tables_;
};

}  // namespace weir::config
