#include "io/postgres/values.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace weir::io::postgres {
namespace {

std::string Hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

// The bytes that PostgreSQL's own int8send, uuid_send and array_send make.
TEST(Params, AreInPostgresqlsBinaryFormats) {
  const std::vector<std::int64_t> numbers = {1, -1};
  const std::vector<Key> keys = {{.hi = 0x0123456789abcdef, .lo = 2}};
  const std::vector<std::optional<std::string>> bytes = {"ab", std::nullopt};
  const std::vector<std::int16_t> none;
  Params params;
  params.Add(std::int64_t{258}).Add(Key{.hi = 1, .lo = 2}).Add(std::span(numbers)).Add(std::span(keys));
  params.Add(std::span(bytes)).Add(std::span(none)).AddBytes("\xff").Add("text");
  const std::vector<Params::Value>& values = params.values();
  ASSERT_EQ(values.size(), 8u);
  EXPECT_EQ(Hex(values[0].bytes), "0000000000000102");
  EXPECT_EQ(Hex(values[1].bytes), "00000000000000010000000000000002");
  EXPECT_EQ(Hex(values[2].bytes),
            "00000001000000000000001400000002000000010000000800000000000000010000000"
            "8ffffffffffffffff");
  EXPECT_EQ(Hex(values[3].bytes), "000000010000000000000b860000000100000001000000100123456789abcdef0000000000000002");
  EXPECT_EQ(Hex(values[4].bytes), "000000010000000100000011000000020000000100000002" + std::string("6162ffffffff"));
  EXPECT_EQ(Hex(values[5].bytes), "000000000000000000000015");
  EXPECT_EQ(values[6].type, Type::kBytes);
  EXPECT_EQ(values[7].bytes, "text");
}

TEST(Rows, ThatAreNotThereHoldNothing) {
  EXPECT_EQ(Rows().size(), 0u);
  EXPECT_FALSE(Rows().Have({}));
}

}  // namespace
}  // namespace weir::io::postgres
