#include "management/auth/principal.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/utf8.h"

namespace weir::management {
namespace {

constexpr std::array<std::string_view, kAllRoles.size()> kRoleNames = {"viewer",   "operator", "editor",
                                                                       "security", "admin",    "auditor"};
constexpr std::array<std::string_view, 5> kMethodNames = {"token", "password", "oidc", "jwt", "mtls"};
constexpr std::size_t kMostName = 128;
constexpr std::size_t kMostGrants = 16;

// What separates grants, and what escapes it.
constexpr std::string_view kEscaped = " ,%";

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (kEscaped.find(c) == std::string_view::npos) {
      escaped += c;
    } else {
      escaped.append("%").append(Hex({&c, 1}));
    }
  }
  return escaped;
}

std::optional<std::string> Unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    const auto byte = FromHex(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return std::nullopt;
    plain += *byte;
    i += 2;
  }
  return plain;
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// C1 controls, and what reorders or hides text when it is shown: zero width, directional marks, byte order mark.
bool HidesText(std::string_view text) {
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    const auto a = static_cast<unsigned char>(text[i]);
    const auto b = static_cast<unsigned char>(text[i + 1]);
    const unsigned char c = i + 2 < text.size() ? static_cast<unsigned char>(text[i + 2]) : 0;
    if (a == 0xC2 && b < 0xA0) return true;                               // U+0080..9F
    if (a == 0xE2 && b == 0x80 && (c >= 0x8B && c <= 0x8F)) return true;  // U+200B..200F
    if (a == 0xE2 && b == 0x80 && (c >= 0xA8 && c <= 0xAE)) return true;  // U+2028..202E
    if (a == 0xE2 && b == 0x81 && (c >= 0xA0 && c <= 0xAF)) return true;  // U+2060..206F
    if (a == 0xEF && b == 0xBB && c == 0xBF) return true;                 // U+FEFF
  }
  return false;
}

}  // namespace

std::string_view NameOf(Role role) { return kRoleNames.at(static_cast<std::size_t>(role)); }

std::optional<Role> RoleNamed(std::string_view name) {
  for (const Role role : kAllRoles) {
    if (NameOf(role) == name) return role;
  }
  return std::nullopt;
}

std::string_view NameOf(PrincipalKind kind) { return kind == PrincipalKind::kService ? "service" : "person"; }

std::string_view NameOf(AuthMethod method) { return kMethodNames.at(static_cast<std::size_t>(method)); }

std::optional<AuthMethod> AuthMethodNamed(std::string_view name) {
  for (std::size_t i = 0; i < kMethodNames.size(); ++i) {
    if (kMethodNames[i] == name) return static_cast<AuthMethod>(i);
  }
  return std::nullopt;
}

std::vector<std::string> NamesOfPerson(const Principal& principal) {
  std::vector<std::string> names = {PersonOf(principal)};
  // A token's name is a label that its maker has chosen.
  if (principal.owner.empty() && principal.name != names.front()) names.push_back(principal.name);
  return names;
}

Result<> CheckName(std::string_view what, std::string_view name) {
  const auto refused = [&](const char* why) {
    return Fail(ErrorCode::kInvalidArgument, std::string(what).append(" ").append(why));
  };
  if (name.empty()) return refused("must not be empty");
  if (name.size() > kMostName) return refused("must have at most 128 bytes");
  if (FindInvalidUtf8(name) != std::string_view::npos) return refused("must be UTF-8");
  if (std::ranges::any_of(name, IsControl) || HidesText(name)) {
    return refused("must not contain control characters or characters that cannot be seen");
  }
  if (name.front() == ' ' || name.back() == ' ') return refused("must not begin or end with a space");
  return {};
}

std::string TextOf(const std::vector<RoleGrant>& grants) {
  std::string text;
  for (const RoleGrant& grant : grants) {
    if (!text.empty()) text += ' ';
    text += NameOf(grant.role);
    if (!grant.tenant.empty()) text.append("@").append(Escape(grant.tenant));
  }
  return text;
}

Result<std::vector<RoleGrant>> ParseGrants(std::string_view text) {
  std::vector<RoleGrant> grants;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" ,"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const std::size_t at = word.find('@');
    const auto role = RoleNamed(word.substr(0, at));
    if (!role) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a role is viewer, operator, editor, security, admin or auditor, optionally with @TENANT");
    }
    std::optional<std::string> tenant("");
    if (at != std::string_view::npos) {
      tenant = Unescape(word.substr(at + 1));
      if (!tenant || tenant->empty()) return Fail(ErrorCode::kInvalidArgument, "a tenant must follow the @ of a role");
    }
    grants.push_back({.role = *role, .tenant = std::move(*tenant)});
  }
  if (auto checked = CheckGrants(grants); !checked) return std::unexpected(std::move(checked.error()));
  return grants;
}

Result<> CheckGrants(const std::vector<RoleGrant>& grants) {
  if (grants.size() > kMostGrants) return Fail(ErrorCode::kInvalidArgument, "at most 16 roles can be granted at once");
  for (std::size_t i = 0; i < grants.size(); ++i) {
    const std::string& tenant = grants[i].tenant;
    if (!tenant.empty()) {
      if (auto checked = CheckName("the tenant of a role", tenant); !checked) return checked;
    }
    if (std::find(grants.begin(), grants.begin() + static_cast<std::ptrdiff_t>(i), grants[i]) !=
        grants.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Fail(ErrorCode::kInvalidArgument, "a role is granted twice");
    }
  }
  return {};
}

}  // namespace weir::management
