// Domains: which rule a descriptor reaches, and what that rule knows.
#include "config/snapshot/domain_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/snapshot/domain_fixture.h"

namespace weir::config {
namespace {

TEST(Domains, AWildcardMayStandAnywhere) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d:
    descriptors:
      - {key: path, value: /api/*/orders, rule: {max_requests: 1, window_seconds: 1}}
      - {key: path, value: /api/*, rule: {max_requests: 2, window_seconds: 1}}
      - {key: path, value: '/api/*/items', rule: {max_requests: 3, window_seconds: 1}}
      - {key: path, value: '/*/b*/c', share_threshold: true, rule: {max_requests: 4, window_seconds: 1}}
      - {key: path, rule: {max_requests: 5, window_seconds: 1}}
      - {key: host, value: '*.shop.test', share_threshold: true, rule: {max_requests: 6, window_seconds: 1}}
)");
  const auto limit = [&](std::string_view key, std::string_view value) {
    const Rule* const rule = snapshot->FindDomain("d")->Find(Entries{{key, value}});
    return rule == nullptr ? 0 : rule->limit.capacity;
  };
  EXPECT_EQ(limit("path", "/api/7/orders"), 1U);
  EXPECT_EQ(limit("path", "/api/7/8/orders"), 1U) << "any text, also a '/'";
  EXPECT_EQ(limit("path", "/api//orders"), 1U) << "also none";
  EXPECT_EQ(limit("path", "/api/orders"), 2U) << "the same '/' does not count twice";
  EXPECT_EQ(limit("path", "/api/7/items"), 2U) << "the first in the document";
  EXPECT_EQ(limit("path", "/api/*/items"), 3U) << "its own text is the node itself";
  EXPECT_EQ(limit("path", "/a/bx/c"), 4U);
  EXPECT_EQ(limit("path", "/a/x/b/c"), 4U);
  EXPECT_EQ(limit("path", "/a/b/c/d"), 5U);
  EXPECT_EQ(limit("host", "a.shop.test"), 6U);
  EXPECT_EQ(limit("host", "shop.test"), 0U);
  EXPECT_EQ(limit("host", "a.shop.test.evil"), 0U);
  EXPECT_EQ(RuleAt(*snapshot, "d", {{"host", "a.shop.test"}}).descriptor->steps[0].shared, "*.shop.test");
  EXPECT_EQ(RuleAt(*snapshot, "d", {{"path", "/a/bx/c"}}).descriptor->steps[0].shared, "/*/b*/c");
}

TEST(Wildcards, Match) {
  for (const char* matches : {"*|", "*|x", "**|xy", "a*|a", "*a|a", "a*a|aa", "a*b*c|abc", "a*b*c|axbxbxc", "*a*|xax",
                              "a|a", "|", "a*ab|aab", "*.b.c|a.b.b.c"}) {
    const std::string_view both = matches;
    const std::size_t bar = both.find('|');
    EXPECT_TRUE(MatchesWildcards(both.substr(0, bar), both.substr(bar + 1))) << both;
  }
  for (const char* differs : {"|x", "a|", "a*|b", "*a|ab", "a*a|a", "a*b*c|ac", "a*b*c|acb", "ab*ba|aba", "a|ab"}) {
    const std::string_view both = differs;
    const std::size_t bar = both.find('|');
    EXPECT_FALSE(MatchesWildcards(both.substr(0, bar), both.substr(bar + 1))) << both;
  }
}

TEST(Domains, ContainedRulesHoldWhateverElseIsSent) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d:
    match: contained
    descriptors:
      - key: a
        value: '1'
        rule: {max_requests: 1, window_seconds: 1}
        descriptors:
          - {key: u, rule: {max_requests: 2, window_seconds: 1}}
      - {key: u, rules: [{max_requests: 3, window_seconds: 1}, {max_requests: 4, window_seconds: 60}]}
)");
  const auto limits = [&](const Entries& entries) {
    std::multiset<std::uint64_t> found;
    snapshot->FindDomain("d")->ForEachContained(entries, [&](const Rule& first) {
      for (const Rule& rule : TogetherWith(first)) found.insert(rule.limit.capacity);
    });
    return found;
  };
  using Set = std::multiset<std::uint64_t>;
  EXPECT_EQ(limits({{"u", "x"}, {"z", "y"}, {"a", "1"}}), (Set{1, 2, 3, 4}));
  EXPECT_EQ(limits({{"a", "2"}, {"u", "x"}}), (Set{3, 4}));
  EXPECT_EQ(limits({{"a", "1"}}), (Set{1}));
  EXPECT_EQ(limits({{"a", "1"}, {"a", "2"}}), Set{}) << "the last of a key counts";
  EXPECT_EQ(limits({}), Set{});
}

// The examples of envoyproxy/ratelimit's README, in weir's words.
TEST(Domains, Example1KeyAndValue) {
  const auto snapshot = CompiledDomains(R"(
domains:
  mongo_cps:
    descriptors:
      - {key: database, value: users, rule: {max_requests: 500, window_seconds: 1}}
      - {key: database, value: default, rule: {max_requests: 500, window_seconds: 1}}
)");
  EXPECT_EQ(Found(*snapshot, "mongo_cps", {{"database", "users"}}), "domains.mongo_cps.database_users");
  EXPECT_EQ(Found(*snapshot, "mongo_cps", {{"database", "default"}}), "domains.mongo_cps.database_default");
  EXPECT_EQ(Found(*snapshot, "mongo_cps", {{"database", "other"}}), "");
  EXPECT_EQ(Found(*snapshot, "mongo_cps", {{"Database", "users"}}), "");
  EXPECT_EQ(Found(*snapshot, "mongo_cps", {}), "");
  EXPECT_EQ(Found(*snapshot, "mongo", {{"database", "users"}}), "no domain");
}

TEST(Domains, Example2NestedWithoutAValue) {
  const auto snapshot = CompiledDomains(R"(
domains:
  messaging:
    descriptors:
      - key: message_type
        value: marketing
        descriptors:
          - {key: to_number, rule: {max_requests: 5, window_seconds: 86400}}
      - {key: to_number, rule: {max_requests: 100, window_seconds: 86400}}
)");
  const Entries marketing{{"message_type", "marketing"}, {"to_number", "2061111111"}};
  EXPECT_EQ(Found(*snapshot, "messaging", marketing), "domains.messaging.message_type_marketing.to_number");
  EXPECT_EQ(Found(*snapshot, "messaging", {{"to_number", "2061111111"}}), "domains.messaging.to_number");
  EXPECT_EQ(Found(*snapshot, "messaging", {{"message_type", "marketing"}}), "");
  EXPECT_EQ(Found(*snapshot, "messaging", {{"to_number", "1"}, {"message_type", "marketing"}}), "");
  EXPECT_EQ(Found(*snapshot, "messaging", {{"message_type", "news"}, {"to_number", "1"}}), "");
  EXPECT_EQ(RuleAt(*snapshot, "messaging", marketing).limit.capacity, 5U);
}

TEST(Domains, Example3TheMostSpecificFirst) {
  const auto snapshot = CompiledDomains(R"(
domains:
  edge_proxy_per_ip:
    descriptors:
      - {key: remote_address, rule: {max_requests: 10, window_seconds: 1}}
      - {key: remote_address, value: 50.0.0.5, rule: {max_requests: 0, window_seconds: 1}}
)");
  EXPECT_EQ(Found(*snapshot, "edge_proxy_per_ip", {{"remote_address", "50.0.0.5"}}),
            "domains.edge_proxy_per_ip.remote_address_50.0.0.5");
  EXPECT_EQ(Found(*snapshot, "edge_proxy_per_ip", {{"remote_address", "50.0.0.50"}}),
            "domains.edge_proxy_per_ip.remote_address");
}

TEST(Domains, Example4TheDepthIsTheSame) {
  const auto snapshot = CompiledDomains(R"(
domains:
  shallow:
    descriptors: [{key: key, value: value, rule: {max_requests: 300, window_seconds: 1}}]
  deep:
    descriptors:
      - key: key
        value: value
        descriptors: [{key: subkey, rule: {max_requests: 300, window_seconds: 1}}]
)");
  const Entries two{{"key", "value"}, {"subkey", "subvalue"}};
  EXPECT_EQ(Found(*snapshot, "shallow", two), "");
  EXPECT_EQ(Found(*snapshot, "deep", two), "domains.deep.key_value.subkey");
  EXPECT_EQ(Found(*snapshot, "deep", {{"key", "value"}}), "");
  EXPECT_EQ(Found(*snapshot, "deep", {{"key", "value"}, {"subkey", "x"}, {"more", "x"}}), "");
}

TEST(Domains, Example5Unlimited) {
  const auto snapshot = CompiledDomains(R"(
domains:
  internal:
    descriptors:
      - {key: ldap, rule: unlimited}
      - {key: azure, rule: {max_requests: 100, window_seconds: 60}}
)");
  EXPECT_TRUE(RuleAt(*snapshot, "internal", {{"ldap", "x"}}).unlimited);
  EXPECT_FALSE(RuleAt(*snapshot, "internal", {{"azure", "x"}}).unlimited);
}

TEST(Domains, Example6ShadowMode) {
  const auto snapshot = CompiledDomains(R"(
domains:
  example6:
    descriptors:
      - key: service
        descriptors:
          - {key: user, value: user-a, rule: {max_requests: 10, window_seconds: 1, mode: shadow}}
          - {key: user, value: user-b, rule: {max_requests: 20, window_seconds: 1}}
)");
  EXPECT_TRUE(RuleAt(*snapshot, "example6", {{"service", "auth"}, {"user", "user-a"}}).shadow);
  EXPECT_FALSE(RuleAt(*snapshot, "example6", {{"service", "auth"}, {"user", "user-b"}}).shadow);
  EXPECT_EQ(Found(*snapshot, "example6", {{"service", "auth"}, {"user", "user-c"}}), "");
}

TEST(Domains, Example7Replaces) {
  const auto snapshot = CompiledDomains(R"(
domains:
  example7:
    descriptors:
      - key: key_1
        value: value_1
        descriptors:
          - {key: user, value: bkthomps, rule: {name: specific_limit, max_requests: 5, window_seconds: 1}}
      - key: key_2
        value: value_2
        descriptors:
          - {key: user, value: bkthomps, replaces: [specific_limit], rule: {max_requests: 10, window_seconds: 1}}
)");
  EXPECT_EQ(RuleAt(*snapshot, "example7", {{"key_1", "value_1"}, {"user", "bkthomps"}}).policy, "specific_limit");
  const Rule& replacing = RuleAt(*snapshot, "example7", {{"key_2", "value_2"}, {"user", "bkthomps"}});
  EXPECT_EQ(replacing.policy, "domains.example7.key_2_value_2.user_bkthomps");
  EXPECT_EQ(replacing.descriptor->replaces, std::vector<std::string>{"specific_limit"});
}

TEST(Domains, Example8And10WhatMetricsName) {
  const auto snapshot = CompiledDomains(R"(
domains:
  example8:
    descriptors:
      - {key: key1, detailed_metric: true, rule: {max_requests: 10, window_seconds: 60}}
      - {key: key1, value: value1, rule: {max_requests: 20, window_seconds: 60}}
  example10:
    descriptors:
      - key: route
        value_to_metric: true
        descriptors:
          - key: http_method
            value: get*
            descriptors: [{key: subject_id, rule: {max_requests: 60, window_seconds: 60}}]
)");
  EXPECT_TRUE(RuleAt(*snapshot, "example8", {{"key1", "value2"}}).descriptor->detailed_metric);
  EXPECT_FALSE(RuleAt(*snapshot, "example8", {{"key1", "value1"}}).descriptor->detailed_metric);
  const auto& steps =
      RuleAt(*snapshot, "example10", {{"route", "api"}, {"http_method", "get"}, {"subject_id", "1"}}).descriptor->steps;
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_TRUE(steps[0].value_to_metric && !steps[0].by_value);
  EXPECT_TRUE(!steps[1].value_to_metric && steps[1].by_value);
  EXPECT_TRUE(!steps[2].value_to_metric && !steps[2].by_value);
}

TEST(Domains, Example9And11Prefixes) {
  const auto snapshot = CompiledDomains(R"(
domains:
  example9:
    descriptors: [{key: key1, value: value*, rule: {max_requests: 20, window_seconds: 60}}]
  example11:
    descriptors:
      - {key: files, value: files/*, share_threshold: true, rule: {max_requests: 10, window_seconds: 3600}}
      - {key: files_no_share, value: files_no_share/*, rule: {max_requests: 10, window_seconds: 3600}}
)");
  EXPECT_EQ(Found(*snapshot, "example9", {{"key1", "value_1"}}), "domains.example9.key1_value*");
  EXPECT_EQ(Found(*snapshot, "example9", {{"key1", "value"}}), "domains.example9.key1_value*");
  EXPECT_EQ(Found(*snapshot, "example9", {{"key1", "valu"}}), "");
  EXPECT_EQ(RuleAt(*snapshot, "example11", {{"files", "files/a.pdf"}}).descriptor->steps[0].shared, "files/*");
  EXPECT_EQ(RuleAt(*snapshot, "example11", {{"files_no_share", "files_no_share/a"}}).descriptor->steps[0].shared, "");
}

TEST(Domains, PrefixesHoldInDocumentOrderBehindValuesAndBeforeTheKeyAlone) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d:
    descriptors:
      - {key: k, rule: {max_requests: 1, window_seconds: 1}}
      - key: k
        value: a*
        descriptors:
          - {key: n, value: 'x*', rule: {max_requests: 2, window_seconds: 1}}
          - {key: n, rule: {max_requests: 3, window_seconds: 1}}
      - {key: k, value: ab*, rule: {max_requests: 4, window_seconds: 1}}
      - {key: k, value: abc, rule: {max_requests: 5, window_seconds: 1}}
      - {key: other, value: '*', share_threshold: true, rule: {max_requests: 6, window_seconds: 1}}
)");
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "abc"}}), "domains.d.k_abc");
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "b"}}), "domains.d.k");
  EXPECT_EQ(Found(*snapshot, "d", {{"k", ""}}), "domains.d.k");
  // a* comes first in the document and has no rule of its own: there is no way back to ab* or to k.
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "abx"}}), "");
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "abx"}, {"n", "xy"}}), "domains.d.k_a*.n_x*");
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "abx"}, {"n", "y"}}), "domains.d.k_a*.n");
  // Its own text is also a value.
  EXPECT_EQ(Found(*snapshot, "d", {{"k", "ab*"}}), "domains.d.k_ab*");
  EXPECT_EQ(Found(*snapshot, "d", {{"other", ""}}), "domains.d.other_*");
}

TEST(Domains, ARuleHasItsOwnDefaultsAndInheritsFromNoLevel) {
  const auto snapshot = CompiledDomains(R"(
algorithm: token_bucket
templates:
  slow: {window_seconds: 600, name: slow}
domains:
  d:
    descriptors:
      - {key: plain, rule: {max_requests: 7, window_seconds: 90}}
      - {key: own, rule: {max_requests: 7, window_seconds: 90, identifier: global, algorithm: leaky_bucket}}
      - {key: templated, rule: {template: slow, max_requests: 1}}
)");
  const Rule& plain = RuleAt(*snapshot, "d", {{"plain", "x"}});
  EXPECT_EQ(plain.level, Level::kDomain);
  EXPECT_FALSE(plain.unlimited) << "free_tier is, but is no part of this";
  EXPECT_EQ(plain.limit.kind, algorithms::Kind::kAlignedWindow);
  EXPECT_EQ(plain.limit.calendar, algorithms::Calendar::kEpoch);
  EXPECT_EQ(plain.limit.window, 90 * kSecond);
  EXPECT_EQ(plain.window_seconds, 90U);
  EXPECT_EQ(plain.identifier.kind, Identifier::Kind::kDescriptor);
  const Rule& own = RuleAt(*snapshot, "d", {{"own", "x"}});
  EXPECT_EQ(own.limit.kind, algorithms::Kind::kLeakyBucket);
  EXPECT_EQ(own.identifier.kind, Identifier::Kind::kGlobal);
  EXPECT_NE(own.identifier_hash, plain.identifier_hash);
  const Rule& templated = RuleAt(*snapshot, "d", {{"templated", "x"}});
  EXPECT_EQ(templated.policy, "slow");
  EXPECT_EQ(templated.limit.window, 600 * kSecond);
}

TEST(Domains, TheHierarchyHoldsByDefaultWhereThereAreNoDescriptors) {
  const auto snapshot = CompiledDomains(R"(
domains:
  bare: {}
  tree: {descriptors: [{key: k, rule: strict}]}
  both: {hierarchy: true, descriptors: [{key: k, rule: strict}]}
)");
  EXPECT_TRUE(snapshot->FindDomain("bare")->hierarchy);
  EXPECT_FALSE(snapshot->FindDomain("tree")->hierarchy);
  EXPECT_TRUE(snapshot->FindDomain("both")->hierarchy);
  EXPECT_EQ(Found(*snapshot, "bare", {{"k", "v"}}), "");
  EXPECT_EQ(snapshot->FindDomain("tree")->name, "tree");
}

TEST(Domains, SeveralRulesOfANodeLieTogether) {
  const auto snapshot = CompiledDomains(R"(
templates: {slow: {max_requests: 100, window_seconds: 3600}}
domains:
  d:
    descriptors:
      - key: k
        value: a*
        share_threshold: true
        rule: {max_requests: 1, window_seconds: 1}
        rules: [{max_requests: 10, window_seconds: 60}, {template: slow, name: hourly}]
        descriptors: [{key: rules, value: '0', rule: strict}]
      - {key: j, rules: [{max_requests: 5, window_seconds: 5}]}
)");
  const auto rules = TogetherWith(RuleAt(*snapshot, "d", {{"k", "ab"}}));
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0].path, "domains.d.k_a*");
  EXPECT_EQ(rules[1].path, "domains.d.k_a*.rules.0");
  EXPECT_EQ(rules[2].path, "domains.d.k_a*.rules.1");
  EXPECT_EQ(rules[2].policy, "hourly");
  EXPECT_EQ(rules[2].limit.window, 3600 * kSecond);
  for (const Rule& rule : rules) {
    EXPECT_EQ(rule.descriptor->steps.at(0).shared, "a*");
    EXPECT_EQ(rule.limit.calendar, algorithms::Calendar::kEpoch);
    EXPECT_EQ(rule.identifier.kind, Identifier::Kind::kDescriptor);
  }
  EXPECT_EQ(TogetherWith(RuleAt(*snapshot, "d", {{"j", "x"}})).size(), 1U);
  EXPECT_EQ(Found(*snapshot, "d", {{"j", "x"}}), "domains.d.j.rules.0");
}

TEST(Domains, ADomainHasRulesOfItsOwn) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d:
    rules: [{max_requests: 10, window_seconds: 60}, {max_requests: 9, window_seconds: 1, identifier: user_id}]
    descriptors: [{key: k, rule: strict}]
  only: {rules: [{max_requests: 1, window_seconds: 1}]}
)");
  const auto rules = snapshot->FindDomain("d")->rules;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].path, "domains.d.rules.0");
  EXPECT_EQ(rules[0].identifier.kind, Identifier::Kind::kGlobal);
  EXPECT_EQ(rules[0].limit.calendar, algorithms::Calendar::kEpoch);
  ASSERT_NE(rules[0].descriptor, nullptr) << "it does not stand for what clients bring";
  EXPECT_EQ(rules[1].identifier.kind, Identifier::Kind::kUser);
  EXPECT_TRUE(snapshot->FindDomain("only")->hierarchy);
  EXPECT_EQ(Found(*snapshot, "only", {{"k", "v"}}), "");
}

TEST(Domains, ARuleStandsForWhatClientsBring) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d: {descriptors: [{key: client, value: limit, rule: strict}]}
)");
  const Rule* client_limit = snapshot->FindDomain("d")->client_limit;
  ASSERT_NE(client_limit, nullptr);
  EXPECT_EQ(client_limit->path, "domains.d.client_limit");
  EXPECT_EQ(client_limit->level, Level::kDomain);
  EXPECT_EQ(client_limit->identifier.kind, Identifier::Kind::kDescriptor);
  EXPECT_FALSE(client_limit->shadow || client_limit->unlimited);
  EXPECT_EQ(client_limit->descriptor, nullptr);
  EXPECT_EQ(Found(*snapshot, "d", {{"client", "limit"}}), "domains.d.client_limit%2");
}

TEST(Domains, NoTwoRulesShareAPath) {
  const auto snapshot = CompiledDomains(R"(
domains:
  a:
    descriptors:
      - {key: b_c, rule: strict}
      - {key: b, value: c, rule: strict, descriptors: [{key: d, rule: strict}]}
      - {key: b, value: c.d, rule: strict}
      - {key: 'b%2E', rule: strict}
  a.b_c: {descriptors: [{key: d, rule: strict}]}
)");
  EXPECT_EQ(Found(*snapshot, "a", {{"b_c", "x"}}), "domains.a.b_c");
  EXPECT_EQ(Found(*snapshot, "a", {{"b", "c"}}), "domains.a.b_c%2");
  std::set<std::string_view> paths;
  for (const Rule& rule : snapshot->rules()) EXPECT_TRUE(paths.insert(rule.path).second) << rule.path;
}

TEST(Domains, ALongPathIsCutAndStaysUnique) {
  const std::string value(5000, 'x');
  const auto snapshot = CompiledDomains("domains: {d: {descriptors: [{key: k, value: " + value +
                                        "1, rule: strict}, {key: k, value: " + value + "2, rule: strict}]}}");
  const Rule& one = RuleAt(*snapshot, "d", {{"k", value + "1"}});
  const Rule& two = RuleAt(*snapshot, "d", {{"k", value + "2"}});
  EXPECT_LE(one.path.size(), 400U);
  EXPECT_NE(one.path, two.path);
}

TEST(Domains, ADocumentThatNobodyReadIsCheckedWhenItIsCompiled) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = RateLimitRule::Unlimited();
  DescriptorLimits leaf{.key = "k", .value = "", .rule = RateLimitRule::Strict()};
  config.domains["twice"].descriptors = {leaf, leaf};
  config.domains["empty"].descriptors = {{.key = "", .value = "", .rule = RateLimitRule::Strict()}};
  for (std::size_t i = 0; i < kMostDescriptorDepth; ++i) {
    DescriptorLimits above{.key = "k"};
    above.descriptors = {leaf};
    leaf = above;
  }
  config.domains["deep"].descriptors = {leaf};
  const auto snapshot = Snapshot::Compile(config, nullptr, kNow);
  ASSERT_FALSE(snapshot.has_value());
  const std::string& message = snapshot.error().message;
  EXPECT_NE(message.find("domains.twice.k: is the key and value of two descriptors"), std::string::npos) << message;
  EXPECT_NE(message.find("domains.empty.: has an empty key"), std::string::npos) << message;
  EXPECT_NE(message.find("descriptors are nested more than 24 deep"), std::string::npos) << message;
}

TEST(Domains, ManyPrefixesOfOneKeyAreSearchedByHalves) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = RateLimitRule::Unlimited();
  auto& descriptors = config.domains["d"].descriptors;
  const auto add = [&](std::string value) {
    descriptors.push_back({.key = "k", .value = std::move(value), .rule = RateLimitRule::Strict()});
  };
  // Each begins with all that stand behind it in the document, and the last is the shortest.
  for (std::size_t length = 2'000; length > 0; --length) add(std::string(length, 'a') + '*');
  add("b*");
  const auto snapshot = Snapshot::Compile(config, nullptr, kNow);
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
  const DomainEntry* domain = (*snapshot)->FindDomain("d");
  for (const std::size_t length : {1U, 2U, 1'000U, 2'000U, 2'500U}) {
    const std::string value = std::string(length, 'a') + 'z';
    const Entries entries{{"k", value}};
    ASSERT_NE(domain->Find(entries), nullptr);
    const std::size_t expected = 2'000 - std::min<std::size_t>(length, 2'000);
    EXPECT_EQ(domain->Find(entries), &(*snapshot)->rules()[domain->client_limit->index + 1 + expected]) << length;
  }
  EXPECT_EQ(domain->Find(Entries{{"k", "z"}}), nullptr);
  EXPECT_EQ(domain->Find(Entries{{"k", ""}}), nullptr);
  EXPECT_NE(domain->Find(Entries{{"k", "bz"}}), nullptr);
}

}  // namespace
}  // namespace weir::config
