// JSON Web Tokens (RFC 7519) as bearer tokens and id tokens, verified as RFC 8725 asks for: the algorithm belongs to
// the key, the issuer says which keys count, and everything else in the header is believed by nobody (jku, x5u and jwk
// are not looked at; crit is refused). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "management/auth/jwks.h"
#include "management/auth/principal.h"
#include "weir/result.h"

namespace weir::management {

inline constexpr std::size_t kMostJwt = 8 << 10;

// Taken apart, not believed: for the choice of the issuer and its keys.
struct UnverifiedJwt {
  std::string algorithm{};          // as written
  std::optional<std::string> id{};  // kid
  std::string type{};               // typ; empty: none
  std::string issuer{};             // iss; empty: none
  std::string payload{};            // JSON
  std::string signed_text{};        // what the signature is of
  std::string signature{};
};
// Three parts of strict base64url, two of them JSON objects; no `crit`. kInvalidArgument without the token in it.
Result<UnverifiedJwt> ParseJwt(std::string_view token);

struct JwtPolicy {
  std::string issuer{};                    // iss has to be this, byte by byte
  std::vector<std::string> audiences{};    // aud has to name one of these
  std::vector<JwtAlgorithm> algorithms{};  // that this issuer uses
  // typ, without "application/" and whatever its case; "" among them: it may be missing. RFC 8725, 3.11: so a token of
  // one kind is not taken for one of another.
  std::vector<std::string> types{"", "jwt", "at+jwt"};
  Nanos leeway = 30 * kSecond;  // by how much clocks may differ; at most a minute counts
  Nanos longest = 24 * kHour;   // from iat to exp; a token for longer is refused; 0: no bound
  bool needs_expiry = true;     // logout tokens may have none
};

struct Claims {
  std::string issuer{}, subject{}, id{};  // iss, sub, jti
  std::vector<std::string> audiences{};
  Nanos expires = 0, not_before = 0, issued_at = 0;  // 0: not said
  std::string payload{};                             // all of it, JSON
};

// The claims, when the token is of this policy's issuer, for one of its audiences, in force, and signed with one of the
// keys. kInvalidArgument says what is wrong, for records; clients get no more than "invalid token". kNotFound: no key
// has its kid (the keys may have changed since).
Result<Claims> VerifyJwt(const UnverifiedJwt& token, const JwtPolicy& policy, const JwkSet& keys, Nanos now);

// The texts at a place in the claims: "groups", "realm_access.roles", or a name that contains dots, such as
// "https://example.org/roles". A text is one, a list of texts is several; a list of at most 256. Nothing else counts.
std::vector<std::string> ClaimTexts(const Claims& claims, std::string_view place);

// How claims become a principal.
struct ClaimMapping {
  std::string name_claim = "sub";
  std::string roles_claim{};  // empty: `defaults` alone
  struct Row {
    std::string value;  // of the claim: "weir-admins"
    RoleGrant grant;
  };
  std::vector<Row> roles{};           // a value that is in no row gives nothing
  std::vector<RoleGrant> defaults{};  // what everybody of this issuer has
  // Not empty: this claim has to be one text, and confines the principal to that tenant.
  std::string tenant_claim{};
};
// kInvalidArgument: no name, or no tenant where there has to be one; or one of the claims is "email" and there is no
// "email_verified": true beside it, since an address that its owner did not confirm may be anybody's.
Result<Principal> PrincipalOf(const Claims& claims, const ClaimMapping& mapping, AuthMethod method);

}  // namespace weir::management
