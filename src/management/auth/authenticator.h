// Who a request comes from, by whatever it brought along. One place, so that every front end of the management plane,
// and the data listeners that take tokens, decide alike.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/publication.h"
#include "management/auth/accounts.h"
#include "management/auth/attempts.h"
#include "management/auth/jwt.h"
#include "management/auth/key_source.h"
#include "management/auth/mtls.h"
#include "management/auth/principal.h"
#include "management/auth/sessions.h"
#include "management/auth/token_store.h"

namespace weir::management {

struct Presented {
  std::string_view authorization{};           // that header; empty: there was none
  std::string_view cookie{};                  // all Cookie headers, joined by "; "
  std::string_view csrf{};                    // X-CSRF-Token
  bool changes = false;                       // any method but GET, HEAD and OPTIONS
  std::string_view peer{};                    // address of the client
  std::vector<SubjectAltName> certificate{};  // of a chain that TLS has verified; else empty
};

struct Refusal {
  enum class Kind : std::uint8_t {
    kMissing,      // 401: nothing was presented
    kInvalid,      // 401, always with the same text
    kCsrf,         // 403: the CSRF token is missing or wrong
    kTooMany,      // 429 with Retry-After. Not to be recorded one by one, or strangers could fill the audit log
    kUnavailable,  // 503 with Retry-After: the keys of the issuer are not there yet, or too many logins at once
  };
  Kind kind = Kind::kInvalid;
  std::string reason{};   // for records: "token: expired". Not for clients
  Nanos retry_after = 0;  // kTooMany, kUnavailable
};

// What can change while requests come.
struct AuthSettings {
  struct Issuer {
    JwtPolicy policy;
    ClaimMapping mapping;
  };
  std::vector<Issuer> issuers{};                // of JWTs as bearer tokens; none: they are not accepted
  std::vector<CertificateRule> certificates{};  // none: certificates say nothing
};

// Thread-safe.
class Authenticator {
 public:
  // All must outlive it; `sessions`, `accounts` and `keys` may be nullptr: then there are none.
  Authenticator(TokenStore& tokens, Sessions* sessions, Accounts* accounts, KeySource* keys);

  void SetSettings(AuthSettings settings);

  // Exactly one kind of credential counts: the Authorization header when there is one, else the session cookie, else
  // the client certificate. What is presented and wrong is not made good for by another one.
  std::expected<Principal, Refusal> Authenticate(const Presented& presented, Nanos now);

  // A local account's login. The session in presented.cookie, if there is one, ends. Takes tens of milliseconds.
  std::expected<Sessions::Begun, Refusal> LogIn(std::string_view account, std::string_view password,
                                                const Presented& presented, Nanos now);

  // A login that goes elsewhere for its proof (OpenID): how long its address has to wait, and that it has failed.
  Nanos Blocked(std::string_view peer, Nanos now) const { return attempts_.Blocked(peer, "", now); }
  void NoteFailure(std::string_view peer, Nanos now) { attempts_.Failed(peer, now); }

  const Attempts& attempts() const { return attempts_; }

 private:
  std::expected<Principal, Refusal> ByBearer(const Presented& presented, Nanos now);
  std::expected<Principal, Refusal> ByJwt(std::string_view token, Nanos now);
  std::expected<Principal, Refusal> BySession(std::string_view secret, const Presented& presented, Nanos now);
  // Counts the failure; says kTooMany when there were too many.
  std::unexpected<Refusal> Failed(const Presented& presented, std::string reason, Nanos now);

  TokenStore& tokens_;
  Sessions* const sessions_;
  Accounts* const accounts_;
  KeySource* const keys_;
  Published<AuthSettings> settings_;
  Attempts attempts_;
};

}  // namespace weir::management
