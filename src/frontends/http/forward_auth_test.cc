#include "frontends/http/forward_auth.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace weir::http {
namespace {

// What was understood, as one text; or the error.
std::string Ask(std::string_view target, std::vector<Attribute> headers, std::string_view method = "GET",
                const IdentityHeaders& identity = {}) {
  Arena arena;
  AuthQuestion question;
  std::string error;
  const AuthReading reading = ReadAuthQuestion(
      {.method = method, .target = target, .headers = headers, .identity = identity}, arena, &question, &error);
  if (reading == AuthReading::kBadQuery) return error;
  if (reading == AuthReading::kForged) return "forged: " + error;
  const Request& r = question.request;
  std::string told = std::string(r.method) + " " + std::string(r.path);
  const auto add = [&told](std::string_view name, std::string_view value) {
    if (!value.empty()) told += " " + std::string(name) + "=" + std::string(value);
  };
  add("domain", r.domain);
  add("user", r.user);
  add("tenant", r.tenant);
  add("tier", r.tier);
  add("api_key", r.api_key);
  add("country", r.country);
  if (r.cost != 1) told += " cost=" + std::to_string(r.cost);
  if (question.deny_status != 429) told += " deny=" + std::to_string(question.deny_status);
  return told;
}

TEST(ForwardAuth, Nginx) {
  EXPECT_EQ(Ask("/v1/auth?deny=403", {{"X-Original-URI", "/a?b=c"}, {"X-Original-Method", "POST"}}),
            "POST /a?b=c deny=403");
  EXPECT_EQ(Ask("/v1/auth", {{"x-original-uri", "https://example.org/a#b"}}), "GET https://example.org/a#b")
      << "as it is: base/path.h reads it";
}

TEST(ForwardAuth, TraefikAndCaddy) {
  EXPECT_EQ(Ask("/v1/auth", {{"X-Forwarded-Method", "PUT"}, {"X-Forwarded-Uri", "/u"}, {"X-User-Id", "alice"}}),
            "PUT /u");
}

TEST(ForwardAuth, WithoutHeadersItIsTheProxysOwnMethod) { EXPECT_EQ(Ask("/v1/auth", {}, "DELETE"), "DELETE "); }

TEST(ForwardAuth, RefusesWhatAClientMayHaveWritten) {
  // Behind Traefik the client wrote the first, behind nginx the second: which, nobody can tell.
  EXPECT_EQ(Ask("/v1/auth", {{"X-Original-URI", "/health"}, {"X-Forwarded-Uri", "/login"}}),
            "forged: both X-Original-* and X-Forwarded-* describe the request; name the ones that the proxy writes "
            "with the query "
            "parameters uri_header and method_header");
  EXPECT_EQ(Ask("/v1/auth?uri_header=X-Forwarded-Uri&method_header=X-Forwarded-Method",
                {{"X-Original-URI", "/health"}, {"X-Forwarded-Uri", "/login"}, {"X-Forwarded-Method", "POST"}}),
            "POST /login");
  EXPECT_EQ(Ask("/v1/auth", {{"X-Original-URI", "/a"}, {"X-Original-URI", "/b"}}),
            "forged: header X-Original-URI appears twice");
  EXPECT_EQ(Ask("/v1/auth?user_header=X-User-Id", {{"X-User-Id", "a"}, {"x-user-id", "b"}}),
            "forged: header X-User-Id appears twice");
}

TEST(ForwardAuth, NamesCanBeChosen) {
  EXPECT_EQ(Ask("/v1/"
                "auth?user_header=Remote-User&tenant_header=Org&tier_header=Plan&api_key_header=Key&country_header=CF-"
                "IPCountry",
                {{"Remote-User", "u"},
                 {"Org", "o"},
                 {"Plan", "p"},
                 {"Key", "k"},
                 {"CF-IPCountry", "DE"},
                 {"X-User-Id", "no"}}),
            "GET  user=u tenant=o tier=p api_key=k country=DE");
}

TEST(ForwardAuth, NobodyIsBelievedUnlessConfigured) {
  const std::vector<Attribute> sent = {{"X-User-Id", "u"}, {"X-Tenant-Id", "o"}, {"X-Tier", "enterprise"},
                                       {"X-Api-Key", "k"}, {"X-Country", "DE"},  {"Authorization", "Bearer abc"}};
  EXPECT_EQ(Ask("/v1/auth", sent), "GET ");
  const IdentityHeaders all{
      .user = "x-user-id", .tenant = "X-Tenant-Id", .tier = "X-Tier", .api_key = "X-Api-Key", .country = "X-Country"};
  EXPECT_EQ(Ask("/v1/auth", sent, "GET", all), "GET  user=u tenant=o tier=enterprise api_key=k country=DE");
  EXPECT_EQ(Ask("/v1/auth", sent, "GET", {.user = "X-User-Id"}), "GET  user=u");
  // The query is the proxy's own word, and goes before the document's.
  EXPECT_EQ(Ask("/v1/auth?user_header=&api_key=bearer", sent, "GET", all),
            "GET  tenant=o tier=enterprise api_key=abc country=DE");
  EXPECT_EQ(Ask("/v1/auth?user_header=X-Api-Key", sent, "GET", {.user = "X-User-Id"}), "GET  user=k");
  EXPECT_EQ(Ask("/v1/auth", sent, "GET", {.api_key = "authorization"}), "GET  api_key=abc");
  EXPECT_EQ(Ask("/v1/auth", {{"X-User-Id", "a"}, {"x-user-id", "b"}}, "GET", all),
            "forged: header x-user-id appears twice");
  EXPECT_EQ(Ask("/v1/auth", {{"X-User-Id", "a"}, {"x-user-id", "b"}}), "GET ") << "nobody looks at them";
}

TEST(ForwardAuth, WhatTheQueryFixesNoHeaderChanges) {
  EXPECT_EQ(
      Ask("/v1/auth?domain=a%20b&tenant=t&tier=pro&cost=3&tier_header=X-Tier", {{"X-Tenant-Id", "x"}, {"X-Tier", "x"}}),
      "GET  domain=a b tenant=t tier=pro cost=3");
}

TEST(ForwardAuth, RefusesParametersItDoesNotKnow) {
  EXPECT_EQ(Ask("/v1/auth?deny=500", {}), "query parameter 'deny' must be 429, 403, 401 or 200");
  EXPECT_EQ(Ask("/v1/auth?cost=-1", {}), "query parameter 'cost' must be an integer >= 0");
  EXPECT_EQ(Ask("/v1/auth?api_key=k", {}), "query parameter 'api_key' must be 'bearer'");
  EXPECT_EQ(Ask("/v1/auth?cost=1&cost=0", {}), "query parameter 'cost' appears twice");
  EXPECT_EQ(Ask("/v1/auth?deny=403&c%6Fst=0&cost=0", {}), "query parameter 'cost' appears twice");
  EXPECT_EQ(Ask("/v1/auth?deny=403&deny=403", {}), "query parameter 'deny' appears twice");
  EXPECT_EQ(Ask("/v1/auth?denny=403", {}).substr(0, 34), "unknown query parameter 'denny'; k");
}

}  // namespace
}  // namespace weir::http
