#include "engine/counters/counters.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace weir::engine {
namespace {

TEST(Counters, SumOverThreadsIsExact) {
  Counters counters;
  const std::uint32_t a = counters.PlaceOf("a", Level::kGlobal);
  const std::uint32_t b = counters.PlaceOf("b", Level::kUser);
  EXPECT_EQ(counters.PlaceOf("a", Level::kGlobal), a);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        counters.Add(Tally::kAllowed);
        counters.Add(a, RuleTally::kAllowed);
        if (i % 10 == 0) counters.Add(b, RuleTally::kDenied);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counters.Sum(Tally::kAllowed), 60'000U);
  EXPECT_EQ(counters.Sum(Tally::kDenied), 0U);
  const auto sums = counters.SumRules();
  ASSERT_EQ(sums.size(), 2U);
  EXPECT_EQ(sums[0].path, "a");
  EXPECT_EQ(sums[0].counts[static_cast<std::size_t>(RuleTally::kAllowed)], 60'000U);
  EXPECT_EQ(sums[1].level, Level::kUser);
  EXPECT_EQ(sums[1].counts[static_cast<std::size_t>(RuleTally::kDenied)], 6'000U);
}

TEST(Counters, SumOverThreadsThatShareASlotIsExact) {
  // More threads at once than there are slots: the last ones count together.
  Counters counters;
  constexpr std::size_t kThreads = kOwnedSlots + 8;
  std::atomic<std::size_t> here{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      (void)ThreadSlot();
      ++here;
      while (here < kThreads) std::this_thread::yield();
      for (int i = 0; i < 100; ++i) counters.Add(Tally::kDenied);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counters.Sum(Tally::kDenied), kThreads * 100);
}

TEST(Counters, RulesBeyondTheBoundAreCountedTogether) {
  Counters counters;
  for (int i = 0; i < 17'000; ++i) {
    counters.Add(counters.PlaceOf("rule" + std::to_string(i), Level::kEndpoint), RuleTally::kAllowed);
  }
  const auto sums = counters.SumRules();
  ASSERT_EQ(sums.size(), 16'384U);
  EXPECT_EQ(sums.back().path, "other");
  EXPECT_EQ(sums.back().counts[0], 17'000U - 16'383U);
  EXPECT_EQ(sums.front().counts[0], 1U);
}

}  // namespace
}  // namespace weir::engine
