// Principals from client certificates: by the names in subjectAltName of a chain that TLS has verified. The common name
// is not looked at. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "management/auth/principal.h"
#include "weir/result.h"

struct x509_st;

namespace weir::management {

struct SubjectAltName {
  enum class Type : std::uint8_t { kUri, kDns, kEmail };
  Type type = Type::kUri;
  std::string value{};
  friend bool operator==(const SubjectAltName&, const SubjectAltName&) = default;
};
std::string_view NameOf(SubjectAltName::Type type);  // "uri", "dns", "email"

// At most 64; names with control characters, with NUL among them, or other than ASCII are left out: they would read as
// something else somewhere.
std::vector<SubjectAltName> NamesIn(const x509_st* certificate);

// Who a name stands for.
struct CertificateRule {
  SubjectAltName::Type type = SubjectAltName::Type::kUri;
  // The whole name: "spiffe://example.org/ns/ops/sa/deploy", or with one '*' in place of one segment (of a path, of a
  // DNS name): "spiffe://example.org/ns/ops/sa/*". DNS names and the domains of e-mail addresses without their case.
  std::string pattern{};
  std::string name{};  // of the principal; empty: the name in the certificate
  std::vector<RoleGrant> roles{};
  std::string tenant{};
};
// kInvalidArgument: the pattern is empty, or has more than one '*', or one that is only part of a segment.
Result<> CheckRule(const CertificateRule& rule);

// By the first rule, in their order, that one of the names fits; rules without '*' go first. kNotFound: none does.
Result<Principal> PrincipalOf(const std::vector<SubjectAltName>& names, const std::vector<CertificateRule>& rules);

}  // namespace weir::management
