#include "management/auth/external_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/address.h"
#include "base/crypto/encoding.h"
#include "base/log.h"
#include "io/https/http_client.h"
#include "io/https/http_fetcher.h"
#include "management/auth/crypto.h"
#include "management/auth/fetch_keys.h"

namespace weir::management {
namespace {

constexpr int kMostExchanges = 2;           // of the workers, which others need too
constexpr std::size_t kMostTaken = 16'384;  // logins that came back
constexpr Nanos kLoginTime = 10 * kMinute;  // as BeginLogin() has it
constexpr Nanos kDiscoveryFresh = kHour;
constexpr Nanos kDiscoveryAgain = 10 * kSecond;  // after a failure

std::unexpected<Error> Wrong(std::string_view where, const Error& error) {
  return Fail(error.code, fmt::format("{}: {}", where, error.message));
}

Result<std::vector<RoleGrant>> GrantsOf(const std::vector<std::string>& texts) {
  std::vector<RoleGrant> grants;
  for (const std::string& text : texts) {
    // "editor@acme": a tenant's name may contain anything but what the document refuses.
    const std::size_t at = text.find('@');
    const auto role = RoleNamed(std::string_view(text).substr(0, at));
    if (!role) return Fail(ErrorCode::kInvalidArgument, "'" + text + "' is no role");
    grants.push_back({.role = *role, .tenant = at == std::string::npos ? "" : text.substr(at + 1)});
  }
  if (const auto checked = CheckGrants(grants); !checked) return std::unexpected(checked.error());
  return grants;
}

Result<std::vector<Network>> NetworksOf(const std::vector<std::string>& texts) {
  std::vector<Network> networks;
  for (const std::string& text : texts) {
    const auto network = ParseNetwork(text);
    if (!network) return Fail(ErrorCode::kInvalidArgument, "'" + text + "' is no network");
    networks.push_back(*network);
  }
  return networks;
}

Result<CertificateRule> RuleOf(const ClientCertificateConfig& config) {
  const std::size_t colon = config.match.find(':');
  CertificateRule rule;
  const std::string_view type = std::string_view(config.match).substr(0, colon);
  rule.type = type == "uri"   ? SubjectAltName::Type::kUri
              : type == "dns" ? SubjectAltName::Type::kDns
                              : SubjectAltName::Type::kEmail;
  rule.pattern = config.match.substr(colon + 1);
  rule.name = config.name.value_or("");
  rule.tenant = config.tenant.value_or("");
  auto grants = GrantsOf(config.roles);
  if (!grants) return std::unexpected(grants.error());
  rule.roles = std::move(*grants);
  if (const auto checked = CheckRule(rule); !checked) return std::unexpected(checked.error());
  return rule;
}

// Counts whoever talks to the provider; who is one too many does not.
class Exchange {
 public:
  explicit Exchange(std::atomic<int>& count) : count_(count), taken_(count.fetch_add(1) < kMostExchanges) {}
  ~Exchange() { count_.fetch_sub(1); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  bool taken() const { return taken_; }

 private:
  std::atomic<int>& count_;
  const bool taken_;
};

// Whatever of it decides who gets in as what, each part with its length.
std::string FingerprintOf(const OidcConfig& config) {
  std::string text;
  const auto add = [&](std::string_view part) { text.append(std::to_string(part.size())).append(":").append(part); };
  const auto add_all = [&](const std::vector<std::string>& parts) {
    text.append(std::to_string(parts.size())).append("*");
    for (const std::string& part : parts) add(part);
  };
  const ClaimsConfig& claims = config.claims;
  add(config.client_id);
  for (const auto* claim : {&claims.name_claim, &claims.roles_claim, &claims.tenant_claim}) add(claim->value_or(""));
  add_all(claims.default_roles);
  for (const auto& [value, roles] : claims.roles) {
    add(value);
    add_all(roles);
  }
  return Base64Url(Sha256(text)).substr(0, 16);
}

Result<std::string> Ask(const io::HttpOptions& options, io::HttpRequest request) {
  request.may_be_loopback = request.url.starts_with("http://");  // CheckIssuerUrl()
  auto reply = io::HttpClient(options).Send(std::move(request));
  if (!reply) return std::unexpected(reply.error());
  if (reply->status != 200) {
    // RFC 6749, 5.2: the code is not good. Anything else is between the provider and weir.
    const bool refused = reply->status == 400 && reply->body.find("\"invalid_grant\"") != std::string::npos;
    return Fail(refused ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
                "the OpenID provider answered " + std::to_string(reply->status));
  }
  return std::move(reply->body);
}

std::unexpected<Error> NotReached(const Error& why) {
  log::Warn("a login at the OpenID provider failed", {{"why", why.message}});
  return Fail(ErrorCode::kUnavailable, "the OpenID provider cannot be asked now");
}

}  // namespace

Result<ClaimMapping> MappingOf(const ClaimsConfig& config, std::string_view default_name_claim) {
  ClaimMapping mapping;
  mapping.name_claim = config.name_claim.value_or(std::string(default_name_claim));
  mapping.roles_claim = config.roles_claim.value_or("");
  mapping.tenant_claim = config.tenant_claim.value_or("");
  for (const auto& [value, roles] : config.roles) {
    auto grants = GrantsOf(roles);
    if (!grants) return std::unexpected(grants.error());
    for (RoleGrant& grant : *grants) mapping.roles.push_back({.value = value, .grant = std::move(grant)});
  }
  auto defaults = GrantsOf(config.default_roles);
  if (!defaults) return std::unexpected(defaults.error());
  mapping.defaults = std::move(*defaults);
  return mapping;
}

Result<AuthSettings> AuthSettingsOf(const AdminAuthConfig& config) {
  AuthSettings settings;
  for (std::size_t i = 0; i < config.tokens.size(); ++i) {
    const TokenIssuerConfig& issuer = config.tokens[i];
    const std::string where = fmt::format("server.admin_auth.tokens.{}", i);
    JwtPolicy policy;
    policy.issuer = issuer.issuer;
    policy.audiences = issuer.audiences;
    for (const std::string& name : issuer.algorithms) {
      const auto algorithm = JwtAlgorithmNamed(name);
      if (!algorithm) return Fail(ErrorCode::kInvalidArgument, where + ": '" + name + "' is no algorithm for tokens");
      policy.algorithms.push_back(*algorithm);
    }
    auto mapping = MappingOf(issuer.claims, "sub");
    if (!mapping) return Wrong(where, mapping.error());
    settings.issuers.push_back({.policy = std::move(policy), .mapping = std::move(*mapping)});
  }
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    auto rule = RuleOf(config.certificates[i]);
    if (!rule) return Wrong(fmt::format("server.admin_auth.certificates.{}", i), rule.error());
    settings.certificates.push_back(std::move(*rule));
  }
  return settings;
}

struct ExternalIdentity::State {
  AdminAuthConfig config;
  AuthSettings settings;
  std::string session_issuer;  // empty: no provider
  io::HttpOptions http;
  std::unique_ptr<io::HttpFetcher> fetcher;  // of keys for tokens, which nobody waits for
  std::unique_ptr<JwksCache> token_keys;
  std::unique_ptr<JwksCache> provider_keys;  // fetched by whoever logs in
  std::mutex mutex;                          // guards what follows
  std::optional<OidcProvider> provider;
  bool discovered = false;
  std::optional<Nanos> asked_at;
};

ExternalIdentity::ExternalIdentity(const Clock& clock, std::string seal_key)
    : clock_(clock), seal_key_(std::move(seal_key)), state_(std::make_shared<State>()) {}
ExternalIdentity::~ExternalIdentity() = default;

std::shared_ptr<ExternalIdentity::State> ExternalIdentity::Current() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

// Without what runs: threads and caches.
Result<std::shared_ptr<ExternalIdentity::State>> ExternalIdentity::Read(const AdminAuthConfig& config) {
  auto networks = NetworksOf(config.allowed_networks);
  if (!networks) return Wrong("server.admin_auth.allowed_networks", networks.error());
  auto settings = AuthSettingsOf(config);
  if (!settings) return std::unexpected(settings.error());
  auto state = std::make_shared<State>();
  state->config = config;
  state->settings = std::move(*settings);
  state->http = KeyFetchOptions(config.ca_file.value_or(""), std::move(*networks));
  for (const TokenIssuerConfig& issuer : config.tokens) {
    if (const auto good = CheckIssuerUrl(issuer.jwks_url); !good) {
      return Wrong("server.admin_auth.tokens: jwks_url", good.error());
    }
  }
  if (!config.oidc) return state;
  OidcProvider provider;
  provider.issuer = config.oidc->issuer;
  provider.client_id = config.oidc->client_id;
  provider.client_secret = config.oidc->client_secret.value_or("");
  std::string url = config.oidc->public_url;
  while (url.ends_with('/')) url.pop_back();
  provider.redirect_uri = url + "/admin/v1/oidc/callback";
  provider.scopes = config.oidc->scopes;
  for (const auto& [what, checked] : {std::pair{"issuer", provider.issuer}, std::pair{"public_url", url}}) {
    if (const auto good = CheckIssuerUrl(checked); !good) {
      return Wrong(fmt::format("server.admin_auth.oidc.{}", what), good.error());
    }
  }
  auto mapping = MappingOf(config.oidc->claims, "email");
  if (!mapping) return Wrong("server.admin_auth.oidc.claims", mapping.error());
  provider.mapping = std::move(*mapping);
  state->session_issuer = provider.issuer + ' ' + FingerprintOf(*config.oidc);
  state->provider = std::move(provider);
  return state;
}

Result<> ExternalIdentity::Check(const AdminAuthConfig& config) {
  const auto read = Read(config);
  return read ? Result<>() : std::unexpected(read.error());
}

Result<> ExternalIdentity::Configure(const AdminAuthConfig& config, Authenticator& authenticator, Sessions* sessions) {
  if (configured_ && Current()->config == config) return {};
  auto read = Read(config);
  if (!read) return std::unexpected(read.error());
  std::shared_ptr<State> state = std::move(*read);
  if (!config.tokens.empty()) {
    state->fetcher = std::make_unique<io::HttpFetcher>(state->http);
    state->token_keys = std::make_unique<JwksCache>(FetchKeysBy(*state->fetcher, clock_), JwksCache::Options());
    for (const TokenIssuerConfig& issuer : config.tokens) {
      (void)state->token_keys->AddIssuer(issuer.issuer, issuer.jwks_url);  // Read() has looked at it
    }
  }
  if (config.oidc) {
    // On the thread of the login, which has nothing to do without the keys.
    state->provider_keys = std::make_unique<JwksCache>(
        [http = state->http, this](const std::string& url, const JwksCache::Done& done) {
          done(Ask(http, {.url = url, .headers = {{"Accept", "application/jwk-set+json, application/json"}}}),
               clock_.Wall());
        },
        JwksCache::Options());
  }
  AuthSettings settings = state->settings;
  const std::string issuer = state->session_issuer;
  {
    const std::lock_guard lock(mutex_);
    state_.swap(state);
  }
  configured_ = true;
  authenticator.SetSettings(std::move(settings));
  if (sessions == nullptr) return {};
  const auto ended = sessions->EndOfOtherIssuers(issuer);
  return ended ? Result<>() : std::unexpected(ended.error());
}

Result<std::shared_ptr<const JwkSet>> ExternalIdentity::KeysOf(std::string_view issuer, bool missing_id, Nanos now) {
  const auto state = Current();
  if (state->token_keys == nullptr) return Fail(ErrorCode::kNotFound, "there is no such issuer");
  return state->token_keys->KeysOf(issuer, missing_id, now);
}

bool ExternalIdentity::has_provider() const { return Current()->config.oidc.has_value(); }

Result<OidcProvider> ExternalIdentity::Provider(State& state, bool logs_in) {
  const Nanos now = clock_.Wall();
  OidcProvider provider;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.provider) return Fail(ErrorCode::kNotFound, "no OpenID provider is configured (server.admin_auth.oidc)");
    provider = *state.provider;
    // A clock that was set back must not keep endpoints for ever.
    if (state.asked_at && now < *state.asked_at) state.asked_at.reset();
    const Nanos wait = state.discovered ? kDiscoveryFresh : kDiscoveryAgain;
    if (state.asked_at && now - *state.asked_at < wait) {
      if (state.discovered) return provider;
      return Fail(ErrorCode::kUnavailable, "the OpenID provider cannot be asked now");
    }
  }
  // A logout is not to wait for those who log in: it comes from the provider, once.
  std::optional<Exchange> exchange;
  if (logs_in && !exchange.emplace(exchanges_).taken()) return Fail(ErrorCode::kUnavailable, "too many logins at once");
  {
    const std::lock_guard lock(state.mutex);
    state.asked_at = now;
  }
  const auto document =
      Ask(state.http, {.url = DiscoveryUrl(provider.issuer), .headers = {{"Accept", "application/json"}}});
  const auto read = document ? ReadDiscovery(*document, &provider) : std::unexpected(document.error());
  const std::lock_guard lock(state.mutex);
  if (!read) {
    // What was known goes on to hold.
    if (state.discovered) return *state.provider;
    return NotReached(read.error());
  }
  if (const auto added = state.provider_keys->AddIssuer(provider.issuer, provider.jwks_uri);
      !added && !state.discovered) {
    return NotReached(added.error());
  }
  state.provider = provider;
  state.discovered = true;
  return provider;
}

template <typename Verify>
auto ExternalIdentity::WithKeys(State& state, const OidcProvider& provider, Verify&& verify)
    -> decltype(verify(std::declval<const JwkSet&>())) {
  auto keys = state.provider_keys->KeysOf(provider.issuer, false, clock_.Wall());
  if (!keys) return NotReached(keys.error());
  auto verified = verify(**keys);
  if (verified || verified.error().code != ErrorCode::kNotFound) return verified;
  keys = state.provider_keys->KeysOf(provider.issuer, true, clock_.Wall());
  if (!keys) return NotReached(keys.error());
  return verify(**keys);
}

Result<> ExternalIdentity::TakeOnce(const std::string& login) {
  const Nanos now = clock_.Wall();
  const std::lock_guard lock(taken_mutex_);
  if (taken_.size() >= kMostTaken && now >= swept_ + kSecond) {
    std::erase_if(taken_, [&](const auto& one) { return one.second <= now; });
    swept_ = now;
  }
  // What cannot be remembered is not let in.
  if (taken_.size() >= kMostTaken) return Fail(ErrorCode::kUnavailable, "too many logins at once");
  if (taken_.try_emplace(login, now + kLoginTime).second) return {};
  return Fail(ErrorCode::kFailedPrecondition, "this login has come back before; begin it anew");
}

Result<LoginBegun> ExternalIdentity::BeginLogin(std::string_view return_to) {
  const auto state = Current();
  const auto provider = Provider(*state, true);
  if (!provider) return std::unexpected(provider.error());
  return management::BeginLogin(*provider, seal_key_, return_to, clock_.Wall());
}

Result<ExternalIdentity::Finished> ExternalIdentity::FinishLogin(const CallbackQuery& query, std::string_view cookie) {
  const auto state = Current();
  const auto provider = Provider(*state, true);
  if (!provider) return std::unexpected(provider.error());
  auto request = FinishCallback(*provider, seal_key_, query, cookie, clock_.Wall());
  if (!request) return std::unexpected(request.error());
  // From here on it is a login that this browser began.
  const auto failed = [](const Error& why) {
    return Fail(why.code == ErrorCode::kUnavailable ? why.code : ErrorCode::kFailedPrecondition, why.message);
  };
  const Exchange exchange(exchanges_);
  if (!exchange.taken()) return Fail(ErrorCode::kUnavailable, "too many logins at once");
  if (const auto once = TakeOnce(request->state.state); !once) return std::unexpected(once.error());
  io::HttpRequest ask{
      .method = "POST",
      .url = request->url,
      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}},
      .body = std::move(request->form)};
  if (!request->authorization.empty()) ask.headers.push_back({"Authorization", request->authorization});
  const auto body = Ask(state->http, std::move(ask));
  if (!body && body.error().code == ErrorCode::kInvalidArgument) return failed(body.error());
  if (!body) return NotReached(body.error());
  auto login = WithKeys(*state, *provider, [&](const JwkSet& keys) {
    return VerifyTokenResponse(*provider, *body, request->state, keys, clock_.Wall());
  });
  if (!login) return failed(login.error());
  return Finished{.login = std::move(*login), .issuer = state->session_issuer, .return_to = request->state.return_to};
}

bool ExternalIdentity::IsCurrent(const std::string& session_issuer) const {
  return Current()->session_issuer == session_issuer;
}

Result<LogoutNotice> ExternalIdentity::ReadLogout(std::string_view token) {
  const auto state = Current();
  const auto provider = Provider(*state, false);
  if (!provider) return std::unexpected(provider.error());
  auto notice = WithKeys(*state, *provider,
                         [&](const JwkSet& keys) { return VerifyLogoutToken(*provider, token, keys, clock_.Wall()); });
  if (notice) notice->issuer = state->session_issuer;
  return notice;
}

}  // namespace weir::management
