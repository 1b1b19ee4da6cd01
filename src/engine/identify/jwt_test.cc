#include "engine/identify/jwt.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <string_view>

namespace weir::engine {
namespace {

constexpr Nanos kNow = 1'700'000'000 * kSecond;

std::string Base64Url(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    held += 8;
    while (held >= 6) {
      held -= 6;
      text += kDigits[(bits >> held) & 63U];
    }
  }
  if (held > 0) text += kDigits[(bits << (6 - held)) & 63U];
  return text;
}

std::string Unsigned(std::string_view header, std::string_view payload) {
  return Base64Url(header) + "." + Base64Url(payload);
}

std::string SignHs256(std::string_view text, std::string_view secret) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return std::string(reinterpret_cast<const char*>(mac), size);
}

std::string Hs256(std::string_view header, std::string_view payload, std::string_view secret) {
  const std::string text = Unsigned(header, payload);
  return text + "." + Base64Url(SignHs256(text, secret));
}

struct KeyPair {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  ~KeyPair() { EVP_PKEY_free(key); }
  std::string PublicPem() const {
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(memory, key);
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    std::string pem(data, static_cast<std::size_t>(size));
    BIO_free_all(memory);
    return pem;
  }
  std::string Rs256(std::string_view header, std::string_view payload) const {
    const std::string text = Unsigned(header, payload);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key);
    std::size_t size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    EVP_DigestSign(context, nullptr, &size, bytes, text.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size());
    EVP_MD_CTX_free(context);
    return text + "." + Base64Url(signature);
  }
};

class JwtTest : public testing::Test {
 protected:
  static JwtReader Reader(const JwtConfig& config) { return std::move(JwtReader::Create(config).value()); }
  std::string Read(const JwtReader& reader, std::string_view token, std::string_view claim, Nanos now = kNow) {
    const auto found = reader.Read(token, claim, now, arena_);
    return found ? std::string(found->text) : "(none)";
  }
  Arena arena_;
};

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";

TEST_F(JwtTest, TheExampleOfRfc7515) {
  // Appendix A.1, with its key.
  const std::string_view token =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
      ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  const unsigned char key[] = {3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
                               90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
                               211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
                               61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
  const JwtReader reader =
      Reader({.hs256_secret = std::string(reinterpret_cast<const char*>(key), sizeof key), .rs256_public_key_pem = {}});
  EXPECT_EQ(Read(reader, token, "iss", 1300819379 * kSecond), "joe");
  EXPECT_EQ(Read(reader, token, "http://example.com/is_root", 1300819379 * kSecond), "true");
  EXPECT_EQ(Read(reader, token, "iss", 1300819380 * kSecond), "(none)") << "expired from exp on";
  const auto claim = reader.Read(token, "iss", 0, arena_);
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->until, 1300819380 * kSecond);
}

TEST_F(JwtTest, WithoutAKeyTokensAreReadAsTheyAre) {
  const JwtReader reader = Reader({});
  EXPECT_FALSE(reader.verifies());
  const std::string payload =
      R"({"sub":"alice","n":42,"big":18446744073709551615,"neg":-3,"f":1.5,"t":true,"o":{"a":{"b":"deep"}},
      "o.a":"dotted","list":[1],"nil":null,"exp":1,"u":"caf\u00e9"})";
  const std::string token = Unsigned(R"({"alg":"none"})", payload) + ".";
  EXPECT_EQ(Read(reader, token, "sub"), "alice") << "also when it expired: nobody vouches for it anyway";
  EXPECT_EQ(Read(reader, token, "n"), "42");
  EXPECT_EQ(Read(reader, token, "big"), "18446744073709551615");
  EXPECT_EQ(Read(reader, token, "neg"), "-3");
  EXPECT_EQ(Read(reader, token, "t"), "true");
  EXPECT_EQ(Read(reader, token, "o.a.b"), "deep");
  EXPECT_EQ(Read(reader, token, "o.a"), "dotted") << "the whole name first";
  EXPECT_EQ(Read(reader, token, "u"), "caf\xc3\xa9");
  for (const char* absent : {"f", "list", "nil", "o", "x", "o.x", "sub.x", "", ".", "o."}) {
    EXPECT_EQ(Read(reader, token, absent), "(none)") << absent;
  }
}

TEST_F(JwtTest, MalformedTokensAreNone) {
  const JwtReader reader = Reader({});
  const std::string good = Unsigned("{}", R"({"sub":"a"})") + ".";
  EXPECT_EQ(Read(reader, good, "sub"), "a");
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), std::string("a.b"), good + ".x", "x" + good + ".y",
        Base64Url("{}") + ".!!!.", Base64Url("{}") + "." + Base64Url("[1]") + ".",
        Base64Url("{}") + "." + Base64Url("{") + ".", Base64Url("{}") + ".e30=.", Base64Url("{}") + ".A.",
        Base64Url("{}") + "." + Base64Url(std::string(40, '[')) + ".",
        Base64Url("{}") + "." + Base64Url(R"({"sub":"a"} x)") + ".", std::string(20'000, 'a')}) {
    EXPECT_EQ(Read(reader, token, "sub"), "(none)") << token.substr(0, 60);
  }
}

TEST_F(JwtTest, Hs256IsVerified) {
  const JwtReader reader = Reader({.hs256_secret = "secret", .rs256_public_key_pem = {}});
  EXPECT_TRUE(reader.verifies());
  const std::string payload = R"({"sub":"alice"})";
  const std::string token = Hs256(kHeader, payload, "secret");
  EXPECT_EQ(Read(reader, token, "sub"), "alice");
  EXPECT_EQ(Read(reader, Hs256(kHeader, payload, "other"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Unsigned(kHeader, payload) + ".", "sub"), "(none)") << "no signature";
  EXPECT_EQ(Read(reader, Unsigned(R"({"alg":"none"})", payload) + ".", "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({"alg":"none"})", payload, "secret"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({"alg":"hs256"})", payload, "secret"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({"alg":"HS512"})", payload, "secret"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({})", payload, "secret"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({"alg":["HS256"]})", payload, "secret"), "sub"), "(none)");
  EXPECT_EQ(Read(reader, Hs256(R"({"alg":"HS256","crit":["x"],"x":1})", payload, "secret"), "sub"), "(none)");
  // One changed character anywhere in what is signed.
  for (std::size_t i = 0; i < token.size(); i += 3) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    if (i + 1 == token.size()) continue;  // the last one's low bits are padding
    EXPECT_NE(Read(reader, changed, "sub"), "mallory");
    EXPECT_EQ(Read(reader, changed, "sub"), "(none)") << i;
  }
}

TEST_F(JwtTest, Rs256IsVerifiedAndNotMixedUp) {
  const KeyPair pair, other;
  const std::string pem = pair.PublicPem();
  const JwtReader rsa = Reader({.hs256_secret = {}, .rs256_public_key_pem = pem});
  const std::string_view header = R"({"alg":"RS256"})";
  const std::string payload = R"({"sub":"alice"})";
  EXPECT_EQ(Read(rsa, pair.Rs256(header, payload), "sub"), "alice");
  EXPECT_EQ(Read(rsa, other.Rs256(header, payload), "sub"), "(none)");
  // The classic confusion: an HMAC made with the public key, which everybody knows.
  EXPECT_EQ(Read(rsa, Hs256(kHeader, payload, pem), "sub"), "(none)");
  EXPECT_EQ(Read(rsa, pair.Rs256(kHeader, payload), "sub"), "(none)");
  const JwtReader both = Reader({.hs256_secret = "secret", .rs256_public_key_pem = pem});
  EXPECT_EQ(Read(both, pair.Rs256(header, payload), "sub"), "alice");
  EXPECT_EQ(Read(both, Hs256(kHeader, payload, "secret"), "sub"), "alice");
  EXPECT_EQ(Read(both, Hs256(kHeader, payload, pem), "sub"), "(none)");
}

TEST_F(JwtTest, TimesAreHonouredWhenVerified) {
  const JwtReader reader = Reader({.hs256_secret = "s", .rs256_public_key_pem = {}});
  const auto at = [&](std::string_view times) {
    return Read(reader, Hs256(kHeader, R"({"sub":"a",)" + std::string(times) + "}", "s"), "sub");
  };
  EXPECT_EQ(at(R"("exp":1700000001)"), "a");
  EXPECT_EQ(at(R"("exp":1700000000)"), "(none)");
  EXPECT_EQ(at(R"("exp":1700000000.5)"), "a");
  EXPECT_EQ(at(R"("exp":1e300)"), "a");
  EXPECT_EQ(at(R"("exp":-1e300)"), "(none)");
  EXPECT_EQ(at(R"("exp":"1700000001")"), "(none)") << "not a number";
  EXPECT_EQ(at(R"("exp":null)"), "(none)");
  EXPECT_EQ(at(R"("nbf":1700000000)"), "a");
  EXPECT_EQ(at(R"("nbf":1700000001)"), "(none)");
  EXPECT_EQ(at(R"("nbf":{})"), "(none)");
}

TEST_F(JwtTest, WrongKeysAreRefused) {
  for (const char* pem : {"", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) {
    const auto reader = JwtReader::Create({.hs256_secret = {}, .rs256_public_key_pem = pem});
    ASSERT_FALSE(reader) << pem;
    EXPECT_EQ(reader.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(JwtReader::Create({.hs256_secret = "", .rs256_public_key_pem = {}}));
}

}  // namespace
}  // namespace weir::engine
