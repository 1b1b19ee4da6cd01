// Random domains: the compiled table beside what its definition says, over the document itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/snapshot/domain_fixture.h"

namespace weir::config {
namespace {

// The walk as its definition has it, over the document itself.
bool Matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') return Matches(pattern.substr(1), text) || (!text.empty() && Matches(pattern, text.substr(1)));
  return !text.empty() && pattern[0] == text[0] && Matches(pattern.substr(1), text.substr(1));
}

const RateLimitRule* Walk(const std::vector<DescriptorLimits>& level, std::span<const Attribute> entries) {
  const DescriptorLimits* next = nullptr;
  const auto choose = [&](auto matches) {
    for (const DescriptorLimits& one : level) {
      if (next == nullptr && one.key == entries[0].name && matches(one.value)) next = &one;
    }
  };
  const std::string_view value = entries[0].value;
  choose([&](std::string_view own) { return !own.empty() && own == value; });
  choose([&](std::string_view own) { return own.contains('*') && Matches(own, value); });
  choose([&](std::string_view own) { return own.empty(); });
  if (next == nullptr) return nullptr;
  if (entries.size() == 1) return next->rule ? &*next->rule : nullptr;
  return Walk(next->descriptors, entries.subspan(1));
}

class RandomTree {
 public:
  explicit RandomTree(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t Below(std::uint64_t bound) { return engine_() % bound; }

  std::vector<DescriptorLimits> Level(int depth) {
    std::vector<DescriptorLimits> level;
    std::set<std::pair<std::string, std::string>> seen;
    for (std::uint64_t i = Below(9); i > 0; --i) {
      DescriptorLimits one{.key = Key(), .value = Value()};
      if (Below(3) == 0) one.value += '*';
      if (!seen.emplace(one.key, one.value).second) continue;
      if (Below(3) != 0) {
        one.rule.emplace();
        one.rule->max_requests = ++rules_;
        one.rule->window_seconds = 60;
      }
      if (depth > 0 && Below(2) == 0) one.descriptors = Level(depth - 1);
      level.push_back(std::move(one));
    }
    return level;
  }
  std::string Key() { return std::string(1, static_cast<char>('k' + Below(3))); }
  std::string Value() {
    std::string value;
    for (std::uint64_t i = Below(4); i > 0; --i) value += "ab*"[Below(3)];
    return value;
  }

 private:
  std::mt19937_64 engine_;
  std::uint64_t rules_ = 0;
};

TEST(Domains, TheWalkIsWhatItsDefinitionSays) {
  std::size_t found = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    RandomTree random(seed);
    EnterpriseRateLimitConfig config;
    config.global.free_tier = RateLimitRule::Unlimited();
    config.domains["d"].descriptors = random.Level(3);
    const auto snapshot = Snapshot::Compile(config, nullptr, kNow);
    ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
    const DomainEntry* domain = (*snapshot)->FindDomain("d");
    for (int i = 0; i < 300; ++i) {
      std::vector<std::pair<std::string, std::string>> texts;
      for (std::uint64_t length = 1 + random.Below(5); length > 0; --length) {
        texts.emplace_back(random.Key(), random.Value());
      }
      Entries entries;
      for (const auto& [key, value] : texts) entries.push_back({key, value});
      const RateLimitRule* expected = Walk(config.domains["d"].descriptors, entries);
      const Rule* rule = domain->Find(entries);
      ASSERT_EQ(rule == nullptr, expected == nullptr) << "seed " << seed;
      if (rule == nullptr) continue;
      ++found;
      ASSERT_EQ(rule->limit.capacity, *expected->max_requests) << "seed " << seed;
      ASSERT_EQ(rule->descriptor->steps.size(), entries.size());
    }
  }
  EXPECT_GT(found, 5'000U);
}

TEST(Domains, FindsEntriesInAnyOrder) {
  const auto snapshot = CompiledDomains(R"(
domains:
  d:
    descriptors:
      - key: service
        descriptors:
          - {key: env, value: prod, rule: {max_requests: 1, window_seconds: 60}}
          - {key: env, rule: {max_requests: 2, window_seconds: 60}}
      - key: env
        descriptors: [{key: name, rule: {max_requests: 3, window_seconds: 60}}]
      - {key: service, value: alone, rule: {max_requests: 4, window_seconds: 60}}
)");
  const DomainEntry& domain = *snapshot->FindDomain("d");
  const auto find = [&](std::vector<Attribute> entries) -> std::pair<std::uint64_t, std::vector<std::uint32_t>> {
    std::vector<std::uint32_t> order;
    const Rule* const rule = domain.FindInAnyOrder(entries, order);
    return {rule == nullptr ? 0 : rule->limit.capacity, order};
  };
  using Order = std::vector<std::uint32_t>;
  EXPECT_EQ(find({{"env", "prod"}, {"service", "x"}}), std::pair(std::uint64_t{1}, Order{1, 0}));
  EXPECT_EQ(find({{"service", "x"}, {"env", "test"}}), std::pair(std::uint64_t{2}, Order{0, 1}));
  EXPECT_EQ(find({{"name", "n"}, {"env", "prod"}}), std::pair(std::uint64_t{3}, Order{1, 0}));
  EXPECT_EQ(find({{"service", "alone"}}), std::pair(std::uint64_t{4}, Order{0}));
  EXPECT_EQ(find({{"service", "x"}}).first, 0U);
  EXPECT_EQ(find({{"name", "n"}, {"service", "x"}}).first, 0U);
  EXPECT_EQ(find({}).first, 0U);
}

}  // namespace
}  // namespace weir::config
