// Forward auth over an HTTP session: whom and what it believes.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontends/http/session_fixture.h"

namespace weir::http {
namespace {

using Answer = ReadAnswer;
using Fixture = SessionFixture;

TEST(HttpSession, ForwardAuth) {
  Fixture f;
  const Answer allowed = f.Get("/v1/auth", "X-User-Id: alice\r\nX-Original-URI: /x\r\n");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.body, "");
  EXPECT_EQ(allowed.Header("X-Weir-Allowed"), "1");
  EXPECT_EQ(allowed.Header("RateLimit"), "\"free\";r=1;t=30");
  f.Get("/v1/auth", "X-User-Id: alice\r\n");
  const Answer denied = f.Get("/v1/auth", "X-User-Id: alice\r\n");
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(denied.Header("Retry-After"), "30");
  EXPECT_EQ(denied.body,
            R"({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",)"
            R"("status":429,"detail":"Limit of 2 in 60 seconds exceeded. Try again in 30 seconds.",)"
            R"("violated-policies":["free"],"retry_after_ms":30000})");
  const Answer nginx = f.Get("/v1/auth?deny=403", "X-User-Id: alice\r\n");
  EXPECT_EQ(nginx.status, 403);
  EXPECT_EQ(nginx.Header("X-Weir-Status"), "429");
  EXPECT_EQ(nginx.Header("Retry-After"), "30");
  const Answer unauthorized = f.Get("/v1/auth?deny=401", "X-User-Id: alice\r\n");
  EXPECT_EQ(unauthorized.status, 401);
  EXPECT_NE(unauthorized.Header("WWW-Authenticate"), "-");
  const Answer mild = f.Get("/v1/auth?deny=200", "X-User-Id: alice\r\n");
  EXPECT_EQ(mild.status, 200);
  EXPECT_EQ(mild.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(mild.Header("X-Weir-Status"), "429");
  EXPECT_EQ(f.Get("/v1/auth?deny=500").status, 400);
}

TEST(HttpSession, ForwardAuthTakesTheAddressFromATrustedProxy) {
  Fixture f;
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 429);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 200);
  // A client cannot add to what the proxy appends.
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 10.9.9.9, 198.51.100.1\r\n").status,
            429);

  Fixture stranger(Fixture::StoreKind::kInline, FixtureConfig(), "198.51.100.7");
  EXPECT_EQ(stranger.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(stranger.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 429);
}

TEST(HttpSession, ForwardAuthBelievesOnlyWhatIsConfigured) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  config.global.free_tier.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  config.users["admin"].exempt = true;
  config.server.forward_auth = {};
  Fixture f(Fixture::StoreKind::kInline, config);
  std::vector<int> statuses;
  for (int i = 0; i < 3; ++i) statuses.push_back(f.Get("/v1/auth", "X-User-Id: admin\r\n").status);
  EXPECT_EQ(statuses, std::vector<int>({200, 200, 429}));
  // The document may change while the connection is open.
  config.server.forward_auth.identity_headers.user = "X-User-Id";
  ASSERT_TRUE(f.engine->Apply(config));
  EXPECT_EQ(f.Get("/v1/auth", "X-User-Id: admin\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth?user_header=", "X-User-Id: admin\r\n").status, 429);
  config.server.forward_auth = {};
  ASSERT_TRUE(f.engine->Apply(config));
  EXPECT_EQ(f.Get("/v1/auth", "X-User-Id: admin\r\n").status, 429);
  EXPECT_EQ(f.Get("/v1/auth?user_header=X-User-Id", "X-User-Id: admin\r\n").status, 200);
}

// What is spent stays spent, however it is spelt.
TEST(HttpSession, ASpentIdentifierHasNoOtherSpelling) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  for (const char* extractor : {"cookie:sid", "query:key", "header:x-key", "path:^/users/([^/]+)"}) {
    EndpointLimits& endpoint = config.endpoints[extractor[0] == 'p' ? "/users/**" : "/" + std::string(extractor, 5)];
    endpoint.rule = config.global.free_tier;
    endpoint.rule.max_requests = 1;
    endpoint.rule.identifier = EnhancedIdentifier{CustomIdentifier{.extractor = extractor, .cache_duration = {}}};
  }
  Fixture f(Fixture::StoreKind::kInline, config);
  const auto ask = [&f](std::string_view target, std::string_view headers) {
    return f.Get("/v1/auth", "X-Original-URI: " + std::string(target) + "\r\n" + std::string(headers)).status;
  };
  EXPECT_EQ(ask("/cooki", "Cookie: sid=spent\r\n"), 200);
  for (const char* cookie :
       {"sid=spent", "sid =spent", "sid= spent", " sid = spent ", "sid\t=\tspent", "sid=\"spent\"", "sid=sp%65nt",
        "sid=spent; sid=fresh1", "sid=fresh2; sid=spent", "a=b; sid=spent", "sid=spent;",
        "sid=fresh3\r\nCookie: sid=spent", "sid=\"sp\\145nt\"", "sid=spent\xa0", "a=\"b; sid=spent"}) {
    EXPECT_EQ(ask("/cooki", "Cookie: " + std::string(cookie) + "\r\n"), 429) << cookie;
  }
  EXPECT_EQ(ask("/cooki", "Cookie: sid=other\r\n"), 200);
  EXPECT_EQ(ask("/query?key=spent", ""), 200);
  for (const char* query : {"key=spent", "k%65y=%73pent", "key=fresh1&key=spent", "key=spent&key=fresh2", "key=spent;1",
                            "a;key=spent", "key=spent#1", "key=fresh3#&key=spent", "+key=spent"}) {
    EXPECT_EQ(ask("/query?" + std::string(query), ""), 429) << query;
  }
  EXPECT_EQ(ask("/heade", "X-Key: spent\r\n"), 200);
  for (const char* header :
       {"x-key: spent", "X-Key:   spent\t", "X-Key: fresh1\r\nX-KEY: spent", "X-Key: spent\r\nX-KEY: "}) {
    EXPECT_EQ(ask("/heade", std::string(header) + "\r\n"), 429) << header;
  }
  EXPECT_EQ(ask("/users/42/a", ""), 200);
  for (const char* path : {"/users/42/b", "//users/./42", "/users/%34%32", "https://site.example/users/42?x",
                           "/users/42;x/a", "/users/42%2fa", "/x/../users/42", "/users/42#x", "/x#/../users/42"}) {
    EXPECT_EQ(ask(path, ""), 429) << path;
  }
}

TEST(HttpSession, AParameterThatComesTwiceIsAnError) {
  Fixture f;
  EXPECT_EQ(f.Get("/v1/auth?cost=1&cost=0").status, 400);
  EXPECT_EQ(f.Get("/v1/auth?deny=403&deny=403").status, 400);
  EXPECT_EQ(f.Post("/v1/check?status=200&status=429", kAlice).status, 400);
  EXPECT_EQ(f.Left(), 2);
}

// One reading of a target for all who are given one.
TEST(HttpSession, ATargetIsReadAlikeByEveryQuestion) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  config.global.free_tier.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  config.global.free_tier.max_requests = 1'000;
  EndpointLimits secret;
  secret.rule = config.global.free_tier;
  secret.rule.name = "secret";
  secret.rule.max_requests = 500;  // always the nearer of the two to denying
  config.endpoints["/secret"] = secret;
  Fixture f(Fixture::StoreKind::kInline, config);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/secret", "endpoints./secret.rule"},
      {"https://site.example/secret?x", "endpoints./secret.rule"},
      {"HTTPS://site.example:1/a/../secret", "endpoints./secret.rule"},
      {"https://site.example", "global.free_tier"},
      {"https://site.example?/secret", "global.free_tier"},
      {"https://site.example/free", "exempt"},
      {"secret?u=://x/free/a", "endpoints./secret.rule"},
      {"/secret?u=https://x/free/a", "endpoints./secret.rule"},
      {"/free/a", "exempt"},
      {"/free/a#b", "exempt"},
      {"/free/a?#/../../secret", "exempt"},
      {"/free/a#/../../secret", "endpoints./secret.rule"},
      {"/free/a#/../../other", "global.free_tier"},
      {"/secret#/../free/a", "endpoints./secret.rule"},
      {"https://site.example/free/a#/../../secret", "endpoints./secret.rule"},
      {"https://site.example#/free/a", "global.free_tier"},
      {"https://site.example\\\\secret/../free", "exempt"},
  };
  const auto told = [](const Answer& answer) {
    const boost::json::value body = answer.Json();
    return std::string(body.at("rule").is_null() ? body.at("reason").as_string() : body.at("rule").as_string());
  };
  for (const auto& [target, expected] : cases) {
    const std::string body = R"({"method":"GET","path":")" + target + R"("})";
    const Answer check = f.Post("/v1/check", body);
    EXPECT_EQ(told(check), expected) << target;
    EXPECT_EQ(told(f.Post("/v1/peek", body)), told(check)) << target;
    const std::string sent = target.find("\\\\") == std::string::npos ? target : "https://site.example\\secret/../free";
    const Answer auth = f.Get("/v1/auth", "X-Original-URI: " + sent + "\r\n");
    EXPECT_EQ(auth.Header("RateLimit-Policy"), check.Header("RateLimit-Policy")) << target;
    EXPECT_EQ(auth.status, check.status) << target;
  }
}

TEST(HttpSession, ForwardAuthThroughAUnixSocket) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  config.ip_rules.trusted_proxies = {"127.0.0.1/32"};
  Fixture f(Fixture::StoreKind::kInline, config, "");
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 200);
}

TEST(HttpSession, ABlockedAddressIsForbidden) {
  Fixture f;
  const std::string from = "X-Forwarded-For: 203.0.113.9\r\n";
  EXPECT_EQ(f.Get("/v1/auth", from).status, 403);
  EXPECT_EQ(f.Get("/v1/auth", from).Header("X-Weir-Status"), "-");
  EXPECT_EQ(f.Get("/v1/auth?deny=401", from).status, 401);
  EXPECT_EQ(f.Get("/v1/auth?deny=401", from).Header("X-Weir-Status"), "403");
  const Answer api = f.Post("/v1/check", R"({"ip":"203.0.113.9"})");
  EXPECT_EQ(api.status, 429);
  EXPECT_EQ(api.Json().at("reason"), "blocked");
  EXPECT_EQ(api.Json().at("violated-policies").as_array().size(), 0U);
}

TEST(HttpSession, AForgedQuestionIsDeniedAndNotAnError) {
  Fixture f;
  const std::string both = "X-Original-URI: /free\r\nX-Forwarded-Uri: /by-address\r\n";
  EXPECT_EQ(f.Get("/v1/auth", both).status, 400);
  const Answer nginx = f.Get("/v1/auth?deny=403", both);
  EXPECT_EQ(nginx.status, 403);
  EXPECT_EQ(nginx.Header("X-Weir-Status"), "400");
  const Answer mild = f.Get("/v1/auth?deny=200", both);
  EXPECT_EQ(mild.status, 200);
  EXPECT_EQ(mild.Header("X-Weir-Allowed"), "0");
}

}  // namespace
}  // namespace weir::http
