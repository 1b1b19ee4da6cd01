// Faults within `when`: their line and column in the document, however the condition is written.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/validate/faults_fixture.h"

namespace weir {
namespace {

using config::faults::kBase;

std::string Told(const std::string& rest) {
  for (const Fault& fault : ParseConfig(std::string(kBase) + rest).faults) {
    if (fault.severity == Severity::kError) return Describe(fault, "f");
  }
  return "";
}

TEST(ConditionFaults, AreToldWhereTheyAre) {
  const std::string why = " endpoints./a.rule.when: a request has no 'usr' (did you mean 'user'?)";
  EXPECT_EQ(Told("endpoints: {/a: {rule: {when: request.usr == 'x'}}}\n"), "f:2:39:" + why);
  EXPECT_EQ(Told("endpoints: {/a: {rule: {when: \"request.user == \\\"x\\\" && request.usr == 'y'\"}}}\n"),
            "f:2:65:" + why);
  EXPECT_EQ(Told("endpoints: {/a: {rule: {when: 'request.user == ''x'' && request.usr == 1'}}}\n"), "f:2:65:" + why);
  EXPECT_EQ(
      Told("endpoints:\n  /a:\n    rule:\n      when: |\n        request.cost > 1\n          && request.usr == 'x'\n"),
      "f:7:22:" + why);
  EXPECT_EQ(
      Told("endpoints:\n  /a:\n    rule:\n      when: >-\n        request.cost > 1 &&\n        request.usr == 'x'\n"),
      "f:7:17:" + why);
}

TEST(ConditionFaults, OfJson) {
  const ParsedConfig parsed = ParseConfig(
      "{\"global\": {\"free_tier\": {\"max_requests\": 1, \"window_seconds\": 1,\n"
      "  \"when\": \"\\\"x\\\" == request.usr\"}}}\n");
  ASSERT_FALSE(parsed.faults.empty());
  EXPECT_EQ(Describe(parsed.faults[0], "f"),
            "f:2:29: global.free_tier.when: a request has no 'usr' (did you mean 'user'?)");
}

TEST(ConditionFaults, OfABuiltDocumentHaveTheColumnOfTheCondition) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = RateLimitRule::Strict();
  config.global.free_tier.when = "request.usr == 'x'";
  const std::vector<Fault> faults = ValidateConfig(config);
  ASSERT_FALSE(faults.empty());
  EXPECT_EQ(Describe(faults[0]), "global.free_tier.when: column 9: a request has no 'usr' (did you mean 'user'?)");
}

TEST(ConditionFaults, OfWhatIsMergedAreWhereItIsWritten) {
  EXPECT_EQ(Told("templates:\n  t: &t {max_requests: 1, when: 'true &&'}\nendpoints: {/a: {rule: {<<: *t}}}\n"),
            "f:3:41: endpoints./a.rule.when: expected a value, not the end");
}

}  // namespace
}  // namespace weir
