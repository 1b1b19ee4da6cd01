#include "config/document/schema.h"

namespace weir::config {
namespace {

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

}  // namespace

Ref<ServerConfig> ServerType() {
  auto record = std::make_shared<Record<ServerConfig>>("server", "The daemon: listeners and bounds.");
  record->With("http", &ServerConfig::http, HttpListenerType(), "HTTP API and forward-auth.")
      .With("resp", &ServerConfig::resp, RespListenerType(), "Redis protocol.")
      .With("grpc", &ServerConfig::grpc, GrpcListenerType(), "gRPC.")
      .With("admin", &ServerConfig::admin, AdminListenerType(),
            "Management: health, metrics, and the API under `/admin/v1`.")
      .With("admin_auth", &ServerConfig::admin_auth, AdminAuthType(),
            "Who may administer, beside holders of weir's own tokens and accounts.", "nobody else")
      .With(
          "policy", &ServerConfig::policy,
          EnumOf<PolicySource>({{PolicySource::kFile, "file"}, {PolicySource::kState, "state"}}),
          "Where the policy lives. `file`: here, and the management API may change users, tenants, keys and overrides "
          "only. `state`: in the state directory, where the API changes all of it; of this document `server`, "
          "`storage` and `jwt` hold, and the rest is what an empty directory begins with.")
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
      .With("resp_password", &ServerConfig::resp_password, Opt(Text(SecretRule("text"))), "What AUTH must say.", "none")
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

}  // namespace weir::config
