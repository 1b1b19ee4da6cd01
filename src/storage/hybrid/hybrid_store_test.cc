// Strict: what is leased, what it costs the shared store, and what becomes of it.
#include "storage/hybrid/hybrid_store.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::hybrid {
namespace {

using conformance::Answer;
using conformance::BucketOf;
using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::SlotsOf;
using conformance::SubWindowsOf;
using conformance::UsedNow;
using conformance::WindowOf;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

struct Instances {
  explicit Instances(std::size_t count, HybridOptions options = {}) : shared(std::make_shared<Shared::State>()) {
    shared->store = MakeMemory();
    for (std::size_t i = 0; i < count; ++i) stores.push_back(MakeHybrid(std::make_unique<Shared>(shared), options));
  }
  bool Ask(std::size_t i, const Item& item, Nanos now) {
    Outcome outcome;
    Item mine = item;
    Plan plan{.op = Op::kCheck, .items = {&mine, 1}, .outcomes = {&outcome, 1}};
    if (!stores[i]->TryApply(plan, now)) EXPECT_TRUE(stores[i]->Apply({&plan, 1}, now, nullptr));
    status = plan.status;
    last = outcome;
    return plan.admitted;
  }
  std::uint64_t UsedOf(const Item& item, Nanos now) { return UsedNow(*shared->store, item, now); }

  std::shared_ptr<Shared::State> shared;
  std::vector<std::unique_ptr<HybridStore>> stores;
  PlanStatus status{};
  Outcome last;
};

// What Describe() says, by name and labels.
std::map<std::string, double> Told(const Store& store) {
  struct Sink final : MetricSink {
    void AddMetric(Kind, std::string_view name, std::string_view, double value,
                   std::span<const MetricLabel> labels) override {
      std::string series(name);
      for (const MetricLabel& label : labels) series += "," + std::string(label.value);
      told[series] = value;
    }
    std::map<std::string, double> told;
  } sink;
  store.Describe(sink, "hybrid");
  return sink.told;
}

// 10,000 a minute and more: at least 50 decisions an operation.
TEST(HybridStore, AHotSubjectCostsTheSharedStoreLittle) {
  for (const Limit& limit : {BucketOf(100'000, 30'000), EpochWindowOf(100'000, kHour), WindowOf(100'000, kHour),
                             SubWindowsOf(100'000, kHour, kMinute)}) {
    SCOPED_TRACE(conformance::Describe(limit));
    Instances instances(2);
    const Item item = ItemOf(limit, "rule", "a");
    std::uint64_t asks = 0;
    for (Nanos passed = 0; passed < 30 * kSecond; passed += 3 * kMillisecond) {
      for (std::size_t i = 0; i < 2; ++i, ++asks) EXPECT_TRUE(instances.Ask(i, item, kStart + passed));
    }
    EXPECT_GE(asks, 50 * instances.shared->plans) << asks << " asks, " << instances.shared->plans << " operations";
  }
}

TEST(HybridStore, ADeniedSubjectIsDeniedHere) {
  for (const Limit& limit : {BucketOf(100, 1), EpochWindowOf(100, kDay), SubWindowsOf(100, kDay, kHour)}) {
    SCOPED_TRACE(conformance::Describe(limit));
    Instances instances(1);
    const Item item = ItemOf(limit, "rule", "a");
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + i));
    EXPECT_FALSE(instances.Ask(0, item, kStart + 200));
    const std::uint64_t before = instances.shared->plans;
    const Answer truth = Do(*instances.shared->store, Op::kPeek, {item}, kStart + 200);
    EXPECT_EQ(instances.last.retry_after_ns, truth.outcomes[0].retry_after_ns);
    for (int i = 0; i < 1'000; ++i) {
      EXPECT_FALSE(instances.Ask(0, item, kStart + 300 + i));
      EXPECT_EQ(instances.last.retry_after_ns, truth.outcomes[0].retry_after_ns - 100 - i);
    }
    EXPECT_LE(instances.shared->plans, before + 2);
    // Somebody gives back: seen within a second.
    Item back = item;
    back.cost = 5;
    Do(*instances.shared->store, Op::kRefund, {back}, kStart + 500);
    EXPECT_TRUE(instances.Ask(0, item, kStart + kSecond + kMillisecond));
  }
}

TEST(HybridStore, ColdSubjectsAreAskedOneByOne) {
  Instances instances(1);
  const Limit limit = EpochWindowOf(1'000, kDay);
  for (int i = 0; i < 100; ++i) {
    const std::string subject = std::to_string(i);
    const Item item = ItemOf(limit, "rule", subject);
    EXPECT_TRUE(instances.Ask(0, item, kStart));
    EXPECT_EQ(instances.UsedOf(item, kStart), 1U);
  }
  EXPECT_EQ(Told(*instances.stores[0])["weir_hybrid_leases"], 0);
}

TEST(HybridStore, WhatIsNotSpentComesHome) {
  const Limit limit = EpochWindowOf(10'000, kDay);
  const Item item = ItemOf(limit, "rule", "a");
  for (const bool closes : {false, true}) {
    Instances instances(1);
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + i));
    EXPECT_GT(instances.UsedOf(item, kStart + 100), 50U) << "a lease is held";
    EXPECT_GT(Told(*instances.stores[0])["weir_hybrid_outstanding_units"], 0);
    if (closes) {
      instances.stores[0]->Close();
    } else {
      instances.stores[0]->Tick(kStart + kSecond / 2);
      EXPECT_GT(instances.UsedOf(item, kStart + 100), 50U);
      instances.stores[0]->Tick(kStart + 2 * kSecond);
    }
    EXPECT_EQ(instances.UsedOf(item, kStart + 2 * kSecond), 50U);
  }
}

TEST(HybridStore, ALostInstanceCostsItsUnspentLeases) {
  Instances instances(2);
  const Limit limit = EpochWindowOf(1'000, kDay);
  const Item item = ItemOf(limit, "rule", "a");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + i));
  const auto lost = static_cast<std::uint64_t>(Told(*instances.stores[0])["weir_hybrid_outstanding_units"]);
  EXPECT_GT(lost, 0U);
  // Instance 0 is heard of no more.
  std::uint64_t admitted = 100;
  for (int i = 0; i < 2'000; ++i) admitted += instances.Ask(1, item, kStart + kSecond + i) ? 1U : 0U;
  EXPECT_EQ(admitted, 1'000U - lost);
}

TEST(HybridStore, LeasesInHandAreSpentWhileTheSharedStoreIsAway) {
  Instances instances(1);
  const Limit limit = EpochWindowOf(10'000, kDay);
  const Item item = ItemOf(limit, "rule", "a");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + i));
  const auto held = static_cast<std::uint64_t>(Told(*instances.stores[0])["weir_hybrid_outstanding_units"]);
  instances.shared->away = true;
  for (std::uint64_t i = 0; i < held; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + 200));
  EXPECT_FALSE(instances.Ask(0, item, kStart + 200));
  EXPECT_EQ(instances.status, PlanStatus::kUnavailable);
  EXPECT_EQ(instances.stores[0]->GetHealth(), Health::kDown);
  instances.shared->away = false;
  EXPECT_TRUE(instances.Ask(0, item, kStart + kSecond));
}

TEST(HybridStore, WhatWasSpentOfOneRuleGoesBackWhenAnotherDenies) {
  Instances instances(1);
  const Limit wide = EpochWindowOf(10'000, kDay), narrow = LogOf(60, kDay), shadowed = EpochWindowOf(5'000, kDay);
  const std::vector<Item> items = {ItemOf(wide, "wide", "a"), ItemOf(narrow, "narrow", "a"),
                                   conformance::Shadow(ItemOf(shadowed, "shadow", "a"))};
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(Do(*instances.stores[0], Op::kCheck, items, kStart + i).admitted);
  for (int i = 0; i < 40; ++i) {
    const Answer denied = Do(*instances.stores[0], Op::kCheck, items, kStart + 100 + i);
    EXPECT_FALSE(denied.admitted);
    EXPECT_EQ(denied.outcomes[0].verdict, Verdict::kAllowed);
    EXPECT_EQ(denied.outcomes[0].used, 60U) << "what is left, nothing consumed";
    EXPECT_EQ(denied.outcomes[1].verdict, Verdict::kLater);
    EXPECT_EQ(denied.outcomes[2].used, 61U + static_cast<std::uint64_t>(i)) << "shadow is charged by itself";
  }
  EXPECT_GT(Told(*instances.stores[0])["weir_hybrid_leases"], 0);
  instances.stores[0]->Close();
  EXPECT_EQ(instances.UsedOf(items[0], kStart + kSecond), 60U);
  EXPECT_EQ(instances.UsedOf(items[1], kStart + kSecond), 60U);
  EXPECT_EQ(instances.UsedOf(items[2], kStart + kSecond), 100U);
}

TEST(HybridStore, AResetDropsWhatIsHeld) {
  const Limit limit = EpochWindowOf(1'000, kDay);
  const Item item = ItemOf(limit, "rule", "a");
  for (const bool by_admin : {false, true}) {
    Instances instances(1);
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(instances.Ask(0, item, kStart + i));
    if (by_admin) {
      EXPECT_TRUE(instances.stores[0]
                      ->GetAdmin()
                      ->Reset({.rule = "rule", .subject = "a", .key = item.key, .place = {}})
                      .value());
    } else {
      Do(*instances.stores[0], Op::kReset, {item}, kStart + 100);
    }
    EXPECT_EQ(instances.UsedOf(item, kStart + 100), 0U);
    EXPECT_EQ(Told(*instances.stores[0])["weir_hybrid_outstanding_units"], 0);
    std::uint64_t admitted = 0;
    for (int i = 0; i < 1'500; ++i) admitted += instances.Ask(0, item, kStart + 200 + i) ? 1U : 0U;
    EXPECT_EQ(admitted, 1'000U);
  }
}

TEST(HybridStore, HoldsNoMoreSubjectsThanItMay) {
  Instances instances(1, {.max_subjects = 256});
  const Limit limit = EpochWindowOf(1'000, kDay);
  const Item hot = ItemOf(limit, "rule", "hot");
  for (int i = 0; i < 20'000; ++i) {
    const std::string subject = std::to_string(i);
    EXPECT_TRUE(instances.Ask(0, ItemOf(limit, "rule", subject), kStart + i * kMicrosecond));
    if (i % 25 == 0) (void)instances.Ask(0, hot, kStart + i * kMicrosecond);
  }
  const auto told = Told(*instances.stores[0]);
  EXPECT_LE(told.at("weir_hybrid_subjects"), 256);
  EXPECT_GT(told.at("weir_hybrid_decisions_total,here"), 100) << "who is hot is found among them";
  instances.stores[0]->Tick(kStart + kMinute);
  EXPECT_EQ(Told(*instances.stores[0])["weir_hybrid_subjects"], 0) << "and who is idle forgotten";
}

// 0057: a refund moves what was charged after it forward. What is given back waits, so that no lease is spent when the
// store has drained it already.
TEST(HybridStore, WhatIsGivenBackMovesNoLease) {
  for (const bool settles : {true, false}) {
    Instances instances(2);
    const Limit limit = BucketOf(1'000, 1'000 * 60);
    const Item item = ItemOf(limit, "rule", "a");
    Item large = item;
    large.cost = 500;
    // In the line first, whether it stays there or not.
    EXPECT_TRUE(Do(*instances.stores[0], Op::kCheck, {large}, kStart).admitted);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(instances.Ask(1, item, kStart));
    EXPECT_GT(Told(*instances.stores[1])["weir_hybrid_outstanding_units"], 10);
    const algorithms::PastCharge charge{.cost = 500, .at = kStart};
    large.charge = &charge;
    if (settles) Do(*instances.stores[0], Op::kRefund, {large}, kStart + 1);
    const Nanos now = kStart + 450 * kMillisecond;
    std::uint64_t admitted = 0;
    Item ten = item;
    ten.cost = 10;
    for (int i = 0; i < 100; ++i) admitted += instances.Ask(0, ten, now) ? 10U : 0U;
    for (int i = 0; i < 200; ++i) admitted += instances.Ask(1, item, now) ? 1U : 0U;
    EXPECT_LE(admitted, 1'000U);
    EXPECT_GE(admitted, 700U);
  }
}

// Near the limit nobody sits on much: what two instances admit together is nearly all of it.
TEST(HybridStore, TogetherInstancesAdmitNearlyAll) {
  for (const Limit& limit : {BucketOf(100, 1), EpochWindowOf(100, kDay), SubWindowsOf(100, 10 * kHour, kMinute)}) {
    Instances instances(3);
    const Item item = ItemOf(limit, "rule", "a");
    std::uint64_t admitted = 0;
    for (int i = 0; i < 200; ++i) {
      for (std::size_t one = 0; one < 3; ++one)
        admitted += instances.Ask(one, item, kStart + i * kMillisecond) ? 1U : 0U;
    }
    EXPECT_LE(admitted, 100U);
    EXPECT_GE(admitted, 95U) << conformance::Describe(limit);
  }
}

// A bucket under steady demand below its rate: leases that drain cost nobody a denial, however many instances there
// are.
TEST(HybridStore, LeasesOfManyInstancesDoNotUseABucketUp) {
  Instances instances(10);
  const Limit limit = BucketOf(2'000, 1'000 * 60);
  const Item item = ItemOf(limit, "rule", "a");
  std::uint64_t denied = 0, asks = 0;
  for (Nanos passed = 0; passed < 30 * kSecond; passed += 20 * kMillisecond) {
    for (std::size_t one = 0; one < 10; ++one, ++asks) denied += instances.Ask(one, item, kStart + passed) ? 0U : 1U;
  }
  EXPECT_EQ(denied, 0U) << "at half of the rate";
}

}  // namespace
}  // namespace weir::storage::hybrid
