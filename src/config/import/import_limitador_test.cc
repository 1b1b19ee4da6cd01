// limitador's limits: what they mean in weir, and what is refused.
#include "config/import/import_limitador.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/import/limitador_expression.h"
#include "config/snapshot/snapshot.h"
#include "config/source/load.h"

namespace weir::config {
namespace {

using Faults = std::vector<std::string>;

ImportedDomains Import(std::string text) { return ImportLimitador(std::vector{SourceText{"f", std::move(text)}}); }

Faults FaultsOf(std::string text) {
  Faults lines;
  for (const FileFault& one : Import(std::move(text)).faults) lines.push_back(Describe(one));
  return lines;
}

// One limit with these conditions and variables, as JSON lists.
Faults FaultsOfLimit(const std::string& conditions, const std::string& variables = "[]") {
  return FaultsOf("- {namespace: n, max_value: 1, seconds: 60, conditions: " + conditions +
                  ", variables: " + variables + "}\n");
}

TEST(ImportLimitador, ALimitIsAChainOfItsKeys) {
  const ImportedDomains imported = Import(R"~(
- namespace: shop
  max_value: 10
  seconds: 60
  name: reads
  conditions: ["descriptors[0]['req.method'] == 'GET'"]
  variables: ["descriptors[0].user_id"]
- namespace: shop
  id: writes
  max_value: 5
  seconds: 30
  conditions:
    - req.method == 'POST' && path.startsWith('/orders')
  variables: [user_id]
- {namespace: other, max_value: 1, seconds: 1, conditions: ["has(descriptors[0].k)"], variables: []
}
- {namespace: other, max_value: 2, seconds: 1, conditions: ["p.startsWith('/x')"], variables: [p]}
)~");
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
  RateLimitRule reads;
  reads.max_requests = 10;
  reads.window_seconds = 60;
  reads.algorithm = FixedWindow{};
  reads.name = "reads";
  RateLimitRule writes = reads;
  writes.max_requests = 5;
  writes.window_seconds = 30;
  writes.name = "writes";
  const DescriptorLimits get{
      .key = "req.method", .value = "GET", .descriptors = {{.key = "user_id", .value = "", .rule = reads}}};
  const DescriptorLimits orders{.key = "path",
                                .value = "/orders*",
                                .share_threshold = true,
                                .descriptors = {{.key = "user_id", .value = "", .rule = writes}}};
  const DescriptorLimits post{.key = "req.method", .value = "POST", .descriptors = {orders}};
  EXPECT_EQ(imported.domains.at("shop"),
            (DomainLimits{.descriptors = {get, post}, .match = DescriptorMatch::kContained, .hierarchy = false}));
  const auto& other = imported.domains.at("other").descriptors;
  ASSERT_EQ(other.size(), 2U);
  EXPECT_EQ(other[0].value, "*");
  EXPECT_TRUE(other[0].share_threshold);
  EXPECT_EQ(other[1].value, "/x*");
  EXPECT_FALSE(other[1].share_threshold);
  EXPECT_TRUE(imported.faults.empty()) << "nothing is asked of Envoy";
}

TEST(ImportLimitador, WhatIsImportedIsValidAndCounts) {
  ImportedDomains imported = Import(
      "- {namespace: n, max_value: 3, seconds: 60, conditions: [\"a == 'b'\"], variables: [u]}\n"
      "- {namespace: n, max_value: 4, seconds: 60, conditions: [\"a.startsWith('c')\"], variables: [u]}\n");
  EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
  config.domains = std::move(imported.domains);
  for (const Fault& fault : ValidateConfig(config)) ADD_FAILURE() << Describe(fault);
  const ParsedConfig again = ParseConfig(ToYaml(config));
  EXPECT_EQ(again.config, config);
  const auto snapshot = Snapshot::Compile(config, nullptr, 0);
  ASSERT_TRUE(snapshot.has_value());
  const auto found = [&](std::vector<Attribute> entries) { return (*snapshot)->FindDomain("n")->Find(entries); };
  ASSERT_NE(found({{"a", "b"}, {"u", "x"}}), nullptr);
  EXPECT_EQ(found({{"a", "b"}, {"u", "x"}})->limit.capacity, 3U);
  EXPECT_EQ(found({{"a", "b"}, {"u", "x"}})->limit.calendar, algorithms::Calendar::kNone);
  ASSERT_NE(found({{"a", "cx"}, {"u", "x"}}), nullptr);
  EXPECT_EQ(found({{"a", "cx"}, {"u", "x"}})->descriptor->steps[0].shared, "c*");
  EXPECT_EQ(found({{"a", "d"}, {"u", "x"}}), nullptr);
  EXPECT_EQ(found({{"u", "x"}, {"a", "b"}}), nullptr);
}

TEST(ImportLimitador, ConditionsOnOneKeyAreJoined) {
  const auto descriptor = [](const std::string& conditions, const std::string& variables) {
    ImportedDomains imported = Import("- {namespace: n, max_value: 1, seconds: 60, conditions: " + conditions +
                                      ", variables: " + variables + "}\n");
    EXPECT_TRUE(imported.ok()) << conditions;
    return imported.ok() ? imported.domains.at("n").descriptors.at(0) : DescriptorLimits{};
  };
  EXPECT_EQ(descriptor(R"~(["a == 'xy'", "a.startsWith('x')"])~", "[a]").value, "xy");
  EXPECT_EQ(descriptor(R"~(["a.startsWith('x')", "a == 'xy'"])~", "[]").value, "xy");
  EXPECT_EQ(descriptor(R"~(["a.startsWith('xy')", "a.startsWith('x')"])~", "[]").value, "xy*");
  EXPECT_EQ(descriptor(R"~(["a.startsWith('')"])~", "[]").value, "*");
  EXPECT_EQ(descriptor(R"~(["has(descriptors[0].a)"])~", "[a]").value, "");
}

TEST(ImportLimitador, ALimitWithoutConditionsIsTheDomainsOwn) {
  // As limitador ships it.
  ImportedDomains imported = Import(R"~(---
-
  namespace: test_namespace
  max_value: 1000000
  seconds: 60
  conditions:
  variables:
-
  namespace: test_namespace
  max_value: 5
  seconds: 60
  conditions:
    - "req_method == 'POST'"
  variables:
    - user_id
- {namespace: test_namespace, max_value: 10, seconds: 1}
)~");
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
  const DomainLimits& domain = imported.domains.at("test_namespace");
  ASSERT_EQ(domain.rules.size(), 2U);
  EXPECT_EQ(domain.rules[0].max_requests, 1'000'000U);
  EXPECT_EQ(domain.rules[1].max_requests, 10U);
  ASSERT_EQ(domain.descriptors.size(), 1U);
  EXPECT_EQ(domain.descriptors[0].value, "POST");
  EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
  config.domains = imported.domains;
  for (const Fault& fault : ValidateConfig(config)) ADD_FAILURE() << Describe(fault);
  EXPECT_EQ(ParseConfig(ToYaml(config)).config, config);
  EXPECT_TRUE(FaultsOf("- {namespace: n, max_value: 1, seconds: 1}\n").empty()) << "nothing is asked of Envoy";
}

TEST(ImportLimitador, LimitsOfTheSameEntriesHoldTogether) {
  ImportedDomains imported = Import(
      "- {namespace: n, max_value: 10, seconds: 60, variables: [u]}\n"
      "- {namespace: n, max_value: 100, seconds: 3600, variables: [u]}\n");
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
  const auto& descriptors = imported.domains.at("n").descriptors;
  ASSERT_EQ(descriptors.size(), 1U);
  EXPECT_FALSE(descriptors[0].rule);
  ASSERT_EQ(descriptors[0].rules.size(), 2U);
  EXPECT_EQ(descriptors[0].rules[0].window_seconds, 60U);
  EXPECT_EQ(descriptors[0].rules[1].max_requests, 100U);
}

TEST(ImportLimitador, AnyValueButSome) {
  // limitador's own playground.
  ImportedDomains imported = Import(R"~(
- namespace: n
  max_value: 10
  seconds: 60
  conditions: ["descriptors[0]['req.method'] == 'GET'", "descriptors[0]['req.path'] != '/json'"]
- namespace: n
  max_value: 5
  seconds: 60
  conditions: ["descriptors[0]['req.method'] == 'POST'", "descriptors[0]['req.path'] != '/json'"]
- namespace: n
  max_value: 50000
  seconds: 10
  conditions: ["descriptors[0]['req.method'] == 'GET'", "descriptors[0]['req.path'] == '/json'"]
- {namespace: n, max_value: 3, seconds: 60, conditions: ["p.startsWith('/a') && p != '/a/b' && p != '/c'"]}
- {namespace: n, max_value: 4, seconds: 60, conditions: ["q != 'x'"], variables: [q]}
)~");
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
  EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
  config.domains = std::move(imported.domains);
  for (const Fault& fault : ValidateConfig(config)) ADD_FAILURE() << Describe(fault);
  const auto snapshot = Snapshot::Compile(config, nullptr, 0);
  ASSERT_TRUE(snapshot.has_value());
  const auto limit = [&](std::vector<Attribute> entries) {
    const Rule* rule = (*snapshot)->FindDomain("n")->Find(entries);
    return rule == nullptr ? 0 : rule->limit.capacity;
  };
  const auto shared = [&](std::vector<Attribute> entries) {
    return (*snapshot)->FindDomain("n")->Find(entries)->descriptor->steps.back().shared;
  };
  EXPECT_EQ(limit({{"req.method", "GET"}, {"req.path", "/"}}), 10U);
  EXPECT_EQ(shared({{"req.method", "GET"}, {"req.path", "/"}}), "*");
  EXPECT_EQ(limit({{"req.method", "GET"}, {"req.path", "/json"}}), 50'000U);
  EXPECT_EQ(limit({{"req.method", "POST"}, {"req.path", "/x"}}), 5U);
  EXPECT_EQ(limit({{"req.method", "POST"}, {"req.path", "/json"}}), 0U);
  EXPECT_EQ(limit({{"p", "/a/c"}}), 3U);
  EXPECT_EQ(shared({{"p", "/a/c"}}), "/a*");
  EXPECT_EQ(limit({{"p", "/a/b"}}), 0U);
  EXPECT_EQ(limit({{"p", "/c"}}), 0U);
  EXPECT_EQ(limit({{"q", "y"}}), 4U);
  EXPECT_EQ(shared({{"q", "y"}}), "") << "each for itself";
  EXPECT_EQ(limit({{"q", "x"}}), 0U);
}

TEST(ImportLimitador, WhatCannotBeSaidIsRefusedWithItsLine) {
  EXPECT_EQ(FaultsOfLimit(R"~(["a == 'x'", "a == 'y'"])~"),
            Faults{"f:1:70: 0.conditions.1: two conditions on 'a' cannot both hold"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a.startsWith('x')", "a.startsWith('y')"])~"),
            Faults{"f:1:79: 0.conditions.1: two conditions on 'a' cannot both hold"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a == ''"])~"), Faults{"f:1:58: 0.conditions.0: an empty value cannot be asked for"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a == 'x*'"])~"),
            Faults{"f:1:58: 0.conditions.0: the value 'x*' has a '*', which stands for anything in weir"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a.startsWith('x*y')"])~"),
            Faults{"f:1:58: 0.conditions.0: the prefix 'x*y' has a '*', which stands for anything in weir"});
  EXPECT_EQ(
      FaultsOfLimit("[]", "[limit.name]"),
      Faults{"f:1:73: 0.variables.0: the variable 'limit.name' is no descriptor of weir: it is the same for every "
             "request, so it counts nothing apart"});
  EXPECT_EQ(
      FaultsOfLimit(R"~(["a <= 'x'"])~"),
      Faults{"f:1:58: 0.conditions.0: the condition 'a <= 'x'' is no descriptor of weir: '<=' cannot be said here; "
             "weir's descriptors can say KEY == 'VALUE', KEY != 'VALUE', KEY.startsWith('PREFIX'), 'KEY' in "
             "descriptors[0], and these joined by &&"});
  for (const char* both : {R"~(["a == 'x'", "a != 'x'"])~", R"~(["a != 'x'", "a == 'x'"])~"}) {
    EXPECT_EQ(FaultsOfLimit(both), Faults{"f:1:70: 0.conditions.1: two conditions on 'a' cannot both hold"});
  }
  EXPECT_EQ(FaultsOfLimit(R"~(["a != ''"])~"), Faults{"f:1:58: 0.conditions.0: an empty value cannot be asked for"});
  for (const char* which : {"variables: [k]", "variables: []"}) {
    const std::string limit = std::string("- {namespace: n, max_value: 1, seconds: 1, ") + which + "}\n";
    EXPECT_EQ(
        FaultsOf(limit + limit).back(),
        "f:2:3: 1: is for the same requests and seconds as the limit on line 1: limitador takes one of them (keep "
        "the one that is meant)");
    std::string many;
    for (int i = 1; i <= 9; ++i) {
      many += "- {namespace: n, max_value: 1, seconds: " + std::to_string(i) + ", " + which + "}\n";
    }
    EXPECT_EQ(FaultsOf(many).back(),
              "f:9:3: 8: is beyond the 8 limits that hold for the same requests as that on line 1");
  }
  EXPECT_EQ(FaultsOf("- {name: n, max_value: 1, seconds: 0}\n"),
            (Faults{"f:1:3: 0: the namespace is missing", "f:1:36: 0.seconds: must be at least 1"}));
  EXPECT_EQ(FaultsOf("- {namespace: n, max_value: -1, second: 5, variables: a}\n"),
            (Faults{"f:1:41: 0: unknown field 'second' (did you mean 'seconds'?)",
                    "f:1:29: 0.max_value: must be a whole number, not '-1'", "f:1:3: 0: seconds is missing",
                    "f:1:55: 0.variables: must be a list, not 'a'"}));
  EXPECT_EQ(FaultsOf("limits: []\n"),
            Faults{"f:1:1: must be a list of limits, not a mapping (write the list under 'limits' alone)"});
  EXPECT_EQ(FaultsOf(""), Faults{"f:1: warning: there are no limits"});
}

// Of two limits that hold for one descriptor weir would take one: such pairs are refused, in either order.
TEST(ImportLimitador, LimitsThatWouldHideEachOtherAreRefused) {
  const std::vector<std::string> steps = {
      R"~(conditions: ["a == 'xy'"], variables: [z])~",
      R"~(conditions: ["a.startsWith('x')"], variables: [z])~",
      R"~(conditions: ["a.startsWith('xyz')"], variables: [z])~",
      R"~(conditions: ["a.startsWith('x')"], variables: [a, z])~",
      R"~(variables: [a, z])~",
      R"~(conditions: ["has(descriptors[0].a)"], variables: [z])~",
      R"~(conditions: ["a == 'q'"], variables: [w])~",
      R"~(conditions: ["a != 'q'"], variables: [z])~",
      R"~(conditions: ["a != 'xy'"], variables: [z])~",
      R"~(conditions: ["a.startsWith('x')", "a != 'xy'"], variables: [z])~",
  };
  // Pairs with no value in common; the same one twice is for the same requests.
  const std::set<std::pair<std::size_t, std::size_t>> apart = {{0, 2}, {0, 6}, {1, 6}, {2, 6}, {3, 6},
                                                               {6, 7}, {0, 8}, {0, 9}, {6, 9}};
  const auto accepts = [&](std::size_t i, std::size_t j) {
    const std::string begin = "- {namespace: n, max_value: 1, seconds: 1, ";
    return Import(begin + steps[i] + "}\n" + begin + steps[j] + "}\n").ok();
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t j = 0; j < steps.size(); ++j) {
      EXPECT_EQ(accepts(i, j), apart.contains(std::minmax(i, j))) << steps[i] << " and " << steps[j];
    }
  }
}

// Whatever is not refused: of limits of random conditions, those hold for a descriptor that hold for it in limitador.
TEST(ImportLimitador, TheLimitsThatHoldAreThoseWhoseConditionsHold) {
  struct Wanted {
    std::vector<std::string> keys;
    std::vector<EntryTest> tests;
    std::uint64_t value = 0;
  };
  std::mt19937_64 random(1);
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  const auto text = [&] { return std::string(1, "xy"[below(2)]) + std::string(below(3), 'z'); };
  const auto holds = [](const EntryTest& test, std::string_view value) {
    return test.kind == EntryTest::Kind::kEquals       ? value == test.value
           : test.kind == EntryTest::Kind::kDiffers    ? value != test.value
           : test.kind == EntryTest::Kind::kStartsWith ? value.starts_with(test.value)
                                                       : true;
  };
  std::size_t imports = 0, limited = 0;
  for (int turn = 0; turn < 5'000; ++turn) {
    std::string yaml;
    std::vector<Wanted> wanted;
    for (std::uint64_t i = 1 + below(3); i > 0; --i) {
      Wanted one{.keys = {}, .tests = {}, .value = wanted.size() + 1};
      std::string conditions;
      for (std::uint64_t c = below(3); c > 0; --c) {
        const std::string key(1, "ab"[below(2)]);
        const std::string value = text();
        const std::vector<std::pair<EntryTest::Kind, std::string>> forms = {
            {EntryTest::Kind::kEquals, key + " == '" + value + "'"},
            {EntryTest::Kind::kDiffers, key + " != '" + value + "'"},
            {EntryTest::Kind::kStartsWith, key + ".startsWith('" + value + "')"},
            {EntryTest::Kind::kPresent, "has(descriptors[0]." + key + ")"}};
        const auto& [kind, form] = forms[below(forms.size())];
        one.tests.push_back({kind, key, value});
        conditions += (conditions.empty() ? "\"" : ", \"") + form + "\"";
      }
      std::vector<std::string> keys;
      for (const EntryTest& test : one.tests) keys.push_back(test.key);
      const std::string variable(below(2), 'b');
      if (!variable.empty()) keys.push_back(variable);
      for (const std::string& key : keys) {
        if (std::ranges::find(one.keys, key) == one.keys.end()) one.keys.push_back(key);
      }
      yaml += "- {namespace: n, max_value: " + std::to_string(one.value) +
              ", seconds: " + std::to_string(1 + below(3)) + ", conditions: [" + conditions + "], variables: [" +
              variable + "]}\n";
      wanted.push_back(std::move(one));
    }
    ImportedDomains imported = Import(yaml);
    if (!imported.ok()) continue;
    ++imports;
    SCOPED_TRACE(yaml);
    EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
    config.domains = std::move(imported.domains);
    const auto snapshot = Snapshot::Compile(config, nullptr, 0);
    ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
    const DomainEntry& domain = *(*snapshot)->FindDomain("n");
    for (int asked = 0; asked < 20; ++asked) {
      std::vector<std::string> keys, values;
      std::vector<Attribute> entries;
      for (std::uint64_t i = below(3); i > 0; --i)
        keys.push_back(std::string(1, "ab"[(keys.size() + static_cast<std::size_t>(turn)) % 2]));
      for (std::size_t i = 0; i < keys.size(); ++i) values.push_back(text());
      for (std::size_t i = 0; i < keys.size(); ++i) entries.push_back({keys[i], values[i]});
      std::set<std::uint64_t> expected, found;
      for (const Wanted& one : wanted) {
        const bool all = std::ranges::all_of(one.tests, [&](const EntryTest& test) {
          const auto at = std::ranges::find(keys, test.key);
          return at != keys.end() && holds(test, values[static_cast<std::size_t>(at - keys.begin())]);
        });
        const bool contained = std::ranges::all_of(
            one.keys, [&](const std::string& key) { return std::ranges::find(keys, key) != keys.end(); });
        if (contained && all) expected.insert(one.value);
      }
      for (const Rule& rule : domain.rules) found.insert(rule.limit.capacity);
      domain.ForEachContained(entries, [&](const Rule& first) {
        for (const Rule& rule : TogetherWith(first)) found.insert(rule.limit.capacity);
      });
      ASSERT_EQ(found, expected) << testing::PrintToString(keys) << testing::PrintToString(values);
      limited += keys.empty() ? 0 : found.size();
    }
  }
  EXPECT_GT(imports, 1'000U);
  EXPECT_GT(limited, 1'000U);
}

// As Kuadrant's wasm shim sends them: the entries of several limits in one descriptor.
TEST(ImportLimitador, LimitsOfEntriesThatAreSentTogetherAllHold) {
  ImportedDomains imported = Import(R"~(
- {namespace: n, max_value: 5, seconds: 60, conditions: ["descriptors[0]['limit.toystore__a'] == '1'"], variables: ["descriptors[0]['auth.identity.userid']"]}
- {namespace: n, max_value: 50, seconds: 60, conditions: ["descriptors[0]['limit.toystore__b'] == '1'"]}
- {namespace: n, max_value: 9, seconds: 1, conditions: ["descriptors[0]['limit.other'] == '1'"]}
)~");
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
  EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
  config.domains = std::move(imported.domains);
  for (const Fault& fault : ValidateConfig(config)) ADD_FAILURE() << Describe(fault);
  EXPECT_EQ(ParseConfig(ToYaml(config)).config, config);
  const auto snapshot = Snapshot::Compile(config, nullptr, 0);
  ASSERT_TRUE(snapshot.has_value());
  const auto limits = [&](const std::vector<Attribute>& entries) {
    std::set<std::uint64_t> found;
    (*snapshot)->FindDomain("n")->ForEachContained(entries,
                                                   [&](const Rule& rule) { found.insert(rule.limit.capacity); });
    return found;
  };
  using Set = std::set<std::uint64_t>;
  EXPECT_EQ(limits({{"limit.toystore__b", "1"}, {"auth.identity.userid", "bob"}, {"limit.toystore__a", "1"}}),
            (Set{5, 50}));
  EXPECT_EQ(limits({{"limit.toystore__a", "1"}, {"limit.toystore__b", "1"}}), (Set{50}))
      << "whom the first would count is missing";
  EXPECT_EQ(limits({{"limit.toystore__b", "0"}, {"limit.toystore__b", "1"}}), (Set{50})) << "the last of a key counts";
  EXPECT_EQ(limits({{"limit.toystore__b", "1"}, {"limit.toystore__b", "0"}}), Set{});
  EXPECT_EQ(limits({}), Set{});
}

TEST(ImportLimitador, WhatALimitIsCalledIsItsOwn) {
  const auto kept = [](const std::string& fields) {
    return !Import("- {namespace: n, max_value: 1, seconds: 1, variables: [u], " + fields + "}\n").domains.empty();
  };
  EXPECT_TRUE(kept(R"~(name: a, conditions: ["limit.name == 'a'"])~"));
  EXPECT_FALSE(kept(R"~(name: a, conditions: ["limit.name == 'b'"])~"));
  EXPECT_TRUE(kept(R"~(name: a, conditions: ["limit.name != 'b' && 'a' == limit.name"])~"));
  EXPECT_TRUE(kept(R"~(id: x, name: a, conditions: ["limit.id == 'x'"])~"));
  EXPECT_FALSE(kept(R"~(name: x, conditions: ["limit.id == 'x'"])~")) << "a name is no id";
  EXPECT_TRUE(kept(R"~(name: abc, conditions: ["limit.name.startsWith('ab')"])~"));
  EXPECT_FALSE(kept(R"~(name: abc, conditions: ["limit.name.startsWith('b')"])~"));
  EXPECT_TRUE(kept(R"~(id: x, conditions: ["has(limit.id)"])~"));
  EXPECT_FALSE(kept(R"~(id: x, conditions: ["has(limit.name)"])~"));
  EXPECT_EQ(
      FaultsOf(R"~(- {namespace: n, max_value: 1, seconds: 1, name: a, conditions: ["limit.name == 'b'"]}
)~"),
      Faults{
          "f:1:3: warning: 0: is left out: its conditions ask for another name or id than its own, so it never holds"});
  // A key that Envoy sends may be called so.
  const ImportedDomains sent = Import(
      "- {namespace: n, max_value: 1, seconds: 1, name: a, conditions: [\"descriptors[0]['limit.name'] == 'b'\"]}\n");
  ASSERT_TRUE(sent.ok());
  EXPECT_EQ(sent.domains.at("n").descriptors.at(0).key, "limit.name");
}

TEST(ImportLimitador, ANamespaceIsInOneFile) {
  const std::string limit = "- {namespace: n, max_value: 1, seconds: 1, variables: [k]}\n";
  const ImportedDomains imported = ImportLimitador(std::vector<SourceText>{{"a", limit}, {"b", limit}});
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(Describe(imported.faults.back()),
            "b:1:3: the namespace 'n' is in 'a' already (put all of a namespace in one file)");
}

}  // namespace
}  // namespace weir::config
