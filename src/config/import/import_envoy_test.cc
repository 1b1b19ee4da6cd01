// envoyproxy/ratelimit's configuration: what it means in weir, and what is refused.
#include "config/import/import_envoy.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "config/source/load.h"

namespace weir::config {
namespace {

std::vector<std::string> FaultsOf(const std::vector<SourceText>& sources) {
  std::vector<std::string> lines;
  for (const FileFault& one : ImportEnvoy(sources, false).faults) lines.push_back(Describe(one));
  return lines;
}
std::vector<std::string> FaultsOf(std::string text) { return FaultsOf({SourceText{"f", std::move(text)}}); }

DomainLimits Imported(std::string text, std::string_view domain) {
  ImportedDomains imported = ImportEnvoy(std::vector{SourceText{"f", std::move(text)}}, false);
  for (const FileFault& one : imported.faults) ADD_FAILURE() << Describe(one);
  return imported.domains[std::string(domain)];
}

TEST(ImportEnvoy, EveryField) {
  const DomainLimits domain = Imported(R"(
domain: edge
descriptors:
  - key: remote_address
    rate_limit: {unit: second, requests_per_unit: 10}
  - key: remote_address
    value: 50.0.0.5
    rate_limit:
      name: blocked
      unit: YEAR
      requests_per_unit: 0
    shadow_mode: true
  - key: path
    value: /files/*/raw
    share_threshold: true
    value_to_metric: true
    descriptors:
      - key: method
        detailed_metric: true
        quota_mode: true
        rate_limit:
          unit: Month
          requests_per_unit: 4294967295
          replaces: [{name: blocked}]
        metadata: {service: {name: s1, weight: 5, ratio: 0.5, on: true, note: "5"}, tags: [a, ~]}
  - key: internal
    value: 200
    rate_limit: {unlimited: true}
)",
                                       "edge");
  EXPECT_EQ(domain.hierarchy, false);
  ASSERT_EQ(domain.descriptors.size(), 4U);
  const DescriptorLimits& any = domain.descriptors[0];
  EXPECT_EQ(any.key, "remote_address");
  EXPECT_EQ(any.value, "");
  RateLimitRule ten;
  ten.max_requests = 10;
  ten.window_seconds = 1;
  EXPECT_EQ(any.rule, ten);
  const DescriptorLimits& blocked = domain.descriptors[1];
  EXPECT_EQ(blocked.value, "50.0.0.5");
  EXPECT_EQ(blocked.rule->name, "blocked");
  EXPECT_EQ(blocked.rule->mode, RuleMode::kShadow);
  EXPECT_EQ(blocked.rule->max_requests, 0U);
  EXPECT_EQ(blocked.rule->window_seconds, 31'536'000U);
  const DescriptorLimits& files = domain.descriptors[2];
  EXPECT_TRUE(files.share_threshold && files.value_to_metric && !files.detailed_metric && !files.rule);
  const DescriptorLimits& method = files.descriptors.at(0);
  EXPECT_TRUE(method.quota_mode && method.detailed_metric);
  EXPECT_EQ(method.rule->window_seconds, 2'592'000U);
  EXPECT_EQ(method.rule->max_requests, 4'294'967'295U);
  EXPECT_EQ(method.replaces, std::vector<std::string>{"blocked"});
  EXPECT_EQ(files.value, "/files/*/raw");
  EXPECT_EQ(method.metadata,
            R"({"service": {"name": "s1", "weight": 5, "ratio": 0.5, "on": true, "note": "5"}, "tags": ["a", null]})");
  EXPECT_EQ(domain.descriptors[3].value, "200");
  EXPECT_EQ(domain.descriptors[3].rule, RateLimitRule::Unlimited());
}

TEST(ImportEnvoy, Units) {
  const std::map<std::string, std::uint32_t> units = {{"second", 1},       {"MINUTE", 60},    {"Hour", 3600},
                                                      {"day", 86'400},     {"week", 604'800}, {"month", 2'592'000},
                                                      {"yEaR", 31'536'000}};
  for (const auto& [unit, seconds] : units) {
    const DomainLimits domain =
        Imported("domain: d\ndescriptors: [{key: k, rate_limit: {requests_per_unit: 1, unit: " + unit + "}}]\n", "d");
    EXPECT_EQ(domain.descriptors.at(0).rule->window_seconds, seconds) << unit;
  }
}

TEST(ImportEnvoy, ADomainWithoutDescriptorsLimitsNothing) {
  EXPECT_EQ(Imported("domain: d\n", "d"), (DomainLimits{.descriptors = {}, .hierarchy = false}));
}

TEST(ImportEnvoy, WhatTheServerRefuses) {
  using Faults = std::vector<std::string>;
  EXPECT_EQ(FaultsOf(""), Faults{"f:1: must be a mapping with `domain` and `descriptors`, not nothing"});
  EXPECT_EQ(FaultsOf("descriptors: []\n"), Faults{"f:1:1: the domain is empty (write domain: NAME)"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - value: v\n"),
            Faults{"f:3:5: descriptors.0: the descriptor has an empty key"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - {key: k, value: v}\n  - key: k\n    value: v\n"),
            Faults{"f:4:5: descriptors.1: duplicate descriptor composite key 'd.k_v': line 3 has it too"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k_v\n  - key: k\n    value: v\n"),
            Faults{"f:4:5: descriptors.1: duplicate descriptor composite key 'd.k_v': line 3 has it too"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      unit: foo\n"
                     "      requests_per_unit: 1\n"),
            Faults{"f:5:13: descriptors.0.rate_limit: invalid rate limit unit 'foo'"});
  EXPECT_EQ(
      FaultsOf("domain: d\ndescriptors:\n  - {key: k, rate_limit: {requests_per_unit: 1}}\n"),
      Faults{"f:3:14: descriptors.0.rate_limit: invalid rate limit unit '' (write one of second, minute, hour, day, "
             "week, month, year)"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      unlimited: true\n      unit: day\n"),
            Faults{"f:6:13: descriptors.0.rate_limit: an unlimited rate limit has no unit"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    ratelimit: {unit: day}\n"),
            Faults{"f:4:5: descriptors.0: unknown key 'ratelimit' (did you mean 'rate_limit'?)"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - a\n"), Faults{"f:3:5: descriptors.0: must be a mapping, not 'a'"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    value: v\n    share_threshold: true\n"),
            Faults{"f:5:22: descriptors.0: share_threshold is only for a value with a '*'"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    metadata: [a]\n    rate_limit: {unit: day, "
                     "requests_per_unit: 1}\n"),
            Faults{"f:4:5: descriptors.0.metadata: must be a mapping, not a list"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    shadow_mode: \"true\"\n"),
            Faults{"f:4:18: descriptors.0.shadow_mode: must be true or false, not 'true' (write it without quotes)"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - {key: k, rate_limit: {unit: day, requests_per_unit: -1}}\n"),
            Faults{"f:3:57: descriptors.0.rate_limit.requests_per_unit: must be a whole number, not '-1'"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - {key: k, rate_limit: {unit: day, requests_per_unit: 4294967296}}\n"),
            Faults{"f:3:57: descriptors.0.rate_limit.requests_per_unit: must be at most 4294967295"});
  const std::string limit =
      "domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      {unit: day, requests_per_unit: 1, ";
  EXPECT_EQ(FaultsOf(limit + "name: n, replaces: [{name: n}]}\n"),
            Faults{"f:5:61: descriptors.0.rate_limit.replaces.0: 'n' is the name of the same descriptor"});
  EXPECT_EQ(FaultsOf(limit + "replaces: [{name: ''}]}\n"),
            Faults{"f:5:52: descriptors.0.rate_limit.replaces.0: an entry of replaces is empty"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors: [\n"), Faults{FaultsOf("domain: d\ndescriptors: [\n").at(0)});
  EXPECT_EQ(
      FaultsOf({{"a.yaml", "domain: d\n"}, {"b.yaml", "domain: d\n"}}),
      Faults{"b.yaml:1:9: the domain 'd' is in 'a.yaml' already (put all of a domain in one file, or write envoy: "
             "{merge_domains: true} (weir convert: --merge-domains))"});
}

TEST(ImportEnvoy, WhatWeirCannotSay) {
  using Faults = std::vector<std::string>;
  EXPECT_EQ(
      FaultsOf("domain: d\ndescriptors:\n  - key: k*\n"),
      Faults{"f:3:5: descriptors.0: the key 'k*' ends in '*' and has no value: it stands for every key that begins so, "
             "and only values may (write the keys that it stands for, one descriptor each)"});
  EXPECT_EQ(FaultsOf("domain: " + std::string(401, 'd') + "\n"), Faults{"f:1:9: domain: is longer than 400 bytes"});
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: \"a\\tb\"\n"),
            Faults{"f:3:10: descriptors.0.key: 'a\\x09b' has control characters"});
}

TEST(ImportEnvoy, AKeyThatEndsInAStarIsAKeyAndAValue) {
  ImportedDomains imported =
      ImportEnvoy(std::vector{SourceText{"f",
                                         "domain: d\ndescriptors:\n  - {key: user_id_*, share_threshold: true}\n"
                                         "  - {key: path_/a*}\n  - {key: path_, value: b}\n"}},
                  false);
  ASSERT_TRUE(imported.ok()) << Describe(imported.faults.at(0));
  const auto& descriptors = imported.domains.at("d").descriptors;
  ASSERT_EQ(descriptors.size(), 3U);
  EXPECT_EQ(descriptors[0].key, "user_id");
  EXPECT_EQ(descriptors[0].value, "*");
  EXPECT_EQ(descriptors[1].key, "path");
  EXPECT_EQ(descriptors[1].value, "/a*");
  EXPECT_EQ(descriptors[2].key, "path_");
  ASSERT_EQ(imported.faults.size(), 2U);
  EXPECT_EQ(
      Describe(imported.faults[0]),
      "f:3:5: warning: descriptors.0: the key 'user_id_*' is read as the key 'user_id' with the value '*'; other keys "
      "that begin so, which it stands for there, have no limit here");
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - {key: a_*}\n  - {key: a, value: '*'}\n").back(),
            "f:4:5: descriptors.1: duplicate descriptor composite key 'd.a_*': line 3 has it too");
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - {key: _*}\n").size(), 1U);
}

TEST(ImportEnvoy, NumbersAsThatServerReadsThem) {
  const auto read = [](const std::string& number) {
    return Imported(
               "domain: d\ndescriptors:\n  - {key: k, rate_limit: {unit: day, requests_per_unit: " + number + "}}\n",
               "d")
        .descriptors[0]
        .rule->max_requests;
  };
  EXPECT_EQ(read("1_000"), 1'000U);
  EXPECT_EQ(read("+5"), 5U);
  EXPECT_EQ(read("0x3E8"), 1'000U);
  EXPECT_EQ(read("0b11"), 3U);
  EXPECT_EQ(read("0o17"), 15U);
  EXPECT_EQ(read("017"), 15U);
  EXPECT_EQ(read("0"), 0U);
  EXPECT_EQ(read("4_294_967_295"), UINT32_MAX);
  for (const char* wrong : {"018", "0x", "1e3", "1.5", "'1_000'", "4_294_967_296", "-1", "x"}) {
    const auto faults =
        FaultsOf(std::string("domain: d\ndescriptors:\n  - {key: k, rate_limit: {unit: day, requests_per_unit: ") +
                 wrong + "}}\n");
    EXPECT_EQ(faults.size(), 1U) << wrong;
  }
}

TEST(ImportEnvoy, NamesOfAnyLanguageAndLength) {
  const std::string name(400, 'n');
  const DomainLimits domain = Imported("domain: d\xC3\xB6main-" + name.substr(10) +
                                           "\ndescriptors:\n  - {key: k, rate_limit: {unit: day, requests_per_unit: 1, "
                                           "name: l\xC3\xADmite}}\n  - {key: j, rate_limit: {unit: day, "
                                           "requests_per_unit: 1, name: " +
                                           name + ", replaces: [{name: l\xC3\xADmite}]}}\n",
                                       "d\xC3\xB6main-" + name.substr(10));
  ASSERT_EQ(domain.descriptors.size(), 2U);
  EXPECT_EQ(domain.descriptors[0].rule->name, "l\xC3\xADmite");
  EXPECT_EQ(domain.descriptors[1].rule->name, name);
  EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
  config.domains["d"] = domain;
  for (const Fault& fault : ValidateConfig(config)) ADD_FAILURE() << Describe(fault);
  EXPECT_EQ(ParseConfig(ToYaml(config)).config, config);
}

TEST(ImportEnvoy, ADomainOfSeveralFiles) {
  const auto file = [](const std::string& name, const std::string& descriptors) {
    return SourceText{name, "domain: d\ndescriptors:\n" + descriptors};
  };
  const std::string limit = "rate_limit: {unit: day, requests_per_unit: 1";
  const std::vector<SourceText> good = {file("a", "  - {key: k, " + limit + ", replaces: [{name: n}]}}\n"),
                                        file("b", "  - {key: k, value: v, " + limit + ", name: n}}\n"),
                                        SourceText{"c", "domain: e\n"}};
  const ImportedDomains merged = ImportEnvoy(good, true);
  EXPECT_TRUE(merged.faults.empty()) << Describe(merged.faults[0]) << ", though the name is in the other file";
  ASSERT_EQ(merged.domains.at("d").descriptors.size(), 2U);
  EXPECT_EQ(merged.domains.at("d").descriptors[1].value, "v");
  EXPECT_EQ(merged.domains.at("d").hierarchy, false);
  EXPECT_FALSE(ImportEnvoy(good, false).ok());
  const ImportedDomains twice = ImportEnvoy(std::vector{good[0], file("b", "  - {key: k}\n")}, true);
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(Describe(twice.faults.back()),
            "b:3:5: descriptors.0: duplicate descriptor composite key 'd.k': line 3 of 'a' has it too");
}

TEST(ImportEnvoy, WhatTheServerIgnoresIsWarnedOf) {
  using Faults = std::vector<std::string>;
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    unit: day\n    metadata: {a: {b: c}}\n"
                     "    shadow_mode: true\n    quota_mode: true\n"),
            (Faults{"f:4:5: warning: descriptors.0: unit has no effect here: it belongs in a rate_limit",
                    "f:5:5: warning: descriptors.0: metadata has no effect without a rate_limit",
                    "f:6:5: warning: descriptors.0: shadow_mode has no effect without a rate_limit",
                    "f:7:5: warning: descriptors.0: quota_mode has no effect without a rate_limit"}));
  EXPECT_EQ(FaultsOf("domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      unlimited: true\n"
                     "      requests_per_unit: 5\n      unit: unknown\n"),
            (Faults{"f:6:26: warning: descriptors.0.rate_limit: requests_per_unit has no effect beside unlimited",
                    "f:7:13: warning: descriptors.0.rate_limit: the unit has no effect beside unlimited"}));
  EXPECT_EQ(
      FaultsOf("domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      unit: day\n"
               "      replaces: [{name: other}]\n"),
      (Faults{"f:4:5: warning: descriptors.0.rate_limit: requests_per_unit is missing and so 0, which denies every "
              "request",
              "f:6:18: warning: no rate limit of this domain is named 'other'"}));
}

TEST(ImportEnvoy, RequestsPerUnitThatIsLeftEmptyIsToldOf) {
  EXPECT_EQ(
      FaultsOf("domain: d\ndescriptors:\n  - key: k\n    rate_limit:\n      unit: day\n      requests_per_unit:\n"),
      std::vector<std::string>{"f:6:7: warning: descriptors.0.rate_limit: requests_per_unit is empty and so 0, which "
                               "denies every request"});
}

TEST(ImportEnvoy, OfSeveralDocumentsTheFirstIsReadAsThere) {
  const std::string text = "---\ndomain: a\n---\ndomain: b\n";
  const ImportedDomains imported = ImportEnvoy(std::vector{SourceText{"f", text}}, false);
  ASSERT_TRUE(imported.ok());
  EXPECT_TRUE(imported.domains.contains("a"));
  EXPECT_FALSE(imported.domains.contains("b"));
  ASSERT_EQ(imported.faults.size(), 1U);
  EXPECT_EQ(
      Describe(imported.faults[0]),
      "f:4:1: warning: only the first document of a file is read, there as here: nothing from this line on has an "
      "effect (put each document in a file of its own)");
  EXPECT_TRUE(FaultsOf("---\ndomain: a\n...\n").empty());
}

TEST(ImportEnvoy, AllFaultsOfAllFilesAtOnce) {
  EXPECT_EQ(FaultsOf({{"a", "domain: d\ndescriptors:\n  - value: 1\n  - {key: k, rate_limit: {unit: x}, foo: 1}\n"},
                      {"b", "dom: d\n"}})
                .size(),
            6U);
}

TEST(ImportEnvoy, FaultsAreBounded) {
  std::string text = "domain: d\ndescriptors:\n";
  for (int i = 0; i < 5000; ++i) text += "  - {value: v, quota_mode: true}\n";
  const auto faults = FaultsOf(text);
  EXPECT_EQ(faults.size(), 1'202U);
}

TEST(ImportEnvoy, NestingIsBounded) {
  std::string text = "domain: d\n";
  std::string indent;
  for (int i = 0; i < 25; ++i, indent += "  ") text += indent + "descriptors:\n" + indent + "- key: k\n";
  const auto faults = FaultsOf(text);
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_TRUE(faults[0].ends_with("descriptors are nested more than 24 deep")) << faults[0];
}

// ---- the same decisions ----

// A tree as that server holds it: nodes by the text "key_value" or "key", and the patterns of a level in their order.
struct Theirs {
  std::map<std::string, std::unique_ptr<Theirs>> next;
  std::vector<std::string> patterns;
  std::uint64_t limit = 0;  // requests_per_unit; 0 = none
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t Below(std::uint64_t bound) { return engine_() % bound; }

  std::string Level(Theirs& node, int depth, const std::string& indent) {
    std::string yaml;
    for (std::uint64_t i = 1 + Below(6); i > 0; --i) {
      const std::string key = Key();
      std::string value = Value();
      // Anywhere, as since 2026.
      for (std::uint64_t stars = Below(4); stars > 1; --stars) value.insert(Below(value.size() + 1), 1, '*');
      const std::string composite = value.empty() ? key : key + '_' + value;
      if (node.next.contains(composite)) continue;
      auto& child = node.next[composite] = std::make_unique<Theirs>();
      if (composite.contains('*')) node.patterns.push_back(composite);
      yaml += indent + "- key: " + key + "\n";
      if (!value.empty()) yaml += indent + "  value: '" + value + "'\n";
      if (Below(3) != 0) {
        child->limit = ++limits_;
        yaml += indent + "  rate_limit: {unit: minute, requests_per_unit: " + std::to_string(child->limit) + "}\n";
      }
      if (depth > 0 && Below(2) == 0) {
        yaml += indent + "  descriptors:\n" + Level(*child, depth - 1, indent + "  ");
      }
    }
    return yaml;
  }
  // Without '_', of which that server's joined texts cannot tell the key's from the value's.
  std::string Key() { return std::string(1, static_cast<char>('k' + Below(3))); }
  std::string Value() {
    std::string value;
    for (std::uint64_t i = Below(4); i > 0; --i) value += "ab"[Below(2)];
    return value;
  }

 private:
  std::mt19937_64 engine_;
  std::uint64_t limits_ = 0;
};

std::regex AsRegex(const std::string& pattern) {
  std::string regex;
  for (const char c : pattern) regex += c == '*' ? ".*" : std::string(1, c);
  return std::regex(regex);
}

std::uint64_t TheirLimit(const Theirs& root, const std::vector<std::pair<std::string, std::string>>& entries) {
  const Theirs* node = &root;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string both = entries[i].first + '_' + entries[i].second;
    const Theirs* next = nullptr;
    const auto find = [&](const std::string& text) {
      const auto found = node->next.find(text);
      return found == node->next.end() ? nullptr : found->second.get();
    };
    next = find(both);
    for (const std::string& pattern : node->patterns) {
      if (next == nullptr && std::regex_match(both, AsRegex(pattern))) next = find(pattern);
    }
    if (next == nullptr) next = find(entries[i].first);
    if (next == nullptr) return 0;
    if (i + 1 == entries.size()) return next->limit;
    node = next;
  }
  return 0;
}

std::shared_ptr<const Snapshot> Compiled(const EnterpriseRateLimitConfig& config) {
  auto snapshot = Snapshot::Compile(config, nullptr, 0);
  EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
  return snapshot ? *snapshot : nullptr;
}

TEST(ImportEnvoy, DecidesAsThatServerDirectlyAndConverted) {
  std::size_t limited = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Generator random(seed);
    Theirs theirs;
    const std::string yaml = "domain: d\ndescriptors:\n" + random.Level(theirs, 2, "  ");
    SCOPED_TRACE(yaml);
    ImportedDomains imported = ImportEnvoy(std::vector{SourceText{"f", yaml}}, false);
    ASSERT_TRUE(imported.ok()) << Describe(imported.faults[0]);
    EnterpriseRateLimitConfig config = EnvoyOnlyDocument();
    config.domains = std::move(imported.domains);
    const ParsedConfig again = ParseConfig(seed % 2 == 0 ? ToYaml(config) : ToJson(config));
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(again.config, config);
    const auto direct = Compiled(config);
    const auto converted = Compiled(again.config);
    for (int i = 0; i < 100; ++i) {
      std::vector<std::pair<std::string, std::string>> texts;
      for (std::uint64_t length = 1 + random.Below(3); length > 0; --length) {
        texts.emplace_back(random.Key(), random.Value());
      }
      std::vector<Attribute> entries;
      for (const auto& [key, value] : texts) entries.push_back({key, value});
      const Rule* rule = direct->FindDomain("d")->Find(entries);
      const Rule* other = converted->FindDomain("d")->Find(entries);
      ASSERT_EQ(rule == nullptr ? 0 : rule->limit.capacity, TheirLimit(theirs, texts));
      ASSERT_EQ(rule == nullptr, other == nullptr);
      if (rule == nullptr) continue;
      ++limited;
      ASSERT_EQ(rule->generation, other->generation);
    }
  }
  EXPECT_GT(limited, 1'000U);
}

}  // namespace
}  // namespace weir::config
