#include "engine/document_faults.h"

#include <gtest/gtest.h>

namespace weir::engine {
namespace {

config::LoadedDocument Load(std::string_view text) {
  config::LoadedDocument loaded = config::LoadDocument(text, "weir.yaml");
  AddCompileFaults(text, "weir.yaml", loaded);
  return loaded;
}

TEST(DocumentFaults, AllThatOnlyItsLanguagesKnowAtOnceAndWithLines) {
  const auto compiled = Load(R"yaml(global: {free_tier: unlimited}
endpoints:
  /a:
    rule: {max_requests: 5, window_seconds: 60, identifier: {custom: {extractor: "lua:return ("}}}
  /b:
    rule: {max_requests: 5, window_seconds: 60, identifier: {custom: {extractor: "lua:return )"}}}
  /c:
    rule: {max_requests: 5, window_seconds: 60, identifier: {custom: {extractor: "lua:return path"}}}
)yaml");
  ASSERT_EQ(compiled.faults.size(), 2U) << compiled.ToError().message;
  EXPECT_EQ(compiled.faults[0].fault.line, 4U);
  EXPECT_EQ(compiled.faults[1].fault.line, 6U);
  for (const auto& one : compiled.faults) {
    EXPECT_EQ(one.file, "weir.yaml");
    EXPECT_EQ(one.fault.severity, Severity::kError);
    EXPECT_EQ(one.fault.path, "identifier.extractor");
  }
}

TEST(DocumentFaults, OfTheKeysForTokens) {
  const auto loaded = Load(R"yaml(global: {free_tier: {max_requests: 5, window_seconds: 60}}
endpoints:
  /a: {rule: {max_requests: 5, window_seconds: 60, identifier: {custom: {extractor: "jwt:sub"}}}}
jwt:
  rs256_public_key_pem: |
    -----BEGIN PUBLIC KEY-----
    bm8ga2V5
    -----END PUBLIC KEY-----
)yaml");
  ASSERT_EQ(loaded.faults.size(), 1U) << loaded.ToError().message;
  EXPECT_EQ(loaded.faults[0].fault.path, "jwt");
  EXPECT_EQ(loaded.faults[0].fault.line, 5U);
}

TEST(DocumentFaults, WhatTheReaderKnowsComesAlone) {
  const auto loaded = Load("global: {free_tier: 5}\njwt: {rs256_public_key_pem: no key}\n");
  ASSERT_EQ(loaded.faults.size(), 1U) << loaded.ToError().message;
  EXPECT_EQ(loaded.faults[0].fault.line, 1U);
}

TEST(DocumentFaults, NoneOfAGoodDocument) {
  EXPECT_TRUE(Load("global: {free_tier: {max_requests: 5, window_seconds: 60}}\n").faults.empty());
}

}  // namespace
}  // namespace weir::engine
