#include "management/auth/oidc.h"

#include <gtest/gtest.h>

#include <map>

#include "management/auth/crypto.h"
#include "management/auth/test_issuer.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

// RFC 7636, appendix B.
TEST(Oidc, PkceChallengeIsThePublishedOne) {
  EXPECT_EQ(PkceChallenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

class OidcTest : public testing::Test {
 protected:
  OidcTest() {
    provider_.issuer = "https://id.example";
    provider_.client_id = "weir ui";
    provider_.client_secret = "s3:cr/et";
    provider_.redirect_uri = "https://weir.example/admin/v1/oidc/callback";
    provider_.mapping = {
        .name_claim = "email", .roles_claim = "groups", .roles = {{"ops", {Role::kOperator, ""}}}, .defaults = {}};
    EXPECT_TRUE(ReadDiscovery(kDiscovery, &provider_));
    const auto begun = BeginLogin(provider_, key_, "/ui/limits?x=1", kNow);
    EXPECT_TRUE(begun);
    url_ = begun->url;
    cookie_ = begun->cookie.substr(begun->cookie.find('=') + 1);
    cookie_ = cookie_.substr(0, cookie_.find(';'));
    for (std::string_view rest = std::string_view(url_).substr(url_.find('?') + 1); !rest.empty();) {
      const std::string_view one = rest.substr(0, rest.find('&'));
      rest.remove_prefix(std::min(one.size() + 1, rest.size()));
      asked_[std::string(one.substr(0, one.find('=')))] = one.substr(one.find('=') + 1);
    }
  }
  CallbackQuery Answer() { return {.state = asked_["state"], .code = "c0de", .error = "", .issuer = ""}; }
  TokenRequest Finish() { return FinishCallback(provider_, key_, Answer(), cookie_, kNow).value(); }
  std::string Claims(const std::string& more, const std::string& nonce) {
    return R"({"iss":"https://id.example","aud":"weir ui","sub":"u1","sid":"s1","exp":1800000600,"iat":1800000000,)"
           R"("email":"ann@example.org","email_verified":true,"groups":["ops","x"],"nonce":")" +
           nonce + "\"" + more + "}";
  }
  Result<OidcLogin> Verify(const std::string& claims, std::string_view type = "JWT") {
    const auto keys = JwkSet::Parse(JwksOf({&signer_})).value();
    return VerifyTokenResponse(provider_, R"({"access_token":"a","id_token":")" + signer_.Sign(claims, type) + "\"}",
                               Finish().state, keys, kNow);
  }

  static constexpr const char* kDiscovery =
      R"({"issuer":"https://id.example","authorization_endpoint":"https://id.example/auth?realm=a",
          "token_endpoint":"https://id.example/token","jwks_uri":"https://id.example/keys"})";
  const std::string key_ = RandomBytes(kSealKeyBytes);
  const TestKey signer_{"k1", JwtAlgorithm::kEs256};
  OidcProvider provider_;
  std::string url_, cookie_;
  std::map<std::string, std::string> asked_;
};

TEST_F(OidcTest, TheBrowserIsSentWithStateNonceAndChallenge) {
  EXPECT_TRUE(url_.starts_with("https://id.example/auth?realm=a&response_type=code&client_id=weir%20ui&"));
  EXPECT_EQ(asked_["redirect_uri"], "https%3A%2F%2Fweir.example%2Fadmin%2Fv1%2Foidc%2Fcallback");
  EXPECT_EQ(asked_["scope"], "openid%20profile%20email");
  EXPECT_EQ(asked_["code_challenge_method"], "S256");
  EXPECT_EQ(asked_["state"].size(), 43U);
  EXPECT_EQ(asked_["nonce"].size(), 43U);
  const TokenRequest request = Finish();
  EXPECT_EQ(request.url, "https://id.example/token");
  EXPECT_EQ(PkceChallenge(request.state.verifier), asked_["code_challenge"]);
  EXPECT_EQ(request.state.nonce, asked_["nonce"]);
  EXPECT_EQ(request.state.return_to, "/ui/limits?x=1");
  EXPECT_EQ(request.form, "grant_type=authorization_code&code=c0de&redirect_uri=" + asked_["redirect_uri"] +
                              "&code_verifier=" + request.state.verifier);
  EXPECT_EQ(request.authorization, "Basic d2VpciUyMHVpOnMzJTNBY3IlMkZldA==");  // "weir%20ui:s3%3Acr%2Fet"
  // The verifier is in nobody's sight.
  EXPECT_EQ(url_.find(request.state.verifier), std::string::npos);
  EXPECT_EQ(cookie_.find(request.state.verifier), std::string::npos);
  provider_.client_secret.clear();
  EXPECT_NE(Finish().form.find("&client_id=weir%20ui"), std::string::npos);
  EXPECT_EQ(Finish().authorization, "");
}

TEST_F(OidcTest, OnlyTheBrowserThatLeftComesBack) {
  const auto fails = [&](const CallbackQuery& query, const std::string& cookie, Nanos now) {
    return !FinishCallback(provider_, key_, query, cookie, now).has_value();
  };
  EXPECT_FALSE(fails(Answer(), cookie_, kNow));
  EXPECT_TRUE(fails(Answer(), "", kNow));
  EXPECT_TRUE(fails(Answer(), cookie_ + "A", kNow));
  EXPECT_TRUE(fails(Answer(), cookie_, kNow + 10 * kMinute));
  // Login CSRF: the attacker's code and state in the victim's browser.
  CallbackQuery other = Answer();
  other.state = Base64Url(RandomBytes(32));
  EXPECT_TRUE(fails(other, cookie_, kNow));
  other.state = "";
  EXPECT_TRUE(fails(other, cookie_, kNow));
  // Mix-up: another provider's answer.
  CallbackQuery mixed = Answer();
  mixed.issuer = "https://evil.example";
  EXPECT_TRUE(fails(mixed, cookie_, kNow));
  mixed.issuer = provider_.issuer;
  EXPECT_FALSE(fails(mixed, cookie_, kNow));
  provider_.returns_issuer = true;
  EXPECT_TRUE(fails(Answer(), cookie_, kNow));
  provider_.returns_issuer = false;
  CallbackQuery error = Answer();
  error.error = "access_denied";
  EXPECT_TRUE(fails(error, cookie_, kNow));
  CallbackQuery empty = Answer();
  empty.code = "";
  EXPECT_TRUE(fails(empty, cookie_, kNow));
  provider_.issuer = "https://evil.example";
  EXPECT_TRUE(fails(Answer(), cookie_, kNow));
}

TEST_F(OidcTest, AfterwardsOnlyAnOwnPathIsGoneTo) {
  for (const char* good : {"/", "/ui", "/ui/a?b=c#d"}) EXPECT_TRUE(BeginLogin(provider_, key_, good, kNow)) << good;
  for (const char* bad : {"", "ui", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nSet-Cookie: x",
                          "/a b", "javascript:alert(1)"}) {
    EXPECT_FALSE(BeginLogin(provider_, key_, bad, kNow)) << bad;
  }
}

TEST_F(OidcTest, AnIdTokenBecomesAPrincipal) {
  const auto login = Verify(Claims("", asked_["nonce"]));
  ASSERT_TRUE(login) << login.error().message;
  EXPECT_EQ(login->principal.name, "ann@example.org");
  EXPECT_EQ(login->principal.kind, PrincipalKind::kPerson);
  EXPECT_EQ(login->principal.method, AuthMethod::kOidc);
  EXPECT_EQ(login->principal.roles, (std::vector<RoleGrant>{{Role::kOperator, ""}}));
  EXPECT_EQ(login->subject, "u1");
  EXPECT_EQ(login->session, "s1");
}

TEST_F(OidcTest, TokensThatBelongElsewhereAreRefused) {
  const std::string nonce = asked_["nonce"];
  EXPECT_FALSE(Verify(Claims("", "other")));
  EXPECT_FALSE(Verify(Claims("", "")));
  EXPECT_FALSE(Verify(Claims(R"(,"azp":"other")", nonce)));
  EXPECT_TRUE(Verify(Claims(R"(,"azp":"weir ui")", nonce)));
  EXPECT_FALSE(Verify(Claims(R"(,"aud":["weir ui","other"])", nonce)));
  EXPECT_TRUE(Verify(Claims(R"(,"aud":["weir ui","other"],"azp":"weir ui")", nonce)));
  EXPECT_FALSE(Verify(Claims(R"(,"email_verified":false)", nonce)));
  EXPECT_FALSE(Verify(Claims(R"(,"email_verified":"true")", nonce)));
  EXPECT_FALSE(Verify(Claims(R"(,"exp":1799999000)", nonce)));
  EXPECT_FALSE(Verify(Claims(R"(,"sub":"")", nonce)));
  EXPECT_FALSE(Verify(Claims("", nonce), "at+jwt"));
  const auto keys = JwkSet::Parse(JwksOf({&signer_})).value();
  for (const char* body : {"", "{}", "[]", R"({"id_token":7})", R"({"error":"invalid_grant"})"}) {
    EXPECT_FALSE(VerifyTokenResponse(provider_, body, Finish().state, keys, kNow)) << body;
  }
}

TEST_F(OidcTest, DiscoveryIsOfThatIssuerAndStaysOnHttps) {
  EXPECT_EQ(DiscoveryUrl("https://id.example/"), "https://id.example/.well-known/openid-configuration");
  const auto reads = [&](std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    OidcProvider provider = provider_;
    return ReadDiscovery(text, &provider).has_value();
  };
  EXPECT_TRUE(reads(kDiscovery, "https", "https"));
  EXPECT_FALSE(reads(kDiscovery, "https://id.example\"", "https://evil.example\""));
  EXPECT_FALSE(reads(kDiscovery, "https://id.example/token", "http://id.example/token"));
  EXPECT_FALSE(reads(kDiscovery, "https://id.example/keys", "file:///etc/passwd"));
  EXPECT_FALSE(reads(kDiscovery, "jwks_uri", "jwks"));
  OidcProvider unknown;
  unknown.issuer = "https://id.example";
  EXPECT_EQ(BeginLogin(unknown, key_, "/", kNow).error().code, ErrorCode::kUnavailable);
}

TEST_F(OidcTest, ALogoutTokenNamesWhoseSessionsEnd) {
  const auto keys = JwkSet::Parse(JwksOf({&signer_})).value();
  const std::string event = R"(,"events":{"http://schemas.openid.net/event/backchannel-logout":{}})";
  const auto verify = [&](const std::string& more, std::string_view type = "logout+jwt") {
    return VerifyLogoutToken(
        provider_, signer_.Sign(R"({"iss":"https://id.example","aud":"weir ui","jti":"x")" + more + "}", type), keys,
        kNow);
  };
  const auto notice = verify(R"(,"iat":1800000000,"sub":"u1","sid":"s1")" + event);
  ASSERT_TRUE(notice) << notice.error().message;
  EXPECT_EQ(notice->issuer, "https://id.example");
  EXPECT_EQ(notice->subject, "u1");
  EXPECT_EQ(notice->session, "s1");
  EXPECT_TRUE(verify(R"(,"iat":1800000000,"exp":1800000100,"sid":"s1")" + event, "JWT"));
  EXPECT_FALSE(verify(R"(,"iat":1800000000,"sub":"u1","nonce":"n")" + event));
  EXPECT_FALSE(verify(R"(,"iat":1800000000,"sub":"u1")"));
  EXPECT_FALSE(verify(R"(,"iat":1800000000,"sub":"u1","events":[])"));
  EXPECT_FALSE(verify(R"(,"iat":1799990000,"sub":"u1")" + event));
  EXPECT_FALSE(verify(R"(,"sub":"u1")" + event));
  EXPECT_FALSE(verify(R"(,"iat":1800000000)" + event));
}

}  // namespace
}  // namespace weir::management
