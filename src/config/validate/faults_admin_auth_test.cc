// Faults of who may administer.
#include <gtest/gtest.h>

#include <string>

#include "config/validate/faults_fixture.h"
#include "weir/config.h"

namespace weir {
namespace {

using config::faults::Case;
using config::faults::ExpectFaults;
using config::faults::FaultsOf;
using config::faults::kBase;

// What the section says, on line 2.
std::string Section(std::string_view text) { return "server: {admin_auth: {" + std::string(text) + "}}\n"; }

TEST(Faults, IssuersOfTokens) {
  const auto expect = [](std::string_view text, std::vector<std::string> faults) {
    const std::string yaml = Section("tokens: [{issuer: 'https://i.example', " + std::string(text) + "}]");
    ExpectFaults({{yaml, std::move(faults)}});
  };
  const std::string claims = "claims: {default_roles: [viewer]}";
  expect("jwks_url: 'https://i.example/keys', audiences: [weir], " + claims, {});
  expect("jwks_url: 'http://127.0.0.1:9/keys', audiences: [weir], " + claims, {});
  expect(
      "jwks_url: 'http://i.example/keys', audiences: [weir], " + claims,
      {"line 2: server.admin_auth.tokens.0.jwks_url: must begin with https://: whoever is on the way could answer as "
       "they like (http:// is possible to this machine only)"});
  expect(
      "jwks_url: 'http://127.0.0.1.evil.example/keys', audiences: [weir], " + claims,
      {"line 2: server.admin_auth.tokens.0.jwks_url: must begin with https://: whoever is on the way could answer as "
       "they like (http:// is possible to this machine only)"});
  expect("jwks_url: 'https://u:p@i.example/keys', audiences: [weir], " + claims,
         {"line 2: server.admin_auth.tokens.0.jwks_url: must not contain a user or a password"});
  expect("jwks_url: 'https://i.example/keys', audiences: [], " + claims,
         {"line 2: server.admin_auth.tokens.0.audiences: is empty: no token would be accepted (write what `aud` of its "
          "tokens says)"});
  expect("jwks_url: 'https://i.example/keys', audiences: [weir]",
         {"line 2: warning: server.admin_auth.tokens.0.claims: gives nobody a role: who logs in may do nothing (write "
          "roles_claim and roles, or default_roles)"});
  expect("jwks_url: 'https://i.example/keys', audiences: [weir], claims: {roles: {ops: [operator]}}",
         {"line 2: server.admin_auth.tokens.0.claims.roles: has no effect without roles_claim (write where the values "
          "are, such as roles_claim: groups)"});
  expect("jwks_url: 'https://i.example/keys', audiences: [weir], claims: {default_roles: [admin]}",
         {"line 2: warning: server.admin_auth.tokens.0.claims.default_roles: makes everybody whom this issuer knows an "
          "admin"});
}

TEST(Faults, RolesAndAlgorithmsAreKnown) {
  const auto faults = FaultsOf(
      std::string(kBase) + Section("tokens: [{issuer: i, jwks_url: 'https://i.example', audiences: [a], algorithms: "
                                   "[HS256], claims: {default_roles: [root]}}]"));
  ASSERT_EQ(faults.size(), 2U);
  EXPECT_NE(faults[0].find("tokens.0.algorithms.0"), std::string::npos) << faults[0];
  EXPECT_NE(faults[1].find("default_roles.0: must be viewer, operator"), std::string::npos) << faults[1];
}

TEST(Faults, TheOpenIdProvider) {
  const auto section = [](std::string_view url, std::string_view more = "") {
    return Section("oidc: {issuer: 'https://i.example', client_id: weir, public_url: '" + std::string(url) +
                   "', claims: {default_roles: [viewer]}" + std::string(more) + "}");
  };
  EXPECT_EQ(FaultsOf(std::string(kBase) + section("http://127.0.0.1:8089")), std::vector<std::string>{});
  EXPECT_EQ(FaultsOf(std::string(kBase) + section("https://weir.example")),
            std::vector<std::string>{"line 2: server.admin_auth.oidc.public_url: 'weir.example' is not in "
                                     "server.admin.hosts: what browsers send there is refused (add it to "
                                     "server.admin.hosts)"});
  EXPECT_EQ(
      FaultsOf(std::string(kBase) +
               "server: {admin: {hosts: [weir.example]}, admin_auth: {oidc: {issuer: 'https://i.example', client_id: "
               "weir, public_url: 'https://weir.example', claims: {default_roles: [viewer]}}}}\n"),
      std::vector<std::string>{});
  EXPECT_EQ(
      FaultsOf(std::string(kBase) + section("http://127.0.0.1:8089", ", scopes: [profile]")),
      std::vector<std::string>{"line 2: server.admin_auth.oidc.scopes: must contain openid: without it the provider "
                               "names nobody"});
  // A secret that stands in the wrong place is not repeated.
  for (const std::string& fault :
       FaultsOf(std::string(kBase) + section("http://127.0.0.1:8089", ", client_secret: [s3cret-of-mine]"))) {
    EXPECT_EQ(fault.find("s3cret"), std::string::npos) << fault;
  }
}

TEST(Faults, ClientCertificates) {
  const auto faults = [](const std::string& match) {
    return FaultsOf(std::string(kBase) +
                    "server: {admin: {tls: {certificate_file: c, key_file: k, client_ca_file: a}}, admin_auth: "
                    "{certificates: [{match: '" +
                    match + "', roles: [viewer]}]}}\n");
  };
  for (const char* good : {"uri:spiffe://e.example/ops/*", "dns:*.e.example", "email:ann@e.example"}) {
    EXPECT_EQ(faults(good), std::vector<std::string>{}) << good;
  }
  for (const char* bad :
       {"uri:spiffe://*/ops", "uri:spiffe://e.example/o*", "dns:*.*.example", "email:*@e.example", "cn:ann", "dns:*"}) {
    EXPECT_EQ(faults(bad).size(), 1U) << bad;
  }
  EXPECT_EQ(FaultsOf(std::string(kBase) + Section("certificates: [{match: 'dns:a.example', roles: [viewer]}]")),
            std::vector<std::string>{"line 2: server.admin_auth.certificates: no certificate is asked for: "
                                     "server.admin.tls.client_ca_file is missing"});
}

}  // namespace
}  // namespace weir
