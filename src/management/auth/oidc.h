// People by an OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636,
// RFC 9700). Pure: nothing here opens a connection; the caller sends what these functions ask for.
//
//   BeginLogin()           -> redirect the browser to `url`, with `cookie` set
//   the provider sends the browser back to redirect_uri
//   FinishCallback()       -> POST `form` to `url`
//   VerifyTokenResponse()  -> the principal; Sessions::Begin() makes the session
//
// What has to be remembered in between is in the cookie, sealed: the browser that comes back is the one that left, and
// nothing is kept for logins that are never finished.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "management/auth/jwt.h"
#include "management/auth/principal.h"
#include "weir/result.h"

namespace weir::management {

inline constexpr std::string_view kLoginCookie = "__Host-weir-login";

struct OidcProvider {
  std::string issuer{};  // "https://login.example.org"
  std::string client_id{};
  std::string client_secret{};  // empty: a public client, which PKCE alone protects
  std::string redirect_uri{};   // "https://weir.example.org/admin/v1/oidc/callback"
  std::vector<std::string> scopes{"openid", "profile", "email"};
  std::vector<JwtAlgorithm> algorithms{JwtAlgorithm::kRs256, JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa};
  // An "email" as the name counts only beside "email_verified": true. Where the provider does not say that, take "sub"
  // or another claim that people cannot choose for themselves.
  ClaimMapping mapping{.name_claim = "email"};
  // By ReadDiscovery().
  std::string authorization_endpoint{}, token_endpoint{}, jwks_uri{}, end_session_endpoint{};
  bool returns_issuer = false;  // RFC 9207
};

// Where the discovery document of an issuer is.
std::string DiscoveryUrl(std::string_view issuer);
// Takes the endpoints over. kInvalidArgument: it is of another issuer, or an endpoint is missing or may not be asked
// (CheckIssuerUrl()).
Result<> ReadDiscovery(std::string_view document, OidcProvider* provider);

struct LoginBegun {
  std::string url;     // to send the browser to
  std::string cookie;  // value of Set-Cookie
};
// `return_to`: a path of weir's own to go to afterwards. kInvalidArgument: it is no such path.
Result<LoginBegun> BeginLogin(const OidcProvider& provider, std::string_view seal_key, std::string_view return_to,
                              Nanos now);

// What the provider appended to redirect_uri, decoded.
struct CallbackQuery {
  std::string state{}, code{}, error{}, issuer{};
};
// What was remembered in the cookie.
struct LoginState {
  std::string state{}, nonce{}, verifier{}, return_to{};
};
struct TokenRequest {
  std::string url{}, form{};    // application/x-www-form-urlencoded
  std::string authorization{};  // value of that header; empty: none
  LoginState state{};
};
// `cookie`: value of kLoginCookie; take it away afterwards, whatever the outcome. kInvalidArgument says what is wrong.
Result<TokenRequest> FinishCallback(const OidcProvider& provider, std::string_view seal_key, const CallbackQuery& query,
                                    std::string_view cookie, Nanos now);

struct OidcLogin {
  Principal principal{};
  std::string subject{}, session{};  // sub, sid: what a logout names
};
Result<OidcLogin> VerifyTokenResponse(const OidcProvider& provider, std::string_view body, const LoginState& state,
                                      const JwkSet& keys, Nanos now);

// Back-channel logout (OpenID Connect Back-Channel Logout 1.0): whose sessions are to end, for Sessions::EndOf().
struct LogoutNotice {
  std::string issuer{}, subject{}, session{};
};
Result<LogoutNotice> VerifyLogoutToken(const OidcProvider& provider, std::string_view token, const JwkSet& keys,
                                       Nanos now);

// base64url(SHA-256(verifier)), RFC 7636.
std::string PkceChallenge(std::string_view verifier);
// Value of Set-Cookie that takes kLoginCookie away.
std::string ClearLoginCookie();

}  // namespace weir::management
