#include "engine/counters/counters.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace weir::engine {
namespace {

TEST(Counters, SumOverThreadsIsExact) {
  Counters counters;
  const std::uint32_t a = counters.Take("a", Level::kGlobal);
  const std::uint32_t b = counters.Take("b", Level::kUser);
  EXPECT_EQ(counters.Take("a", Level::kGlobal), a);
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
    counters.Add(counters.Take("rule" + std::to_string(i), Level::kEndpoint), RuleTally::kAllowed);
  }
  const auto sums = counters.SumRules();
  ASSERT_EQ(sums.size(), 16'384U);
  EXPECT_EQ(sums.back().path, "other");
  EXPECT_EQ(sums.back().counts[0], 17'000U - 16'383U);
  EXPECT_EQ(sums.front().counts[0], 1U);
}

TEST(Counters, APlaceThatNobodyHoldsIsUsedAgain) {
  Counters counters;
  const std::uint32_t stays = counters.Take("stays", Level::kGlobal);
  // A million rules come and go.
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint32_t place = counters.Take("rule" + std::to_string(i), Level::kEndpoint);
    ASSERT_LT(place, 2U);
    counters.Add(place, RuleTally::kAllowed);
    if (i % 100 == 0) counters.Add(place, "detail", RuleTally::kDenied);
    counters.Add(stays, RuleTally::kAllowed);
    counters.Release(place);
  }
  const auto sums = counters.SumRules();
  ASSERT_EQ(sums.size(), 1U) << "what is gone is not told";
  EXPECT_EQ(sums[0].path, "stays");
  EXPECT_EQ(sums[0].counts[0], 1'000'000U);
}

TEST(Counters, APlaceIsHeldAsOftenAsItWasTaken) {
  Counters counters;
  const std::uint32_t place = counters.Take("users.*.rule", Level::kUser, "pro");
  EXPECT_EQ(counters.Take("users.*.rule", Level::kUser, "pro"), place);
  EXPECT_NE(counters.Take("users.*.rule", Level::kUser), place) << "of another tier";
  counters.Add(place, RuleTally::kDenied);
  counters.Release(place);
  ASSERT_EQ(counters.SumRules().size(), 2U);
  EXPECT_EQ(counters.SumRules()[0].tier, "pro");
  EXPECT_EQ(counters.SumRules()[0].counts[1], 1U);
  counters.Release(place);
  EXPECT_EQ(counters.SumRules().size(), 1U);
  EXPECT_EQ(counters.Take("another", Level::kIp), place);
  EXPECT_EQ(counters.SumRules()[0].counts[1], 0U) << "counts from 0";
}

}  // namespace
}  // namespace weir::engine
