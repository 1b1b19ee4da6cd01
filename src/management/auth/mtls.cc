#include "management/auth/mtls.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/ascii.h"

namespace weir::management {
namespace {

constexpr std::size_t kMostNames = 64;
constexpr std::size_t kMostName = 1'024;
constexpr std::array<std::string_view, 3> kTypes = {"uri", "dns", "email"};

char SeparatorOf(SubjectAltName::Type type) { return type == SubjectAltName::Type::kUri ? '/' : '.'; }

bool IsPlain(std::string_view text) {
  return !text.empty() && text.size() <= kMostName &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// As names are compared: of DNS names, and behind the last '@', case says nothing.
std::string Folded(SubjectAltName::Type type, std::string_view text) {
  std::string folded(text);
  std::size_t from = folded.size();
  if (type == SubjectAltName::Type::kDns) from = 0;
  if (type == SubjectAltName::Type::kEmail) from = std::min(folded.rfind('@'), folded.size());
  for (std::size_t i = from; i < folded.size(); ++i) folded[i] = AsciiLower(folded[i]);
  return folded;
}

bool Fits(const CertificateRule& rule, const SubjectAltName& name) {
  if (rule.type != name.type || !IsPlain(name.value)) return false;
  const std::string pattern = Folded(rule.type, rule.pattern);
  const std::string text = Folded(name.type, name.value);
  const std::size_t star = pattern.find('*');
  if (star == std::string::npos) return pattern == text;
  const std::string_view before = std::string_view(pattern).substr(0, star);
  const std::string_view after = std::string_view(pattern).substr(star + 1);
  if (text.size() <= before.size() + after.size() || !text.starts_with(before) || !text.ends_with(after)) return false;
  const std::string_view segment =
      std::string_view(text).substr(before.size(), text.size() - before.size() - after.size());
  // Of a URI neither query nor fragment, nor a step up.
  return segment.find(SeparatorOf(rule.type)) == std::string_view::npos &&
         segment.find_first_of("/?#@%") == std::string_view::npos && segment != "." && segment != "..";
}

}  // namespace

std::string_view NameOf(SubjectAltName::Type type) { return kTypes.at(static_cast<std::size_t>(type)); }

std::vector<SubjectAltName> NamesIn(const x509_st* certificate) {
  std::vector<SubjectAltName> names;
  if (certificate == nullptr) return names;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  if (all == nullptr) return names;
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()) && names.size() < kMostNames; ++i) {
    const GENERAL_NAME* const one = sk_GENERAL_NAME_value(all.get(), i);
    const ASN1_IA5STRING* text = nullptr;
    SubjectAltName name;
    switch (one->type) {
      case GEN_URI:
        text = one->d.uniformResourceIdentifier;
        name.type = SubjectAltName::Type::kUri;
        break;
      case GEN_DNS:
        text = one->d.dNSName;
        name.type = SubjectAltName::Type::kDns;
        break;
      case GEN_EMAIL:
        text = one->d.rfc822Name;
        name.type = SubjectAltName::Type::kEmail;
        break;
      default:
        continue;
    }
    name.value.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
    if (IsPlain(name.value)) names.push_back(std::move(name));
  }
  return names;
}

Result<> CheckRule(const CertificateRule& rule) {
  const auto refused = [](const char* why) { return Fail(ErrorCode::kInvalidArgument, why); };
  if (!IsPlain(rule.pattern)) return refused("a certificate's name must be printable ASCII without spaces");
  const std::size_t star = rule.pattern.find('*');
  if (star != std::string::npos) {
    const char separator = SeparatorOf(rule.type);
    if (rule.pattern.find('*', star + 1) != std::string::npos)
      return refused("a certificate's name has at most one '*'");
    const bool begins = star == 0 || rule.pattern[star - 1] == separator;
    const bool ends = star + 1 == rule.pattern.size() || rule.pattern[star + 1] == separator;
    if (!begins || !ends || rule.pattern.size() == 1) return refused("'*' must stand for one whole segment");
    if (rule.type == SubjectAltName::Type::kUri) {
      const std::size_t host = rule.pattern.find("://");
      // spiffe://*/... would believe every trust domain.
      if (host == std::string::npos || rule.pattern.find('/', host + 3) == std::string::npos ||
          star < rule.pattern.find('/', host + 3)) {
        return refused("'*' must stand behind the host of a URI");
      }
    }
    if (rule.type == SubjectAltName::Type::kEmail) return refused("'*' is not possible in an e-mail address");
  }
  if (!rule.name.empty()) {
    if (auto checked = CheckName("the name of a principal", rule.name); !checked) return checked;
  }
  return CheckGrants(rule.roles);
}

Result<Principal> PrincipalOf(const std::vector<SubjectAltName>& names, const std::vector<CertificateRule>& rules) {
  for (const bool with_star : {false, true}) {
    for (const CertificateRule& rule : rules) {
      if ((rule.pattern.find('*') != std::string::npos) != with_star || !CheckRule(rule)) continue;
      for (const SubjectAltName& name : names) {
        // A long name is not cut: two might then be one.
        if (!Fits(rule, name) || (rule.name.empty() && !CheckName("the name", name.value))) continue;
        Principal principal;
        principal.name = rule.name.empty() ? name.value : rule.name;
        principal.kind = PrincipalKind::kService;
        principal.roles = rule.roles;
        principal.tenant = rule.tenant;
        principal.method = AuthMethod::kMtls;
        principal.credential = std::string(NameOf(name.type)).append(":").append(name.value.substr(0, 256));
        return principal;
      }
    }
  }
  return Fail(ErrorCode::kNotFound, "no name in the client certificate is that of a principal");
}

}  // namespace weir::management
