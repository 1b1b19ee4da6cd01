#include "config/document/migrate.h"
#include "config/document/schema.h"

namespace weir::config {
namespace {

Ref<std::vector<std::string>> Networks() {
  return ListOf(Text({"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "an address or a network such as 10.0.0.0/8", "network"}));
}
Ref<std::vector<std::string>> Names(std::string words) { return ListOf(Text(NameRule(std::move(words)))); }

TextRule Secret(std::string words) { return {"^[^\\x00]+$", "text", std::move(words), true}; }

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
      .With("api_keys", &Exemptions::api_keys, ListOf(Text(Secret("text"))), "API keys.");
  return record;
}

using Words = std::vector<std::pair<Served, std::string>>;

// A listener; of data when it has something to `serve`.
Ref<ListenerConfig> ListenerType(const std::string& name, const std::string& about, const std::string& tokens_about,
                                 const Words& serve, const std::string& serve_default) {
  static const Ref<TlsConfig> tls_type = [] {
    auto tls = std::make_shared<Record<TlsConfig>>("tls", "Encryption of a listener.");
    tls->Requires("certificate_file", &TlsConfig::certificate_file, Text({"^[^\\x00]+$", "a path", "path"}),
                  "Certificate chain, PEM.")
        .Requires("key_file", &TlsConfig::key_file, Text({"^[^\\x00]+$", "a path", "path"}), "Its private key, PEM.")
        .With("client_ca_file", &TlsConfig::client_ca_file, Text(),
              "Clients must present a certificate of this authority.", "none");
    return tls;
  }();
  auto record = std::make_shared<Record<ListenerConfig>>(name, about);
  record
      ->With("address", &ListenerConfig::address, Text({"^[^\\x00-\\x1f\\x7f]+$", "an address", "text", false, true}),
             "`127.0.0.1:8080`, `[::1]:0` (port 0 picks a free one), `unix:/run/weir.sock`, or `off`.",
             "see [server](#server)")
      .OrAsText()
      .With("tls", &ListenerConfig::tls, Opt<TlsConfig>(tls_type), "Encrypt.", "plain text")
      .With("mode", &ListenerConfig::mode, Opt(Text({"^0?[0-7]{3}$", "an octal mode in quotes, as \"0660\"", "text"})),
            "Permissions of a Unix socket's file, octal: who may write it may connect.", "what the umask leaves");
  if (serve.empty()) {  // the management listener
    record
        ->With("allow_plaintext", &ListenerConfig::allow_plaintext, Bool(),
               "Listen without TLS also on an address that other machines reach: tokens then cross the network as they "
               "are.")
        .With("hosts", &ListenerConfig::hosts, ListOf(Text(NameRule("host name"))),
              "Names under which it is reached (the Host of requests), beside localhost and addresses; others are "
              "refused, so that no page can make a browser ask.",
              "none");
    return record;
  }
  const TextRule token{"^[!-~]{16,}$", "at least 16 visible ASCII characters", "text", true};
  record->With("tokens", &ListenerConfig::tokens, ListOf(Text(token)), tokens_about, "none: anybody may ask")
      .With("serve", &ListenerConfig::serve, Opt(ListOf(EnumOf<Served>(serve))),
            "What it answers; anything else is refused.", serve_default);
  return record;
}

Ref<ListenerConfig> HttpListenerType() {
  static const Ref<ListenerConfig> type =
      ListenerType("http_listener", "Where the HTTP API listens, whom it answers, and what.",
                   "A request has to bring one of these, as `Authorization: Bearer TOKEN` or `X-Weir-Token: TOKEN`; "
                   "but for `/livez` "
                   "and `/readyz`.",
                   {{Served::kCheck, "check"},
                    {Served::kBatch, "batch"},
                    {Served::kForwardAuth, "auth"},
                    {Served::kPeek, "peek"},
                    {Served::kReserve, "reserve"},
                    {Served::kRefund, "refund"},
                    {Served::kFeedback, "feedback"},
                    {Served::kReset, "reset"},
                    {Served::kMetrics, "metrics"}},
                   "all but `reset`");
  return type;
}

Ref<ListenerConfig> RespListenerType() {
  static const Ref<ListenerConfig> type =
      ListenerType("resp_listener", "Where Redis clients connect, which of them are answered, and what.",
                   "`AUTH` has to say one of these, or `resp_password`.",
                   {{Served::kThrottle, "throttle"},
                    {Served::kCheck, "check"},
                    {Served::kPeek, "peek"},
                    {Served::kReserve, "reserve"},
                    {Served::kRefund, "refund"},
                    {Served::kFeedback, "feedback"},
                    {Served::kReset, "reset"}},
                   "all but `reset`");
  return type;
}

Ref<ListenerConfig> GrpcListenerType() {
  static const Ref<ListenerConfig> type = ListenerType(
      "grpc_listener", "Where gRPC listens, whom it answers, and with which services.",
      "A call has to bring one of these in its metadata, as `authorization: Bearer TOKEN`; but for health.",
      {{Served::kEnvoy, "envoy"},
       {Served::kKuadrant, "kuadrant"},
       {Served::kQuota, "quota"},
       {Served::kReflection, "reflection"}},
      "all");
  return type;
}

Ref<ListenerConfig> AdminListenerType() {
  static const Ref<ListenerConfig> type = ListenerType("listener", "Where management listens.", "", {}, "");
  return type;
}

TextRule AnyText(std::string words) { return {"^[^\\x00]+$", "text", std::move(words)}; }

}  // namespace

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
      .With("tenant", &UserLimits::tenant, Opt(Text(NameRule("tenant"))), "The tenant that the user belongs to.")
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

Ref<ForwardAuthConfig> ForwardAuthType() {
  const auto name = [] { return Text({"^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})?$", "the name of a header", "header"}); };
  auto headers = std::make_shared<Record<IdentityHeaders>>(
      "identity_headers",
      "The request headers by which `/v1/auth` learns who a visitor is. None is believed that is not named here: the "
      "proxy must overwrite or remove each of them, or visitors name themselves.");
  headers->With("user", &IdentityHeaders::user, name(), "Names the user.", "none")
      .With("tenant", &IdentityHeaders::tenant, name(), "Names the tenant.", "none")
      .With("tier", &IdentityHeaders::tier, name(), "Names the tier.", "none")
      .With("api_key", &IdentityHeaders::api_key, name(), "Holds the API key; of `Authorization` its bearer token.",
            "none")
      .With("country", &IdentityHeaders::country, name(), "Holds the country, ISO 3166-1 alpha-2.", "none");
  auto record = std::make_shared<Record<ForwardAuthConfig>>("forward_auth", "What `/v1/auth` believes of a proxy.");
  record->With("identity_headers", &ForwardAuthConfig::identity_headers, headers, "Who the visitor is.", "none");
  return record;
}

Ref<ServerConfig> ServerType() {
  auto record = std::make_shared<Record<ServerConfig>>("server", "The daemon: listeners and bounds.");
  record->With("http", &ServerConfig::http, HttpListenerType(), "HTTP API and forward-auth.")
      .With("resp", &ServerConfig::resp, RespListenerType(), "Redis protocol.")
      .With("grpc", &ServerConfig::grpc, GrpcListenerType(), "gRPC.")
      .With("admin", &ServerConfig::admin, AdminListenerType(),
            "Management: health, metrics, and the API under `/admin/v1`.")
      .With("state_dir", &ServerConfig::state_dir, Opt(Text()),
            "Directory of revisions, tokens, the audit log and counts. Empty: none, and no management.",
            "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/weir`, else `~/.local/state/weir`")
      .With("threads", &ServerConfig::threads, Count32({0, 1024}), "Event loops.", "one a core")
      .With("max_connections", &ServerConfig::max_connections, Count32({1, 10'000'000}),
            "Of the listeners that decide; more are closed at once. The admin listener has 512 of its own.")
      .With("max_request_bytes", &ServerConfig::max_request_bytes, Count32({1024, 1 << 30}),
            "A larger request is refused.")
      .With("max_buffered_bytes", &ServerConfig::max_buffered_bytes, Count(),
            "What all connections together may hold of requests that are not complete or not answered and of answers "
            "that are not taken; the connection that would hold more is closed. 0: no bound.")
      .With("max_header_count", &ServerConfig::max_header_count, Count32({1, 10'000}),
            "A request with more headers is refused.")
      .With(
          "idle_timeout_ms", &ServerConfig::idle_timeout_ms, Count32({0, 86'400'000}),
          "A connection is closed on which nothing happens, whose request is not complete, or whose peer does not take "
          "what was answered, for this long; 0: never.")
      .With("drain_delay_ms", &ServerConfig::drain_delay_ms, Count32({0, 86'400'000}),
            "How long a stop goes on serving, though no longer ready, so that load balancers turn away first.")
      .With("drain_timeout_ms", &ServerConfig::drain_timeout_ms, Count32({0, 86'400'000}),
            "How long a stop then waits for open connections.")
      .With("ready_when_degraded", &ServerConfig::ready_when_degraded, Opt(Bool()),
            "Whether `/readyz` and gRPC's health ask for traffic while the store is down.",
            "`true`, unless a rule or `storage` says `on_store_failure: deny`")
      .With("resp_password", &ServerConfig::resp_password, Opt(Text(Secret("text"))), "What AUTH must say.", "none")
      .With("request_id_header", &ServerConfig::request_id_header,
            Text({"^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})?$", "the name of a header", "header"}),
            "The header of `/v1/check`, `/v1/reserve` and `/v1/auth` that holds a `request_id`, such as "
            "`Idempotency-Key`. A visitor who can write it passes uncounted by repeating it: the proxy must overwrite "
            "or remove it.",
            "none")
      .With("forward_auth", &ServerConfig::forward_auth, ForwardAuthType(), "What `/v1/auth` believes.")
      .With("log_level", &ServerConfig::log_level, Word({"debug", "info", "warn", "error"}),
            "Least level that is logged.")
      .With("log_format", &ServerConfig::log_format, Word({"text", "json"}), "Form of a log line.");
  return record;
}

Ref<JwtConfig> JwtType() {
  auto record = std::make_shared<Record<JwtConfig>>(
      "jwt", "Keys for `jwt:CLAIM` and tier fields; without one, tokens are read unverified.");
  record
      ->With("hs256_secret", &JwtConfig::hs256_secret, Opt(Text(Secret("text"))), "Shared secret of HS256 tokens.",
             "none")
      .With("rs256_public_key_pem", &JwtConfig::rs256_public_key_pem, Opt(Text(Secret("PEM text"))),
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
