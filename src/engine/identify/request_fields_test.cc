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

// "a & b", "(none)", or "(ambiguous)".
std::string Text(const Values& values) {
  if (values.ambiguous) return "(ambiguous)";
  if (values.count == 0) return "(none)";
  std::string text(values.texts[0]);
  if (values.count > 1) text.append(" & ").append(values.texts[1]);
  return text;
}

TEST(RequestFields, EveryHeaderOfTheNameIsFound) {
  const auto find = [](const std::vector<Attribute>& headers) {
    return Text(FindHeaderValues({.headers = headers}, "x-key"));
  };
  EXPECT_EQ(find({}), "(none)");
  EXPECT_EQ(find({{"X-Key", ""}}), "");
  EXPECT_EQ(find({{"X-Key", " a\t"}}), "a");
  EXPECT_EQ(find({{"X-Key", "a"}, {"x-KEY", "a"}}), "a");
  EXPECT_EQ(find({{"X-Key", "a"}, {"other", "c"}, {"x-KEY", "b"}}), "a & b");
  EXPECT_EQ(find({{"X-Key", "a"}, {"x-KEY", "b"}, {"x-key", "a"}}), "a & b");
  EXPECT_EQ(find({{"X-Key", "a"}, {"x-KEY", "b"}, {"x-key", "c"}}), "(ambiguous)");
}

TEST(RequestFields, QueryIsDecoded) {
  Arena arena;
  const auto find = [&arena](std::string_view path, std::string_view name) {
    return Text(FindQueryValues({.path = path}, name, arena));
  };
  EXPECT_EQ(find("/a?x=1&y=2", "y"), "2");
  EXPECT_EQ(find("/a?x=1&x=1", "x"), "1");
  EXPECT_EQ(find("/a?x=1&x=2", "x"), "1 & 2");
  EXPECT_EQ(find("/a?x=1&x=2&x=3", "x"), "(ambiguous)");
  EXPECT_EQ(find("/a?x", "x"), "");
  EXPECT_EQ(find("/a?x=", "x"), "");
  EXPECT_EQ(find("/a?x=a=b", "x"), "a=b");
  EXPECT_EQ(find("/a?x=%41+%2B%2f", "x"), "A  /") << "a '+' is a blank to one server and itself to another";
  EXPECT_EQ(find("/a?%78%5B%5d=1", "x[]"), "1");
  EXPECT_EQ(find("/a?x=%zz%4", "x"), "%zz%4") << "a bad escape stands for itself";
  EXPECT_EQ(find("/a?x=%4", "x"), "%4");
  EXPECT_EQ(find("/a?x=%41", "x"), "A");
  EXPECT_EQ(find("/a?&&x=1", "x"), "1");
  EXPECT_EQ(find("/a?x=1#x=2", "x"), "1 & 2") << "some servers do not know of fragments";
  EXPECT_EQ(find("/a?x=1;junk&x=1;z", "x"), "1");
  EXPECT_EQ(find("/a?y=2;x=1", "x"), "1");
  EXPECT_EQ(find("/a?+x=1", "x"), "1") << "PHP drops blanks before a name";
  EXPECT_EQ(find("/a?api.key=1", "api_key"), "1");
  EXPECT_EQ(find("/a?api%20key=1&api%5Bkey=2", "api_key"), "1 & 2");
  EXPECT_EQ(find("/a?api_key=1", "api.key"), "(none)");
  EXPECT_EQ(find("/a?a%2Bb=1&a+b=1", "a+b"), "1");
  EXPECT_EQ(find("/a?x=1?y", "x"), "1?y");
  EXPECT_EQ(find("https://site.example/a?x=1", "x"), "1");
  EXPECT_EQ(find("/a", "x"), "(none)");
  EXPECT_EQ(find("/a?", ""), "(none)");
  EXPECT_EQ(find("", ""), "(none)");
  EXPECT_EQ(find("/a?x=%00", "x"), std::string(1, '\0'));
}

TEST(RequestFields, Cookies) {
  Arena arena;
  const std::vector<Attribute> headers = {{"Cookie", "a=1; sid=\"x y\";b"}, {"cookie", "late=2;sid=other"}};
  const Request request{.headers = headers};
  EXPECT_EQ(Text(FindCookieValues(request, "a", arena)), "1");
  EXPECT_EQ(Text(FindCookieValues(request, "sid", arena)), "x y & other");
  EXPECT_EQ(Text(FindCookieValues(request, "late", arena)), "2");
  EXPECT_EQ(Text(FindCookieValues(request, "b", arena)), "(none)");
  EXPECT_EQ(Text(FindCookieValues(request, "A", arena)), "(none)");
}

// What a server reads as the cookie "spent", however it is written, is that cookie.
TEST(RequestFields, ACookieHasManySpellings) {
  Arena arena;
  const auto find = [&arena](std::string_view value) {
    const Attribute header{"Cookie", value};
    return Text(FindCookieValues({.headers = {&header, 1}}, "sid", arena));
  };
  for (const char* same : {"sid=spent",
                           "sid =spent",
                           "sid= spent",
                           " sid = spent ",
                           "sid\t=\tspent",
                           "a=b;sid=spent",
                           "a=b;;sid=spent;",
                           "sid=\"spent\"",
                           "sid = \"spent\" ",
                           "sid=sp%65nt",
                           "sid=%73%70%65%6e%74",
                           "sid=\"sp\\145nt\"",
                           "sid=\"sp\\ent\"",
                           "sid=spent\xa0",
                           "sid=\x85spent",
                           "sid\xa0=spent",
                           "sid=spent; sid=spent",
                           "sid=spent; sid=\"spent\"",
                           "sid",
                           "a; sid=spent"}) {
    EXPECT_EQ(find(same), std::string_view(same) == "sid" ? "(none)" : "spent") << same;
  }
  EXPECT_EQ(find("sid=fresh; sid=spent"), "fresh & spent");
  EXPECT_EQ(find("sid=spent; sid=fresh"), "spent & fresh");
  EXPECT_EQ(find("x=\"a; sid=spent"), "spent") << "no quote hides it";
  EXPECT_EQ(find("sid=a; sid=b; sid=spent"), "(ambiguous)");
  EXPECT_EQ(find("sid=\"spentX"), "(ambiguous)") << "to one server that is spent";
  EXPECT_EQ(find("sid=\""), "(ambiguous)");
  EXPECT_EQ(find("sid=\"\""), "");
  EXPECT_EQ(find("sid="), "");
  EXPECT_EQ(find("sid=a+b"), "a b");
  EXPECT_EQ(find("sid=a%2Bb"), "a b");
  EXPECT_EQ(find("SID=spent"), "(none)");
  EXPECT_EQ(find("sid=\"a\\\""), "a\\") << "a backslash with nothing behind it";
  EXPECT_EQ(find("=spent; ; =; sid"), "(none)");
}

TEST(RequestFields, BearerToken) {
  const auto find = [](std::string_view value) {
    const Attribute header{"Authorization", value};
    const auto token = FindBearerToken({.headers = {&header, 1}});
    return token ? std::string(*token) : "(none)";
  };
  EXPECT_EQ(find("Bearer abc"), "abc");
  EXPECT_EQ(find("bearer   abc "), "abc");
  EXPECT_EQ(find("Bearer\tabc"), "abc");
  EXPECT_EQ(find("Bearerx abc"), "(none)");
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

}  // namespace
}  // namespace weir::engine
