// What the rules of domains follow when the document changes.
#include <gtest/gtest.h>

#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/snapshot/domain_fixture.h"

namespace weir::config {
namespace {

TEST(Domains, AChangedLimitKnowsItsPreviousForm) {
  const std::string text =
      "domains: {d: {descriptors: [{key: k, value: v*, rule: {max_requests: 5, window_seconds: 60}}]}}";
  const auto first = CompiledDomains(text);
  const auto same = CompiledDomains(text, first.get());
  const auto wider = CompiledDomains(
      "domains: {d: {descriptors: [{key: k, value: v*, rule: {max_requests: 9, window_seconds: 60}}]}}", same.get());
  const auto shared = CompiledDomains(
      "domains: {d: {descriptors: [{key: k, value: v*, share_threshold: true, rule: "
      "{max_requests: 9, window_seconds: 60}}]}}",
      wider.get());
  const Entries entries{{"k", "v1"}};
  EXPECT_EQ(RuleAt(*same, "d", entries).generation, RuleAt(*first, "d", entries).generation);
  EXPECT_EQ(RuleAt(*same, "d", entries).previous, nullptr);
  ASSERT_NE(RuleAt(*wider, "d", entries).previous, nullptr);
  EXPECT_EQ(RuleAt(*wider, "d", entries).previous->generation, RuleAt(*first, "d", entries).generation);
  EXPECT_EQ(RuleAt(*wider, "d", entries).previous->limit.capacity, 5U);
  // Who is counted has changed: there is nothing to carry over.
  EXPECT_NE(RuleAt(*shared, "d", entries).generation, RuleAt(*wider, "d", entries).generation);
  EXPECT_EQ(RuleAt(*shared, "d", entries).previous, nullptr);
}

// What a rule follows: the path and capacity of its previous form; empty: nothing.
std::string Followed(const Rule& rule) {
  if (rule.previous == nullptr) return "";
  return std::string(PathOfGeneration(rule.previous->generation)) + " " + std::to_string(rule.previous->limit.capacity);
}

std::vector<std::string> FollowedBy(std::span<const Rule> rules) {
  std::vector<std::string> all;
  for (const Rule& rule : rules) all.push_back(Followed(rule));
  return all;
}

// Lists of rules, each by its capacity; "-": an unlimited one.
std::string ListOf(std::initializer_list<std::string_view> rules) {
  std::string list;
  for (const std::string_view rule : rules) {
    list += list.empty() ? "[" : ", ";
    list += rule == "-" ? "unlimited" : "{window_seconds: 60, max_requests: " + std::string(rule) + "}";
  }
  return list + "]";
}

TEST(Domains, RulesOfAListFollowThoseThatMeantTheSame) {
  using List = std::initializer_list<std::string_view>;
  struct Case {
    List before, after;
    std::vector<std::string> followed;  // index and capacity
  };
  const Case cases[] = {
      {{"10", "100"}, {"10", "100"}, {"", ""}},
      {{"10", "100"}, {"100", "10"}, {"1 100", "0 10"}},
      {{"10", "100"}, {"5", "10", "100"}, {"", "0 10", "1 100"}},
      {{"10", "100"}, {"100"}, {"1 100"}},
      {{"10", "100"}, {"10", "101"}, {"", "1 100"}},
      {{"10", "100"}, {"11", "101"}, {"0 10", "1 100"}},
      {{"10", "100", "1000"}, {"100", "10", "1001"}, {"1 100", "0 10", "2 1000"}},
      {{"10", "100"}, {"100", "11"}, {"1 100", ""}},
      {{"10"}, {"10", "10"}, {"", ""}},
      {{"10", "10"}, {"5", "10", "10"}, {"", "", "0 10"}},
      {{"10", "100"}, {"-", "10"}, {"", "0 10"}},
      {{"-", "10"}, {"10", "-"}, {"1 10", ""}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(ListOf(one.before) + " -> " + ListOf(one.after));
    const auto document = [](const List& list) {
      return "domains: {d: {rules: " + ListOf(list) + ", descriptors: [{key: k, rules: " + ListOf(list) + "}]}}";
    };
    const auto before = CompiledDomains(document(one.before));
    const auto after = CompiledDomains(document(one.after), before.get());
    std::vector<std::string> own, tree;
    for (const std::string& followed : one.followed) {
      own.push_back(followed.empty() ? "" : "domains.d.rules." + followed);
      tree.push_back(followed.empty() ? "" : "domains.d.k.rules." + followed);
    }
    EXPECT_EQ(FollowedBy(after->FindDomain("d")->rules), own);
    EXPECT_EQ(FollowedBy(TogetherWith(RuleAt(*after, "d", {{"k", "x"}}))), tree);
  }
}

TEST(Domains, ARuleAndRulesOfOneNodeAreSiblings) {
  const auto document = [](std::string_view rules) {
    return "domains: {d: {descriptors: [{key: k, value: v, descriptors: [{key: l, " + std::string(rules) + "}]}]}}";
  };
  const std::string ten = "{max_requests: 10, window_seconds: 1}", hundred = "{max_requests: 100, window_seconds: 9}";
  const std::string eleven = "{max_requests: 11, window_seconds: 1}";
  const auto follow = [&](const std::string& before, const std::string& after) {
    const auto first = CompiledDomains(document(before));
    const auto second = CompiledDomains(document(after), first.get());
    return FollowedBy(TogetherWith(RuleAt(*second, "d", {{"k", "v"}, {"l", "x"}})));
  };
  using Found = std::vector<std::string>;
  const std::string path = "domains.d.k_v.l";
  EXPECT_EQ(follow("rule: " + ten, "rules: [" + ten + ", " + hundred + "]"), (Found{path + " 10", ""}));
  EXPECT_EQ(follow("rule: " + ten, "rules: [" + hundred + ", " + ten + "]"), (Found{"", path + " 10"}));
  EXPECT_EQ(follow("rules: [" + ten + ", " + hundred + "]", "rule: " + hundred), (Found{path + ".rules.1 100"}));
  EXPECT_EQ(follow("rule: " + ten, "rules: [" + eleven + "]"), (Found{path + " 10"}));
  EXPECT_EQ(follow("rules: [" + ten + "]", "rule: " + eleven), (Found{path + ".rules.0 10"}));
  EXPECT_EQ(follow("rule: " + ten + ", rules: [" + hundred + "]", "rules: [" + ten + ", " + hundred + "]"),
            (Found{path + " 10", path + ".rules.0 100"}));
  // A node of another list is none of them.
  EXPECT_EQ(follow("rule: strict, descriptors: [{key: rules, descriptors: [{key: '0', rule: " + ten + "}]}]",
                   "rule: strict, rules: [" + ten + "]"),
            (Found{"", ""}));
}

TEST(Domains, ARuleDoesNotFollowWhatASiblingCountsBy) {
  const auto document = [](std::initializer_list<std::string_view> rules) {
    return "domains: {d: {rules: " + ListOf(rules) + "}}";
  };
  const auto first = CompiledDomains(document({"10", "100"}));
  const auto second = CompiledDomains(document({"100", "10"}), first.get());
  ASSERT_EQ(Followed(second->FindDomain("d")->rules[1]), "domains.d.rules.0 10");
  // Rule 0 has the name of what rule 1 followed: each request would move its count away.
  const auto third = CompiledDomains(document({"10", "10"}), second.get());
  EXPECT_EQ(FollowedBy(third->FindDomain("d")->rules), (std::vector<std::string>{"domains.d.rules.0 100", ""}));
  // And back: what it was before it moved, by way of where it was meanwhile.
  const auto back = CompiledDomains(document({"10", "100"}), second.get());
  EXPECT_EQ(FollowedBy(back->FindDomain("d")->rules),
            (std::vector<std::string>{"domains.d.rules.1 10", "domains.d.rules.0 100"}));
  EXPECT_EQ(back->FindDomain("d")->rules[0].previous->before, nullptr) << "not itself";
}

TEST(Domains, BansOfEqualPenaltiesStayWithTheirPlaceInTheList) {
  const auto document = [](std::string_view first, std::string_view second) {
    const auto rule = [](std::string_view requests) {
      return "{window_seconds: 60, max_requests: " + std::string(requests) + ", penalties: {enabled: true}}";
    };
    return "domains: {d: {rules: [" + rule(first) + ", " + rule(second) + "]}}";
  };
  const auto first = CompiledDomains(document("10", "100"));
  const auto second = CompiledDomains(document("100", "10"), first.get());
  for (const Rule& rule : second->FindDomain("d")->rules) {
    ASSERT_FALSE(rule.penalty_generation.empty());
    EXPECT_EQ(rule.penalty_previous, nullptr) << rule.path;
  }
}

}  // namespace
}  // namespace weir::config
