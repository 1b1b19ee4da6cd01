// The configuration document: what a user writes, as plain values. One schema for YAML, JSON and this builder.
// Every field that is std::optional may be left out; a more specific level inherits it from the less specific one
// (user <- tenant <- the tier's global rule), and what no level writes has the default named beside it.
//
// Units are in the names. Nothing here is validated: Validate() does that, whole, with the path of each fault.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weir/outcome.h"
#include "weir/result.h"

namespace weir {

// ---- algorithms -----------------------------------------------------------------------------------------------------

// The length of a sub-window, in seconds (>= 1). A precision >= the window means one window anchored at the subject's
// first request.
struct WindowPrecision {
  std::uint32_t seconds = 60;
  static constexpr WindowPrecision Second() { return {1}; }
  static constexpr WindowPrecision TenSecond() { return {10}; }
  static constexpr WindowPrecision Minute() { return {60}; }
  static constexpr WindowPrecision Custom(std::uint32_t seconds) { return {seconds}; }
  friend bool operator==(const WindowPrecision&, const WindowPrecision&) = default;
};

struct TokenBucket {
  double refill_rate = 0;            // per second; 0 = max_requests / window_seconds
  std::uint64_t burst_capacity = 0;  // 0 = max_requests
  friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};
struct LeakyBucket {
  double leak_rate = 0;        // per second; 0 = max_requests / window_seconds
  std::uint64_t capacity = 0;  // 0 = max_requests
  bool shape = false;          // true: admit with `delay` instead of metering
  friend bool operator==(const LeakyBucket&, const LeakyBucket&) = default;
};
struct SlidingWindow {
  WindowPrecision precision = WindowPrecision::Minute();
  bool count_denied = false;
  friend bool operator==(const SlidingWindow&, const SlidingWindow&) = default;
};
struct SlidingWindowLog {
  // Seconds an entry is kept, at least the window (0: the window). One that the window has left does not count; it
  // counts again when the rule's window is made longer.
  std::uint32_t log_retention = 0;
  // Seconds that an entry may stay beyond that in a log that is used, before the log is cleaned; 0: until such entries
  // are most of it.
  std::uint32_t cleanup_interval = 0;
  friend bool operator==(const SlidingWindowLog&, const SlidingWindowLog&) = default;
};
// GCC takes scoped enumerators to shadow weir::kMinute and its kin (weir/clock.h); they do not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
// kEpoch: windows of window_seconds, the first of which began at 1970-01-01T00:00:00Z.
enum class WindowAlignment : std::uint8_t { kRolling, kMinute, kHour, kDay, kWeek, kMonth, kYear, kEpoch };
#pragma GCC diagnostic pop
struct FixedWindow {
  WindowAlignment aligned = WindowAlignment::kRolling;  // calendar units ignore window_seconds
  std::string time_zone = "UTC";                        // IANA name
  bool count_denied = false;
  friend bool operator==(const FixedWindow&, const FixedWindow&) = default;
};
struct Concurrency {
  std::uint64_t max_in_flight = 0;   // 0 = max_requests
  std::uint32_t lease_seconds = 60;  // a slot that is never released frees itself after this
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};
struct Adaptive {
  std::uint32_t learning_window = 3600;  // seconds
  double adjustment_factor = 2.0;        // how many deviations above normal the limit is set
  std::uint64_t min_limit = 0;           // 0 = max_requests / 10, at least 1
  std::uint64_t max_limit = 0;           // 0 = max_requests * 10
  friend bool operator==(const Adaptive&, const Adaptive&) = default;
};
using RateLimitAlgorithm =
    std::variant<SlidingWindow, TokenBucket, LeakyBucket, SlidingWindowLog, FixedWindow, Concurrency, Adaptive>;

// ---- identifiers ----------------------------------------------------------------------------------------------------

struct EnhancedIdentifier;

struct IpAddress {
  bool use_forwarded = false;     // true: also without trusted_proxies, the left-most X-Forwarded-For entry (spoofable)
  bool geolocation = false;       // no effect in this version
  bool reputation_check = false;  // no effect in this version
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};
struct UserId {
  std::optional<std::string> tier_field = {};  // attribute or jwt claim that names the user's tier
  bool fallback_to_ip = false;
  friend bool operator==(const UserId&, const UserId&) = default;
};
struct ApiKey {
  std::optional<std::string> quota_field = {};  // attribute whose number replaces max_requests for this request
  std::optional<std::string> key_prefix = {};   // only keys that start so are identified
  friend bool operator==(const ApiKey&, const ApiKey&) = default;
};
enum class CompositeStrategy : std::uint8_t {
  kCombine,         // both parts together are one subject; absent if either is absent
  kFirstAvailable,  // the primary, else the secondary
  kStrictestLimit,  // each part is counted by itself and both must pass
};
struct Composite {
  std::shared_ptr<const EnhancedIdentifier> primary = {};
  std::shared_ptr<const EnhancedIdentifier> secondary = {};
  CompositeStrategy strategy = CompositeStrategy::kCombine;
  friend bool operator==(const Composite& a, const Composite& b);
};
struct CustomIdentifier {
  // header:NAME | query:NAME | cookie:NAME | path:REGEX | jwt:CLAIM | attribute:NAME | lua:SCRIPT | basic:ip |
  // name of a C++ function
  //  - header:NAME: the first header of that name; an empty value is a subject too (only a missing header is none).
  //  - path:REGEX: what its first group matched, without a group what the whole matched; RE2, unanchored.
  //  - basic:ip: as the basic limiter keys addresses, by raw text (nothing is parsed, normalised or truncated): the
  //    first X-Forwarded-For header up to its first ',', blanks trimmed; if there is none or it is not visible ASCII,
  //    the first X-Real-IP header as it is; else the literal "127.0.0.1". Always a subject. Spoofable.
  std::string extractor = {};
  std::optional<std::uint32_t> cache_duration = {};  // seconds an extracted value is reused for the same input
  friend bool operator==(const CustomIdentifier&, const CustomIdentifier&) = default;
};
struct GlobalIdentifier {  // one subject for all
  friend bool operator==(const GlobalIdentifier&, const GlobalIdentifier&) = default;
};
struct TenantId {  // the request's tenant
  friend bool operator==(const TenantId&, const TenantId&) = default;
};
struct EnhancedIdentifier {
  std::variant<IpAddress, UserId, ApiKey, Composite, CustomIdentifier, GlobalIdentifier, TenantId> kind;
  friend bool operator==(const EnhancedIdentifier&, const EnhancedIdentifier&) = default;
};

// ---- rules ----------------------------------------------------------------------------------------------------------

enum class HeaderStyle : std::uint8_t { kIetf, kDraft06, kDraft07, kXRateLimit, kNone };
// What the fields are called; an empty one has its usual name.
struct HeaderNames {
  std::string policy = {};       // RateLimit-Policy, also of draft 06 and 07
  std::string ratelimit = {};    // RateLimit (ietf, draft07)
  std::string limit = {};        // RateLimit-Limit (draft06)
  std::string remaining = {};    // RateLimit-Remaining (draft06)
  std::string reset = {};        // RateLimit-Reset (draft06)
  std::string x_limit = {};      // X-RateLimit-Limit
  std::string x_remaining = {};  // X-RateLimit-Remaining
  std::string x_reset = {};      // X-RateLimit-Reset
  std::string retry_after = {};  // Retry-After
  friend bool operator==(const HeaderNames&, const HeaderNames&) = default;
};
struct HeaderConfig {
  std::vector<HeaderStyle> styles = {HeaderStyle::kIetf};  // several may be sent together; {kNone}: none
  bool reset_as_epoch = false;                             // X-RateLimit-Reset: epoch seconds instead of delta seconds
  bool retry_after = true;                                 // Retry-After on a denial
  bool on_allowed = true;                                  // also on responses that were not denied
  bool partition_key = false;                              // IETF `pk`: a hash of the subject
  bool basic_body = false;                                 // a denial's body in the basic limiter's form
  HeaderNames names = {};                                  // what the fields are called
  friend bool operator==(const HeaderConfig&, const HeaderConfig&) = default;
  static HeaderConfig Detailed();            // ietf + x-ratelimit
  static HeaderConfig UploadOptimized();     // only on denial
  static HeaderConfig StreamingOptimized();  // ietf only, no X-
  static HeaderConfig ComplianceMode();      // ietf, draft 06, x-ratelimit with epoch
  static HeaderConfig None();
};

enum class RuleMode : std::uint8_t { kEnforce, kShadow };
enum class StoreFailurePolicy : std::uint8_t { kLocal, kAllow, kDeny };

// What a response says when a rule is exceeded, beside the rate limit headers.
struct DenialConfig {
  std::optional<std::uint32_t> status = {};  // 400 to 599, or 200; default: deny 429, challenge 403, charge 402
  DenialBody body = DenialBody::kProblem;
  std::optional<std::string> message = {};          // default: says which limit, and when to try again
  std::map<std::string, std::string> headers = {};  // added to the response
  friend bool operator==(const DenialConfig&, const DenialConfig&) = default;
};

struct PenaltyConfig {
  bool enabled = false;
  std::uint32_t threshold = 10;       // denials ...
  std::uint32_t window_seconds = 60;  // ... within this earn a ban
  std::uint32_t first_ban_seconds = 60;
  double factor = 2.0;  // each next ban is this much longer
  std::uint32_t longest_ban_seconds = 3600;
  std::uint32_t decay_seconds = 3600;  // good behaviour for this long lowers the level by one
  friend bool operator==(const PenaltyConfig&, const PenaltyConfig&) = default;
};

// When a rule is in force; outside it the rule does not exist. Times are local to time_zone.
struct Schedule {
  std::vector<std::string> days = {};  // mon..sun; empty = every day
  std::string from = "00:00";          // inclusive
  std::string to = "24:00";            // exclusive; from > to spans midnight
  std::string time_zone = "UTC";
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// When a rule's identifier finds nothing in a request. kIp: the client's address is counted, apart from every subject
// that an identifier finds; requests without an address share one subject. kSkip: the rule does not apply. kDeny: the
// request is denied (Reason::kMissingIdentifier) and nothing is counted. Rules in shadow mode deny nothing.
enum class OnMissing : std::uint8_t { kIp, kSkip, kDeny };

// What a request adds to a rule's count. Whatever it is, a request with cost 0 is only a look.
struct CountedUnit {
  // kRequests: 1. kCost: the request's cost. kAttribute: the number in the attribute of that name; a request without
  // it, or with something else there, adds 1.
  enum class Kind : std::uint8_t { kCost, kRequests, kAttribute } kind = Kind::kCost;
  std::string attribute = {};
  friend bool operator==(const CountedUnit&, const CountedUnit&) = default;
};

// A further limit of a rule: the same subjects, in the same mode, in another window.
struct FurtherLimit {
  std::uint64_t max_requests = 0;
  std::uint32_t window_seconds = 0;
  std::optional<RateLimitAlgorithm> algorithm = {};  // default: the rule's, with numbers from these two
  std::optional<CountedUnit> counts = {};            // default: the rule's
  std::optional<std::string> name = {};              // policy name; default: its path, or NAME.limits.N
  friend bool operator==(const FurtherLimit&, const FurtherLimit&) = default;
};

struct RateLimitRule {
  std::optional<std::uint64_t> max_requests = {};     // required at the global level unless unlimited
  std::optional<std::uint32_t> window_seconds = {};   // same
  std::optional<EnhancedIdentifier> identifier = {};  // default: ip_address
  std::optional<RateLimitAlgorithm> algorithm = {};   // default: the document's `algorithm`, else sliding_window/minute
  std::optional<HeaderConfig> headers = {};           // default: HeaderConfig{}
  std::optional<RuleMode> mode = {};                  // default: enforce
  std::optional<PenaltyConfig> penalties = {};        // default: global.penalties
  std::optional<Schedule> schedule = {};              // default: always
  std::optional<StoreFailurePolicy> on_store_failure = {};  // default: storage.on_store_failure
  std::optional<OnMissing> on_missing = {};                 // default: ip; of rules that stack: skip
  std::optional<CountedUnit> counts = {};                   // default: cost
  std::optional<std::vector<FurtherLimit>> limits = {};     // default: none. All must pass
  // What becomes of a request that exceeds the rule: kDeny, kWait, kChallenge, kCharge. Default: kDeny. kWait needs
  // algorithm token_bucket or leaky_bucket: what exceeds the bucket passes with a delay of at most max_wait_ms, in
  // which the bucket makes room for it; where that does not do, it is denied.
  std::optional<Action> on_exceeded = {};
  std::optional<std::uint32_t> max_wait_ms = {};  // of kWait; 1 to 3,600,000; default: 1000
  std::optional<DenialConfig> denial = {};        // default: the document's `denial`
  std::optional<std::string> when = {};           // a condition (docs/conditions.md); default: always
  std::optional<bool> unlimited = {};             // default: false
  std::optional<std::string> name = {};           // policy name in headers and logs; default: the rule's path
  std::optional<std::string> from_template = {};  // `template: NAME`: what this rule does not write, it takes there

  static RateLimitRule Unlimited();
  static RateLimitRule Strict();    // 10 per 60 s
  static RateLimitRule Generous();  // 1000 per 60 s
  friend bool operator==(const RateLimitRule&, const RateLimitRule&) = default;
};

// A further allowance by period, always stacked. Rolling when `aligned` is kRolling.
struct Quota {
  std::uint64_t max_requests = 0;
  WindowAlignment period = WindowAlignment::kDay;  // kHour, kDay, kWeek, kMonth, kYear
  bool rolling = false;  // true: a window of that length (30 days for a month) from the first request
  std::string time_zone = "UTC";
  friend bool operator==(const Quota&, const Quota&) = default;
};

// ---- levels ---------------------------------------------------------------------------------------------------------

struct BurstConfig {  // multiplies the capacity of bucket rules that do not write their own
  bool enabled = false;
  double multiplier = 1.0;  // >= 1
  friend bool operator==(const BurstConfig&, const BurstConfig&) = default;
};
struct GlobalLimits {
  RateLimitRule free_tier = {};
  RateLimitRule pro_tier = {};
  RateLimitRule enterprise_tier = {};
  std::map<std::string, RateLimitRule> tiers = {};  // further tiers by name
  BurstConfig burst = {};
  PenaltyConfig penalties = {};
  friend bool operator==(const GlobalLimits&, const GlobalLimits&) = default;
};
struct TenantLimits {
  std::optional<std::string> tier = {};
  std::optional<RateLimitRule> rule = {};       // per subject of this tenant
  std::optional<RateLimitRule> aggregate = {};  // one shared budget for the whole tenant
  std::vector<Quota> quotas = {};               // shared by the tenant
  friend bool operator==(const TenantLimits&, const TenantLimits&) = default;
};
struct UserLimits {
  std::optional<std::string> tier = {};
  std::optional<std::string> tenant = {};
  std::optional<RateLimitRule> rule = {};
  std::vector<Quota> quotas = {};
  bool exempt = false;
  friend bool operator==(const UserLimits&, const UserLimits&) = default;
};
// What is known of an API key. A request that brings the key has this plan, tenant and user where it names none itself.
struct ApiKeyLimits {
  std::optional<std::string> plan = {};  // a tier
  std::optional<std::string> tenant = {};
  std::optional<std::string> user = {};
  std::vector<Quota> quotas = {};        // of this key
  std::vector<std::string> scopes = {};  // for conditions: "write" in scopes
  friend bool operator==(const ApiKeyLimits&, const ApiKeyLimits&) = default;
};
enum class Combine : std::uint8_t { kReplace, kStack };
struct EndpointLimits {
  std::vector<std::string> methods = {};  // upper case; empty = all. GET is also HEAD
  RateLimitRule rule;
  Combine combine = Combine::kReplace;
  std::vector<std::string> tenants = {};  // only for these; empty = all
  std::vector<std::string> users = {};
  bool ignore_case = false;  // of the pattern's letters (ASCII)
  friend bool operator==(const EndpointLimits&, const EndpointLimits&) = default;
};
struct IpRule {
  std::string name = {};                    // unique
  std::vector<std::string> cidrs = {};      // "10.0.0.0/8", "2001:db8::/32", single addresses
  std::vector<std::string> countries = {};  // ISO 3166-1 alpha-2, matched against the request's `country`
  enum class Action : std::uint8_t { kLimit, kAllow, kBlock, kThrottle, kChallenge } action = Action::kLimit;
  // kLimit, kThrottle: `rule` holds beside the others (always stacks). kBlock: denied, never; goes before all. kAllow:
  // `rule` takes the place of the base rule and of a replacing endpoint's; without a rule nothing is counted. Of
  // several that match, the one with the most specific network. kChallenge: as kLimit, with on_exceeded kChallenge
  // unless `rule` says otherwise; without a rule each request is challenged, but for those that a kAllow with a more
  // specific network lets through.
  std::optional<RateLimitRule> rule = {};
  friend bool operator==(const IpRule&, const IpRule&) = default;
};
struct IpRules {
  std::vector<std::string> trusted_proxies = {};  // CIDRs whose forwarding headers are believed
  // Which header they write: x_forwarded_for, forwarded, header:NAME. The others are ignored.
  std::string client_address = "x_forwarded_for";
  // Networks (RFC 6052: /32, /40, /48, /56, /64, /96) whose addresses stand for IPv4 ones, beside 64:ff9b::/96.
  std::vector<std::string> nat64_prefixes = {};
  std::uint32_t ipv6_prefix = 64;  // subjects are keyed by this many bits
  std::uint32_t ipv4_prefix = 32;
  std::vector<IpRule> rules = {};
  friend bool operator==(const IpRules&, const IpRules&) = default;
};
struct Exemptions {
  std::vector<std::string> paths = {};  // exact, or a prefix that ends in '*'
  std::vector<std::string> cidrs = {};
  std::vector<std::string> users = {};
  std::vector<std::string> api_keys = {};
  friend bool operator==(const Exemptions&, const Exemptions&) = default;
};

// ---- domains: what Envoy's rate limit service is asked ----

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

// ---- storage, analytics, server -------------------------------------------------------------------------------------

enum class FullPolicy : std::uint8_t { kDenyNew, kAllowNew, kEvict };
struct MemoryStorage {
  std::uint64_t max_entries = 1'000'000;  // states, one for each subject and rule
  std::uint64_t memory_limit = 0;         // bytes; 0 = what max_entries needs
  std::uint32_t cleanup_interval = 60;    // seconds in which the whole table is swept once
  FullPolicy eviction_policy = FullPolicy::kEvict;
  std::optional<std::string> persist_to_disk = {};  // path of the snapshot file
  std::uint32_t persist_interval = 60;              // seconds
  friend bool operator==(const MemoryStorage&, const MemoryStorage&) = default;
};
struct RedisStorage {
  std::string url =
      "redis://127.0.0.1:6379";  // redis://[user:password@]host[:port][/db], rediss:// for TLS, unix:///path
  bool cluster = false;          // not in this version: refused with a message
  std::uint32_t pool_size = 4;   // connections
  std::string key_prefix = "weir:";
  std::uint32_t connection_timeout_ms = 1000;
  std::uint32_t command_timeout_ms = 100;
  std::uint32_t max_in_flight = 4096;  // plans waiting at once; more are answered kUnavailable
  friend bool operator==(const RedisStorage&, const RedisStorage&) = default;
};
using RedisConfig = RedisStorage;
struct StorageConfig {
  using Memory = MemoryStorage;
  using Redis = RedisStorage;
  std::variant<MemoryStorage, RedisStorage> kind;
  StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal;
  std::uint32_t instances = 1;  // how many weirs share the store: the fair share of `local` is 1/instances
  friend bool operator==(const StorageConfig&, const StorageConfig&) = default;
};
struct AnalyticsConfig {
  bool metrics_enabled = true;                 // the daemon's /metrics
  bool event_logging = false;                  // a log line for each denial, at most 100 a second
  std::uint32_t insights_retention_days = 30;  // no effect in this version
  friend bool operator==(const AnalyticsConfig&, const AnalyticsConfig&) = default;
};
struct TlsConfig {
  std::string certificate_file = {};
  std::string key_file = {};
  std::string client_ca_file = {};  // set: clients must present a certificate of this authority
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};
// What a data listener answers. Of http: kCheck to kReset but kThrottle, and kMetrics; of resp: kCheck to kReset but
// kBatch and kForwardAuth; of grpc: the last four.
enum class Served : std::uint8_t {
  kCheck,
  kBatch,
  kForwardAuth,  // "auth"
  kThrottle,     // CL.THROTTLE, THROTTLE
  kPeek,         // and WEIR.EXPLAIN
  kReserve,      // and commit and cancel
  kRefund,
  kFeedback,
  kReset,
  kMetrics,
  kEnvoy,
  kKuadrant,
  kQuota,
  kReflection,
};
struct ListenerConfig {
  std::string address = {};  // "127.0.0.1:8080", "[::1]:0", "unix:/run/weir.sock", "off"
  std::optional<TlsConfig> tls = {};
  std::optional<std::string> mode = {};  // of a Unix socket's file: "0660"; none: by the umask
  // Data listeners only. With tokens, a client has to present one of them.
  std::vector<std::string> tokens = {};
  std::optional<std::vector<Served>> serve = {};  // not written: all but kReset
  // The management listener only.
  bool allow_plaintext = false;         // also on an address that other machines reach, without TLS
  std::vector<std::string> hosts = {};  // names by which browsers may reach it, beside localhost and addresses
  friend bool operator==(const ListenerConfig&, const ListenerConfig&) = default;
};
// The headers by which /v1/auth learns who the visitor is; empty: none. Whoever can write such a header is whoever it
// names, so none is believed unless it is written here (or in the query of /v1/auth), and the proxy must overwrite or
// remove it.
struct IdentityHeaders {
  std::string user = {};
  std::string tenant = {};
  std::string tier = {};
  std::string api_key = {};  // "Authorization": its bearer token
  std::string country = {};
  friend bool operator==(const IdentityHeaders&, const IdentityHeaders&) = default;
};
struct ForwardAuthConfig {
  IdentityHeaders identity_headers = {};
  friend bool operator==(const ForwardAuthConfig&, const ForwardAuthConfig&) = default;
};
// Answers that are remembered for asks with a Request::request_id.
struct RequestIdsConfig {
  std::uint32_t ttl_seconds = 600;      // for how long
  std::uint32_t max_entries = 100'000;  // how many in this process; beyond that the oldest are forgotten, and counted
  friend bool operator==(const RequestIdsConfig&, const RequestIdsConfig&) = default;
};
struct ServerConfig {
  ListenerConfig http{"127.0.0.1:8080", {}};
  ListenerConfig resp{"127.0.0.1:6380", {}};
  ListenerConfig grpc{"127.0.0.1:8081", {}};
  ListenerConfig admin{"127.0.0.1:8089", {}};
  // Where revisions, tokens, the audit log and counts are kept. Not written: $STATE_DIRECTORY, else
  // $XDG_STATE_HOME/weir, else ~/.local/state/weir. Empty: nowhere, and there is no management.
  std::optional<std::string> state_dir = {};
  std::uint32_t threads = 0;  // event loops; 0 = one a core
  std::uint32_t max_connections = 10'000;
  std::uint32_t max_request_bytes = 1 << 20;
  std::uint64_t max_buffered_bytes = 1 << 30;  // of all connections together; 0 = no bound
  std::uint32_t max_header_count = 100;
  std::uint32_t idle_timeout_ms = 60'000;
  std::uint32_t drain_delay_ms = 0;  // a stop first serves on for so long, not ready any more
  std::uint32_t drain_timeout_ms = 10'000;
  // Whether it asks for traffic while its store is down. Not written: unless something is then denied
  // (on_store_failure: deny).
  std::optional<bool> ready_when_degraded = {};
  std::optional<std::string> resp_password = {};
  // The header that holds the request_id of a question over HTTP (/v1/check, /v1/reserve, /v1/auth); empty: none.
  // Whoever writes it can pass uncounted by repeating it, so the proxy must overwrite or remove what visitors send.
  std::string request_id_header = {};
  ForwardAuthConfig forward_auth = {};
  std::string log_level = "info";   // debug, info, warn, error
  std::string log_format = "text";  // text, json
  friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};
struct JwtConfig {  // for jwt:CLAIM; without a key tokens are read unverified
  std::optional<std::string> hs256_secret = {};
  std::optional<std::string> rs256_public_key_pem = {};
  friend bool operator==(const JwtConfig&, const JwtConfig&) = default;
};

struct BasicRateLimitConfig;

class ConfigBuilder;

struct EnterpriseRateLimitConfig {
  GlobalLimits global;
  std::map<std::string, TenantLimits> tenants = {};
  std::map<std::string, UserLimits> users = {};
  // By the key as requests bring it, or, so that the document does not hold it, by "sha256:" and the SHA-256 of it in
  // hex (64 digits, or the first 32). No key is shown again: paths and Snapshot::Written() have the digest.
  std::map<std::string, ApiKeyLimits> api_keys = {};
  std::map<std::string, EndpointLimits> endpoints = {};  // keyed by pattern
  IpRules ip_rules;
  Exemptions exemptions;
  std::optional<RateLimitAlgorithm> algorithm = {};  // what rules that write none use
  std::optional<DenialConfig> denial = {};           // of rules that write none, and of what is denied without a rule
  StorageConfig storage;
  RequestIdsConfig request_ids = {};
  AnalyticsConfig analytics;
  std::map<std::string, DomainLimits> domains = {};
  EnvoyConfig envoy;
  std::map<std::string, RateLimitRule> templates = {};  // a rule may start from one: `template: NAME`
  ServerConfig server;
  JwtConfig jwt;

  static ConfigBuilder Builder();
  // Keeps the basic limiter's behaviour exactly (decisions, headers, bodies); infallible.
  static EnterpriseRateLimitConfig FromBasic(const BasicRateLimitConfig& basic);
  // By value, so that `config = std::move(config).EnableAnalytics()` is not a move to itself.
  EnterpriseRateLimitConfig EnableRedisStorage(std::string url = "redis://127.0.0.1:6379") &&;
  EnterpriseRateLimitConfig EnableAnalytics() &&;
  EnterpriseRateLimitConfig EnableManagementApi(std::string address = "127.0.0.1:8089") &&;
  friend bool operator==(const EnterpriseRateLimitConfig&, const EnterpriseRateLimitConfig&) = default;
};

// The basic limiter's document (elif "Phase 3.13").
struct BasicIdentifier {
  enum class Kind : std::uint8_t { kIpAddress, kUserId, kApiKey, kCustomHeader } kind = Kind::kIpAddress;
  std::string header = {};  // kCustomHeader
  friend bool operator==(const BasicIdentifier&, const BasicIdentifier&) = default;
};
struct BasicRateLimitConfig {
  std::uint32_t max_requests = 100;
  std::uint32_t window_seconds = 60;
  BasicIdentifier identifier;
  std::vector<std::string> exempt_paths = {};
  static BasicRateLimitConfig Strict();      // 10 per 60 s
  static BasicRateLimitConfig Permissive();  // 1000 per 60 s
};

class ConfigBuilder {
 public:
  ConfigBuilder& Global(weir::GlobalLimits limits);
  ConfigBuilder& GlobalLimits(weir::GlobalLimits limits) { return Global(std::move(limits)); }
  ConfigBuilder& Tenant(std::string name, TenantLimits limits);
  ConfigBuilder& User(std::string name, UserLimits limits);
  ConfigBuilder& Key(std::string key, ApiKeyLimits limits);
  ConfigBuilder& Endpoint(std::string pattern, EndpointLimits limits);
  ConfigBuilder& Ip(IpRules rules);
  ConfigBuilder& Exempt(Exemptions exemptions);
  ConfigBuilder& Algorithm(RateLimitAlgorithm algorithm);
  ConfigBuilder& Storage(StorageConfig storage);
  ConfigBuilder& Analytics(AnalyticsConfig analytics);
  ConfigBuilder& Domain(std::string name, DomainLimits limits);
  ConfigBuilder& Envoy(EnvoyConfig envoy);
  ConfigBuilder& Server(ServerConfig server);
  // All faults at once in one Error (kInvalidArgument), a line each.
  Result<EnterpriseRateLimitConfig> Build();

 private:
  EnterpriseRateLimitConfig config_;
};

// ---- reading, checking, writing -------------------------------------------------------------------------------------

enum class Severity : std::uint8_t { kError, kWarning };
struct Fault {
  Severity severity = Severity::kError;
  std::string path = {};     // "endpoints./api/*.rule.max_requests"
  std::uint32_t line = 0;    // 1-based; 0 = unknown (a built document)
  std::uint32_t column = 0;  // 1-based, in bytes; 0 = unknown
  std::string message = {};  // "must be at least 1"
  std::string hint = {};     // "did you mean 'max_requests'?"; may be empty
};
// "config.yaml:12:5: endpoints./api/*.rule: unknown field 'max_request' (did you mean 'max_requests'?)"
std::string Describe(const Fault& fault, std::string_view file = {});

enum class DocumentFormat : std::uint8_t { kAuto, kYaml, kJson };  // kAuto: JSON when it starts with '{'

struct ParsedConfig {
  EnterpriseRateLimitConfig config;  // meaningful only without errors
  std::vector<Fault> faults = {};    // errors and warnings, in document order
  bool ok() const;
};
// Reads and validates a whole document; never throws; all faults at once. Bounded: 16 MiB, depth 64.
ParsedConfig ParseConfig(std::string_view text, DocumentFormat format = DocumentFormat::kAuto);
// Validates a built document.
std::vector<Fault> ValidateConfig(const EnterpriseRateLimitConfig& config);
// ParseConfig of a file, with what its `envoy.files` name (relative: to the file) loaded into `domains`; `files` is
// then empty. kNotFound, or kInvalidArgument with every fault described, a line each.
Result<EnterpriseRateLimitConfig> LoadConfigFile(const std::string& path);
// The document back, complete with what differs from the defaults. Parsing it again gives an equal config.
std::string ToYaml(const EnterpriseRateLimitConfig& config);
std::string ToJson(const EnterpriseRateLimitConfig& config);
// The basic limiter's JSON; errors as its reader gave them (missing field, unknown variant, out of range).
Result<BasicRateLimitConfig> ParseBasicConfig(std::string_view json);
// JSON Schema (2020-12) of the document, generated from the same field tables the reader uses.
std::string ConfigJsonSchema();

// Ready-made documents: "public-api", "login", "uploads", "graphql", "llm-tokens", "webhooks", "internal-grpc".
struct ConfigTemplate {
  std::string_view name;
  std::string_view summary;
  std::string_view yaml;
};
const std::vector<ConfigTemplate>& ConfigTemplates();
// A commented document to start from; what `weir serve` runs on when it is given none.
std::string_view SampleConfig();
// The reference of the document in Markdown, generated from the field tables: docs/configuration.md.
std::string ConfigReferenceMarkdown();

}  // namespace weir
