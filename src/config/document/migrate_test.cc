// Documents of other forms.
#include "config/document/migrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

namespace weir::config {
namespace {

void Rename(Node& document, const std::string& from, const std::string& to) {
  for (Node& child : document.children) {
    if (child.key == from) child.key = to;
  }
}

constexpr std::array<DocumentStep, 2> kSteps = {
    {{1,
      [](Node& document, std::vector<Fault>& warnings) {
        Rename(document, "first", "second");
        warnings.push_back({.severity = Severity::kWarning, .message = "1"});
      }},
     {2, [](Node& document, std::vector<Fault>&) { Rename(document, "second", "third"); }}}};

std::string UpToDate(const std::string& json, std::vector<Fault>& faults) {
  Node root = ParseJsonTree(json).root;
  return BringUpToDate(root, kSteps, 3, faults) ? EmitCompactJson(root) : "refused";
}

TEST(Migrate, OlderFormsTakeEachStep) {
  std::vector<Fault> faults;
  EXPECT_EQ(UpToDate(R"({"first":5})", faults), R"({"third": 5, "schema_version": 3})");
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].severity, Severity::kWarning);
  EXPECT_EQ(UpToDate(R"({"schema_version":1,"first":5})", faults), R"({"third": 5, "schema_version": 3})");
  EXPECT_EQ(UpToDate(R"({"schema_version":2,"second":5,"first":1})", faults),
            R"({"third": 5, "first": 1, "schema_version": 3})");
  EXPECT_EQ(UpToDate(R"({"schema_version":3,"first":5})", faults), R"({"schema_version": 3, "first": 5})");
}

TEST(Migrate, NewerFormsAreRefused) {
  std::vector<Fault> faults;
  EXPECT_EQ(UpToDate(R"({"schema_version":4})", faults), "refused");
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(Describe(faults[0]),
            "line 1: schema_version: the document has form 4, and this version of weir knows up to 3 (update weir)");
}

TEST(Migrate, ADocumentOfANewerFormIsRefusedWithThatAlone) {
  const ParsedConfig parsed = ParseConfig("schema_version: 99\nwhat: {is: this}\n");
  ASSERT_EQ(parsed.faults.size(), 1U);
  EXPECT_EQ(Describe(parsed.faults[0], "weir.yaml"),
            "weir.yaml:1:17: schema_version: the document has form 99, and this version of weir knows up to 1 (update "
            "weir)");
  EXPECT_FALSE(parsed.ok());
}

TEST(Migrate, ThePresentFormNeedNotBeWritten) {
  const std::string document = "global: {free_tier: {max_requests: 5, window_seconds: 60}}\n";
  const ParsedConfig without = ParseConfig(document);
  const ParsedConfig with = ParseConfig("schema_version: 1\n" + document);
  ASSERT_TRUE(without.ok());
  ASSERT_TRUE(with.ok());
  EXPECT_EQ(without.config, with.config);
  EXPECT_EQ(ToYaml(with.config).find("schema_version"), std::string::npos);
}

TEST(Migrate, WhatIsNoFormIsAFault) {
  for (const char* const form : {"0", "-1", "x", "1.5", "[1]", "{}"}) {
    EXPECT_FALSE(ParseConfig(std::string("schema_version: ") + form +
                             "\nglobal: {free_tier: {max_requests: 5, window_seconds: 60}}\n")
                     .ok())
        << form;
  }
}

}  // namespace
}  // namespace weir::config
