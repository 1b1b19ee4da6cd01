// The documents that weir ships, and the reference that is checked in.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "config/snapshot/snapshot.h"
#include "weir/config.h"

namespace weir {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void ExpectSound(std::string_view name, std::string_view yaml) {
  const ParsedConfig parsed = ParseConfig(yaml);
  for (const Fault& fault : parsed.faults) ADD_FAILURE() << Describe(fault, name);
  const auto snapshot = config::Snapshot::Compile(parsed.config, nullptr, 0);
  EXPECT_TRUE(snapshot.has_value()) << name << ": " << (snapshot ? "" : snapshot.error().message);
  EXPECT_EQ(ParseConfig(ToYaml(parsed.config)).config, parsed.config) << name;
}

TEST(Templates, AreCommentedAndWithoutFaultOrWarning) {
  std::set<std::string_view> names;
  for (const ConfigTemplate& one : ConfigTemplates()) {
    names.insert(one.name);
    EXPECT_TRUE(one.yaml.starts_with("# ")) << one.name;
    EXPECT_TRUE(one.summary.ends_with('.')) << one.name << ": " << one.summary;
    ExpectSound(one.name, one.yaml);
    EXPECT_EQ(one.yaml,
              Contents(std::string(WEIR_SOURCE_DIR) + "/src/config/templates/" + std::string(one.name) + ".yaml"));
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"public-api", "login", "uploads", "graphql", "llm-tokens", "webhooks",
                                               "internal-grpc"}));
}

TEST(Templates, TheSampleIsSound) {
  ExpectSound("sample", SampleConfig());
  EXPECT_EQ(ParseConfig(SampleConfig()).config.global.free_tier.max_requests, 100U);
}

// What is commented out in the sample works too, once it is not.
TEST(Templates, TheSamplesCommentedPartsAreSound) {
  const std::string sample(SampleConfig());
  for (const auto& [begin, lines] :
       {std::pair<std::string_view, int>{"# tenants:", 6}, {"# users:", 4}, {"# server:", 5}}) {
    std::size_t from = sample.find(std::string("\n") + std::string(begin)) + 1;
    ASSERT_NE(from, std::string::npos + 1) << begin;
    std::string part;
    for (int i = 0; i < lines; ++i) {
      const std::size_t end = sample.find('\n', from);
      part += sample.substr(from + 2, end - from - 1);
      from = end + 1;
    }
    const std::string tenants = begin == "# users:" ? "tenants: {acme: {}}\n" : "";
    ExpectSound(begin, "global: {free_tier: {max_requests: 1, window_seconds: 60}}\n" + tenants + part);
  }
}

TEST(Reference, IsTheOneThatIsCheckedIn) {
  EXPECT_EQ(Contents(std::string(WEIR_SOURCE_DIR) + "/docs/configuration.md"), ConfigReferenceMarkdown())
      << "run: weir schema --markdown > docs/configuration.md";
}

}  // namespace
}  // namespace weir
