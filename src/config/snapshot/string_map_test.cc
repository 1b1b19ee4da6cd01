#include "config/snapshot/string_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace weir::config {
namespace {

std::optional<std::uint32_t> ValueOf(const StringMap& map, std::string_view text) {
  const std::uint32_t* const found = map.Find(text);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

TEST(StringMap, FindsWhatWasInsertedAndNothingElse) {
  std::mt19937 random(3);
  StringMap map;
  std::map<std::string, std::uint32_t> oracle;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    std::string name(random() % 9, ' ');
    for (char& c : name) c = static_cast<char>('a' + random() % 4);
    ASSERT_EQ(map.Insert(name, i), oracle.emplace(name, i).second) << name;
  }
  ASSERT_EQ(map.size(), oracle.size());
  for (int i = 0; i < 50'000; ++i) {
    std::string name(random() % 10, ' ');
    for (char& c : name) c = static_cast<char>('a' + random() % 5);
    const auto known = oracle.find(name);
    ASSERT_EQ(ValueOf(map, name), known == oracle.end() ? std::nullopt : std::optional(known->second)) << name;
  }
}

TEST(StringMap, HoldsAnyBytesAndTheEmptyText) {
  StringMap map;
  EXPECT_FALSE(map.Contains(""));
  EXPECT_TRUE(map.Insert("", 1));
  EXPECT_TRUE(map.Insert(std::string_view("\0", 1), 2));
  EXPECT_TRUE(map.Insert(std::string_view("\0\0", 2), 3));
  EXPECT_FALSE(map.Insert("", 4));
  EXPECT_EQ(ValueOf(map, ""), 1u);
  EXPECT_EQ(ValueOf(map, std::string_view("\0", 1)), 2u);
  EXPECT_EQ(ValueOf(map, std::string_view("\0\0", 2)), 3u);
  EXPECT_FALSE(map.Contains(std::string_view("\0\0\0", 3)));
}

TEST(StringMap, IsSmall) {
  constexpr std::uint32_t kUsers = 100'000;
  StringMap map(kUsers);
  for (std::uint32_t i = 0; i < kUsers; ++i) map.Insert("user-" + std::to_string(1'000'000 + i), i);
  EXPECT_LT(map.MemoryBytes(), kUsers * 48u);  // names of 12 bytes
}

}  // namespace
}  // namespace weir::config
