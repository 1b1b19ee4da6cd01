#include "management/auth/oidc.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/crypto/secret.h"
#include "management/auth/crypto.h"
#include "management/auth/key_source.h"

namespace weir::management {
namespace {

namespace json = boost::json;

constexpr std::string_view kSealedAbout = "weir oidc login v1";
constexpr Nanos kLoginTime = 10 * kMinute;
constexpr Nanos kLogoutAge = 10 * kMinute;
constexpr std::size_t kMostDocument = 256 << 10;
constexpr std::size_t kMostReturn = 1'024;
constexpr std::size_t kMostCode = 4'096;
constexpr const char* kLogoutEvent = "http://schemas.openid.net/event/backchannel-logout";

std::unexpected<Error> Refused(std::string why) { return Fail(ErrorCode::kInvalidArgument, std::move(why)); }

// RFC 3986: what is not unreserved is percent-encoded.
std::string Encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    }
  }
  return out;
}

void Add(std::string_view name, std::string_view value, std::string* form) {
  if (!form->empty() && form->back() != '?' && form->back() != '&') *form += '&';
  form->append(name).append("=").append(Encoded(value));
}

std::string Base64(std::string_view bytes) {
  std::string text = Base64Url(bytes);
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::optional<json::object> ParseObject(std::string_view text) {
  if (text.size() > kMostDocument) return std::nullopt;
  boost::system::error_code fault;
  json::parse_options options;
  options.max_depth = 16;
  json::value value = json::parse(json::string_view(text.data(), text.size()), fault, {}, options);
  if (fault || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string TextAt(const json::object& object, const char* name) {
  const json::value* const found = object.if_contains(name);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

// A path of this origin: "//host" and "/\host" lead elsewhere.
bool IsOwnPath(std::string_view path) {
  return path.size() <= kMostReturn && path.starts_with('/') && !path.starts_with("//") &&
         std::ranges::all_of(path, [](char c) { return c > ' ' && c <= '~' && c != '\\'; });
}

std::string Cookie(std::string_view value, Nanos age) {
  // Lax: the provider's redirect comes from another site.
  return std::string(kLoginCookie)
      .append("=")
      .append(value)
      .append("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=")
      .append(std::to_string(age / kSecond));
}

JwtPolicy IdTokenPolicy(const OidcProvider& provider) {
  JwtPolicy policy;
  policy.issuer = provider.issuer;
  policy.audiences = {provider.client_id};
  policy.algorithms = provider.algorithms;
  policy.types = {"", "jwt"};
  return policy;
}

// The one text at that place, or none.
std::string ClaimText(const Claims& claims, std::string_view place) {
  const std::vector<std::string> texts = ClaimTexts(claims, place);
  return texts.size() == 1 ? texts[0] : std::string();
}

}  // namespace

std::string PkceChallenge(std::string_view verifier) { return Base64Url(Sha256(verifier)); }

std::string ClearLoginCookie() { return Cookie("", 0); }

std::string DiscoveryUrl(std::string_view issuer) {
  while (issuer.ends_with('/')) issuer.remove_suffix(1);
  return std::string(issuer).append("/.well-known/openid-configuration");
}

Result<> ReadDiscovery(std::string_view document, OidcProvider* provider) {
  const auto object = ParseObject(document);
  if (!object) return Refused("the discovery document is no JSON object");
  if (TextAt(*object, "issuer") != provider->issuer) return Refused("the discovery document is of another issuer");
  OidcProvider found = *provider;
  found.authorization_endpoint = TextAt(*object, "authorization_endpoint");
  found.token_endpoint = TextAt(*object, "token_endpoint");
  found.jwks_uri = TextAt(*object, "jwks_uri");
  found.end_session_endpoint = TextAt(*object, "end_session_endpoint");
  // Whoever is asked over the network must not send weir to services of its own host.
  const bool is_local = provider->issuer.starts_with("http://");
  for (const std::string* url : {&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri}) {
    if (!is_local && url->starts_with("http://")) {
      return Refused("the discovery document has an endpoint that cannot be used: the URL must begin with https://");
    }
    if (const auto checked = CheckIssuerUrl(*url); !checked) {
      return Refused("the discovery document has an endpoint that cannot be used: " + checked.error().message);
    }
  }
  if (!found.end_session_endpoint.empty() && (!CheckIssuerUrl(found.end_session_endpoint) ||
                                              (!is_local && found.end_session_endpoint.starts_with("http://")))) {
    found.end_session_endpoint.clear();
  }
  const json::value* const returns = object->if_contains("authorization_response_iss_parameter_supported");
  found.returns_issuer = returns != nullptr && returns->is_bool() && returns->get_bool();
  *provider = std::move(found);
  return {};
}

Result<LoginBegun> BeginLogin(const OidcProvider& provider, std::string_view seal_key, std::string_view return_to,
                              Nanos now) {
  if (!IsOwnPath(return_to)) return Refused("after the login only a path of this server can be gone to");
  if (provider.authorization_endpoint.empty()) {
    return Fail(ErrorCode::kUnavailable, "the OpenID provider's endpoints are not known yet");
  }
  constexpr std::size_t kRandom = 32;
  const std::string state = Base64Url(RandomBytes(kRandom));
  const std::string nonce = Base64Url(RandomBytes(kRandom));
  const std::string verifier = Base64Url(RandomBytes(kRandom));
  std::string scopes;
  for (const std::string& scope : provider.scopes) scopes.append(scopes.empty() ? "" : " ").append(scope);

  std::string url = provider.authorization_endpoint;
  url += url.find('?') == std::string::npos ? '?' : '&';
  Add("response_type", "code", &url);
  Add("client_id", provider.client_id, &url);
  Add("redirect_uri", provider.redirect_uri, &url);
  Add("scope", scopes, &url);
  Add("state", state, &url);
  Add("nonce", nonce, &url);
  Add("code_challenge", PkceChallenge(verifier), &url);
  Add("code_challenge_method", "S256", &url);

  const json::object kept{{"issuer", provider.issuer},
                          {"state", state},
                          {"nonce", nonce},
                          {"verifier", verifier},
                          {"return_to", json::string_view(return_to.data(), return_to.size())},
                          {"expires", now + kLoginTime}};
  return LoginBegun{.url = std::move(url),
                    .cookie = Cookie(Base64Url(Seal(seal_key, kSealedAbout, json::serialize(kept))), kLoginTime)};
}

Result<TokenRequest> FinishCallback(const OidcProvider& provider, std::string_view seal_key, const CallbackQuery& query,
                                    std::string_view cookie, Nanos now) {
  const auto sealed = FromBase64Url(cookie);
  std::string text;
  if (!sealed || sealed->empty() || !Unseal(seal_key, kSealedAbout, *sealed, &text)) {
    return Refused("this browser has not begun a login here");
  }
  const auto kept = ParseObject(text);
  if (!kept) return Refused("this browser has not begun a login here");
  // Before the error: only what belongs to this login may end it.
  if (!EqualInConstantTime(query.state, TextAt(*kept, "state"))) {
    return Refused("the answer does not belong to the login that this browser began");
  }
  boost::system::error_code fault;
  const json::value* const expires = kept->if_contains("expires");
  if (expires == nullptr || now >= expires->to_number<std::int64_t>(fault) || fault) {
    return Refused("the login took longer than ten minutes; begin it anew");
  }
  if (TextAt(*kept, "issuer") != provider.issuer || (!query.issuer.empty() && query.issuer != provider.issuer) ||
      (query.issuer.empty() && provider.returns_issuer)) {
    return Refused("the answer comes from another OpenID provider than the one that was asked");
  }
  if (!query.error.empty()) return Refused("the OpenID provider did not log in: " + query.error.substr(0, 64));
  if (query.code.empty() || query.code.size() > kMostCode) return Refused("the answer has no code");

  TokenRequest request;
  request.url = provider.token_endpoint;
  request.state = {.state = query.state,
                   .nonce = TextAt(*kept, "nonce"),
                   .verifier = TextAt(*kept, "verifier"),
                   .return_to = TextAt(*kept, "return_to")};
  Add("grant_type", "authorization_code", &request.form);
  Add("code", query.code, &request.form);
  Add("redirect_uri", provider.redirect_uri, &request.form);
  Add("code_verifier", request.state.verifier, &request.form);
  if (provider.client_secret.empty()) {
    Add("client_id", provider.client_id, &request.form);
  } else {
    request.authorization = "Basic " + Base64(Encoded(provider.client_id) + ":" + Encoded(provider.client_secret));
  }
  return request;
}

Result<OidcLogin> VerifyTokenResponse(const OidcProvider& provider, std::string_view body, const LoginState& state,
                                      const JwkSet& keys, Nanos now) {
  const auto object = ParseObject(body);
  const std::string id_token = object ? TextAt(*object, "id_token") : std::string();
  if (id_token.empty()) return Refused("the OpenID provider sent no id token");
  const auto parsed = ParseJwt(id_token);
  if (!parsed) return std::unexpected(parsed.error());
  const auto claims = VerifyJwt(*parsed, IdTokenPolicy(provider), keys, now);
  if (!claims) return std::unexpected(claims.error());
  // That it is the answer to this login, and not one that was picked up elsewhere.
  if (state.nonce.empty() || !EqualInConstantTime(ClaimText(*claims, "nonce"), state.nonce)) {
    return Refused("the id token does not belong to this login");
  }
  const std::string presenter = ClaimText(*claims, "azp");
  if ((claims->audiences.size() > 1 || !presenter.empty()) && presenter != provider.client_id) {
    return Refused("the id token was made for another client");
  }
  if (claims->subject.empty()) return Refused("the id token names no subject");
  auto principal = PrincipalOf(*claims, provider.mapping, AuthMethod::kOidc);
  if (!principal) return std::unexpected(principal.error());
  return OidcLogin{
      .principal = std::move(*principal), .subject = claims->subject, .session = ClaimText(*claims, "sid")};
}

Result<LogoutNotice> VerifyLogoutToken(const OidcProvider& provider, std::string_view token, const JwkSet& keys,
                                       Nanos now) {
  const auto parsed = ParseJwt(token);
  if (!parsed) return std::unexpected(parsed.error());
  JwtPolicy policy = IdTokenPolicy(provider);
  policy.types = {"", "jwt", "logout+jwt"};
  policy.needs_expiry = false;
  const auto claims = VerifyJwt(*parsed, policy, keys, now);
  if (!claims) return std::unexpected(claims.error());
  const auto object = ParseObject(claims->payload);
  const json::value* const events = object ? object->if_contains("events") : nullptr;
  const json::value* const event =
      events == nullptr || !events->is_object() ? nullptr : events->get_object().if_contains(kLogoutEvent);
  if (event == nullptr || !event->is_object()) return Refused("the logout token is about something else");
  // An id token must not pass for one.
  if (object->contains("nonce")) return Refused("a logout token must have no nonce");
  if (claims->issued_at == 0 || now - claims->issued_at > kLogoutAge) return Refused("the logout token is too old");
  LogoutNotice notice{.issuer = claims->issuer, .subject = claims->subject, .session = ClaimText(*claims, "sid")};
  if (notice.subject.empty() && notice.session.empty()) return Refused("the logout token names nobody");
  return notice;
}

}  // namespace weir::management
