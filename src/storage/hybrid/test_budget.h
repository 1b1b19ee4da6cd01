// Instances with threads over a real store: one hot subject, one budget. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "storage/hybrid/relaxed_store.h"
#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::hybrid {

inline bool AskOf(Store& store, const Item& item, Nanos now) {
  Outcome outcome;
  Item mine = item;
  Plan plan{.op = Op::kCheck, .items = {&mine, 1}, .outcomes = {&outcome, 1}};
  if (!store.TryApply(plan, now)) conformance::ApplyAndWait(store, {&plan, 1}, now);
  EXPECT_EQ(plan.status, PlanStatus::kOk);
  return plan.admitted;
}

// `connect` gives another way to the same shared store.
inline void ShareOneBudget(const std::function<std::unique_ptr<Store>()>& connect) {
  constexpr Nanos kStart = 1'800'000'000 * kSecond;
  constexpr std::uint64_t kLimit = 8'000, kInstances = 2, kThreads = 2, kAsks = 5'000;
  const std::vector<Limit> limits = {conformance::BucketOf(kLimit, 1), conformance::EpochWindowOf(kLimit, kDay),
                                     conformance::DefaultOf(kLimit, kDay),
                                     conformance::SubWindowsOf(kLimit, kDay, kHour)};
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const std::string subject = "budget-" + std::to_string(i);
    const Item item = conformance::ItemOf(limits[i], "shared", subject);
    std::vector<std::unique_ptr<HybridStore>> instances;
    for (std::uint64_t one = 0; one < kInstances; ++one) instances.push_back(MakeHybrid(connect()));
    std::atomic<std::uint64_t> admitted{0};
    std::vector<std::thread> threads;
    for (std::uint64_t one = 0; one < kInstances * kThreads; ++one) {
      threads.emplace_back([&, one] {
        Store& store = *instances[one % kInstances];
        for (std::uint64_t ask = 0; ask < kAsks; ++ask) {
          const Nanos now = kStart + static_cast<Nanos>(ask) * 20 * kMicrosecond;
          if (AskOf(store, item, now)) ++admitted;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    // Of what one instance still holds, nothing was admitted; it goes home.
    for (auto& instance : instances) instance->Close();
    const std::unique_ptr<Store> look = connect();
    const std::uint64_t used = conformance::UsedNow(*look, item, kStart + kSecond / 5);
    EXPECT_LE(admitted, kLimit) << conformance::Describe(limits[i]);
    EXPECT_GE(admitted, kLimit * 95 / 100) << conformance::Describe(limits[i]);
    EXPECT_LE(admitted, used + 1) << "what was admitted counts";
    EXPECT_LE(used, admitted + 1) << "and what was not does not";
  }
}

// Two instances that decide by themselves, and settle.
inline void SettleRelaxed(const std::function<std::unique_ptr<Store>()>& connect) {
  constexpr Nanos kStart = 1'800'000'000 * kSecond;
  for (const Limit& limit : {conformance::BucketOf(100, 1), conformance::EpochWindowOf(100, kDay),
                             conformance::SubWindowsOf(100, kDay, kHour), conformance::LogOf(100, kDay)}) {
    const std::string subject = "settled-" + std::to_string(static_cast<int>(limit.kind));
    const Item item = conformance::ItemOf(limit, "relaxed", subject);
    std::vector<std::unique_ptr<RelaxedStore>> instances;
    for (int one = 0; one < 2; ++one) {
      instances.push_back(std::move(RelaxedStore::Create(MakeMemory(), connect(), {.background = false})).value());
    }
    for (int ask = 0; ask < 60; ++ask) {
      for (auto& instance : instances)
        EXPECT_TRUE(AskOf(*instance, item, kStart + ask)) << conformance::Describe(limit);
    }
    for (int round = 0; round < 2; ++round) {
      for (auto& instance : instances) instance->Sync(kStart + kSecond + round, true);
    }
    for (auto& instance : instances) {
      EXPECT_FALSE(AskOf(*instance, item, kStart + kSecond + 2)) << conformance::Describe(limit);
      EXPECT_EQ(conformance::UsedNow(*instance, item, kStart + kSecond + 2), 120U) << conformance::Describe(limit);
    }
    instances.clear();
    EXPECT_EQ(conformance::UsedNow(*connect(), item, kStart + kSecond + 2), 120U) << conformance::Describe(limit);
  }
}

}  // namespace weir::storage::hybrid
