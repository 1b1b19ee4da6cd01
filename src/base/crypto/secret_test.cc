#include "base/crypto/secret.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

TEST(Secret, EqualIsEqualByteByByte) {
  const std::string zero("a\0b", 3);
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime(zero, zero));
  EXPECT_FALSE(EqualInConstantTime("", "a"));
  EXPECT_FALSE(EqualInConstantTime("a", ""));
  EXPECT_FALSE(EqualInConstantTime("ab", "abab")) << "a repetition";
  EXPECT_FALSE(EqualInConstantTime("abab", "ab"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime(zero, "a"));
}

TEST(Secret, AnyOfASetWillDo) {
  const SecretSet set({"one", "two", ""});
  EXPECT_TRUE(set.Has("one"));
  EXPECT_TRUE(set.Has("two"));
  EXPECT_FALSE(set.Has("three"));
  EXPECT_FALSE(set.Has("")) << "who says nothing knows nothing";
  EXPECT_FALSE(SecretSet().Has("one"));
  EXPECT_TRUE(SecretSet().empty());
}

TEST(Secret, BearerTokens) {
  EXPECT_EQ(BearerToken("Bearer abc"), "abc");
  EXPECT_EQ(BearerToken("bEaReR   a b"), "a b");
  for (const std::string_view other : {"", "Bearer", "Bearer ", "Bearerabc", "Basic abc", "Bear abc", " Bearer abc"}) {
    EXPECT_EQ(BearerToken(other), "") << other;
  }
}

}  // namespace
}  // namespace weir
