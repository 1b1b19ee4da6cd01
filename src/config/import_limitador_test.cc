// limitador's limits: what they mean in weir, and what is refused.
#include "config/import_limitador.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/limitador_expression.h"
#include "config/load.h"
#include "config/snapshot.h"

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

TEST(LimitadorExpression, Conditions) {
  using Kind = EntryTest::Kind;
  const auto is = [](std::string_view text, const std::vector<EntryTest>& expected) {
    const auto tests = ParseCondition(text);
    ASSERT_TRUE(tests.has_value()) << text << ": " << tests.error().message;
    EXPECT_EQ(*tests, expected) << text;
  };
  const EntryTest get{Kind::kEquals, "req.method", "GET"};
  is("descriptors[0]['req.method'] == 'GET'", {get});
  is(R"~(descriptors[0]["req.method"]=="GET")~", {get});
  is("'GET' == descriptors[0]['req.method']", {get});
  is("req.method == 'GET'", {get});
  is("descriptors[0].method == \"GET\"", {{Kind::kEquals, "method", "GET"}});
  is("  ( descriptors [ 0 ] [ 'req.method' ]  ==  'GET' ) ", {get});
  is("method == 'GET' && (path.startsWith('/a') && has(descriptors[0].user)) && 'x' in descriptors[0]",
     {{Kind::kEquals, "method", "GET"},
      {Kind::kStartsWith, "path", "/a"},
      {Kind::kPresent, "user", ""},
      {Kind::kPresent, "x", ""}});
  is("descriptors[0]['p'].startsWith('/a')", {{Kind::kStartsWith, "p", "/a"}});
  is(R"~(k == 'a\'\\\x41\u00e9\n')~", {{Kind::kEquals, "k", "a'\\A\xC3\xA9\n"}});
}

TEST(LimitadorExpression, WhatIsNoneIsSaid) {
  for (const char* text : {"",
                           "k",
                           "k ==",
                           "k == ",
                           "== 'v'",
                           "k == v",
                           "k != 'v'",
                           "k == 'v' || j == 'w'",
                           "k == 5",
                           "k == 'v",
                           "!(k == 'v')",
                           "k.matches('v')",
                           "k.size() == 'v'",
                           "descriptors[0] == 'v'",
                           "descriptors[0].a.b == 'v'",
                           "descriptors[x]['k'] == 'v'",
                           "descriptors['k'] == 'v'",
                           "k == 'v' extra",
                           "(k == 'v'",
                           "k == 'v')",
                           "k in 'v'",
                           "'k' in descriptors",
                           "has(k",
                           "has(k.startsWith('v'))",
                           "k == '\\q'",
                           "k == '\\x4'",
                           "k == '\\ud800'",
                           "k.startsWith(v)",
                           "\xff",
                           "&& k == 'v'",
                           "k == 'v' &&",
                           "limit.name == 'v' ? true : false"}) {
    const auto tests = ParseCondition(text);
    ASSERT_FALSE(tests.has_value()) << text;
    EXPECT_FALSE(tests.error().message.empty());
  }
  EXPECT_NE(ParseCondition("descriptors[1]['k'] == 'v'").error().message.find("another descriptor"), std::string::npos);
  EXPECT_FALSE(ParseCondition(std::string(100'000, '(')).has_value());
}

TEST(LimitadorExpression, Variables) {
  EXPECT_EQ(ParseVariable("descriptors[0]['user.id']").value(), "user.id");
  EXPECT_EQ(ParseVariable("descriptors[0].user_id").value(), "user_id");
  EXPECT_EQ(ParseVariable("user_id").value(), "user_id");
  EXPECT_EQ(ParseVariable("(auth.user)").value(), "auth.user");
  for (const char* text : {"", "'x'", "a b", "descriptors[2].a", "size(a)", "a.startsWith('b')", "a + b"}) {
    EXPECT_FALSE(ParseVariable(text).has_value()) << text;
  }
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
  EXPECT_EQ(imported.domains.at("shop"), (DomainLimits{.descriptors = {get, post}, .hierarchy = false}));
  const auto& other = imported.domains.at("other").descriptors;
  ASSERT_EQ(other.size(), 2U);
  EXPECT_EQ(other[0].value, "*");
  EXPECT_TRUE(other[0].share_threshold);
  EXPECT_EQ(other[1].value, "/x*");
  EXPECT_FALSE(other[1].share_threshold);
  Faults faults;
  for (const FileFault& one : imported.faults) faults.push_back(Describe(one));
  EXPECT_EQ(faults, (Faults{"f:2: warning: in 'shop' Envoy must send a descriptor for each limit, with exactly its "
                            "entries in their order: req.method, user_id; req.method, path, user_id",
                            "f:15: warning: in 'other' Envoy must send a descriptor for each limit, with exactly its "
                            "entries in their order: k; p"}));
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

TEST(ImportLimitador, WhatCannotBeSaidIsRefusedWithItsLine) {
  EXPECT_EQ(FaultsOfLimit(R"~(["a == 'x'", "a == 'y'"])~"),
            Faults{"f:1: 0.conditions.1: two conditions on 'a' cannot both hold"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a.startsWith('x')", "a.startsWith('y')"])~"),
            Faults{"f:1: 0.conditions.1: two conditions on 'a' cannot both hold"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a == ''"])~"), Faults{"f:1: 0.conditions.0: an empty value cannot be asked for"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a == 'x*'"])~"),
            Faults{"f:1: 0.conditions.0: the value 'x*' ends in '*', which stands for anything in weir"});
  EXPECT_EQ(FaultsOfLimit(R"~(["a != 'x'"])~"),
            Faults{"f:1: 0.conditions.0: the condition 'a != 'x'' is no descriptor of weir: '!=' cannot be said here; "
                   "weir's descriptors can say KEY == 'VALUE', KEY.startsWith('PREFIX'), 'KEY' in descriptors[0], and "
                   "these joined by &&"});
  EXPECT_EQ(FaultsOfLimit("[]"),
            Faults{"f:1: 0: without conditions and variables it holds for every request: a rule of weir holds for a "
                   "descriptor (have Envoy send an entry such as generic_key: all, and write the condition "
                   "descriptors[0]['generic_key'] == 'all')"});
  const std::string limit = "- {namespace: n, max_value: 1, seconds: 1, variables: [k]}\n";
  EXPECT_EQ(
      FaultsOf(limit + limit).at(1),
      "f:2: 1: is for the same entries as the limit on line 1: a descriptor has one rule (have Envoy send a second "
      "descriptor with one more entry, such as generic_key, and add it to the conditions)");
  EXPECT_EQ(FaultsOf("- {name: n, max_value: 1, seconds: 0}\n"),
            (Faults{"f:1: 0: the namespace is missing", "f:1: 0.seconds: must be at least 1"}));
  EXPECT_EQ(FaultsOf("- {namespace: n, max_value: -1, second: 5, variables: a}\n"),
            (Faults{"f:1: 0: unknown field 'second' (did you mean 'seconds'?)",
                    "f:1: 0.max_value: must be a whole number, not '-1'", "f:1: 0: seconds is missing",
                    "f:1: 0.variables: must be a list, not 'a'"}));
  EXPECT_EQ(FaultsOf("limits: []\n"),
            Faults{"f:1: must be a list of limits, not a mapping (write the list under 'limits' alone)"});
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
  };
  const auto accepts = [&](std::size_t i, std::size_t j) {
    const std::string begin = "- {namespace: n, max_value: 1, seconds: 1, ";
    return Import(begin + steps[i] + "}\n" + begin + steps[j] + "}\n").ok();
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t j = 0; j < steps.size(); ++j) {
      const auto pair = std::minmax(i, j);
      // xy is not below xyz, and q is below neither; everything else shares a value.
      const bool disjoint = (pair == std::minmax<std::size_t>(0, 2)) || (pair.second == 6 && pair.first < 4);
      EXPECT_EQ(accepts(i, j), disjoint) << steps[i] << " and " << steps[j];
    }
  }
}

TEST(ImportLimitador, ANamespaceIsInOneFile) {
  const std::string limit = "- {namespace: n, max_value: 1, seconds: 1, variables: [k]}\n";
  const ImportedDomains imported = ImportLimitador(std::vector<SourceText>{{"a", limit}, {"b", limit}});
  ASSERT_FALSE(imported.ok());
  EXPECT_EQ(Describe(imported.faults.back()),
            "b:1: the namespace 'n' is in 'a' already (put all of a namespace in one file)");
}

}  // namespace
}  // namespace weir::config
