// The examples of RFC 7396, appendix A, and what they leave out.
#include "config/document/merge_patch.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

std::string Patched(const std::string& target, const std::string& patch) {
  return EmitCompactJson(MergePatch(ParseJsonTree(target).root, ParseJsonTree(patch).root));
}
std::string Compact(const std::string& json) { return EmitCompactJson(ParseJsonTree(json).root); }

TEST(MergePatch, DoesAsTheStandardSays) {
  const struct {
    const char *target, *patch, *result;
  } kExamples[] = {{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                   {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                   {R"({"a":"b"})", R"({"a":null})", R"({})"},
                   {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                   {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                   {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                   {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                   {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                   {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                   {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                   {R"({"a":"foo"})", R"(null)", R"(null)"},
                   {R"({"a":"foo"})", R"("bar")", R"("bar")"},
                   {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                   {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
                   {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& [target, patch, result] : kExamples) {
    EXPECT_EQ(Patched(target, patch), Compact(result)) << target << " and " << patch;
  }
}

TEST(MergePatch, KeepsTheOtherFieldsWhereTheyAre) {
  EXPECT_EQ(
      Patched(R"({"rule":{"max_requests":5,"window_seconds":60},"tier":"pro"})", R"({"rule":{"max_requests":5000}})"),
      Compact(R"({"rule":{"max_requests":5000,"window_seconds":60},"tier":"pro"})"));
}

}  // namespace
}  // namespace weir::config
