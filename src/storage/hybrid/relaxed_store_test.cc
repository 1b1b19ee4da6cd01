// Relaxed: what instances admit beyond a limit stays within the bound of docs/storage-hybrid.md, and is paid back.
#include "storage/hybrid/relaxed_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::hybrid {
namespace {

using conformance::BansOf;
using conformance::BucketOf;
using conformance::Dice;
using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::SlotsOf;
using conformance::UsedNow;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

struct Instances {
  explicit Instances(std::size_t count, RelaxedOptions options = {}) : shared(std::make_shared<Shared::State>()) {
    shared->store = MakeMemory();
    options.background = false;
    for (std::size_t i = 0; i < count; ++i) {
      stores.push_back(
          std::move(RelaxedStore::Create(MakeMemory(), std::make_unique<Shared>(shared), options)).value());
    }
  }
  bool Ask(std::size_t i, const Item& item, Nanos now) { return Do(*stores[i], Op::kCheck, {item}, now).admitted; }
  void SyncAll(Nanos now) {
    for (auto& store : stores) store->Sync(now, true);
  }
  std::shared_ptr<Shared::State> shared;
  std::vector<std::unique_ptr<RelaxedStore>> stores;
};

struct Admitted {
  Nanos at;
  std::size_t by;
};

TEST(Relaxed, InstancesAdmitBeyondAWindowNoMoreThanTheyDoNotKnowOfEachOther) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    const std::size_t count = 2 + dice.Below(4);
    Instances instances(count);
    const Nanos window = 20 * kSecond;
    const std::uint64_t limit = 50 + dice.Below(200);
    const Limit rule = EpochWindowOf(limit, window);
    const Item item = ItemOf(rule, "rule", "a");
    std::vector<Nanos> synced(count, kStart);
    std::vector<Admitted> all;
    Nanos now = kStart;
    for (int step = 0; step < 3'000; ++step) {
      now += static_cast<Nanos>(dice.Below(20 * kMillisecond));
      for (std::size_t i = 0; i < count; ++i) {
        if (now - synced[i] < kSecond) continue;
        instances.stores[i]->Sync(now, true);
        synced[i] = now;
      }
      const std::size_t by = dice.Below(count);
      if (!instances.Ask(by, item, now)) continue;
      all.push_back({now, by});
      // What the others have admitted since they, and then this instance, last told and heard.
      const Nanos open = now - now % window;
      std::uint64_t used = 0, unheard = 0;
      for (const Admitted& one : all) {
        if (one.at < open) continue;
        ++used;
        unheard += one.by != by && one.at > now - 2 * kSecond - 40 * kMillisecond ? 1U : 0U;
      }
      ASSERT_LE(used, limit + unheard);
    }
    EXPECT_GT(all.size(), limit);
  }
}

TEST(Relaxed, CutOffEachInstanceKeepsTheLimitAndTheReturnSettlesAll) {
  Instances instances(3);
  const Limit rule = EpochWindowOf(100, kDay);
  const Item item = ItemOf(rule, "rule", "a");
  std::uint64_t admitted = 0;
  for (std::size_t i = 0; i < 3; ++i) admitted += instances.Ask(i, item, kStart) ? 1U : 0U;
  instances.shared->away = true;
  for (int step = 0; step < 1'000; ++step) {
    const Nanos now = kStart + step * 10 * kMillisecond;
    admitted += instances.Ask(static_cast<std::size_t>(step) % 3, item, now) ? 1U : 0U;
    if (step % 100 == 99) instances.SyncAll(now);
  }
  EXPECT_EQ(admitted, 297U) << "each by itself: instances times the limit, and no more (each knew of those before it)";
  const Item other = ItemOf(rule, "rule", "b");
  EXPECT_EQ(Do(*instances.stores[0], Op::kCheck, {other}, kStart).status, PlanStatus::kUnavailable)
      << "of whom nothing is known, the failure policy decides";
  EXPECT_EQ(instances.stores[0]->GetHealth(), Health::kDegraded);
  instances.shared->away = false;
  instances.SyncAll(kStart + 11 * kSecond);
  EXPECT_EQ(UsedNow(*instances.shared->store, item, kStart + 11 * kSecond), admitted) << "nothing was forgotten";
  for (std::size_t i = 0; i < 3; ++i) EXPECT_FALSE(instances.Ask(i, item, kStart + 11 * kSecond));
  instances.SyncAll(kStart + 12 * kSecond);
  for (auto& store : instances.stores) EXPECT_EQ(UsedNow(*store, item, kStart + 12 * kSecond), admitted);
}

// An instance that has not been asked for a while does not begin with what it knew then.
TEST(Relaxed, ASubjectThatComesBackIsAskedForFirst) {
  Instances instances(2);
  const Limit rule = EpochWindowOf(100, kDay);
  const Item item = ItemOf(rule, "rule", "a");
  EXPECT_TRUE(instances.Ask(1, item, kStart));
  for (int second = 1; second < 5; ++second) {
    for (int i = 0; i < 50; ++i) (void)instances.Ask(0, item, kStart + second * kSecond + i);
    instances.SyncAll(kStart + second * kSecond + 100);
  }
  const std::uint64_t plans = instances.shared->plans;
  EXPECT_FALSE(instances.Ask(1, item, kStart + kMinute));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(instances.Ask(1, item, kStart + kMinute + i));
  EXPECT_EQ(instances.shared->plans, plans + 1) << "once";
}

TEST(Relaxed, WhatABucketAdmittedTooMuchIsPaidBack) {
  constexpr std::size_t kCount = 3;
  Instances instances(kCount);
  const Limit rule = BucketOf(50, 20 * 60);
  const Item item = ItemOf(rule, "rule", "a");
  // Twice the rate at each of three instances, for 200 s.
  constexpr Nanos kEvery = 25 * kMillisecond, kFor = 200 * kSecond;
  std::uint64_t admitted = 0;
  for (Nanos passed = 0; passed < kFor; passed += kEvery) {
    for (std::size_t i = 0; i < kCount; ++i) {
      admitted += instances.Ask(i, item, kStart + passed) ? 1U : 0U;
      if ((passed + static_cast<Nanos>(i) * 300 * kMillisecond) % kSecond == 0) {
        instances.stores[i]->Sync(kStart + passed, true);
      }
    }
  }
  const std::uint64_t fair = 50 + 20 * 200;
  EXPECT_LE(admitted, fair + (kCount - 1) * (50 + 20 * 2) + 20) << "the bound, once: not once a second";
  EXPECT_GE(admitted, fair * 9 / 10) << "and little is lost";
}

TEST(Relaxed, ABucketThatIsWellBelowItsRateDeniesNobody) {
  Instances instances(2);
  const Limit rule = BucketOf(10, 100 * 60);
  const Item item = ItemOf(rule, "rule", "a");
  for (Nanos passed = 0; passed < 60 * kSecond; passed += 25 * kMillisecond) {
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(instances.Ask(i, item, kStart + passed)) << passed;
      if (passed % kSecond == 0) instances.stores[i]->Sync(kStart + passed, true);
    }
  }
}

TEST(Relaxed, RefundsAndResetsReachTheOthers) {
  Instances instances(2);
  const Limit rule = EpochWindowOf(100, kDay);
  Item item = ItemOf(rule, "rule", "a", 40);
  EXPECT_TRUE(instances.Ask(0, item, kStart));
  item.cost = 10;
  EXPECT_TRUE(instances.Ask(1, item, kStart));
  Do(*instances.stores[0], Op::kRefund, {item}, kStart + 1);
  EXPECT_EQ(UsedNow(*instances.stores[1], item, kStart + 1), 50U) << "not heard yet";
  for (int second = 1; second < 3; ++second) {
    instances.SyncAll(kStart + second * kSecond);
    Item free = item;
    free.cost = 0;
    for (auto& store : instances.stores) Do(*store, Op::kCheck, {free}, kStart + second * kSecond);
  }
  for (auto& store : instances.stores) EXPECT_EQ(UsedNow(*store, item, kStart + 2 * kSecond), 40U);
  Do(*instances.stores[1], Op::kReset, {item}, kStart + 2 * kSecond);
  EXPECT_EQ(UsedNow(*instances.stores[1], item, kStart + 2 * kSecond), 0U);
  instances.SyncAll(kStart + 3 * kSecond);
  EXPECT_LE(UsedNow(*instances.stores[0], item, kStart + 3 * kSecond), 1U);
}

TEST(Relaxed, WhatCannotBeCountedUpAsksTheSharedStore) {
  Instances instances(2);
  const Limit slots = SlotsOf(1), bans = BansOf(1), rule = EpochWindowOf(100, kDay);
  Item slot = ItemOf(slots, "slots", "a");
  slot.token = 1;
  EXPECT_TRUE(Do(*instances.stores[0], Op::kCheck, {slot, ItemOf(rule, "rule", "a")}, kStart).admitted);
  slot.token = 2;
  EXPECT_FALSE(Do(*instances.stores[1], Op::kCheck, {slot, ItemOf(rule, "rule", "a")}, kStart).admitted);
  Do(*instances.stores[0], Op::kCharge, {ItemOf(bans, "bans", "a")}, kStart);
  EXPECT_FALSE(Do(*instances.stores[1], Op::kCheck, {ItemOf(bans, "bans", "a")}, kStart).admitted);
  EXPECT_EQ(UsedNow(*instances.shared->store, ItemOf(rule, "rule", "a"), kStart), 1U);
}

TEST(Relaxed, AnInstanceThatClosesHasTold) {
  Instances instances(1);
  const Limit rule = EpochWindowOf(100, kDay);
  const Item item = ItemOf(rule, "rule", "a", 7);
  EXPECT_TRUE(instances.Ask(0, item, kStart));
  EXPECT_TRUE(instances.Ask(0, item, kStart));
  EXPECT_EQ(UsedNow(*instances.shared->store, item, kStart), 7U) << "the first was asked there";
  instances.stores[0]->Close();
  EXPECT_EQ(UsedNow(*instances.shared->store, item, kStart), 14U);
}

TEST(Relaxed, SubjectsBeyondItsMemoryAskTheSharedStore) {
  Instances instances(1, {.max_subjects = 64});
  const Limit rule = EpochWindowOf(10, kDay);
  std::uint64_t here = 0;
  for (const bool away : {false, true}) {
    instances.shared->away = away;
    for (int i = 0; i < 5'000; ++i) {
      const std::string subject = std::to_string(i);
      const bool admitted = instances.Ask(0, ItemOf(rule, "rule", subject), kStart);
      here += admitted && away ? 1U : 0U;
    }
  }
  EXPECT_LE(here, 64U) << "the rest is the failure policy's";
  EXPECT_GT(here, 30U);
}

}  // namespace
}  // namespace weir::storage::hybrid
