// Relaxed: what is told of refunds, of lost answers, and when there is more to tell than the store can hear at once.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "storage/hybrid/relaxed_store.h"
#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"

namespace weir::storage::hybrid {
namespace {

using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::UsedNow;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

// Takes so many plans, and refuses the rest; or does them all and loses the answers.
class Busy final : public Store {
 public:
  bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override {
    for (Plan& plan : plans) {
      if (room == 0) {
        plan.status = PlanStatus::kUnavailable;
        plan.admitted = false;
        continue;
      }
      --room;
      (void)store->Apply({&plan, 1}, now + late, nullptr);
      if (late != 0) plan.decided_at = now + late;
      if (loses) plan.status = PlanStatus::kUnavailable;
    }
    // Lost only later: who refuses says so at once.
    if (!loses || done == nullptr) return true;
    done->Done();
    return false;
  }
  StoreStats Stats() const override { return {}; }
  Health GetHealth() const override { return Health::kUp; }
  std::string_view Name() const override { return "busy"; }

  std::unique_ptr<Store> store = MakeMemory();
  std::size_t room = SIZE_MAX;
  bool loses = false;
  Nanos late = 0;  // of its own clock
};

struct One {
  One() {
    auto secondary = std::make_unique<Busy>();
    busy = secondary.get();
    store = std::move(RelaxedStore::Create(MakeMemory(), std::move(secondary), {.background = false})).value();
  }
  bool Ask(const Item& item, Nanos now) { return Do(*store, Op::kCheck, {item}, now).admitted; }
  void Refund(Item item, Nanos charged_at, Nanos now) {
    const algorithms::PastCharge charge{.cost = item.cost, .at = charged_at};
    item.charge = &charge;
    Do(*store, Op::kRefund, {item}, now);
  }
  Busy* busy = nullptr;
  std::unique_ptr<RelaxedStore> store;
};

TEST(RelaxedSettling, CancellingWhatIsOverGivesNothingBack) {
  for (const bool bucket : {false, true}) {
    SCOPED_TRACE(bucket);
    One one;
    const Limit limit = bucket ? BucketOf(100, 600) : EpochWindowOf(100, kMinute);
    const Item item = ItemOf(limit, "r", "s", 100);
    const Nanos window = kStart / kMinute * kMinute;
    const Nanos first = window + 45 * kSecond, then = window + 61 * kSecond;
    EXPECT_TRUE(one.Ask(item, first));
    one.store->Sync(first + kSecond, true);
    EXPECT_TRUE(one.Ask(item, then));
    one.store->Sync(then + 1, true);
    one.Refund(item, first, then + 2);
    for (int i = 0; i < 2; ++i) one.store->Sync(then + 3 + i, true);
    EXPECT_FALSE(one.Ask(item, then + 5));
    EXPECT_GE(UsedNow(*one.busy->store, item, then + 5), 99U);
  }
}

// The same while the later charge has not been told: it is not the one that is given back.
TEST(RelaxedSettling, ARefundIsOfItsOwnChargeAlone) {
  One one;
  const Limit limit = EpochWindowOf(100, kMinute);
  const Item item = ItemOf(limit, "r", "s", 40);
  const Nanos window = kStart / kMinute * kMinute;
  EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s", 1), window));
  EXPECT_TRUE(one.Ask(item, window + 1));
  EXPECT_TRUE(one.Ask(item, window + 2 * kSecond));
  one.Refund(item, window + 2 * kSecond, window + 3 * kSecond);
  one.store->Sync(window + 4 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, window + 4 * kSecond), 41U);
  one.Refund(item, window + 1, window + 5 * kSecond);
  one.store->Sync(window + 6 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, window + 6 * kSecond), 1U) << "told before, and still of this window";
  EXPECT_TRUE(one.Ask(item, window + 59 * kSecond));
  EXPECT_TRUE(one.Ask(item, window + 61 * kSecond));
  one.Refund(item, window + 59 * kSecond, window + 62 * kSecond);
  one.store->Sync(window + 63 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, window + 63 * kSecond), 40U);
  EXPECT_EQ(UsedNow(*one.store, item, window + 63 * kSecond), 40U);
}

// However many name their charges: one that names none has no time that theirs could be told as of.
TEST(RelaxedSettling, ARefundWithoutANameIsToldBesideManyWithOne) {
  One one;
  const Limit limit = EpochWindowOf(1'000, kDay);
  const Item item = ItemOf(limit, "r", "s", 10);
  for (int i = 0; i <= 40; ++i) EXPECT_TRUE(one.Ask(item, kStart + i * kSecond));
  one.store->Sync(kStart + 50 * kSecond, true);
  for (int i = 0; i < 16; ++i) one.Refund(item, kStart + i * 2 * kSecond, kStart + 51 * kSecond + i);
  Do(*one.store, Op::kRefund, {ItemOf(limit, "r", "s", 200)}, kStart + 52 * kSecond);
  EXPECT_EQ(UsedNow(*one.store, item, kStart + 52 * kSecond), 50U);
  one.store->Sync(kStart + 53 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, kStart + 54 * kSecond), 50U);
}

// The refund that was told last does not bound what is learnt of the others.
TEST(RelaxedSettling, WhatOthersGiveBackIsLearntWithARefund) {
  One one;
  const Limit limit = EpochWindowOf(1'000, kDay);
  const Item item = ItemOf(limit, "r", "s", 10), others = ItemOf(limit, "r", "s", 500);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(one.Ask(item, kStart + i));
  one.store->Sync(kStart + kSecond, true);
  Do(*one.busy->store, Op::kCharge, {others}, kStart + kSecond + 1);
  EXPECT_TRUE(one.Ask(item, kStart + kSecond + 2));
  one.store->Sync(kStart + 2 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.store, item, kStart + 2 * kSecond), 530U);
  Do(*one.busy->store, Op::kRefund, {others}, kStart + 2 * kSecond + 1);
  one.Refund(item, kStart + 1, kStart + 2 * kSecond + 2);
  one.store->Sync(kStart + 3 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.store, item, kStart + 3 * kSecond), 20U);
}

// Charges are told some at a time, and the store knows them by the time that it was told.
TEST(RelaxedSettling, WhatWasToldWithOthersComesBackWhenItIsCancelled) {
  for (const Limit& limit : {LogOf(100, kHour), DefaultOf(100, kMinute), EpochWindowOf(100, kMinute)}) {
    SCOPED_TRACE(static_cast<int>(limit.kind));
    for (const Nanos late : {Nanos{0}, 3 * kMillisecond}) {
      One one;
      one.busy->late = late;
      const Item item = ItemOf(limit, "r", "s", 10);
      const Nanos then = kStart / kMinute * kMinute + kMinute + kSecond;
      EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s", 1), then - 2 * kMinute));
      EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s", 1), then));
      for (int i = 0; i < 9; ++i) EXPECT_TRUE(one.Ask(item, then + (400 + i * 20) * kMillisecond)) << i;
      one.store->Sync(then + kSecond, true);
      const std::uint64_t told = UsedNow(*one.busy->store, item, then + kSecond);
      for (int i = 0; i < 8; ++i) one.Refund(item, then + (400 + i * 20) * kMillisecond, then + 2 * kSecond + i);
      EXPECT_EQ(UsedNow(*one.store, item, then + 3 * kSecond), told - 80);
      one.store->Sync(then + 3 * kSecond, true);
      EXPECT_EQ(UsedNow(*one.busy->store, item, then + 3 * kSecond), told - 80);
      EXPECT_EQ(UsedNow(*one.store, item, then + 4 * kSecond), told - 80);
    }
  }
}

TEST(RelaxedSettling, AChargeWhoseAnswersAreLostIsToldTwiceAtMost) {
  One one;
  const Limit limit = EpochWindowOf(10'000, kDay);
  const Item item = ItemOf(limit, "r", "s");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(one.Ask(item, kStart + i));
  one.busy->loses = true;
  for (int i = 1; i <= 60; ++i) one.store->Sync(kStart + i * kSecond, true);
  one.busy->loses = false;
  one.store->Sync(kStart + 61 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, kStart + 62 * kSecond), 1U + 2 * 99U);
}

TEST(RelaxedSettling, AChargeThatIsRefusedIsToldOnce) {
  One one;
  const Limit limit = EpochWindowOf(10'000, kDay);
  const Item item = ItemOf(limit, "r", "s");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(one.Ask(item, kStart + i));
  one.busy->room = 0;
  for (int i = 1; i <= 60; ++i) one.store->Sync(kStart + i * kSecond, true);
  one.busy->room = SIZE_MAX;
  one.store->Sync(kStart + 61 * kSecond, true);
  EXPECT_EQ(UsedNow(*one.busy->store, item, kStart + 62 * kSecond), 100U);
}

TEST(RelaxedSettling, AllSubjectsHaveTheirTurn) {
  constexpr int kSubjects = 5'000;
  One one;
  const Limit limit = EpochWindowOf(100'000, kDay);
  std::vector<std::string> names;
  for (int i = 0; i < kSubjects; ++i) names.push_back("s" + std::to_string(i));
  for (int second = 0; second < 20; ++second) {
    for (const std::string& name : names) EXPECT_TRUE(one.Ask(ItemOf(limit, "r", name), kStart + second * kSecond));
    one.busy->room = 1'500;
    one.store->Sync(kStart + second * kSecond + 1, true);
    one.busy->room = SIZE_MAX;
  }
  int untold = 0;
  for (const std::string& name : names) {
    // The first ask of each was asked there.
    untold += UsedNow(*one.busy->store, ItemOf(limit, "r", name), kStart + 20 * kSecond) <= 1 ? 1 : 0;
  }
  EXPECT_EQ(untold, 0);
}

}  // namespace
}  // namespace weir::storage::hybrid
