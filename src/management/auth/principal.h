// Whom a request to the management plane comes from, and what that principal may do. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace weir::management {

enum class Role : std::uint8_t { kViewer, kOperator, kEditor, kSecurity, kAdmin, kAuditor };
inline constexpr std::array kAllRoles = {Role::kViewer,   Role::kOperator, Role::kEditor,
                                         Role::kSecurity, Role::kAdmin,    Role::kAuditor};
// "viewer", "operator", ...
std::string_view NameOf(Role role);
std::optional<Role> RoleNamed(std::string_view name);

// A role, everywhere or within one tenant.
struct RoleGrant {
  Role role = Role::kViewer;
  std::string tenant{};  // empty: everywhere, also in what belongs to no tenant
  friend bool operator==(const RoleGrant&, const RoleGrant&) = default;
};

enum class PrincipalKind : std::uint8_t { kService, kPerson };
std::string_view NameOf(PrincipalKind kind);  // "service", "person"

// How the principal showed who it is.
enum class AuthMethod : std::uint8_t { kToken, kPassword, kOidc, kJwt, kMtls };
std::string_view NameOf(AuthMethod method);  // "token", "password", "oidc", "jwt", "mtls"
std::optional<AuthMethod> AuthMethodNamed(std::string_view name);

struct Principal {
  std::string name{};
  PrincipalKind kind = PrincipalKind::kService;
  std::vector<RoleGrant> roles{};  // empty: may do nothing
  // Not empty: no role reaches beyond this tenant, whatever its grant says.
  std::string tenant{};
  AuthMethod method = AuthMethod::kToken;
  // Names the credential for records: the id of a token or session, the jti of a JWT, the name in a certificate. Never
  // a secret.
  std::string credential{};
  // Whom it acts for: of a token, who made it; where tokens make tokens, who made the first. Empty: itself.
  std::string owner{};
  // Of whom an issuer vouches for: the issuer, a space, and the subject there. The same however it comes here, by a
  // login or by a token, and whatever claim its name is; empty: weir knows it itself.
  std::string identity{};
};
// Who answers for what the principal does: all tokens that a person has made are that person.
inline const std::string& PersonOf(const Principal& principal) {
  if (!principal.owner.empty()) return principal.owner;
  return principal.identity.empty() ? principal.name : principal.identity;
}

// By what names the same person may come again, with other credentials: who is asked to be a second person must be none
// of them. At least one.
std::vector<std::string> NamesOfPerson(const Principal& principal);

// 1 to 128 bytes of UTF-8 without control characters, and without white space at either end: names are shown, written
// into records and compared byte by byte. kInvalidArgument says what is wrong; `what`: "the name of the token".
Result<> CheckName(std::string_view what, std::string_view name);

// Roles as one text, for a column or a flag: "viewer editor@acme", with a space or a comma between grants. Of a
// tenant's name those two and '%' are percent-encoded.
std::string TextOf(const std::vector<RoleGrant>& grants);
Result<std::vector<RoleGrant>> ParseGrants(std::string_view text);
// At most 16, each once, tenants as CheckName() has them.
Result<> CheckGrants(const std::vector<RoleGrant>& grants);

}  // namespace weir::management
