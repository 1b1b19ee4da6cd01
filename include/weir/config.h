// The configuration document: what a user writes, as plain values. One schema for YAML, JSON and this builder.
// Every field that is std::optional may be left out; a more specific level inherits it from the less specific one
// (user <- tenant <- the tier's global rule), and what no level writes has the default named beside it.
//
// Units are in the names. The structs hold any value. ValidateConfig checks them, with the path of each fault, and
// RateLimiter::Create, Apply and ConfigBuilder::Build refuse what it refuses.
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

#include "weir/admin_auth.h"
#include "weir/domains.h"
#include "weir/result.h"
#include "weir/rule.h"

namespace weir {

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
  // The tenant that it is a part of (a team's organisation), whose aggregate and quotas hold for it too, and whose rule
  // and tier hold where it has none: at most 8 levels.
  std::optional<std::string> parent = {};
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
// What a crash of the server costs: all counts (the table is not logged, and fastest); the last fraction of a second;
// what the server's own synchronous_commit says, usually nothing.
enum class PostgresDurability : std::uint8_t { kUnlogged, kAsync, kSync };
struct PostgresStorage {
  // postgresql://[user[:password]@]host[:port][,host[:port]...]/database[?sslmode=verify-full&...], as libpq takes it
  std::string database_url = "postgresql://127.0.0.1/weir";
  std::string schema = "weir";  // where the tables are: a-z, 0-9 and _
  PostgresDurability durability = PostgresDurability::kAsync;
  bool create_schema = true;    // when it is missing; false: `weir storage schema` prints what to run
  std::uint32_t pool_size = 4;  // connections
  std::uint32_t batch = 64;     // most plans in one transaction
  std::uint32_t connection_timeout_ms = 1000;
  std::uint32_t command_timeout_ms = 100;
  std::uint32_t max_in_flight = 4096;  // plans waiting at once; more are answered kUnavailable
  friend bool operator==(const PostgresStorage&, const PostgresStorage&) = default;
};
using PostgresConfig = PostgresStorage;
struct StorageConfig;
// One storage within another, held by value: a copy is a copy, and two are equal when what they hold is.
class NestedStorage {
 public:
  NestedStorage();  // in memory
  NestedStorage(StorageConfig storage);
  NestedStorage(MemoryStorage storage);
  NestedStorage(RedisStorage storage);
  NestedStorage(PostgresStorage storage);
  NestedStorage(const NestedStorage& other);
  NestedStorage(NestedStorage&& other) noexcept;
  NestedStorage& operator=(const NestedStorage& other);
  NestedStorage& operator=(NestedStorage&& other) noexcept;
  ~NestedStorage();
  StorageConfig& operator*() { return *held_; }
  const StorageConfig& operator*() const { return *held_; }
  StorageConfig* operator->() { return held_.get(); }
  const StorageConfig* operator->() const { return held_.get(); }
  friend bool operator==(const NestedStorage& a, const NestedStorage& b);

 private:
  std::unique_ptr<StorageConfig> held_;  // never nullptr, but in what was moved from
};
// Strict: instances together never admit more than the limit. Relaxed: each decides by itself, and tells the others
// what it has admitted every sync_interval.
enum class HybridMode : std::uint8_t { kStrict, kRelaxed };
struct HybridStorage {
  NestedStorage primary = {};                // memory
  NestedStorage secondary = RedisStorage{};  // redis or postgres: shared by all instances
  HybridMode mode = HybridMode::kStrict;
  std::uint32_t sync_interval = 1;  // relaxed: seconds between two exchanges with the secondary
  friend bool operator==(const HybridStorage&, const HybridStorage&) = default;
};
struct StorageConfig {
  using Memory = MemoryStorage;
  using Redis = RedisStorage;
  using Postgres = PostgresStorage;
  using Hybrid = HybridStorage;
  std::variant<MemoryStorage, RedisStorage, PostgresStorage, HybridStorage> kind;
  StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal;
  std::uint32_t instances = 1;  // how many weirs share the store: the fair share of `local` is 1/instances
  friend bool operator==(const StorageConfig&, const StorageConfig&) = default;
};
inline NestedStorage::NestedStorage() : held_(std::make_unique<StorageConfig>()) {}
inline NestedStorage::NestedStorage(StorageConfig storage)
    : held_(std::make_unique<StorageConfig>(std::move(storage))) {}
inline NestedStorage::NestedStorage(MemoryStorage storage) : NestedStorage() { held_->kind = std::move(storage); }
inline NestedStorage::NestedStorage(RedisStorage storage) : NestedStorage() { held_->kind = std::move(storage); }
inline NestedStorage::NestedStorage(PostgresStorage storage) : NestedStorage() { held_->kind = std::move(storage); }
inline NestedStorage::NestedStorage(const NestedStorage& other)
    : held_(std::make_unique<StorageConfig>(*other.held_)) {}
inline NestedStorage::NestedStorage(NestedStorage&& other) noexcept = default;
inline NestedStorage& NestedStorage::operator=(const NestedStorage& other) {
  if (this != &other) held_ = std::make_unique<StorageConfig>(*other.held_);
  return *this;
}
inline NestedStorage& NestedStorage::operator=(NestedStorage&& other) noexcept = default;
inline NestedStorage::~NestedStorage() = default;
inline bool operator==(const NestedStorage& a, const NestedStorage& b) { return *a.held_ == *b.held_; }
struct AnalyticsConfig {
  bool metrics_enabled = true;                 // the daemon's /metrics
  bool event_logging = false;                  // a log line for each denial, at most 100 a second
  std::uint32_t insights_retention_days = 30;  // no effect in this version
  friend bool operator==(const AnalyticsConfig&, const AnalyticsConfig&) = default;
};
// Which changes over the management API hold only when a second person has approved them.
enum class ApprovalScope : std::uint8_t { kPolicy, kEntities, kKeys, kOverrides, kRollbacks };
struct ApprovalsConfig {
  std::vector<ApprovalScope> required_for = {};
  friend bool operator==(const ApprovalsConfig&, const ApprovalsConfig&) = default;
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
// Where the daemon's policy lives: in the document, or in the state directory, where the management API changes it.
// Then the document gives `server`, `storage` and `jwt`; whatever else it says is the policy that an empty directory
// begins with.
enum class PolicySource : std::uint8_t { kFile, kState };
struct ServerConfig {
  ListenerConfig http{"127.0.0.1:8080", {}};
  ListenerConfig resp{"127.0.0.1:6380", {}};
  ListenerConfig grpc{"127.0.0.1:8081", {}};
  ListenerConfig admin{"127.0.0.1:8089", {}};
  AdminAuthConfig admin_auth = {};
  PolicySource policy = PolicySource::kFile;
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
  ApprovalsConfig approvals;
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
  EnterpriseRateLimitConfig EnablePostgresStorage(std::string database_url = "postgresql://127.0.0.1/weir") &&;
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
