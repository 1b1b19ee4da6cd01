#include "engine/identify/request_fields.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::engine {
namespace {

TEST(RequestFields, HeadersCompareWithoutCase) {
  const std::vector<Attribute> headers = {{"Accept", "a"}, {"X-Key", ""}, {"x-KEY", "second"}};
  const Request request{.headers = headers};
  EXPECT_EQ(FindHeader(request, "x-key"), "");
  EXPECT_EQ(FindHeader(request, "ACCEPT"), "a");
  EXPECT_FALSE(FindHeader(request, "x-ke"));
  EXPECT_FALSE(EqualsIgnoringCase("a[", "A{")) << "only letters have a case";
}

TEST(RequestFields, QueryIsDecoded) {
  Arena arena;
  const auto find = [&arena](std::string_view path, std::string_view name) {
    const auto value = FindQuery({.path = path}, name, arena);
    return value ? std::string(*value) : "(none)";
  };
  EXPECT_EQ(find("/a?x=1&y=2", "y"), "2");
  EXPECT_EQ(find("/a?x=1&x=2", "x"), "1");
  EXPECT_EQ(find("/a?x", "x"), "");
  EXPECT_EQ(find("/a?x=", "x"), "");
  EXPECT_EQ(find("/a?x=a=b", "x"), "a=b");
  EXPECT_EQ(find("/a?x=%41+%2B%2f", "x"), "A +/");
  EXPECT_EQ(find("/a?%78%5B%5d=1", "x[]"), "1");
  EXPECT_EQ(find("/a?x=%zz%4", "x"), "%zz%4") << "a bad escape stands for itself";
  EXPECT_EQ(find("/a?x=%4", "x"), "%4");
  EXPECT_EQ(find("/a?x=%41", "x"), "A");
  EXPECT_EQ(find("/a?&&x=1", "x"), "1");
  EXPECT_EQ(find("/a?x=1#y=2", "y"), "(none)");
  EXPECT_EQ(find("/a?x=1?y", "x"), "1?y");
  EXPECT_EQ(find("/a", "x"), "(none)");
  EXPECT_EQ(find("/a?", ""), "(none)");
  EXPECT_EQ(find("", ""), "(none)");
  EXPECT_EQ(find("/a?x=%00", "x"), std::string(1, '\0'));
}

TEST(RequestFields, Cookies) {
  const std::vector<Attribute> headers = {{"Cookie", "a=1; sid=\"x y\";b"}, {"cookie", "late=2;sid=other"}};
  const Request request{.headers = headers};
  EXPECT_EQ(FindCookie(request, "a"), "1");
  EXPECT_EQ(FindCookie(request, "sid"), "x y");
  EXPECT_EQ(FindCookie(request, "late"), "2");
  EXPECT_FALSE(FindCookie(request, "b"));
  EXPECT_FALSE(FindCookie(request, "A"));
}

TEST(RequestFields, BearerToken) {
  const auto find = [](std::string_view value) {
    const Attribute header{"Authorization", value};
    const auto token = FindBearerToken({.headers = {&header, 1}});
    return token ? std::string(*token) : "(none)";
  };
  EXPECT_EQ(find("Bearer abc"), "abc");
  EXPECT_EQ(find("bearer   abc "), "abc");
  EXPECT_EQ(find("Basic abc"), "(none)");
  EXPECT_EQ(find("Bearer"), "(none)");
  EXPECT_EQ(find("Bearer  "), "(none)");
}

TEST(RequestFields, Counts) {
  EXPECT_EQ(ParseCount("0"), 0U);
  EXPECT_EQ(ParseCount("18446744073709551615"), UINT64_MAX);
  for (const char* wrong : {"", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "x"}) {
    EXPECT_FALSE(ParseCount(wrong)) << wrong;
  }
}

TEST(RequestFields, PathAndQuery) {
  EXPECT_EQ(PathOf("/a?b?c"), "/a");
  EXPECT_EQ(QueryOf("/a?b?c"), "b?c");
  EXPECT_EQ(PathOf(""), "");
  EXPECT_EQ(QueryOf("/a"), "");
}

}  // namespace
}  // namespace weir::engine
