#include "config/snapshot/key_name.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(KeyName, AKeyAndItsDigestAreTheSame) {
  const std::string digest(kAbc.substr(0, 32));
  const KeyDigest of_key = DigestOfKey("abc");
  EXPECT_EQ(std::string(of_key.data(), of_key.size()), digest);
  EXPECT_EQ(DigestOfKeyName("abc"), digest);
  EXPECT_EQ(DigestOfKeyName("sha256:" + std::string(kAbc)), digest);
  EXPECT_EQ(DigestOfKeyName("sha256:" + digest), digest);
  EXPECT_EQ(DigestOfKeyName("sha256:BA7816BF8F01CFEA414140DE5DAE2223"), digest);
  EXPECT_EQ(DigestOfKeyName(KeyNameOfDigest(digest)), digest);
}

TEST(KeyName, WhatIsNoDigestIsRefused) {
  for (const char* wrong : {"", "sha256:", "sha256:abc", "sha256:ba7816bf8f01cfea414140de5dae222g",
                            "sha256:ba7816bf8f01cfea414140de5dae22230"}) {
    EXPECT_EQ(DigestOfKeyName(wrong), std::nullopt) << wrong;
  }
  EXPECT_TRUE(DigestOfKeyName("sha256")) << "a key like any other";
}

}  // namespace
}  // namespace weir::config
