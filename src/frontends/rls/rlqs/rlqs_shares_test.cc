#include "frontends/rls/rlqs/rlqs_shares.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <numeric>

namespace weir::rls {
namespace {

using Counts = std::vector<std::uint64_t>;

Counts AnyDemands() {
  Counts demands(*rc::gen::inRange<std::size_t>(1, 12));
  for (std::uint64_t& demand : demands) {
    demand = *rc::gen::element<std::uint64_t>(0, 1, 5, 50, 51, 500, UINT64_MAX);
    if (*rc::gen::arbitrary<bool>()) demand = *rc::gen::inRange<std::uint64_t>(0, 1'000);
  }
  return demands;
}
std::uint64_t AnyBudget() { return *rc::gen::inRange<std::uint64_t>(0, 2'000); }
std::uint64_t Sum(const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
std::uint64_t Floor(std::uint64_t budget, std::size_t count) { return std::max<std::uint64_t>(1, budget / count / 10); }

TEST(FairShares, AddUpToTheBudget) {
  EXPECT_TRUE(rc::check([] {
    const Counts demands = AnyDemands();
    const std::uint64_t budget = AnyBudget();
    RC_ASSERT(Sum(FairShares(budget, demands)) == budget);
  }));
}

TEST(FairShares, AreMaxMinFair) {
  EXPECT_TRUE(rc::check([] {
    Counts demands = AnyDemands();
    const std::uint64_t budget = AnyBudget();
    const Counts shares = FairShares(budget, demands);
    for (std::uint64_t& demand : demands) demand = std::max(demand, Floor(budget, demands.size()));
    std::uint64_t wanted = 0;
    for (const std::uint64_t demand : demands)
      wanted = std::min<std::uint64_t>(wanted + std::min<std::uint64_t>(demand, 1'000'000), 1'000'000'000);
    if (wanted <= budget) {
      // All have what they want, and the same beside it.
      Counts more;
      for (std::size_t i = 0; i < demands.size(); ++i) {
        RC_ASSERT(shares[i] >= demands[i]);
        more.push_back(shares[i] - demands[i]);
      }
      RC_ASSERT(std::ranges::max(more) - std::ranges::min(more) <= 1U);
      return;
    }
    const std::uint64_t most = std::ranges::max(shares);
    for (std::size_t i = 0; i < demands.size(); ++i) {
      RC_ASSERT(shares[i] <= demands[i]);
      if (shares[i] < demands[i]) RC_ASSERT(shares[i] + 1 >= most);
    }
  }));
}

TEST(FairShares, WhoWantsMoreNeverGetsLess) {
  EXPECT_TRUE(rc::check([] {
    Counts demands = AnyDemands();
    const std::uint64_t budget = AnyBudget();
    const std::size_t who = *rc::gen::inRange<std::size_t>(0, demands.size());
    const std::uint64_t before = FairShares(budget, demands)[who];
    const std::uint64_t more = *rc::gen::inRange<std::uint64_t>(0, 500);
    demands[who] = demands[who] > UINT64_MAX - more ? UINT64_MAX : demands[who] + more;
    RC_ASSERT(FairShares(budget, demands)[who] >= before);
  }));
}

TEST(FairShares, ALargerBudgetTakesFromNobody) {
  EXPECT_TRUE(rc::check([] {
    const Counts demands = AnyDemands();
    const std::uint64_t budget = AnyBudget();
    const Counts less = FairShares(budget, demands);
    const Counts more = FairShares(budget + *rc::gen::inRange<std::uint64_t>(0, 100), demands);
    for (std::size_t i = 0; i < demands.size(); ++i) RC_ASSERT(more[i] + 1 >= less[i]);
  }));
}

TEST(FairShares, Examples) {
  EXPECT_EQ(FairShares(100, Counts{}), Counts{});
  EXPECT_EQ(FairShares(100, Counts{0}), Counts{100});
  EXPECT_EQ(FairShares(100, Counts{0, 0}), (Counts{50, 50}));
  EXPECT_EQ(FairShares(100, Counts{1'000, 0}), (Counts{95, 5}));
  EXPECT_EQ(FairShares(100, Counts{1'000, 20, 1'000}), (Counts{40, 20, 40}));
  EXPECT_EQ(FairShares(90, Counts{10, 20, 30}), (Counts{20, 30, 40}));
  EXPECT_EQ(FairShares(2, Counts{0, 7, 7, 1}), (Counts{0, 1, 1, 0}));
  EXPECT_EQ(FairShares(0, Counts{5, 5}), (Counts{0, 0}));
  EXPECT_EQ(FairShares(10, Counts{4, 4, 4}), (Counts{4, 3, 3}));
}

}  // namespace
}  // namespace weir::rls
