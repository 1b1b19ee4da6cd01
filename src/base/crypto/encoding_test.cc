#include "base/crypto/encoding.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

TEST(Encoding, HexBothWays) {
  EXPECT_EQ(Hex(std::string("\x00\x9f\xff", 3)), "009fff");
  EXPECT_EQ(FromHex("009Fff"), std::string("\x00\x9f\xff", 3));
  EXPECT_EQ(FromHex(""), "");
  EXPECT_EQ(FromHex("0"), std::nullopt);
  EXPECT_EQ(FromHex("0g"), std::nullopt);
}

// RFC 4648, section 10, without padding; RFC 7515, appendix C.
TEST(Encoding, Base64UrlOfPublishedVectors) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(Base64Url(plain), coded);
    EXPECT_EQ(FromBase64Url(coded), plain);
  }
  const std::string bytes("\x03\xec\xff\xe0\xc1", 5);
  EXPECT_EQ(Base64Url(bytes), "A-z_4ME");
  EXPECT_EQ(FromBase64Url("A-z_4ME"), bytes);
}

TEST(Encoding, Base64UrlHasOneSpellingOfEachValue) {
  for (const char* text : {"Zg==", "Zh", "Zm9", "Z", "Zm9v\n", " Zm9v", "A+z/4ME", "Zm9vYg="}) {
    EXPECT_EQ(FromBase64Url(text), std::nullopt) << text;
  }
}

TEST(Encoding, EveryByteReturns) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    EXPECT_EQ(FromBase64Url(Base64Url(bytes)), bytes);
    EXPECT_EQ(FromHex(Hex(bytes)), bytes);
  }
}

}  // namespace
}  // namespace weir
