#include "base/crypto/sha256.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace weir {
namespace {

std::string Hex(std::string_view text) {
  std::string hex;
  for (const std::uint8_t byte : Sha256(text)) hex += fmt::format("{:02x}", byte);
  return hex;
}

// FIPS 180-4's examples.
TEST(Sha256, IsTheStandardsOwn) {
  EXPECT_EQ(Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, WorksOnEveryThread) {
  std::string other;
  std::thread([&] { other = Hex("abc"); }).join();
  EXPECT_EQ(other, Hex("abc"));
}

}  // namespace
}  // namespace weir
