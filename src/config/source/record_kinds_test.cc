// Documents as records and back.
#include "config/source/record_kinds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "config/document/document.h"
#include "config/snapshot/random_config.h"

namespace weir::config {
namespace {

constexpr const char* kDocument = R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60}
  pro_tier: {max_requests: 100, window_seconds: 60}
  tiers: {gold: {max_requests: 1000, window_seconds: 60}}
  burst: {enabled: true, multiplier: 2}
  penalties: {enabled: true, threshold: 3}
tenants: {acme: {tier: gold}}
users: {ann: {tenant: acme, rule: {max_requests: 7}}, "a/b": {exempt: true}}
endpoints: {"/api/*": {rule: {max_requests: 5, window_seconds: 1}}}
ip_rules:
  trusted_proxies: [10.0.0.0/8]
  rules:
    - {name: zoo, cidrs: [192.0.2.0/24], action: block}
    - {name: ant, cidrs: [198.51.100.0/24], action: allow}
exemptions: {paths: [/healthz], users: [root]}
algorithm: {token_bucket: {}}
templates: {small: {max_requests: 1, window_seconds: 1}}
domains: {envoy: {descriptors: [{key: k, rule: {max_requests: 5, window_seconds: 1}}]}}
server: {http: "127.0.0.1:9090"}
jwt: {hs256_secret: s3cret}
)";

EnterpriseRateLimitConfig Again(const EnterpriseRateLimitConfig& config) {
  std::vector<RecordValue> records;
  for (const auto& [id, text] : ToRecords(config)) {
    ParsedTree tree = ParseJsonTree(text);
    EXPECT_TRUE(tree.faults.empty()) << text;
    records.push_back({.id = id, .value = std::move(tree.root)});
  }
  // As a store gives them.
  std::ranges::sort(records, {}, &RecordValue::id);
  std::vector<Fault> faults;
  EnterpriseRateLimitConfig again;
  for (const Fault& fault : ReadDocument(ToDocument(std::move(records), faults), again)) faults.push_back(fault);
  EXPECT_TRUE(faults.empty()) << Describe(faults.front());
  return again;
}

std::vector<Fault> FaultsOf(std::vector<std::pair<RecordId, std::string>> records) {
  std::vector<RecordValue> values;
  for (auto& [id, text] : records) values.push_back({.id = id, .value = ParseJsonTree(text).root});
  std::vector<Fault> faults;
  (void)ToDocument(std::move(values), faults);
  return faults;
}

TEST(RecordKinds, ADocumentComesBackWhole) {
  const ParsedConfig parsed = ParseConfig(kDocument);
  ASSERT_TRUE(parsed.ok()) << Describe(parsed.faults.front());
  EXPECT_EQ(ToYaml(Again(parsed.config)), ToYaml(parsed.config));
  EXPECT_EQ(Again(parsed.config), parsed.config);
}

TEST(RecordKinds, EveryPartHasItsRecord) {
  std::vector<std::string> ids;
  for (const auto& [id, text] : ToRecords(ParseConfig(kDocument).config)) ids.push_back(id.kind + ' ' + id.key);
  for (const char* const id : {"tiers free", "tiers pro", "tiers gold", "settings global.burst", "penalties default",
                               "tenants acme", "users ann", "users a/b", "endpoints /api/*", "ip_rules zoo",
                               "ip_rules ant", "settings ip_rules", "exemptions default", "settings algorithm",
                               "templates small", "domains envoy", "settings server", "settings jwt"}) {
    EXPECT_NE(std::ranges::find(ids, id), ids.end()) << id;
  }
  EXPECT_EQ(ids.size(), 18U);
}

TEST(RecordKinds, RandomDocumentsComeBackWhole) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const EnterpriseRateLimitConfig config = RandomConfig(seed).Document();
    EXPECT_EQ(ToYaml(Again(config)), ToYaml(config)) << seed;
  }
}

TEST(RecordKinds, ExemptionsAddUp) {
  std::vector<RecordValue> records;
  records.push_back({{"exemptions", "a"}, ParseJsonTree(R"({"paths":["/a"],"users":["u"]})").root});
  records.push_back({{"exemptions", "b"}, ParseJsonTree(R"({"paths":["/b","/a"],"cidrs":["10.0.0.0/8"]})").root});
  std::vector<Fault> faults;
  EnterpriseRateLimitConfig config;
  faults = ReadDocument(ToDocument(std::move(records), faults), config);
  EXPECT_TRUE(faults.empty()) << Describe(faults.front());
  EXPECT_EQ(config.exemptions.paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(config.exemptions.cidrs, (std::vector<std::string>{"10.0.0.0/8"}));
  EXPECT_EQ(config.exemptions.users, (std::vector<std::string>{"u"}));
}

TEST(RecordKinds, WhatHasNoPlaceIsTold) {
  EXPECT_EQ(FaultsOf({{{"penalties", "other"}, "{}"}}).size(), 1U);
  EXPECT_EQ(FaultsOf({{{"settings", "users"}, "{}"}}).size(), 1U);
  EXPECT_EQ(FaultsOf({{{"settings", "exemptions"}, "{}"}}).size(), 1U);
  EXPECT_EQ(FaultsOf({{{"settings", "ip_rules"}, R"({"rules":[]})"}}).size(), 1U);
  EXPECT_EQ(FaultsOf({{{"ip_rules", "a"}, R"({"name":"b"})"}}).size(), 1U);
  EXPECT_EQ(FaultsOf({{{"ip_rules", "a"}, R"({"name":"a"})"}, {{"bans", "x"}, "{}"}}).size(), 0U);
}

TEST(RecordKinds, WhatAChangeNeeds) {
  EXPECT_EQ(EffectOf({"users", "ann"}), Effect::kEntity);
  EXPECT_EQ(EffectOf({"api_keys", "sha256:0"}), Effect::kEntity);
  EXPECT_EQ(EffectOf({"tiers", "gold"}), Effect::kPolicy);
  EXPECT_EQ(EffectOf({"settings", "server"}), Effect::kPolicy);
  EXPECT_EQ(EffectOf({"bans", "192.0.2.1"}), Effect::kNone);
  EXPECT_EQ(EffectOf({"overrides", "tenants/acme"}), Effect::kEntity);
  EXPECT_EQ(EffectOf({"overrides", "endpoints//api/*"}), Effect::kPolicy);
  EXPECT_EQ(EffectOf({"overrides", "acme"}), Effect::kNone);
  EXPECT_EQ(EffectOf({"overrides", "overrides/users/ann"}), Effect::kNone);
}

TEST(RecordKinds, APatchChangesPartOfWhatANameStandsFor) {
  const auto patched = [](const RecordId& id, const std::string& value, const std::string& patch) {
    return EmitCompactJson(PatchValue(id, ParseJsonTree(value).root, ParseJsonTree(patch).root));
  };
  EXPECT_EQ(patched({"tiers", "gold"}, R"("generous")", R"({"max_requests":5})"),
            R"({"max_requests": 5, "window_seconds": 60})");
  EXPECT_EQ(patched({"users", "a.b"}, R"({"rule":{"headers":"detailed"},"tier":"x"})",
                    R"({"rule":{"headers":{"retry_after":false}}})"),
            R"({"tier": "x", "rule": {"headers": {"styles": ["ietf", "x_ratelimit"], "retry_after": false}}})");
  EXPECT_EQ(patched({"tiers", "gold"}, R"("generous")", R"("strict")"), R"("strict")");
  // What is wrong is not lost, so that it can be told of.
  EXPECT_EQ(patched({"tiers", "gold"}, R"({"max":1})", R"({"max_requests":5})"), R"({"max": 1, "max_requests": 5})");
  EXPECT_EQ(patched({"settings", "ip_rules"}, R"({"order":["b","a"]})", R"({"ipv6_prefix":48})"),
            R"({"order": ["b", "a"], "ipv6_prefix": 48})");
  EXPECT_EQ(patched({"lists", "x"}, R"({"a":1})", R"({"a":null,"b":2})"), R"({"b": 2})");
}

TEST(RecordKinds, AnOverrideNamesItsTarget) {
  const RecordId target{"endpoints", "/api/*"};
  EXPECT_EQ(TargetOfOverride(OverrideKey(target)), target);
  EXPECT_EQ(TargetOfOverride("users/"), std::nullopt);
  EXPECT_EQ(TargetOfOverride("bans/x"), std::nullopt);
}

}  // namespace
}  // namespace weir::config
