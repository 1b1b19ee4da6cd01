#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace weir {
namespace {

// Snapshots on disk and counters in a shared store are named by these: they may never change.
TEST(Hash, IsTheSameEverywhere) {
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash64("weir"), Hash64("weir", 0));
  EXPECT_NE(Hash64("weir"), Hash64("weir", 1));
  const Key empty = HashKey(0, "");
  EXPECT_EQ(empty.lo, 0xe223434e366bc5a4u);
  EXPECT_EQ(empty.hi, 0x99aa06dd372c5d7cu);
}

TEST(Hash, SeedsAndSubjectsGiveDifferentKeys) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (int subject = 0; subject < 100; ++subject) {
      const Key key = HashKey(seed, std::to_string(subject));
      EXPECT_EQ(key, HashKey(seed, std::to_string(subject)));
      EXPECT_TRUE(seen.emplace(key.hi, key.lo).second);
    }
  }
  EXPECT_NE(HashKey(1, "a"), HashKey(1, std::string_view("a\0", 2)));
}

TEST(Hash, KeysOfOneSubjectHaveTheirUpperBitsInCommon) {
  std::set<std::uint64_t> homes;
  for (int subject = 0; subject < 1000; ++subject) {
    const SubjectHash hash = HashSubject(std::to_string(subject));
    std::set<std::uint64_t> fingerprints;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      EXPECT_TRUE(SameSubject(KeyOf(seed, hash), KeyOf(0, hash)));
      EXPECT_TRUE(fingerprints.insert(KeyOf(seed, hash).hi).second) << "the lower bits tell the rules apart";
    }
    homes.insert(*fingerprints.begin() >> (64 - kSubjectBits));
  }
  EXPECT_GE(homes.size(), 999u) << "and the upper ones the subjects";
}

}  // namespace
}  // namespace weir
