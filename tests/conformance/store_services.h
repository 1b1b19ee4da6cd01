// The second part of the suite: what the contract has besides Apply. Taking as much as there is, deciding now, closing,
// metrics, and administration. Included by store_conformance.h.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "storage/admin.h"
#include "storage/store.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/store_conformance.h"

namespace weir::storage::conformance {

// What the names of a store's states begin with; empty where they have none. The store gets a state for it.
inline std::string ScanPrefix(Store& store) {
  const Limit limit = BucketOf(1'000'000);
  const Item item = ItemOf(limit, "prefix", "prefix");
  constexpr Nanos kAnyTime = 1'800'000'000 * kSecond;
  Do(store, Op::kCharge, {item}, kAnyTime);
  const StateName name{.rule = "prefix", .subject = "prefix", .key = item.key, .place = {}};
  const auto state = store.GetAdmin()->Get(name, kAnyTime);
  std::string prefix;
  if (state && *state) prefix = (*state)->name.place.substr(0, (*state)->name.place.find("v1:"));
  (void)store.GetAdmin()->Reset(name);
  return prefix;
}

// ---- taking ---------------------------------------------------------------------------------------------------------

TEST_P(StoreConformance, ATakeGrantsWhatThereIsAndNoMore) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(10), WindowOf(10), EpochWindowOf(10), LogOf(10), SlotsOf(10)}) {
    const std::string subject = std::to_string(static_cast<int>(limit.kind)) + "-" + std::to_string(limit.window);
    Item item = ItemOf(limit, "take", subject, 4);
    item.token = 1;
    EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start()).admitted);
    item.cost = 100;
    item.token = 2;
    const Answer rest = Do(*store, Op::kTake, {item}, start());
    EXPECT_EQ(rest.outcomes[0].granted, 6u);
    EXPECT_TRUE(rest.admitted);
    const Answer none = Do(*store, Op::kTake, {item}, start());
    EXPECT_EQ(none.outcomes[0].granted, 0u);
    EXPECT_EQ(none.outcomes[0].verdict, Verdict::kLater);
    EXPECT_GT(none.outcomes[0].retry_after_ns, 0);
    EXPECT_EQ(UsedNow(*store, item, start()), 10u);
    item.cost = 6;
    Do(*store, Op::kRefund, {item}, start());
    EXPECT_EQ(UsedNow(*store, item, start()), 4u) << "what is not spent comes home";
  }
}

TEST_P(StoreConformance, ATakeOfSeveralRulesGrantsEachByItself) {
  const auto store = Make();
  const Limit wide = BucketOf(10), narrow = WindowOf(3), bans = BansOf(1);
  const std::vector<Item> items = {ItemOf(wide, "wide", "a", 5), ItemOf(narrow, "narrow", "a", 5),
                                   ItemOf(bans, "bans", "a", 5), Shadow(ItemOf(narrow, "shadow", "a", 5))};
  const Answer answer = Do(*store, Op::kTake, items, start());
  EXPECT_EQ(answer.outcomes[0].granted, 5u);
  EXPECT_EQ(answer.outcomes[1].granted, 3u);
  EXPECT_EQ(answer.outcomes[2].granted, 5u) << "a ban box counts nothing";
  EXPECT_EQ(answer.outcomes[3].granted, 3u) << "shadow plays no part";
  Do(*store, Op::kCharge, {items[2]}, start());
  EXPECT_EQ(Do(*store, Op::kTake, {items[2]}, start()).outcomes[0].granted, 0u);
}

TEST_P(StoreConformance, ManyThreadsTakeNoMoreThanTheLimitTogether) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(1000), WindowOf(1000), EpochWindowOf(1000, kDay)}) {
    const std::string subject = std::to_string(limit.window);
    const Item item = ItemOf(limit, "many", subject, 7);
    std::atomic<std::uint64_t> granted = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) granted += Do(*store, Op::kTake, {item}, start()).outcomes[0].granted;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(granted, 1000u);
  }
}

// ---- deciding now, closing, looking inside --------------------------------------------------------------------------

TEST_P(StoreConformance, ATryDecidesOrChangesNothing) {
  const auto store = Make();
  const Limit limit = BucketOf(10);
  Item item = ItemOf(limit, "try", "a", 3);
  Outcome outcome;
  Plan plan{.op = Op::kCheck, .items = {&item, 1}, .outcomes = {&outcome, 1}};
  const bool decided = store->TryApply(plan, start());
  EXPECT_EQ(UsedNow(*store, item, start()), decided ? 3u : 0u);
  if (store->CompletesInline()) {
    EXPECT_TRUE(decided);
  }
  if (!store->TriesInline()) {
    EXPECT_FALSE(decided);
  }
}

TEST_P(StoreConformance, AClosedStoreIsStillThereAndCompletesEverythingInline) {
  const auto store = Make();
  const Limit limit = BucketOf(10);
  const Item item = ItemOf(limit, "close", "a");
  struct Told final : Completion {
    void Done() noexcept override { ++times; }
    std::atomic<int> times{0};
  };
  constexpr std::size_t kPlans = 50;
  std::vector<Item> items(kPlans, item);
  std::vector<Outcome> outcomes(kPlans);
  std::vector<Plan> plans(kPlans);
  std::vector<Told> told(kPlans);
  int pending = 0;
  for (std::size_t i = 0; i < kPlans; ++i) {
    plans[i] = Plan{.op = Op::kCheck, .items = {&items[i], 1}, .outcomes = {&outcomes[i], 1}};
    pending += store->Apply({&plans[i], 1}, start(), &told[i]) ? 0 : 1;
  }
  std::thread twice([&] { store->Close(); });
  store->Close();
  int heard = 0;
  for (const Told& each : told) heard += each.times;
  EXPECT_EQ(heard, pending) << "each was told, once, by the time Close returned";
  twice.join();
  Outcome outcome;
  Plan after{.op = Op::kCheck, .items = items, .outcomes = outcomes};
  after.items = after.items.first(1);
  after.outcomes = {&outcome, 1};
  Told late;
  EXPECT_TRUE(store->Apply({&after, 1}, start(), &late));
  EXPECT_EQ(late.times, 0);
  EXPECT_TRUE(after.status == PlanStatus::kUnavailable || store->CompletesInline());
  (void)store->Stats();
  (void)store->GetHealth();
}

TEST_P(StoreConformance, DescribesItselfByOneHelpForAName) {
  const auto store = Make();
  struct Sink final : MetricSink {
    void AddMetric(Kind, std::string_view name, std::string_view help, double,
                   std::span<const MetricLabel> labels) override {
      EXPECT_TRUE(helps.try_emplace(std::string(name), help).first->second == help) << name;
      std::string series(name);
      for (const MetricLabel& label : labels) series += "," + std::string(label.name) + "=" + std::string(label.value);
      EXPECT_TRUE(seen.insert(series).second) << series << " is told twice";
    }
    std::map<std::string, std::string> helps;
    std::set<std::string> seen;
  } sink;
  store->Describe(sink, "primary");
  EXPECT_TRUE(sink.seen.contains("weir_store_up,store=primary"));
}

// All that a store has, page by page.
inline std::vector<StateRecord> ScanAll(Admin& admin, std::size_t most, Nanos now) {
  std::vector<StateRecord> all;
  std::string cursor;
  do {
    auto page = admin.Scan(cursor, most, now);
    EXPECT_TRUE(page) << page.error().message;
    if (!page) break;
    all.insert(all.end(), page->states.begin(), page->states.end());
    cursor = page->next;
  } while (!cursor.empty());
  return all;
}

TEST_P(StoreConformance, StatesAreFoundExportedAndImportedExactly) {
  const auto store = Make(), other = Make();
  Admin* const admin = store->GetAdmin();
  ASSERT_NE(admin, nullptr) << "every store lets its states be administered";
  const std::vector<Limit> limits = {BucketOf(50), WindowOf(50),  EpochWindowOf(50), LogOf(50),
                                     SlotsOf(50),  LearnedOf(50), BansOf(5)};
  std::vector<Item> items;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 3 * limits.size(); ++i) names.push_back("subject " + std::to_string(i));
  for (std::size_t i = 0; i < names.size(); ++i) {
    items.push_back(ItemOf(limits[i % limits.size()], "rule:" + std::to_string(i % limits.size()), names[i], 1 + i));
  }
  std::vector<std::string> rules;
  for (std::size_t i = 0; i < limits.size(); ++i) rules.push_back("rule:" + std::to_string(i));
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].rule = rules[i % rules.size()];
    Do(*store, Op::kCharge, {items[i]}, start());
  }
  for (const std::size_t most : {std::size_t{1}, std::size_t{4}, std::size_t{10'000}}) {
    std::set<std::string> seen;
    for (const StateRecord& state : ScanAll(*admin, most, start())) seen.insert(EncodeState(state));
    EXPECT_EQ(seen.size(), items.size()) << most;
  }
  std::vector<StateRecord> states = ScanAll(*admin, 100, start());
  for (StateRecord& state : states) {
    auto copy = DecodeState(EncodeState(state));
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_GT(copy->expires, start());
    state = std::move(*copy);
  }
  // Taken in under the names of another store of the same kind.
  const std::string own = ScanPrefix(*store), others = ScanPrefix(*other);
  for (StateRecord& state : states) {
    if (!state.name.place.empty()) state.name.place = others + state.name.place.substr(own.size());
  }
  Admin* const target = other->GetAdmin();
  auto imported = target->Import(states, start());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->taken, items.size());
  imported = target->Import(states, start());
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->taken, 0u) << "twice changes nothing";
  EXPECT_EQ(imported->present, items.size());
  for (const Item& item : items) {
    EXPECT_EQ(Do(*other, Op::kPeek, {item}, start()), Do(*store, Op::kPeek, {item}, start())) << item.rule;
  }
  for (const Item& item : items) {
    const StateName name{
        .rule = std::string(item.rule), .subject = std::string(item.subject), .key = item.key, .place = {}};
    auto got = target->Get(name, start());
    ASSERT_TRUE(got && *got) << item.rule;
    EXPECT_TRUE(target->Reset(name).value());
    EXPECT_FALSE(target->Reset(name).value());
    EXPECT_FALSE(target->Get(name, start()).value());
    EXPECT_EQ(UsedNow(*other, item, start()), 0u);
  }
  EXPECT_TRUE(ScanAll(*target, 100, start()).empty());
}

TEST_P(StoreConformance, HostileAdministrationIsRefused) {
  const auto store = Make();
  Admin* const admin = store->GetAdmin();
  ASSERT_NE(admin, nullptr) << "every store lets its states be administered";
  for (const char* const cursor : {"x", "w", "w x", "l 1", "l 99999999 1", "-1", "0 0 0", "99999999999999999999999"}) {
    EXPECT_FALSE(admin->Scan(cursor, 10, start())) << cursor;
  }
  EXPECT_FALSE(admin->Scan("", 0, start()));
  EXPECT_FALSE(admin->Scan("", 10'001, start()));
  StateRecord wrong;
  wrong.form = static_cast<StateForm>(99);
  const auto imported = admin->Import({&wrong, 1}, start());
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(admin->Get({.rule = "nobody", .subject = "nobody", .key = {1, 2}, .place = {}}, start()).value());
}

}  // namespace weir::storage::conformance
