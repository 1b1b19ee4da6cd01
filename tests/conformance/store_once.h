// Plans that are charged once (Plan::once; promise 6), of a store that remembers by itself. A part of
// store_conformance.h; include it after that. How long it remembers is the store's own matter: its tests have that.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/conformance/plans.h"
#include "tests/conformance/store_conformance.h"
#include "tests/conformance/store_services.h"

namespace weir::storage::conformance {

// One check that is charged once.
struct Asked {
  std::vector<Outcome> outcomes;
  std::vector<std::uint64_t> tokens;
  bool admitted = false, repeated = false;
  Nanos decided_at = 0;
};

inline Asked AskOnce(Store& store, const std::vector<Item>& items, const Key& id, std::vector<std::uint64_t> tokens,
                     Nanos now) {
  Asked asked{.outcomes = std::vector<Outcome>(items.size()), .tokens = std::move(tokens)};
  Once once{.id = id, .life = kHour, .tokens = asked.tokens};
  Plan plan{.op = Op::kCheck, .items = items, .outcomes = asked.outcomes};
  plan.once = &once;
  ApplyAndWait(store, {&plan, 1}, now);
  EXPECT_EQ(plan.status, PlanStatus::kOk);
  asked.admitted = plan.admitted;
  asked.repeated = once.repeated;
  asked.decided_at = plan.decided_at == 0 ? now : plan.decided_at;
  return asked;
}

TEST_P(StoreConformance, APlanThatIsAskedTwiceIsChargedOnce) {
  ASSERT_TRUE(Make()->Remembers());
  const Limit shadowed = BucketOf(2);
  for (const Limit& limit : {BucketOf(50), WindowOf(50), EpochWindowOf(50), LogOf(50), SlotsOf(50), LearnedOf(50)}) {
    SCOPED_TRACE(Describe(limit));
    const auto store = Make();
    std::vector<Item> items = {ItemOf(limit, "rule", "a", 3), ItemOf(shadowed, "shadowed", "a", 3)};
    items[0].token = 77;
    items[1].shadow = true;
    const Asked first = AskOnce(*store, items, {1, 2}, {77}, start());
    EXPECT_TRUE(first.admitted);
    EXPECT_FALSE(first.repeated);
    EXPECT_EQ(first.outcomes[1].verdict, Verdict::kNever);
    Item other = items[0];
    other.token = 78;
    Do(*store, Op::kCheck, {other}, start() + kSecond);
    const std::uint64_t used = UsedNow(*store, items[0], start() + kSecond);

    items[0].token = 99;
    const Asked again = AskOnce(*store, items, {1, 2}, {99}, start() + kSecond);
    EXPECT_TRUE(again.admitted);
    EXPECT_TRUE(again.repeated);
    EXPECT_EQ(again.tokens, std::vector<std::uint64_t>{77}) << "what the first one took is called";
    EXPECT_EQ(again.decided_at, first.decided_at);
    for (std::size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(again.outcomes[i], Aged(first.outcomes[i], kSecond)) << i;
    }
    EXPECT_EQ(UsedNow(*store, items[0], start() + kSecond), used);

    const Asked another = AskOnce(*store, items, {1, 3}, {99}, start() + kSecond);
    EXPECT_FALSE(another.repeated);
    EXPECT_EQ(UsedNow(*store, items[0], start() + kSecond), used + 3);
  }
}

TEST_P(StoreConformance, APlanThatWasDeniedIsDecidedAgain) {
  const auto store = Make();
  const Limit limit = EpochWindowOf(10);
  const std::vector<Item> items = {ItemOf(limit, "rule", "a", 4)};
  Do(*store, Op::kCharge, {ItemOf(EpochWindowOf(10), "rule", "a", 8)}, start());
  for (int i = 0; i < 2; ++i) {
    const Asked denied = AskOnce(*store, items, {1, 2}, {}, start());
    EXPECT_FALSE(denied.admitted);
    EXPECT_FALSE(denied.repeated);
  }
  Do(*store, Op::kRefund, {ItemOf(EpochWindowOf(10), "rule", "a", 8)}, start());
  EXPECT_TRUE(AskOnce(*store, items, {1, 2}, {}, start()).admitted);
  EXPECT_TRUE(AskOnce(*store, items, {1, 2}, {}, start()).repeated);
  EXPECT_EQ(UsedNow(*store, items[0], start()), 4u);
}

TEST_P(StoreConformance, APlanIsRepeatedAlsoAfterItsLimitHasChanged) {
  const auto store = Make();
  const std::array<Limit, 4> limits = {BucketOf(10), EpochWindowOf(5), LogOf(20), LearnedOf(3)};
  std::uint64_t id = 0;
  for (const Limit& before : limits) {
    for (const Limit& after : limits) {
      SCOPED_TRACE(Describe(before) + " then " + Describe(after));
      ++id;
      const std::string subject = std::to_string(id);
      ASSERT_TRUE(AskOnce(*store, {ItemOf(before, "before", subject, 2)}, {id, 7}, {}, start()).admitted);
      const Item item = ItemOf(after, "after", subject, 2);
      const Asked again = AskOnce(*store, {item}, {id, 7}, {}, start());
      EXPECT_TRUE(again.admitted && again.repeated);
      EXPECT_EQ(again.outcomes[0].verdict, Verdict::kAllowed);
      EXPECT_EQ(UsedNow(*store, item, start()), 0u);
    }
  }
}

TEST_P(StoreConformance, APlanThatManyAskAtOnceIsChargedOnce) {
  const auto store = Make();
  constexpr int kThreads = 4, kIds = 100;
  std::atomic<int> fresh{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t id = 0; id < kIds; ++id) {
        fresh += AskOnce(*store, {ItemOf(EpochWindowOf(1'000), "rule", "a", 1)}, {id, 9}, {}, start()).repeated ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fresh, kIds);
  EXPECT_EQ(UsedNow(*store, ItemOf(EpochWindowOf(1'000), "rule", "a", 1), start()), std::uint64_t{kIds});
}

}  // namespace weir::storage::conformance
