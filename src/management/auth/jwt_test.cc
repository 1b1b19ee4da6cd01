#include "management/auth/jwt.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "management/auth/crypto.h"
#include "management/auth/test_issuer.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr const char* kGood =
    R"({"iss":"https://id.example","aud":"weir","sub":"bob","jti":"j1","iat":1799999990,"exp":1800000600})";

const std::vector<JwtAlgorithm> kAll = {JwtAlgorithm::kEs256, JwtAlgorithm::kRs256, JwtAlgorithm::kEdDsa};

JwtPolicy Policy() { return {.issuer = "https://id.example", .audiences = {"weir"}, .algorithms = kAll}; }

JwkSet Keys(std::initializer_list<const TestKey*> keys) { return JwkSet::Parse(JwksOf(keys)).value(); }

Result<Claims> VerifyText(const std::string& token, const JwkSet& keys, const JwtPolicy& policy = Policy(),
                          Nanos now = kNow) {
  const auto parsed = ParseJwt(token);
  if (!parsed) return std::unexpected(parsed.error());
  return VerifyJwt(*parsed, policy, keys, now);
}

// RFC 7515, appendix A.2 and A.3; RFC 8037, appendix A.4.
TEST(Jwt, PublishedSignaturesAreVerified) {
  const std::string joe =
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  struct Vector {
    const char* jwk;
    std::string text;
    const char* signature;
  };
  const Vector vectors[] = {
      {R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})",
       "eyJhbGciOiJSUzI1NiJ9." + joe,
       "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
       "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
       "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
       "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
       "IoypGlUPQGe77Rw"},
      {R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
       "eyJhbGciOiJFUzI1NiJ9." + joe,
       "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
       "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
       "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
  };
  for (const Vector& vector : vectors) {
    const auto set = JwkSet::Parse(std::string("{\"keys\":[") + vector.jwk + "]}");
    ASSERT_TRUE(set) << vector.jwk;
    const PublicKey& key = set->keys()[0].key;
    std::string signature = FromBase64Url(vector.signature).value();
    EXPECT_TRUE(key.Verifies(vector.text, signature)) << NameOf(key.algorithm());
    EXPECT_FALSE(key.Verifies(vector.text + "x", signature));
    signature[10] = static_cast<char>(signature[10] ^ 1);
    EXPECT_FALSE(key.Verifies(vector.text, signature));
    EXPECT_FALSE(key.Verifies(vector.text, ""));
    EXPECT_FALSE(key.Verifies(vector.text, std::string(64, '\0')));
  }
  // And as whole tokens: of that issuer, and long expired.
  const auto set = JwkSet::Parse(std::string("{\"keys\":[") + vectors[1].jwk + "]}").value();
  JwtPolicy policy = Policy();
  policy.issuer = "joe";
  const auto expired = VerifyText(vectors[1].text + "." + vectors[1].signature, set, policy);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().message, "the JWT is meant for somebody else");
}

TEST(Jwt, EachAlgorithmIsAccepted) {
  for (const JwtAlgorithm algorithm : kAll) {
    const TestKey key("k1", algorithm);
    const auto claims = VerifyText(key.Sign(kGood), Keys({&key}));
    ASSERT_TRUE(claims) << claims.error().message;
    EXPECT_EQ(claims->subject, "bob");
    EXPECT_EQ(claims->issuer, "https://id.example");
    EXPECT_EQ(claims->id, "j1");
    EXPECT_EQ(claims->audiences, std::vector<std::string>{"weir"});
    EXPECT_EQ(claims->expires, 1'800'000'600 * kSecond);
  }
}

class JwtConfusion : public testing::Test {
 protected:
  const TestKey es_{"es", JwtAlgorithm::kEs256};
  const TestKey rs_{"rs", JwtAlgorithm::kRs256};
  const TestKey ed_{"ed", JwtAlgorithm::kEdDsa};
  const JwkSet keys_ = Keys({&es_, &rs_, &ed_});

  void Refused(const std::string& token, const char* why) {
    const auto verified = VerifyText(token, keys_);
    ASSERT_FALSE(verified) << why;
    // Nothing of the token is repeated.
    EXPECT_EQ(verified.error().message.find(token.substr(0, 20)), std::string::npos);
  }
};

TEST_F(JwtConfusion, NoneInAnySpelling) {
  for (const char* none : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string header = std::string(R"({"alg":")") + none + R"(","typ":"JWT","kid":"es"})";
    const std::string text = Base64Url(header) + "." + Base64Url(kGood);
    Refused(text + ".", none);
    Refused(text + "." + Base64Url(es_.Signature(text)), none);
  }
  const std::string text = Base64Url(R"({"typ":"JWT","kid":"es"})") + "." + Base64Url(kGood);
  Refused(text + "." + Base64Url(es_.Signature(text)), "no alg");
  const std::string list = Base64Url(R"({"alg":["ES256"],"typ":"JWT","kid":"es"})") + "." + Base64Url(kGood);
  Refused(list + "." + Base64Url(es_.Signature(list)), "alg is a list");
}

TEST_F(JwtConfusion, APublicKeyIsNoSharedSecret) {
  for (const char* algorithm : {"HS256", "HS384", "HS512"}) {
    for (const TestKey* key : {&es_, &rs_, &ed_}) {
      const std::string text =
          Base64Url(std::string(R"({"alg":")") + algorithm + R"(","typ":"JWT","kid":")" + key->id() + "\"}") + "." +
          Base64Url(kGood);
      for (const std::string& secret : {key->Jwk(), key->JwkMembers(), std::string()}) {
        Refused(text + "." + Base64Url(HmacSha256(secret, text)), algorithm);
      }
    }
  }
}

TEST_F(JwtConfusion, AKeyIsForItsOwnAlgorithmOnly) {
  const std::pair<const TestKey*, const char*> mixed[] = {{&es_, "RS256"}, {&es_, "EdDSA"}, {&rs_, "ES256"},
                                                          {&rs_, "PS256"}, {&ed_, "ES256"}, {&ed_, "RS256"},
                                                          {&es_, "ES384"}, {&rs_, "RS512"}, {&ed_, "Ed448"}};
  for (const auto& [key, algorithm] : mixed) {
    Refused(key->SignWithHeader(std::string(R"({"alg":")") + algorithm + R"(","typ":"JWT","kid":")" + key->id() + "\"}",
                                kGood),
            algorithm);
  }
  // An algorithm that the issuer does not use, though the key is in the set.
  JwtPolicy policy = Policy();
  policy.algorithms = {JwtAlgorithm::kEs256};
  EXPECT_FALSE(VerifyText(rs_.Sign(kGood), keys_, policy));
  EXPECT_TRUE(VerifyText(es_.Sign(kGood), keys_, policy));
}

TEST_F(JwtConfusion, KeysInTheHeaderAreNotLookedAt) {
  const TestKey mine("es", JwtAlgorithm::kEs256);
  for (const std::string& more :
       {R"("jwk":)" + mine.Jwk(), std::string(R"("jku":"https://evil.example/keys")"),
        std::string(R"("x5u":"https://evil.example/cert")"), std::string(R"("x5c":["MIIB"])")}) {
    Refused(mine.SignWithHeader(R"({"alg":"ES256","typ":"JWT","kid":"es",)" + more + "}", kGood), "own key");
    // Beside a right signature they change nothing.
    EXPECT_TRUE(VerifyText(es_.SignWithHeader(R"({"alg":"ES256","typ":"JWT","kid":"es",)" + more + "}", kGood), keys_));
  }
  for (const char* id : {"../../../../dev/null", "es' OR '1'='1", "ES", "rs"}) {
    Refused(mine.SignWithHeader(std::string(R"({"alg":"ES256","typ":"JWT","kid":")") + id + "\"}", kGood), id);
  }
}

TEST_F(JwtConfusion, CriticalExtensionsAreRefused) {
  for (const char* more : {R"("crit":["b64"],"b64":false)", R"("crit":["exp"])", R"("crit":[])"}) {
    Refused(es_.SignWithHeader(std::string(R"({"alg":"ES256","typ":"JWT","kid":"es",)") + more + "}", kGood), more);
  }
}

TEST_F(JwtConfusion, TokensOfAnotherKindIssuerOrAudience) {
  Refused(es_.Sign(kGood, "logout+jwt"), "type");
  Refused(es_.Sign(kGood, "secevent+jwt"), "type");
  EXPECT_TRUE(VerifyText(es_.Sign(kGood, "application/at+JWT"), keys_));
  EXPECT_TRUE(VerifyText(es_.SignWithHeader(R"({"alg":"ES256","kid":"es"})", kGood), keys_));
  const char* const claims[] = {
      R"({"aud":"weir","exp":1800000600})",
      R"({"iss":"https://id.example/","aud":"weir","exp":1800000600})",
      R"({"iss":"https://ID.example","aud":"weir","exp":1800000600})",
      R"({"iss":["https://id.example"],"aud":"weir","exp":1800000600})",
      R"({"iss":"https://id.example","exp":1800000600})",
      R"({"iss":"https://id.example","aud":"weir2","exp":1800000600})",
      R"({"iss":"https://id.example","aud":[],"exp":1800000600})",
      R"({"iss":"https://id.example","aud":["weir",7],"exp":1800000600})",
      R"({"iss":"https://id.example","aud":{"weir":1},"exp":1800000600})",
  };
  for (const char* bad : claims) Refused(es_.Sign(bad), bad);
  EXPECT_TRUE(VerifyText(es_.Sign(R"({"iss":"https://id.example","aud":["other","weir"],"exp":1800000600})"), keys_));
}

TEST_F(JwtConfusion, WithoutAKeyIdOnlyTheOneKeyOfThatAlgorithmCounts) {
  EXPECT_TRUE(VerifyText(es_.SignWithHeader(R"({"alg":"ES256"})", kGood), keys_));
  const TestKey other("es2", JwtAlgorithm::kEs256);
  const JwkSet two = Keys({&es_, &other});
  const auto unknown = VerifyText(es_.SignWithHeader(R"({"alg":"ES256"})", kGood), two);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(VerifyText(es_.SignWithHeader(R"({"alg":"ES256","kid":"new"})", kGood), keys_).error().code,
            ErrorCode::kNotFound);
  // The same id twice: either may have signed.
  const TestKey twin("es", JwtAlgorithm::kEs256);
  EXPECT_TRUE(VerifyText(twin.Sign(kGood), Keys({&es_, &twin})));
}

TEST_F(JwtConfusion, EveryChangedCharacterIsFound) {
  const std::string token = es_.Sign(kGood);
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(VerifyText(changed, keys_)) << i;
  }
  Refused(token + "=", "padding");
  Refused(token + "\n", "newline");
  Refused(" " + token, "space");
  Refused(token + "." + token, "five parts");
  Refused("..", "empty parts");
  Refused(std::string(9'000, 'a') + "." + token, "long");
}

TEST(Jwt, TimesHaveTheirLeeway) {
  const TestKey key("k", JwtAlgorithm::kEdDsa);
  const JwkSet keys = Keys({&key});
  const auto with = [&](const std::string& times) {
    return VerifyText(key.Sign(R"({"iss":"https://id.example","aud":"weir",)" + times + "}"), keys).has_value();
  };
  EXPECT_TRUE(with(R"("exp":1799999971)"));
  EXPECT_FALSE(with(R"("exp":1799999970)"));
  EXPECT_TRUE(with(R"("exp":1800000600,"nbf":1800000030)"));
  EXPECT_FALSE(with(R"("exp":1800000600,"nbf":1800000031)"));
  EXPECT_FALSE(with(R"("exp":1800000600,"iat":1800000031)"));
  EXPECT_TRUE(with(R"("exp":1800000600.5,"iat":1.8e9)"));
  for (const char* bad : {R"("sub":"x")", R"("exp":"1800000600")", R"("exp":null)", R"("exp":-1)", R"("exp":0)",
                          R"("exp":1e300)", R"("exp":99999999999)", R"("exp":1800000600,"nbf":"now")",
                          R"("exp":1800172801,"iat":1800000000)", R"("exp":1800172801)"}) {
    EXPECT_FALSE(with(bad)) << bad;
  }
  JwtPolicy generous = Policy();
  generous.leeway = kHour;  // a minute counts
  EXPECT_FALSE(VerifyText(key.Sign(R"({"iss":"https://id.example","aud":"weir","exp":1799999900})"), keys, generous));
}

TEST(Jwt, ClaimsBecomeAPrincipal) {
  const TestKey key("k", JwtAlgorithm::kEdDsa);
  const auto claims =
      VerifyText(key.Sign(R"({"iss":"https://id.example","aud":"weir","sub":"bob","exp":1800000600,"org":"acme",
                   "https://x.example/groups":["ops","staff",5],"realm_access":{"roles":["weir-admin","none"]}})"),
                 Keys({&key}));
  ASSERT_TRUE(claims) << claims.error().message;
  EXPECT_EQ(ClaimTexts(*claims, "https://x.example/groups"), (std::vector<std::string>{"ops", "staff"}));
  EXPECT_EQ(ClaimTexts(*claims, "realm_access.roles"), (std::vector<std::string>{"weir-admin", "none"}));
  EXPECT_TRUE(ClaimTexts(*claims, "realm_access.roles.x").empty());
  EXPECT_TRUE(ClaimTexts(*claims, "").empty());
  EXPECT_TRUE(ClaimTexts(*claims, "exp").empty());

  ClaimMapping mapping{.roles_claim = "realm_access.roles",
                       .roles = {{"weir-admin", {Role::kAdmin, ""}}, {"weir-viewer", {Role::kViewer, ""}}},
                       .defaults = {{Role::kViewer, "public"}},
                       .tenant_claim = "org"};
  const auto principal = PrincipalOf(*claims, mapping, AuthMethod::kJwt);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->name, "bob");
  EXPECT_EQ(principal->tenant, "acme");
  EXPECT_EQ(principal->roles, (std::vector<RoleGrant>{{Role::kViewer, "public"}, {Role::kAdmin, ""}}));
  mapping.tenant_claim = "organisation";
  EXPECT_FALSE(PrincipalOf(*claims, mapping, AuthMethod::kJwt));
  mapping.tenant_claim = "";
  mapping.name_claim = "email";
  EXPECT_FALSE(PrincipalOf(*claims, mapping, AuthMethod::kJwt));
  mapping.name_claim = "sub";
  // An address that nobody has confirmed gives nothing, whatever it is for.
  mapping.roles_claim = "email";
  EXPECT_FALSE(PrincipalOf(*claims, mapping, AuthMethod::kJwt));
  Claims confirmed = *claims;
  confirmed.payload = R"({"sub":"bob","email":"b@x.example","email_verified":true})";
  mapping.roles = {{"b@x.example", {Role::kEditor, ""}}};
  EXPECT_TRUE(PrincipalOf(confirmed, mapping, AuthMethod::kJwt));
  confirmed.payload = R"({"sub":"bob","email":"b@x.example","email_verified":"true"})";
  EXPECT_FALSE(PrincipalOf(confirmed, mapping, AuthMethod::kOidc));
  mapping.roles_claim = "";
  mapping.defaults.clear();
  EXPECT_TRUE(PrincipalOf(*claims, mapping, AuthMethod::kJwt)->roles.empty());
}

TEST(Jwks, WeakAndForeignKeysAreLeftOut) {
  const TestKey es("es", JwtAlgorithm::kEs256);
  const TestKey rs("rs", JwtAlgorithm::kRs256);
  const auto size = [&](const std::string& more) {
    const auto set = JwkSet::Parse("{\"keys\":[" + es.Jwk() + "," + more + "]}");
    return set ? set->size() : 0;
  };
  EXPECT_EQ(size(rs.Jwk()), 2U);
  const std::string zero = Base64Url(std::string(32, '\0'));
  for (const std::string& bad : {
           std::string(R"({"kty":"oct","k":"c2VjcmV0"})"),
           std::string(R"({"kty":"RSA","n":"AQAB","e":"AQAB"})"),                                // tiny
           R"({"kty":"RSA","n":")" + Base64Url(std::string(256, '\xff')) + R"(","e":"AQ"})",     // exponent 1
           R"({"kty":"RSA","n":")" + Base64Url(std::string(256, '\xfe')) + R"(","e":"AQAB"})",   // even
           R"({"kty":"RSA","n":")" + Base64Url(std::string(1025, '\xff')) + R"(","e":"AQAB"})",  // slow
           R"({"kty":"RSA","n":")" + Base64Url(std::string(256, '\xff')) + R"(","e":")" +
               Base64Url(std::string(200, '\x7f')) + "\"}",
           R"({"kty":"EC","crv":"P-256","x":")" + zero + R"(","y":")" + zero + "\"}",  // no point
           std::string(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})"),
           std::string(R"({"kty":"EC","crv":"P-384","x":"AQ","y":"AQ"})"),
           std::string(R"({"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"),
           "{" + rs.JwkMembers() + R"(,"use":"enc"})",
           "{" + rs.JwkMembers() + R"(,"key_ops":["sign"]})",
           "{" + rs.JwkMembers() + R"(,"alg":"PS256"})",
           "{" + rs.JwkMembers() + R"(,"alg":"HS256"})",
           "{" + rs.JwkMembers() + R"(,"kid":7})",
           std::string("7"),
           std::string("null"),
           std::string("{}"),
       }) {
    EXPECT_EQ(size(bad), 1U) << bad;
  }
}

TEST(Jwks, DocumentsAreBounded) {
  const TestKey ed("ed", JwtAlgorithm::kEdDsa);
  for (const char* bad : {"", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[{}]}", "nonsense"}) {
    EXPECT_FALSE(JwkSet::Parse(bad)) << bad;
  }
  std::string many = "{\"keys\":[" + ed.Jwk();
  for (int i = 0; i < 63; ++i) many += "," + ed.Jwk();
  EXPECT_TRUE(JwkSet::Parse(many + "]}"));
  EXPECT_FALSE(JwkSet::Parse(many + "," + ed.Jwk() + "]}"));
  EXPECT_FALSE(JwkSet::Parse(std::string(300'000, ' ') + JwksOf({&ed})));
  EXPECT_FALSE(JwkSet::Parse(std::string(100'000, '[')));
}

}  // namespace
}  // namespace weir::management
