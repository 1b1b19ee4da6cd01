// limitador's conditions and variables, read by themselves.
#include "config/import/limitador_expression.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace weir::config {
namespace {

TEST(LimitadorExpression, Conditions) {
  using Kind = EntryTest::Kind;
  const auto is = [](std::string_view text, const std::vector<EntryTest>& expected) {
    const auto tests = ParseCondition(text);
    ASSERT_TRUE(tests.has_value()) << text << ": " << tests.error().message;
    EXPECT_EQ(*tests, expected) << text;
  };
  const EntryTest get{Kind::kEquals, "req.method", "GET"};
  is("descriptors[0]['req.method'] == 'GET'", {get});
  is(R"~(descriptors[0]["req.method"]=="GET")~", {get});
  is("'GET' == descriptors[0]['req.method']", {get});
  is("req.method == 'GET'", {get});
  is("req.method != 'GET' && 'b' != a", {{Kind::kDiffers, "req.method", "GET"}, {Kind::kDiffers, "a", "b"}});
  is("descriptors[0].method == \"GET\"", {{Kind::kEquals, "method", "GET"}});
  is("  ( descriptors [ 0 ] [ 'req.method' ]  ==  'GET' ) ", {get});
  is("method == 'GET' && (path.startsWith('/a') && has(descriptors[0].user)) && 'x' in descriptors[0]",
     {{Kind::kEquals, "method", "GET"},
      {Kind::kStartsWith, "path", "/a"},
      {Kind::kPresent, "user", ""},
      {Kind::kPresent, "x", ""}});
  is("descriptors[0]['p'].startsWith('/a')", {{Kind::kStartsWith, "p", "/a"}});
  is(R"~(k == 'a\'\\\x41\u00e9\n')~", {{Kind::kEquals, "k", "a'\\A\xC3\xA9\n"}});
}

TEST(LimitadorExpression, WhatIsNoneIsSaid) {
  for (const char* text : {"",
                           "k",
                           "k ==",
                           "k == ",
                           "== 'v'",
                           "k == v",
                           "k == 'v' || j == 'w'",
                           "k == 5",
                           "k == 'v",
                           "!(k == 'v')",
                           "k.matches('v')",
                           "k.size() == 'v'",
                           "descriptors[0] == 'v'",
                           "descriptors[0].a.b == 'v'",
                           "descriptors[x]['k'] == 'v'",
                           "descriptors['k'] == 'v'",
                           "k == 'v' extra",
                           "(k == 'v'",
                           "k == 'v')",
                           "k in 'v'",
                           "'k' in descriptors",
                           "has(k",
                           "has(k.startsWith('v'))",
                           "k == '\\q'",
                           "k == '\\x4'",
                           "k == '\\ud800'",
                           "k.startsWith(v)",
                           "\xff",
                           "&& k == 'v'",
                           "k == 'v' &&",
                           "limit.name == 'v' ? true : false"}) {
    const auto tests = ParseCondition(text);
    ASSERT_FALSE(tests.has_value()) << text;
    EXPECT_FALSE(tests.error().message.empty());
  }
  EXPECT_NE(ParseCondition("k == 'v' || j == 'w'").error().message.find("an entry of one value"), std::string::npos);
  EXPECT_NE(ParseCondition("descriptors[1]['k'] == 'v'").error().message.find("another descriptor"), std::string::npos);
  EXPECT_FALSE(ParseCondition(std::string(100'000, '(')).has_value());
}

TEST(LimitadorExpression, Variables) {
  EXPECT_EQ(ParseVariable("descriptors[0]['user.id']").value(), "user.id");
  EXPECT_EQ(ParseVariable("descriptors[0].user_id").value(), "user_id");
  EXPECT_EQ(ParseVariable("user_id").value(), "user_id");
  EXPECT_EQ(ParseVariable("(auth.user)").value(), "auth.user");
  for (const char* text : {"", "'x'", "a b", "descriptors[2].a", "size(a)", "a.startsWith('b')", "a + b"}) {
    EXPECT_FALSE(ParseVariable(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace weir::config
