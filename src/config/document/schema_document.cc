#include "config/document/migrate.h"
#include "config/document/schema.h"

namespace weir::config {
namespace {

Ref<std::vector<std::string>> Networks() {
  return ListOf(Text({"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "an address or a network such as 10.0.0.0/8", "network"}));
}
Ref<std::vector<std::string>> Names(std::string words) { return ListOf(Text(NameRule(std::move(words)))); }

Ref<GlobalLimits> GlobalType() {
  auto burst = std::make_shared<Record<BurstConfig>>(
      "burst", "Multiplies the capacity of token and leaky buckets that do not write their own.");
  burst->With("enabled", &BurstConfig::enabled, Bool(), "Whether it does.")
      .With("multiplier", &BurstConfig::multiplier, Real({.min = 1, .max = 1000}), "By how much.");
  auto record = std::make_shared<Record<GlobalLimits>>(
      "global",
      "The limits of requests that no tenant or user rule covers, by tier. Other tiers inherit from free_tier.");
  record
      ->With("free_tier", &GlobalLimits::free_tier, RuleType(),
             "For requests without a (known) tier, and for tier `free`.", "required")
      .With("pro_tier", &GlobalLimits::pro_tier, RuleType(), "For tier `pro`.", "as free_tier")
      .With("enterprise_tier", &GlobalLimits::enterprise_tier, RuleType(), "For tier `enterprise`.", "as free_tier")
      .With("tiers", &GlobalLimits::tiers, MapOf(RuleType(), NameRule("tier")), "Further tiers.")
      .With("burst", &GlobalLimits::burst, burst, "Burst allowance.")
      .With("penalties", &GlobalLimits::penalties, PenaltyType(), "For rules that write none.");
  return record;
}

Ref<EndpointLimits> EndpointType() {
  auto record = std::make_shared<Record<EndpointLimits>>("endpoint", "Limits of the paths that match a pattern.");
  record
      ->With("methods", &EndpointLimits::methods,
             ListOf(Text({"^[A-Z][A-Z0-9_-]{0,31}$", "an HTTP method in upper case", "method"})),
             "Methods; GET is also HEAD.", "all")
      .With("rule", &EndpointLimits::rule, RuleType(), "The limit; what it does not write comes from free_tier.")
      .With(
          "combine", &EndpointLimits::combine,
          EnumOf<Combine>({{Combine::kReplace, "replace"}, {Combine::kStack, "stack"}}),
          "`replace`: instead of the user's, tenant's or tier's rule; of several patterns the most specific one does. "
          "`stack`: beside whatever else holds, also where another pattern is more specific.")
      .With("tenants", &EndpointLimits::tenants, Names("tenant"), "Only for these tenants.", "all")
      .With("users", &EndpointLimits::users, Names("user"), "Only for these users.", "all")
      .With("ignore_case", &EndpointLimits::ignore_case, Bool(),
            "The pattern matches letters (A to Z) in either case, for servers that do so too.");
  return record;
}

Ref<IpRules> IpRulesType() {
  auto rule = std::make_shared<Record<IpRule>>("ip_rule", "A rule for addresses or countries; all that match hold.");
  rule->Requires("name", &IpRule::name, Text(NameRule("text")), "Names it; unique.")
      .With("cidrs", &IpRule::cidrs, Networks(), "Networks or single addresses that it is for.")
      .With("countries", &IpRule::countries,
            ListOf(Text({"^[A-Z]{2}$", "an ISO 3166-1 country code such as DE", "country code"})),
            "Countries that it is for.")
      .With("action", &IpRule::action,
            EnumOf<IpRule::Action>({{IpRule::Action::kLimit, "limit"},
                                    {IpRule::Action::kAllow, "allow"},
                                    {IpRule::Action::kBlock, "block"},
                                    {IpRule::Action::kThrottle, "throttle"},
                                    {IpRule::Action::kChallenge, "challenge"}}),
            "`block` denies for ever, whatever else matches. `limit`, `throttle`: the rule applies in addition to all "
            "others. "
            "`allow`: "
            "the rule takes the place of the user's, tenant's or tier's rule and of a replacing endpoint's; without a "
            "rule "
            "nothing is counted. Of several that allow, the one with the most specific network does. "
            "`challenge`: what exceeds the rule is challenged (`on_exceeded: challenge`); without a rule every request "
            "is, unless one that allows has a more specific network.")
      .With("rule", &IpRule::rule, Opt(RuleType()), "The limit; what it does not write comes from free_tier.");
  auto record = std::make_shared<Record<IpRules>>("ip_rules", "Rules by address, and whom to believe about addresses.");
  record
      ->With("trusted_proxies", &IpRules::trusted_proxies, Networks(),
             "Proxies that are believed about the client's address.")
      .With("client_address", &IpRules::client_address,
            Text({"^(x_forwarded_for|forwarded|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$",
                  "x_forwarded_for, forwarded or header:NAME", "text"}),
            "Which header trusted proxies write: `x_forwarded_for`, `forwarded` (RFC 7239) or `header:NAME` such as "
            "`header:CF-Connecting-IP`. The right-most entry that is no trusted proxy is the client; other headers are "
            "ignored.")
      .With("nat64_prefixes", &IpRules::nat64_prefixes, Networks(),
            "Networks (/32, /40, /48, /56, /64 or /96) whose addresses stand for IPv4 addresses, beside 64:ff9b::/96.")
      .With("ipv6_prefix", &IpRules::ipv6_prefix, Count32({1, 128}),
            "IPv6 clients are counted by this many leading bits.")
      .With("ipv4_prefix", &IpRules::ipv4_prefix, Count32({1, 32}),
            "IPv4 clients are counted by this many leading bits.")
      .With("rules", &IpRules::rules, ListOf<IpRule>(rule), "The rules.");
  return record;
}

Ref<Exemptions> ExemptionsType() {
  auto record =
      std::make_shared<Record<Exemptions>>("exemptions", "What is never limited or counted; looked at first.");
  record
      ->With("paths", &Exemptions::paths, ListOf(Text({"", "", "path"})),
             "Paths: exact, or all that begin so when it ends in `*`.")
      .With("cidrs", &Exemptions::cidrs, Networks(), "Client networks or addresses.")
      .With("users", &Exemptions::users, Names("user"), "Users.")
      .With("api_keys", &Exemptions::api_keys, ListOf(Text(SecretRule("text"))), "API keys.");
  return record;
}

TextRule AnyText(std::string words) { return {"^[^\\x00]+$", "text", std::move(words)}; }

}  // namespace

TextRule SecretRule(std::string words) { return {"^[^\\x00]+$", "text", std::move(words), true}; }

Ref<TenantLimits> TenantType() {
  auto record = std::make_shared<Record<TenantLimits>>("tenant", "Limits of one organisation.");
  record->With("tier", &TenantLimits::tier, Opt(Text(NameRule("tier"))), "The tier of its requests.")
      .With("rule", &TenantLimits::rule, Opt(RuleType()), "For each subject of the tenant; inherits from its tier.")
      .With("aggregate", &TenantLimits::aggregate, Opt(RuleType()),
            "One budget that the whole tenant shares; applies in addition to every other rule and inherits no numbers.")
      .With("quotas", &TenantLimits::quotas, ListOf(QuotaType()), "Allowances that the whole tenant shares.")
      .With("parent", &TenantLimits::parent, Opt(Text(NameRule("tenant"))),
            "The tenant that it is a part of. The aggregate and quotas of that one apply too, and its rule and tier "
            "where this one has none. At most 8 levels.");
  return record;
}

Ref<UserLimits> UserType() {
  auto record = std::make_shared<Record<UserLimits>>("user", "Limits of one user.");
  record->With("tier", &UserLimits::tier, Opt(Text(NameRule("tier"))), "The tier of the user's requests.")
      .With("tenant", &UserLimits::tenant, Opt(Text(NameRule("tenant"))),
            "The tenant that the user belongs to. In a request that names another tenant, which is no part of this "
            "one, what is "
            "written here does not hold: there it is somebody else's name.")
      .With("rule", &UserLimits::rule, Opt(RuleType()), "Replaces the tenant's or tier's rule, and inherits from it.")
      .With("quotas", &UserLimits::quotas, ListOf(QuotaType()), "Allowances of this user.")
      .With("exempt", &UserLimits::exempt, Bool(), "The user is never limited.");
  return record;
}

Ref<ApiKeyLimits> ApiKeyLimitsType() {
  auto record = std::make_shared<Record<ApiKeyLimits>>(
      "api_key_limits", "What is known of an API key: who its requests are of, where they do not say so themselves.");
  record->With("plan", &ApiKeyLimits::plan, Opt(Text(NameRule("tier"))), "The tier of its requests.")
      .With("tenant", &ApiKeyLimits::tenant, Opt(Text(NameRule("tenant"))), "The tenant that it belongs to.")
      .With("user", &ApiKeyLimits::user, Opt(Text(NameRule("user"))), "The user that it belongs to.")
      .With("quotas", &ApiKeyLimits::quotas, ListOf(QuotaType()), "Allowances of this key.")
      .With("scopes", &ApiKeyLimits::scopes, ListOf(Text(NameRule("scope"))),
            "What it may be used for: conditions ask `\"write\" in scopes`.");
  return record;
}

Ref<StorageConfig> StorageType() {
  auto memory = std::make_shared<Record<MemoryStorage>>("memory", "States in this process.");
  memory
      ->With("max_entries", &MemoryStorage::max_entries, Count({.min = 1}),
             "How many states fit, one for each subject and rule: of buckets and aligned windows; and as many of the "
             "other "
             "algorithms'.")
      .With("memory_limit", &MemoryStorage::memory_limit, Count(), "Bytes; the smaller of both bounds holds.",
            "what max_entries needs")
      .With("cleanup_interval", &MemoryStorage::cleanup_interval, Count32({1, 86'400}),
            "Seconds in which expired states are swept once.")
      .With("eviction_policy", &MemoryStorage::eviction_policy,
            EnumOf<FullPolicy>({{FullPolicy::kDenyNew, "deny_new"},
                                {FullPolicy::kAllowNew, "allow_new"},
                                {FullPolicy::kEvict, "evict"}}),
            "When it is full of live states: deny new subjects, let them pass uncounted, or forget the least useful; "
            "each is counted.")
      .With("persist_to_disk", &MemoryStorage::persist_to_disk, Opt(Text(AnyText("path"))),
            "Snapshot file that survives a restart.", "none")
      .With("persist_interval", &MemoryStorage::persist_interval, Count32({1, 86'400}), "Seconds between snapshots.");
  auto redis = std::make_shared<Record<RedisStorage>>("redis", "States in Redis, shared by several instances.");
  redis
      ->With("url", &RedisStorage::url,
             Text({"^(redis|rediss|unix)://", "a redis://, rediss:// or unix:// address", "URL", true}),
             "`redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix:///path`.")
      .With("cluster", &RedisStorage::cluster, Bool(), "Redis Cluster: not in this version.")
      .With("pool_size", &RedisStorage::pool_size, Count32({1, 1024}), "Connections.")
      .With("key_prefix", &RedisStorage::key_prefix,
            Text({"^[^\\x00-\\x1f\\x7f]{0,200}$", "at most 200 characters", "text"}), "Starts every key.")
      .With("connection_timeout_ms", &RedisStorage::connection_timeout_ms, Count32({1, 600'000}), "To connect.")
      .With("command_timeout_ms", &RedisStorage::command_timeout_ms, Count32({1, 600'000}), "To answer.")
      .With("max_in_flight", &RedisStorage::max_in_flight, Count32({1, 1'000'000}),
            "Decisions waiting at once; more are answered as a store failure.");
  auto postgres =
      std::make_shared<Record<PostgresStorage>>("postgres", "States in PostgreSQL, shared by several instances.");
  postgres
      ->With(
          "database_url", &PostgresStorage::database_url,
          Text({"^postgres(ql)?://", "a postgresql:// address", "URL", true}),
          "`postgresql://[user[:password]@]host[:port][,host...]/database[?sslmode=verify-full&...]`, as libpq takes "
          "it. Hosts are tried in order, until one may be written.")
      .With("schema", &PostgresStorage::schema,
            Text({"^[a-z_][a-z0-9_]{0,62}$", "at most 63 of a-z, 0-9 and _, not beginning with a digit", "name"}),
            "Where the tables are.")
      .With("durability", &PostgresStorage::durability,
            EnumOf<PostgresDurability>({{PostgresDurability::kUnlogged, "unlogged"},
                                        {PostgresDurability::kAsync, "async"},
                                        {PostgresDurability::kSync, "sync"}}),
            "What a crash of the server costs: all counts, the last fraction of a second, or nothing.")
      .With("create_schema", &PostgresStorage::create_schema, Bool(),
            "Make what is missing in the database. `weir storage schema` prints it for who may.")
      .With("pool_size", &PostgresStorage::pool_size, Count32({1, 1024}), "Connections.")
      .With("batch", &PostgresStorage::batch, Count32({1, 1000}), "Most decisions that share a transaction.")
      .With("connection_timeout_ms", &PostgresStorage::connection_timeout_ms, Count32({1, 600'000}),
            "To connect to each host.")
      .With("command_timeout_ms", &PostgresStorage::command_timeout_ms, Count32({1, 600'000}), "To answer.")
      .With("max_in_flight", &PostgresStorage::max_in_flight, Count32({1, 1'000'000}),
            "Decisions waiting at once; more are answered as a store failure.");
  using Kind = decltype(StorageConfig::kind);
  auto variant = std::make_shared<Variant<Kind>>("store", "Where states live.");
  variant->With<MemoryStorage>("memory", memory, "In this process: fastest, for one instance.")
      .With<RedisStorage>("redis", redis, "In Redis: shared by several instances.")
      .With<PostgresStorage>("postgres", postgres, "In PostgreSQL: shared by several instances.")
      .With<HybridStorage>("hybrid", HybridType(memory, redis, postgres),
                           "In Redis or PostgreSQL, with memory before it.");
  auto record =
      std::make_shared<Record<StorageConfig>>("storage", "Where states live, and what to do when that place fails.");
  record->Flattening(&StorageConfig::kind, std::shared_ptr<const Variant<Kind>>(variant))
      .With("on_store_failure", &StorageConfig::on_store_failure, StoreFailureType(), "For rules that write none.")
      .With("instances", &StorageConfig::instances, Count32({1, 100'000}),
            "How many weirs share the store; the share of `local` is 1 / instances.");
  return record;
}

Ref<RequestIdsConfig> RequestIdsType() {
  auto record = std::make_shared<Record<RequestIdsConfig>>(
      "request_ids",
      "What is remembered of checks and reservations that bring a `request_id`, so that the same one, "
      "asked again, is not charged again.");
  record
      ->With("ttl_seconds", &RequestIdsConfig::ttl_seconds, Count32({1, 86'400}),
             "For how long an answer is given again.")
      .With("max_entries", &RequestIdsConfig::max_entries, Count32({16, 10'000'000}),
            "Answers remembered in this process at once, about 300 bytes each and 70 for each of its rules; beyond "
            "that the "
            "oldest are forgotten, and counted in `weir_request_ids_evicted_total`.");
  return record;
}

Ref<AnalyticsConfig> AnalyticsType() {
  auto record = std::make_shared<Record<AnalyticsConfig>>("analytics", "What is observed.");
  record
      ->With("metrics_enabled", &AnalyticsConfig::metrics_enabled, Bool(),
             "Serve `/metrics`; without it that path answers 404.")
      .With(
          "event_logging", &AnalyticsConfig::event_logging, Bool(),
          "Log each denial at level info: the rule, the reason and who asked. At most 100 lines a second; what is left "
          "out is counted and logged too.")
      .With("insights_retention_days", &AnalyticsConfig::insights_retention_days, Count32({1, 3650}),
            "Days that insights are kept. No effect in this version, which keeps none.");
  return record;
}

Ref<ApprovalsConfig> ApprovalsType() {
  auto record = std::make_shared<Record<ApprovalsConfig>>(
      "approvals",
      "Changes over the management API that hold only when a second person has approved them. A change of this section "
      "itself needs an approval as soon as anything does.");
  record->With("required_for", &ApprovalsConfig::required_for,
               ListOf(EnumOf<ApprovalScope>({{ApprovalScope::kPolicy, "policy"},
                                             {ApprovalScope::kEntities, "entities"},
                                             {ApprovalScope::kKeys, "keys"},
                                             {ApprovalScope::kOverrides, "overrides"},
                                             {ApprovalScope::kRollbacks, "rollbacks"}})),
               "`policy`: tiers, endpoints, ip rules, templates, domains, exemptions, penalties and settings, rollouts "
               "of these too. `entities`: users and tenants. `keys`: API keys. `overrides`. `rollbacks`: going back to "
               "an earlier revision.",
               "none");
  return record;
}

Ref<JwtConfig> JwtType() {
  auto record = std::make_shared<Record<JwtConfig>>(
      "jwt", "Keys for `jwt:CLAIM` and tier fields; without one, tokens are read unverified.");
  record
      ->With("hs256_secret", &JwtConfig::hs256_secret, Opt(Text(SecretRule("text"))), "Shared secret of HS256 tokens.",
             "none")
      .With("rs256_public_key_pem", &JwtConfig::rs256_public_key_pem, Opt(Text(SecretRule("PEM text"))),
            "Public key of RS256 tokens.", "none");
  return record;
}

Ref<EnterpriseRateLimitConfig> DocumentType() {
  static const Ref<EnterpriseRateLimitConfig> type = [] {
    using Document = EnterpriseRateLimitConfig;
    auto record = std::make_shared<Record<Document>>("document", "The whole document.");
    const TextRule pattern{"^[/*][^\\x00-\\x1f\\x7f]*$", "a path pattern that begins with '/'", "path pattern"};
    record->With("global", &Document::global, GlobalType(), "Limits by tier.")
        .With("tenants", &Document::tenants, MapOf(TenantType(), NameRule("tenant")), "Limits by organisation.")
        .With("users", &Document::users, MapOf(UserType(), NameRule("user")), "Limits by user.")
        .With("api_keys", &Document::api_keys,
              MapOf(ApiKeyLimitsType(), {"^[^\\x00]+$", "a key, or sha256: and its digest",
                                         "key, or `sha256:` and its digest in hex", true}),
              "Limits by API key.")
        .With("endpoints", &Document::endpoints, MapOf(EndpointType(), pattern), "Limits by path.")
        .With("ip_rules", &Document::ip_rules, IpRulesType(), "Limits by address; trusted proxies.")
        .With("exemptions", &Document::exemptions, ExemptionsType(), "What is never limited.")
        .With("algorithm", &Document::algorithm, Opt(AlgorithmType()), "For rules that write none.", "`sliding_window`")
        .With("denial", &Document::denial, Opt(DenialType()),
              "For rules that write none, and for what is denied without a rule (a block, a store that is down).",
              "none")
        .With("storage", &Document::storage, StorageType(), "Where states live.")
        .With("request_ids", &Document::request_ids, RequestIdsType(),
              "How long answers are remembered by `request_id`.")
        .With("analytics", &Document::analytics, AnalyticsType(), "What is observed.")
        .With("approvals", &Document::approvals, ApprovalsType(), "What a second person has to approve.")
        .With("domains", &Document::domains, MapOf(DomainType(), LongNameRule("domain")),
              "Limits by descriptor: what Envoy's rate limit service is asked.")
        .With("envoy", &Document::envoy, EnvoyType(), "How Envoy's rate limit service answers.")
        .With("templates", &Document::templates, MapOf(RuleType(), NameRule("name")),
              "Rules to start from, with `template: NAME`.")
        .With("server", &Document::server, ServerType(), "The daemon.")
        .With("jwt", &Document::jwt, JwtType(), "Keys for tokens.")
        .Accepts("schema_version", kSchemaVersion, Count32({1, kSchemaVersion}),
                 "The form of this document. A newer one than this version of weir knows is refused.");
    return record;
  }();
  return type;
}

}  // namespace weir::config
