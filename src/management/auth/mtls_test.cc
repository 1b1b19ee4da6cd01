#include "management/auth/mtls.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <memory>

namespace weir::management {
namespace {

using Type = SubjectAltName::Type;

std::vector<std::string> PrincipalsOf(const std::vector<SubjectAltName>& names, const CertificateRule& rule) {
  const auto principal = PrincipalOf(names, {rule});
  return principal ? std::vector<std::string>{principal->name} : std::vector<std::string>{};
}

bool Fits(Type type, const char* pattern, const char* name) {
  return !PrincipalsOf({{type, name}}, {.type = type, .pattern = pattern}).empty();
}

TEST(Mtls, WholeNamesAndOneSegment) {
  EXPECT_TRUE(Fits(Type::kUri, "spiffe://example.org/ns/ops/sa/deploy", "spiffe://example.org/ns/ops/sa/deploy"));
  EXPECT_FALSE(Fits(Type::kUri, "spiffe://example.org/ns/ops/sa/deploy", "spiffe://example.org/ns/ops/sa/Deploy"));
  EXPECT_TRUE(Fits(Type::kUri, "spiffe://example.org/ns/ops/sa/*", "spiffe://example.org/ns/ops/sa/deploy"));
  EXPECT_TRUE(Fits(Type::kUri, "spiffe://example.org/ns/*/sa/deploy", "spiffe://example.org/ns/ops/sa/deploy"));
  for (const char* other :
       {"spiffe://example.org/ns/ops/sa/", "spiffe://example.org/ns/ops/sa/a/b", "spiffe://example.org/ns/ops/sa/..",
        "spiffe://example.org/ns/ops/sa/a?x", "spiffe://example.org/ns/ops/sa/a%2fb",
        "spiffe://example.org.evil/ns/ops/sa/a", "https://example.org/ns/ops/sa/a"}) {
    EXPECT_FALSE(Fits(Type::kUri, "spiffe://example.org/ns/ops/sa/*", other)) << other;
  }
  EXPECT_TRUE(Fits(Type::kDns, "Deploy.example.org", "deploy.EXAMPLE.org"));
  EXPECT_TRUE(Fits(Type::kDns, "*.ops.example.org", "a.ops.example.org"));
  EXPECT_FALSE(Fits(Type::kDns, "*.ops.example.org", "a.b.ops.example.org"));
  EXPECT_FALSE(Fits(Type::kDns, "*.ops.example.org", ".ops.example.org"));
  EXPECT_FALSE(Fits(Type::kDns, "*.ops.example.org", "ops.example.org"));
  EXPECT_TRUE(Fits(Type::kEmail, "ann@Example.org", "ann@example.org"));
  EXPECT_FALSE(Fits(Type::kEmail, "ann@example.org", "Ann@example.org"));
  EXPECT_TRUE(PrincipalsOf({{Type::kDns, "a.example.org"}}, {.type = Type::kUri, .pattern = "a.example.org"}).empty());
}

TEST(Mtls, RulesThatBelieveTooMuchAreRefused) {
  for (const char* bad :
       {"", "*", "spiffe://*/ns/a", "spiffe://*", "spiffe://example.org/*/*", "spiffe://example.org/a*",
        "spiffe://example.org/*a", "*://example.org/a", "spiffe://example.org/a b", "sp\nx"}) {
    EXPECT_FALSE(CheckRule({.type = Type::kUri, .pattern = bad})) << bad;
    EXPECT_FALSE(Fits(Type::kUri, bad, "spiffe://example.org/ns/a")) << bad;
  }
  EXPECT_FALSE(CheckRule({.type = Type::kDns, .pattern = "a*.example.org"}));
  EXPECT_FALSE(CheckRule({.type = Type::kEmail, .pattern = "*.example.org"}));
  EXPECT_FALSE(CheckRule({.type = Type::kDns, .pattern = "a.example.org", .name = "x\n"}));
}

TEST(Mtls, ExactRulesGoFirst) {
  const std::vector<CertificateRule> rules = {
      {.type = Type::kUri, .pattern = "spiffe://x/sa/*", .name = "", .roles = {{Role::kViewer, ""}}},
      {.type = Type::kUri,
       .pattern = "spiffe://x/sa/deploy",
       .name = "deployer",
       .roles = {{Role::kEditor, ""}},
       .tenant = "acme"}};
  const auto exact = PrincipalOf({{Type::kDns, "x"}, {Type::kUri, "spiffe://x/sa/deploy"}}, rules);
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->name, "deployer");
  EXPECT_EQ(exact->tenant, "acme");
  EXPECT_EQ(exact->method, AuthMethod::kMtls);
  EXPECT_EQ(exact->credential, "uri:spiffe://x/sa/deploy");
  EXPECT_EQ(exact->roles, (std::vector<RoleGrant>{{Role::kEditor, ""}}));
  EXPECT_EQ(PrincipalOf({{Type::kUri, "spiffe://x/sa/other"}}, rules)->name, "spiffe://x/sa/other");
  EXPECT_EQ(PrincipalOf({{Type::kUri, "spiffe://y/sa/other"}}, rules).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(PrincipalOf({}, rules));
  // Too long to be a name, and not cut to one.
  EXPECT_FALSE(PrincipalOf({{Type::kUri, "spiffe://x/sa/" + std::string(200, 'a')}}, rules));
}

std::vector<SubjectAltName> NamesOf(std::initializer_list<std::pair<int, std::string>> names) {
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), &X509_free);
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> all(sk_GENERAL_NAME_new_null(), &GENERAL_NAMES_free);
  for (const auto& [type, value] : names) {
    GENERAL_NAME* const name = GENERAL_NAME_new();
    ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(all.get(), name);
  }
  X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, all.get(), 0, 0);
  // The common name says nothing.
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("admin"), -1, -1, 0);
  return NamesIn(certificate.get());
}

TEST(Mtls, NamesAreReadFromTheCertificate) {
  EXPECT_EQ(NamesOf({{GEN_URI, "spiffe://x/a"}, {GEN_DNS, "a.example.org"}, {GEN_EMAIL, "a@example.org"}}),
            (std::vector<SubjectAltName>{
                {Type::kUri, "spiffe://x/a"}, {Type::kDns, "a.example.org"}, {Type::kEmail, "a@example.org"}}));
  EXPECT_TRUE(NamesOf({}).empty());
  EXPECT_TRUE(NamesIn(nullptr).empty());
  // Where another parser would stop, or show something else.
  EXPECT_TRUE(NamesOf({{GEN_DNS, std::string("good.example.org\0.evil.example", 30)},
                       {GEN_URI, "spiffe://x/a\nspiffe://x/b"},
                       {GEN_URI, "spiffe://x/\xc3\xa4"},
                       {GEN_DNS, ""}})
                  .empty());
}

}  // namespace
}  // namespace weir::management
