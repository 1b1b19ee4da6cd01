// A configuration, validated and compiled: immutable, and all that the hot path reads.
//
// It has two parts. The policy (tiers, endpoints, ip rules, domains, exemptions, settings) is compiled as a whole.
// The entities (tenants, users, API keys) are compiled one by one, into maps that share all but what was changed
// (entity_map.h): With() makes the snapshot in which some of them have changed, at the same cost however many there
// are.
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

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "algorithms/limit.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/counted.h"
#include "base/name.h"
#include "weir/config.h"
#include "weir/decision.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::config {

// The most subjects that a rule may count in one request.
inline constexpr std::size_t kMostSubjectsOfRule = 4;
// The most values that a custom identifier finds in one request.
inline constexpr std::size_t kMostValuesOfExtractor = 2;

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

// Whether a rule counts a part of the request as it is, and nothing else.
bool IsSimple(const Identifier& identifier);
// The subjects that it names in a request that says everything once: at most kMostSubjectsOfRule.
std::size_t NamedSubjects(const Identifier& identifier);
// The most subjects that are counted of it, whatever the request.
std::size_t MostSubjects(const Identifier& identifier);

// How a rule looked before its latest change, kept until its states have expired.
struct PreviousRule {
  algorithms::Limit limit;
  std::uint64_t seed = 0;
  Name generation = {};
  Nanos until = 0;  // not looked up after this time
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
  std::string replaced_as;  // a further limit's: the name of its rule; empty: Rule::policy
  bool quota = false;
  bool contained = false;  // holds beside entries that are not of it: its steps name those that are
  bool detailed_metric = false;
  std::string metadata = {};  // DescriptorLimits::metadata
  std::uint32_t beside = 0;   // how many more rules of the same node follow this one in Snapshot::rules()
};

class Condition;          // condition.h
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

struct Rule;

// What all rules share that say the same, however many users they are of.
struct RuleParts : Counted {
  algorithms::Limit limit;
  std::shared_ptr<const Identifier> identifier;
  std::unique_ptr<const algorithms::Limit> penalty;
  std::shared_ptr<const CompiledSchedule> schedule;
  std::unique_ptr<const DescriptorPath> descriptor;
  std::shared_ptr<const Condition> when;
  std::shared_ptr<const ResponseStyle> style;
  std::string counted_attribute;  // Rule::counts == kAttribute
  Name policy;                    // the rule's `name`; empty = it has none
  // Of SemanticsOfGeneration.
  std::uint64_t semantics = 0;
  std::uint64_t penalty_semantics = 0;
};

// What deciding asks of a rule, made out once.
struct RuleUse {
  const Rule* rule = nullptr;
  HeaderPlan headers;
  bool shadow = false;  // never denies: in shadow or in quota mode
  bool quota = false;
  bool detailed = false;  // counted by the descriptor's text (engine/counters/detail.h)
  bool plain = true;      // asks for one item a subject and no more: no penalties, slots, quota fields
  bool simple = true;     // its identifier is
  OnMissing on_missing = OnMissing::kSkip;  // of what never denies, deny is skip
  std::uint8_t most_subjects = 1;
};

// Refers to its own parts, and so is copied but never assigned.
struct Rule {
  explicit Rule(CountedRef<const RuleParts> of) : limit(of->limit), identifier(*of->identifier), parts(std::move(of)) {}

  // What resolving reads of a rule lies together.
  std::uint32_t index = 0;  // of its counters: position in Snapshot::rules(), or behind them in families()
  Level level = Level::kGlobal;
  bool shadow = false;
  bool unlimited = false;  // known, named, but never counted
  StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal;
  OnMissing on_missing = OnMissing::kSkip;
  CountedUnit::Kind counts = CountedUnit::Kind::kCost;
  Action on_exceeded = Action::kDeny;
  // So many further limits of this rule follow it in Snapshot::rules(): each a rule of its own, that holds when this
  // one does. Those of a domain are among the rules that hold together (TogetherWith) instead.
  std::uint16_t further = 0;
  const CompiledSchedule* schedule = nullptr;  // nullptr = always
  Name path;    // stable: "global.free_tier", "tenants.acme.quotas.0", "endpoints./a/*.rule"
  Name policy;  // the rule's `name`, else its path
  // path + '@' + hash of what decides the meaning of its states. Two rules with the same generation count the same
  // thing the same way; a change of limit or algorithm makes a new one. Seeds and remote key names derive from it.
  Name generation;
  std::uint64_t seed = 0;  // Hash64(generation)
  const algorithms::Limit& limit;
  std::uint64_t window_seconds = 0;  // for headers, rounded up
  const Identifier& identifier;
  std::uint64_t identifier_hash = 0;     // equal: subjects of both mean the same, and so does what is counted of them
  const ResponseStyle* style = nullptr;  // nullptr = nothing out of the ordinary
  const Condition* when = nullptr;       // nullptr = always. Also of what is unlimited
  const algorithms::Limit* penalty = nullptr;  // kind kPenalty; nullptr = none
  std::uint64_t penalty_seed = 0;
  Name penalty_generation;
  std::shared_ptr<const PreviousRule> penalty_previous;  // of its penalty; nullptr = none
  std::shared_ptr<const PreviousRule> previous;          // nullptr = none
  // level kDomain; nullptr elsewhere, and in DomainEntry::client_limit. Without steps: of DomainEntry::rules.
  const DescriptorPath* descriptor = nullptr;
  RuleUse use;
  CountedRef<const RuleParts> parts;

  // Its schedule says so. No lock, no allocation.
  bool InForce(Nanos now) const { return schedule == nullptr || InForceBySchedule(now); }

 private:
  bool InForceBySchedule(Nanos now) const;
};

// What is said of an entity (a user, a tenant, an API key), but for the two numbers that differ most often.
template <typename Limits>
struct EntityShape : Counted {
  Limits limits;  // templates applied; `rule` without what EntityClass has
};

// All users (or tenants, keys) that say the same, compiled: the rules as each of them has them, but for names and
// history.
template <typename Limits>
struct EntityClass : Counted {
  CountedRef<const EntityShape<Limits>> shape;
  std::optional<std::uint64_t> max_requests;  // of `rule`
  std::optional<std::uint32_t> window_seconds;
  const Rule* tier_rule = nullptr;  // FindTier(tier); nullptr when it names none
  // Of a user with a rule of its own: the tenant's that this inherits from, if there is one.
  CountedRef<const EntityClass<TenantLimits>> tenant;
  std::vector<Rule> rules;  // in the order of Entity::rules
  bool own_rule = false;
  std::uint32_t quotas = 0;

  Limits Written() const {
    Limits limits = shape->limits;
    if constexpr (requires { limits.rule; }) {
      if (limits.rule && max_requests) limits.rule->max_requests = max_requests;
      if (limits.rule && window_seconds) limits.rule->window_seconds = window_seconds;
    }
    return limits;
  }
};

// One user, tenant or API key. Immutable; lives as long as a snapshot that has it.
template <typename Limits>
struct Entity : Counted {
  Name label;             // of which `name` is a part
  std::string_view name;  // of a key its digest (compile/key_name.h)
  CountedRef<const EntityClass<Limits>> of;
  // Made by With() rather than by the document; what the document says of the same name holds again when it is removed.
  bool live = false;
  CountedRef<const EntityClass<Limits>> document;
  // Its own rule; then what stacks: aggregate (of tenants), then quotas. Each with its further limits behind it.
  std::vector<Rule> rules;

  // Empty = none; of a key its plan.
  std::string_view tier() const {
    if constexpr (requires(Limits limits) { limits.plan; }) {
      return Text(of->shape->limits.plan);
    } else {
      return Text(of->shape->limits.tier);
    }
  }
  std::string_view user() const
    requires requires(Limits limits) { limits.user; }
  {
    return Text(of->shape->limits.user);
  }
  bool HasScope(std::string_view scope) const
    requires requires(Limits limits) { limits.scopes; }
  {
    return std::ranges::find(of->shape->limits.scopes, scope) != of->shape->limits.scopes.end();
  }
  std::string_view tenant() const
    requires requires(Limits limits) { limits.tenant; }
  {
    return Text(of->shape->limits.tenant);
  }
  std::string_view parent() const
    requires requires(Limits limits) { limits.parent; }
  {
    return Text(of->shape->limits.parent);
  }
  bool exempt() const
    requires requires(Limits limits) { limits.exempt; }
  {
    return of->shape->limits.exempt;
  }
  const Rule* tier_rule() const { return of->tier_rule; }
  const Rule* rule() const { return of->own_rule ? rules.data() : nullptr; }  // nullptr: its tier's (or tenant's) holds
  std::span<const Rule> stacked() const {
    return std::span(rules).subspan(of->own_rule ? 1 + rules.front().further : 0);
  }
  std::span<const Rule> quotas() const { return std::span(rules).last(of->quotas); }

 private:
  static std::string_view Text(const std::optional<std::string>& text) {
    return text ? std::string_view(*text) : std::string_view();
  }
};
using TenantEntry = Entity<TenantLimits>;
using UserEntry = Entity<UserLimits>;
using ApiKeyEntry = Entity<ApiKeyLimits>;

// Of a tree of tenants, from a team up to the organisation.
inline constexpr std::size_t kMostTenantLevels = 8;

// Whether a change may leave tenants that are no tree: kLater only where Compile, which always looks, comes behind, as
// when many changes are done again whose order is not quite that in which they were made.
enum class TreeCheck : std::uint8_t { kNow, kLater };

// A change of one entity: what it is from now on, or that it is not any more.
struct EntityChange {
  enum class Kind : std::uint8_t { kTenant, kUser, kApiKey };
  Kind kind = Kind::kUser;
  std::string name = {};  // of a key: itself, or "sha256:" and its digest, as in EnterpriseRateLimitConfig::api_keys
  // Monostate: removed.
  std::variant<std::monostate, TenantLimits, UserLimits, ApiKeyLimits> limits = {};

  static EntityChange Put(std::string name, UserLimits limits) {
    return {.kind = Kind::kUser, .name = std::move(name), .limits = std::move(limits)};
  }
  static EntityChange Put(std::string name, TenantLimits limits) {
    return {.kind = Kind::kTenant, .name = std::move(name), .limits = std::move(limits)};
  }
  static EntityChange Put(std::string name, ApiKeyLimits limits) {
    return {.kind = Kind::kApiKey, .name = std::move(name), .limits = std::move(limits)};
  }
  static EntityChange Remove(Kind kind, std::string name) { return {.kind = kind, .name = std::move(name)}; }
};

// Rules of entities that are counted together, since there may be millions of them.
struct RuleFamily {
  std::string path;  // "users.*.rule"
  Level level = Level::kUser;
  std::string tier;  // that its entity names; empty = none
};

// What rules may ask of intelligence (engine/identify/fact_source.h), as bits.
enum Need : std::uint32_t {
  kNeedCountry = 1U << 0,
  kNeedNetworkOperator = 1U << 1,
  kNeedReputation = 1U << 2,
  kNeedBot = 1U << 3,
  kNeedBan = 1U << 4,
  kNeedClearance = 1U << 5,
};

// What the rules of a snapshot ask for, all of them together. Says a little too much once some have been removed.
struct RuleTraits {
  std::vector<std::string> extractors;   // of custom identifiers, each once
  std::vector<std::string> tier_fields;  // of user_id identifiers, each once
  std::uint32_t needs = 0;               // Need
  bool words = false;                    // a rule keeps its count in a word (algorithms/word.h)
  friend bool operator==(const RuleTraits&, const RuleTraits&) = default;
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

struct DescriptorNode;  // domain_table.h
// Views and pointers into the snapshot.
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
  // How specific the network is that holds the address: 0 is the most specific of all that hold it, a country the
  // least.
  std::uint8_t rank = 0;
};

class Snapshot {
 public:
  struct Entities;  // snapshot_tables.h

  // Compiles a document. Faults of meaning that the reader cannot see (two patterns that tie, a bad regex, an unknown
  // time zone or registered function) are all reported, with their paths. `previous`: the snapshot that this one
  // follows (or nullptr), from which rules inherit PreviousRule; `now`: when the change happens.
  static Result<std::shared_ptr<const Snapshot>> Compile(EnterpriseRateLimitConfig config, const Snapshot* previous,
                                                         Nanos now,
                                                         std::span<const std::string> registered_extractors = {});
  ~Snapshot();

  // The same policy with some entities changed, the later of two changes of one name holding: all of them, or
  // none when one is wrong (kInvalidArgument). What is put here is the entity's own, and stays when a later Compile
  // brings a document that has the same name; a removal lets the document's hold again, and does nothing where nothing
  // was put. The cost depends on what is changed only, but for two: a tenant whose own rule or tier changes has the
  // rules of its users compiled again, for which all users are looked at; where one that has parts becomes a part of
  // another, all tenants are.
  Result<std::shared_ptr<const Snapshot>> With(std::span<const EntityChange> changes, Nanos now,
                                               std::span<const std::string> registered_extractors = {},
                                               TreeCheck check = TreeCheck::kNow) const;

  // Without its entities: see Written().
  const EnterpriseRateLimitConfig& document() const;
  // The document with its entities as they are now, templates applied in their rules, keys as their digests. Slow.
  EnterpriseRateLimitConfig Written() const;
  std::uint64_t version() const;  // counts up with each Compile that had a previous, and With; starts at 1
  // Of the policy. Those of entities are with them.
  std::span<const Rule> rules() const;
  // Rule::index of an entity's rule, less rules().size(), is a position here.
  std::span<const RuleFamily> families() const;
  const RuleTraits& traits() const;
  std::span<const std::string> extractors() const { return traits().extractors; }
  std::uint32_t needs() const { return traits().needs; }
  // Whether both have the same compiled policy: one was made of the other by With.
  bool SamePolicy(const Snapshot& other) const { return policy_ == other.policy_; }

  std::size_t tenant_count() const;
  std::size_t user_count() const;
  std::size_t api_key_count() const;
  // Each once, in no order. Slow.
  void VisitTenants(absl::FunctionRef<void(const TenantEntry&)> visit) const;
  void VisitUsers(absl::FunctionRef<void(const UserEntry&)> visit) const;
  void VisitApiKeys(absl::FunctionRef<void(const ApiKeyEntry&)> visit) const;
  // The rules of the entity that one of this path would belong to ("users.ann.quotas.0"); empty: none.
  std::span<const Rule> FindEntityRules(std::string_view path) const;

  // Look-ups of the hot path: no lock, no allocation. nullptr / no match when there is none.
  const Rule* FindTier(std::string_view tier) const;  // unknown and empty: free_tier's rule
  bool KnowsTier(std::string_view tier) const;
  const TenantEntry* FindTenant(std::string_view name) const;
  const UserEntry* FindUser(std::string_view name) const;
  const ApiKeyEntry* FindApiKey(std::string_view key) const;  // as a request brings it
  // As a document writes it. Slow.
  const ApiKeyEntry* FindApiKeyNamed(std::string_view name) const;
  bool HasApiKey(std::string_view name) const { return FindApiKeyNamed(name) != nullptr; }
  const DomainEntry* FindDomain(std::string_view name) const;
  // The endpoints that match, the most specific first, until `visit` returns kStop. `path` is in normal form
  // (base/path.h); a final '/' does not matter. Per segment from the left: literal, then literal without regard to case
  // (ignore_case), then `*` or {} within a segment
  // (more fixed characters first), then a whole-segment {param} or `*`, then the rest. Of one pattern: those for the
  // user, then for the tenant, then for the method, then for all. Rules out of schedule are passed over.
  enum class Visit : std::uint8_t { kContinue, kStop };
  void VisitEndpoints(const EndpointQuery& query, absl::FunctionRef<Visit(const EndpointMatch&)> visit) const;
  // Whether any endpoint holds beside others.
  bool has_stacked_endpoints() const;
  // The first of them.
  std::optional<EndpointMatch> FindEndpoint(const EndpointQuery& query) const;
  // Of what is denied without a rule; nullptr = nothing out of the ordinary.
  const ResponseStyle* denial_style() const;
  // The address itself, or the IPv4 address that it stands for (ip_rules.nat64_prefixes). Networks of the document are
  // compared with this.
  Address Canonical(const Address& address) const;
  // Where trusted proxies say who the client is.
  enum class ClientSource : std::uint8_t { kXForwardedFor, kForwarded, kHeader };
  ClientSource client_source() const;
  std::string_view client_header() const;  // of kHeader and kXForwardedFor
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
  friend class SnapshotCompiler;
  Snapshot(std::shared_ptr<const SnapshotTables> policy, std::unique_ptr<const Entities> entities);
  std::shared_ptr<const SnapshotTables> policy_;
  std::unique_ptr<const Entities> entities_;
};

}  // namespace weir::config
