#include "base/crypto/siphash.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace weir {
namespace {

// The key 00 01 .. 0f of the paper's appendix.
constexpr SipKey kKey{.lo = 0x0706050403020100, .hi = 0x0f0e0d0c0b0a0908};

// vectors.h of the authors' reference implementation: the input is 00 01 .. of each length. The one of 15 bytes is the
// example in the paper.
TEST(SipHash, GivesThePublishedNumbers) {
  constexpr std::array<std::uint64_t, 16> kExpected = {
      0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
      0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
      0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
      0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5};
  std::string input;
  for (std::size_t length = 0; length < kExpected.size(); ++length) {
    EXPECT_EQ(SipHash(kKey, input), kExpected[length]) << length;
    input.push_back(static_cast<char>(length));
  }
}

TEST(SipHash, DependsOnEveryBitOfTheKey) {
  const std::uint64_t plain = SipHash(kKey, "192.0.2.1");
  for (unsigned bit = 0; bit < 64; ++bit) {
    EXPECT_NE(SipHash({kKey.lo ^ (std::uint64_t{1} << bit), kKey.hi}, "192.0.2.1"), plain);
    EXPECT_NE(SipHash({kKey.lo, kKey.hi ^ (std::uint64_t{1} << bit)}, "192.0.2.1"), plain);
  }
}

}  // namespace
}  // namespace weir
