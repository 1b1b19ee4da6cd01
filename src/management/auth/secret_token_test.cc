#include "management/auth/secret_token.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/crypto/encoding.h"
#include "management/auth/crypto.h"

namespace weir::management {
namespace {

TEST(SecretToken, HasItsForm) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string token = MakeSecret(kTokenPrefix);
    EXPECT_EQ(token.size(), kTokenPrefix.size() + 1 + kSecretRandom + kSecretChecksum);
    EXPECT_TRUE(HasSecretForm(token));
    EXPECT_TRUE(HasSecretForm(token, kTokenPrefix));
    EXPECT_FALSE(HasSecretForm(token, kKeyPrefix));
    EXPECT_TRUE(seen.insert(token).second);
  }
}

TEST(SecretToken, EveryMistypedCharacterIsFound) {
  const std::string token = MakeSecret("acme_live");
  ASSERT_TRUE(HasSecretForm(token));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string wrong = token;
    wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(HasSecretForm(wrong)) << wrong;
    EXPECT_FALSE(HasSecretForm(token.substr(0, i)));
  }
  EXPECT_FALSE(HasSecretForm(token + "a"));
  EXPECT_FALSE(HasSecretForm(""));
  EXPECT_FALSE(HasSecretForm(std::string(1'000'000, 'a')));
}

// Made elsewhere: the form is what scanners of leaked secrets know, so it must not change.
TEST(SecretToken, TheFormStaysWhatItIs) {
  EXPECT_TRUE(HasSecretForm("weirt_ExampleExampleExampleExample0049VR2o"));
  EXPECT_FALSE(HasSecretForm("weirt_ExampleExampleExampleExample0049VR2p"));
}

TEST(SecretToken, PrefixesAreShortAndPlain) {
  for (const char* good : {"weirt", "a", "acme_live", "k2", "abcdefghijklmnop"})
    EXPECT_TRUE(IsSecretPrefix(good)) << good;
  for (const char* bad : {"", "_a", "a_", "A", "1a", "a-b", "abcdefghijklmnopq", "a b", "ä"}) {
    EXPECT_FALSE(IsSecretPrefix(bad)) << bad;
  }
}

TEST(SecretToken, OnlyTheBeginningIsShown) {
  const std::string token = MakeSecret(kKeyPrefix);
  EXPECT_EQ(ShownPart(token), token.substr(0, 10));
  EXPECT_EQ(ShownPart("a password of mine"), "");
}

TEST(SecretToken, TextsCanBeCleaned) {
  const std::string token = MakeSecret(kTokenPrefix);
  EXPECT_EQ(HideSecrets("curl -H 'Authorization: Bearer " + token + "' x"),
            "curl -H 'Authorization: Bearer " + token.substr(0, 10) + "...' x");
  const std::string key = MakeSecret("acme_live");
  EXPECT_EQ(HideSecrets(token + key + "x_" + token),
            token.substr(0, 10) + "..." + key.substr(0, 14) + "...x_" + token.substr(0, 10) + "...");
  EXPECT_EQ(HideSecrets("x" + token), "x" + token.substr(0, 10) + "...");
  const std::string underscores(100'000, '_');
  EXPECT_EQ(HideSecrets(underscores), underscores);
  EXPECT_EQ(HideSecrets("weirt_x and nothing else"), "weirt_x and nothing else");
  EXPECT_EQ(HideSecrets(""), "");
}

// FIPS 180-4: "abc".
TEST(SecretToken, HashIsSha256) {
  EXPECT_EQ(Hex(View(HashSecret("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("abc"), View(HashSecret("abc")));
}

// RFC 4231, test case 2.
TEST(Crypto, HmacIsHmacSha256) {
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Crypto, SealedTextIsReadWithItsKeyAndSubjectOnly) {
  const std::string key = RandomBytes(kSealKeyBytes);
  const std::string sealed = Seal(key, "login", "state");
  std::string plain;
  ASSERT_TRUE(Unseal(key, "login", sealed, &plain));
  EXPECT_EQ(plain, "state");
  EXPECT_NE(Seal(key, "login", "state"), sealed);
  EXPECT_FALSE(Unseal(key, "other", sealed, &plain));
  EXPECT_FALSE(Unseal(RandomBytes(kSealKeyBytes), "login", sealed, &plain));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(Unseal(key, "login", changed, &plain)) << i;
    EXPECT_FALSE(Unseal(key, "login", sealed.substr(0, i), &plain)) << i;
  }
}

}  // namespace
}  // namespace weir::management
