#include "config/snapshot/entity_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace weir::config {
namespace {

struct Numbered : Counted {
  Numbered(std::string the_name, int the_number) : text(std::move(the_name)), name(text), number(the_number) {}
  std::string text;
  std::string_view name;
  int number;
};
using Map = EntityMap<Numbered>;

CountedRef<const Numbered> Entry(const std::string& name, int number) {
  return MakeCounted<const Numbered>(name, number);
}

TEST(EntityMap, IsEmptyAtFirst) {
  Map map;
  EXPECT_EQ(map.Find(""), nullptr);
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_EQ(map.Erase("a"), nullptr);
  EXPECT_EQ(map.size(), 0U);
  map.ForEach([](const Numbered&) { FAIL(); });
}

TEST(EntityMap, ReplacesWhatHasTheName) {
  Map map;
  EXPECT_EQ(map.Set(Entry("", 1)), nullptr);
  EXPECT_EQ(map.Set(Entry("a", 2)), nullptr);
  const auto before = map.Set(Entry("a", 3));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->number, 2);
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(map.Find("a")->number, 3);
  EXPECT_EQ(map.Find("")->number, 1);
  const std::string long_name(100'000, 'x');
  map.Set(Entry(long_name, 4));
  EXPECT_EQ(map.Find(long_name)->number, 4);
  EXPECT_EQ(map.Find(long_name.substr(1)), nullptr);
}

// Against std::map, over random changes of maps that are copies of each other.
TEST(EntityMap, CopiesKeepWhatTheyHad) {
  std::mt19937 random(7);
  struct Version {
    Map map;
    std::map<std::string, int> model;
  };
  std::vector<Version> versions(1);
  for (int step = 0; step < 20'000; ++step) {
    if (step % 1000 == 0) versions.push_back(versions[random() % versions.size()]);
    Version& version = versions[random() % versions.size()];
    const std::string name = "name-" + std::to_string(random() % 3000);
    const bool had = version.model.contains(name);
    if (random() % 3 == 0) {
      EXPECT_EQ(version.map.Erase(name) != nullptr, had);
      version.model.erase(name);
    } else {
      EXPECT_EQ(version.map.Set(Entry(name, step)) != nullptr, had);
      version.model[name] = step;
    }
  }
  for (const Version& version : versions) {
    EXPECT_EQ(version.map.size(), version.model.size());
    for (int i = 0; i < 3000; ++i) {
      const std::string name = "name-" + std::to_string(i);
      const auto wanted = version.model.find(name);
      const Numbered* const found = version.map.Find(name);
      ASSERT_EQ(found != nullptr, wanted != version.model.end()) << name;
      if (found != nullptr) {
        ASSERT_EQ(found->number, wanted->second) << name;
      }
    }
    std::size_t seen = 0;
    version.map.ForEach([&](const Numbered& one) {
      ++seen;
      EXPECT_EQ(version.model.at(std::string(one.name)), one.number);
    });
    EXPECT_EQ(seen, version.model.size());
  }
}

TEST(EntityMap, AChangeCopiesAFewNodesWhateverTheirNumber) {
  Map map;
  constexpr int kMany = 100'000;
  for (int i = 0; i < kMany; ++i) map.Set(Entry("user-" + std::to_string(i), i));
  EXPECT_LT(map.MemoryBytes(), kMany * 64U);
  const Map before = map;
  map.Set(Entry("user-5", -1));
  EXPECT_EQ(before.Find("user-5")->number, 5);
  EXPECT_EQ(map.Find("user-5")->number, -1);
  EXPECT_EQ(before.Find("user-6"), map.Find("user-6")) << "the same one";
  for (int i = 0; i < kMany; ++i) ASSERT_TRUE(map.Erase("user-" + std::to_string(i)));
  EXPECT_EQ(map.MemoryBytes(), sizeof(Map)) << "nothing is left behind";
  EXPECT_EQ(before.size(), static_cast<std::size_t>(kMany));
}

}  // namespace
}  // namespace weir::config
