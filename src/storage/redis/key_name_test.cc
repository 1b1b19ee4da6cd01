#include "storage/redis/key_name.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weir::storage::redis {
namespace {

std::string NameOf(std::string_view rule, std::string_view subject) {
  std::string name;
  AppendKeyName(name, "weir:", rule, subject, HashKey(Hash64(rule), subject));
  return name;
}

TEST(RedisKeyName, IsReadable) {
  EXPECT_EQ(NameOf("global.free_tier@5f1c", "192.0.2.7"), "weir:v1:global.free_tier@5f1c:192.0.2.7");
  EXPECT_EQ(NameOf("g@1", "2001:db8::/64"), "weir:v1:g@1:2001:db8::/64");
}

TEST(RedisKeyName, RulesAreEncodedSoThatTheSubjectBeginsAtTheThirdColon) {
  EXPECT_EQ(NameOf("endpoints./a:b c%@1", "x"), "weir:v1:endpoints./a%3ab%20c%25@1:x");
  EXPECT_EQ(NameOf("\xc3\xbc@1", "x"), "weir:v1:%c3%bc@1:x");
}

TEST(RedisKeyName, UnusualSubjectsAreNamedByTheirKey) {
  for (const std::string& subject :
       {std::string("a b"), std::string("a\0b", 3), std::string("{tag}"), std::string("#1"), std::string("\xff"),
        std::string(129, 'x'), std::string("a\r\nFLUSHALL")}) {
    const std::string name = NameOf("g@1", subject);
    ASSERT_EQ(name.size(), std::string("weir:v1:g@1:#").size() + 32) << subject;
    EXPECT_TRUE(name.starts_with("weir:v1:g@1:#"));
  }
  EXPECT_EQ(NameOf("g@1", std::string(128, 'x')), "weir:v1:g@1:" + std::string(128, 'x'));
  EXPECT_EQ(NameOf("g@1", ""), "weir:v1:g@1:");
}

TEST(RedisKeyName, DifferentPairsHaveDifferentNames) {
  const std::string parts[] = {"",
                               "a",
                               ":",
                               "a:",
                               ":a",
                               "a:b",
                               "%",
                               "%3a",
                               "#",
                               "##",
                               "b",
                               std::string(200, 'r'),
                               std::string(201, 'r'),
                               std::string(250, 'r'),
                               "a\n",
                               "a@1",
                               "@1:a"};
  std::map<std::string, std::pair<std::string, std::string>> seen;
  for (const std::string& rule : parts) {
    for (const std::string& subject : parts) {
      const auto [other, added] = seen.try_emplace(NameOf(rule, subject), rule, subject);
      EXPECT_TRUE(added) << rule << " / " << subject << " is named as " << other->second.first << " / "
                         << other->second.second;
    }
  }
}

TEST(RedisKeyName, LengthIsBounded) {
  EXPECT_LT(NameOf(std::string(100'000, ' '), std::string(100'000, ' ')).size(), 700u);
}

}  // namespace
}  // namespace weir::storage::redis
