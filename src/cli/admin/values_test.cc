#include "cli/admin/values.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/admin/kinds.h"

namespace weir::cli::admin {
namespace {

namespace json = boost::json;

constexpr Nanos kNow = 1'800'000'000 * kSecond;  // 2027-01-15T08:00:00Z

std::string Patch(const std::vector<std::string>& assignments) {
  const auto patch = PatchOf(assignments);
  return patch ? json::serialize(*patch) : "error";
}

TEST(Patch, OfAssignments) {
  EXPECT_EQ(Patch({"rule.max_requests=500", "rule.algorithm=token_bucket", "tier=pro"}),
            R"({"rule":{"max_requests":500,"algorithm":"token_bucket"},"tier":"pro"})");
  EXPECT_EQ(Patch({"a=null", "b=true", "c=[1,2]", "d={\"e\":1}", "f=", "g=x=y", "h=\"5\""}),
            R"({"a":null,"b":true,"c":[1,2],"d":{"e":1},"f":"","g":"x=y","h":"5"})");
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{"a"}, {"=1"}, {".a=1"}, {"a.=1"}, {"a..b=1"}, {"a=1", "a=2"}, {"a=1", "a.b=2"}}) {
    EXPECT_EQ(Patch(bad), "error") << bad.front();
  }
}

TEST(Times, FromNowAndAgo) {
  EXPECT_EQ(*ExpiryOf("90m", kNow), "2027-01-15T09:30:00Z");
  EXPECT_EQ(*ExpiryOf("2w", kNow), "2027-01-29T08:00:00Z");
  EXPECT_EQ(*PastOf("1d", kNow), "2027-01-14T08:00:00Z");
  EXPECT_EQ(*ExpiryOf("2026-12-04T17:00:00Z", kNow), "2026-12-04T17:00:00Z");
  for (const char* bad : {"", "d", "3", "3y", "-3d", "3 d", "friday", "99999999999999999999d", "40000d"}) {
    EXPECT_FALSE(ExpiryOf(bad, kNow)) << bad;
  }
}

TEST(Yaml, ScalarsAreWhatTheyLookLike) {
  const auto value = [](const std::string& text) { return json::serialize(ToJson(config::ParseYamlTree(text).root)); };
  EXPECT_EQ(value("{a: 5, b: 1.5, c: true, d: null, e: '5', f: x, g: -3, h: 1e3, i: 1.2.3}"),
            R"({"a":5,"b":1.5E0,"c":true,"d":null,"e":"5","f":"x","g":-3,"h":1E3,"i":"1.2.3"})");
  EXPECT_EQ(value("[a, {b: ~}]"), R"(["a",{"b":null}])");
}

TEST(Difference, ByPath) {
  const json::value before = json::parse(R"({"rule":{"max":5,"window":60},"note":"x","list":[1,2]})");
  const json::value after = json::parse(R"({"rule":{"max":6,"window":60},"tier":"pro","list":[1,2]})");
  EXPECT_EQ(DifferenceText(before, after), "  - note: \"x\"\n  - rule.max: 5\n  + rule.max: 6\n  + tier: \"pro\"\n");
  EXPECT_EQ(DifferenceText(after, after), "");
  EXPECT_EQ(DifferenceText(nullptr, json::parse(R"({"a":{}})"), ""), "+ a: {}\n");
}

TEST(Target, OfWords) {
  const auto path = [](const std::string& first, const std::string& second = "") {
    const auto target = TargetOf(first, second);
    return target ? target->path() : "error";
  };
  EXPECT_EQ(path("users"), "/users");
  EXPECT_EQ(path("user", "alice"), "/users/alice");
  EXPECT_EQ(path("users/a b/c"), "/users/a%20b%2Fc");
  EXPECT_EQ(path("endpoints//login"), "/endpoints/%2Flogin");
  EXPECT_EQ(path("overrides/users/al/ice"), "/overrides/users/al%2Fice");
  EXPECT_EQ(path("users/.."), "/users/..");  // the server has no files
  EXPECT_EQ(path("users/alice", "bob"), "error");
  EXPECT_EQ(path("userz"), "error");
  EXPECT_FALSE(RecordOf("users", ""));
  EXPECT_FALSE(RecordOf("revisions", "5"));
}

TEST(Rows, EmptyColumnsAreLeftOut) {
  const json::value items = json::parse(
      R"([{"name":"a","source":"api","value":{"rule":{"max_requests":5,"window_seconds":60}}},
          {"name":"b","source":"file","value":{"exempt":true}}])");
  const auto rows = RowsOf(**KindNamed("users"), items.get_array());
  EXPECT_EQ(rows, (std::vector<std::vector<std::string>>{
                      {"user", "limit", "from"}, {"a", "5 / 60 s", "api"}, {"b", "exempt", "file"}}));
}

}  // namespace
}  // namespace weir::cli::admin
