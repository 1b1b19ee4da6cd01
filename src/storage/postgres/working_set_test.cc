#include "storage/postgres/working_set.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "storage/postgres/once_note.h"
#include "storage/postgres/row.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/reference_store.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::postgres {
namespace {

using algorithms::Kind;
using namespace conformance;

// A table of rows in memory, and plans decided on it as the store does it: what a transaction reads is loaded, what it
// would write is written.
class TableStore final : public Store {
 public:
  bool Apply(std::span<Plan> plans, Nanos now, Completion*) override {
    std::vector<Key> keys;
    for (const Plan& plan : plans) AddKeysOf(plan, keys);
    SortKeys(keys);
    WorkingSet set(keys);
    for (const Key& key : keys) {
      const auto found = rows_.find({key.hi, key.lo});
      if (found == rows_.end()) continue;
      std::optional<State> state;
      const auto& [kind, word, list] = found->second;
      const RowFault fault = ReadRow(kind, word, list, state);
      set.Load(key, std::move(state), fault);
    }
    for (Plan& plan : plans) {
      if (!set.CanDecide(plan)) {
        plan.status = PlanStatus::kUnavailable;
        continue;
      }
      Tell(set.Decide(plan, now), plan);
    }
    const WorkingSet::Changes changes = set.GetChanges();
    for (const auto& [key, state] : changes.written) {
      EXPECT_GT(state->expires, 0) << "the sweep would take it";
      rows_[{key.hi, key.lo}] = {state->kind, state->word, ListColumn(*state)};
    }
    for (const Key& key : changes.gone) rows_.erase({key.hi, key.lo});
    return true;
  }
  bool CompletesInline() const override { return true; }
  StoreStats Stats() const override { return {}; }
  Health GetHealth() const override { return Health::kUp; }
  std::string_view Name() const override { return "table"; }

  std::map<std::pair<std::uint64_t, std::uint64_t>,
           std::tuple<std::int16_t, algorithms::Word, std::optional<std::string>>>
      rows_;
};

TEST(WorkingSet, IsTheContractWithoutAServer) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    ScenarioOptions options;
    options.kinds.assign(kAllKinds.begin(), kAllKinds.end());
    options.generations = seed % 2 == 0 ? 3 : 1;
    options.roll_back = seed % 4 == 0;
    const Scenario scenario = RandomScenario(options, seed);
    const Names names(scenario);
    TableStore table;
    ReferenceStore reference;
    for (std::size_t i = 0; i < scenario.steps.size(); ++i) {
      const Step& step = scenario.steps[i];
      const Nanos now = std::max(step.now, reference.Earliest());
      for (const PlanSpec& spec : step.plans) {
        std::vector<Item> items;
        for (const Part& part : spec.parts) items.push_back(names.ItemOf(part));
        ASSERT_EQ(Do(table, spec.op, items, now), Do(reference, spec.op, items, now))
            << "seed " << seed << " step " << i;
      }
    }
  }
}

TEST(WorkingSet, WritesNothingThatHasNotChanged) {
  const Limit limit = BucketOf(3);
  const Item item = ItemOf(limit, "rule", "a", 4);
  std::vector<Outcome> outcomes(1);
  Plan plan{.op = Op::kCheck, .items = {&item, 1}, .outcomes = outcomes};
  std::vector<Key> keys;
  AddKeysOf(plan, keys);
  WorkingSet set(keys);
  constexpr Nanos kNow = 1'800'000'000 * kSecond;
  set.Load(item.key, State{.kind = 1, .word = kNow + kSecond}, RowFault::kNone);
  EXPECT_FALSE(set.Decide(plan, kNow).admitted);
  EXPECT_TRUE(set.GetChanges().written.empty());
  EXPECT_TRUE(set.GetChanges().gone.empty());
}

TEST(WorkingSet, WhatWasTriedAndUndoneIsNotWritten) {
  const Limit wide = BucketOf(10), narrow = BucketOf(1);
  const std::vector<Item> items = {ItemOf(wide, "wide", "a"), ItemOf(narrow, "narrow", "a", 2)};
  std::vector<Outcome> outcomes(2);
  Plan plan{.op = Op::kCheck, .items = items, .outcomes = outcomes};
  std::vector<Key> keys;
  AddKeysOf(plan, keys);
  SortKeys(keys);
  WorkingSet set(keys);
  constexpr Nanos kNow = 1'800'000'000 * kSecond;
  set.Load(items[0].key, State{.kind = 1, .word = kNow + kSecond}, RowFault::kNone);
  EXPECT_FALSE(set.Decide(plan, kNow).admitted);
  EXPECT_TRUE(set.GetChanges().written.empty());
  EXPECT_EQ(set.GetChanges().gone, std::vector<Key>{items[1].key}) << "its placeholder";
}

TEST(WorkingSet, ARowOfALayoutToComeIsLeftAlone) {
  TableStore table;
  const Limit limit = BucketOf(3);
  const Item item = ItemOf(limit, "rule", "a"), other = ItemOf(limit, "rule", "b");
  table.rows_[{item.key.hi, item.key.lo}] = {std::int16_t{1000}, 7, "future"};
  constexpr Nanos kNow = 1'800'000'000 * kSecond;
  EXPECT_EQ(Do(table, Op::kCheck, {item}, kNow).status, PlanStatus::kUnavailable);
  EXPECT_TRUE(Do(table, Op::kCheck, {other}, kNow).admitted);
  EXPECT_EQ((table.rows_[{item.key.hi, item.key.lo}]), (std::tuple{std::int16_t{1000}, 7, "future"}));
}

TEST(WorkingSet, WhateverARowHoldsItHarmsNobody) {
  for (const Kind kind : kAllKinds) {
    if (kind == Kind::kUnlimited) continue;
    Dice dice(7);
    const Limit limit = RandomLimit(kind, dice);
    for (const algorithms::Word word : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, INT64_MAX}) {
      for (const std::string& list :
           {std::string(), std::string("x"), std::string(8, '\xff'), std::string(800, '\x7f')}) {
        TableStore table;
        const Item item = ItemOf(limit, "rule", "a");
        table.rows_[{item.key.hi, item.key.lo}] = {static_cast<std::int16_t>(limit.kind), word, list};
        constexpr Nanos kNow = 1'800'000'000 * kSecond;
        EXPECT_EQ(Do(table, Op::kCheck, {item}, kNow).status, PlanStatus::kOk);
        EXPECT_EQ(Do(table, Op::kReset, {item}, kNow).status, PlanStatus::kOk);
      }
    }
  }
}

TEST(Row, ComesBackAsItWas) {
  const State list{.kind = static_cast<std::int16_t>(Kind::kSlidingWindowLog), .list = {1, -1, INT64_MIN, INT64_MAX}};
  const State word{.kind = static_cast<std::int16_t>(Kind::kTokenBucket), .word = 42};
  const State once{.kind = kOnceRow, .word = 7, .note = std::string("\0\xff", 2)};
  for (const State& state : {list, word, once}) {
    std::optional<State> read;
    EXPECT_EQ(ReadRow(state.kind, state.word, ListColumn(state), read), RowFault::kNone);
    EXPECT_EQ(read, state);
  }
}

TEST(OnceNote, ComesBackAsItWasAndHostileBytesDoNot) {
  OnceNote note{.at = -5, .tokens = {1, UINT64_MAX}, .outcomes = {{}, {}}};
  note.outcomes[1] = {.verdict = Verdict::kLater,
                      .limit = 1,
                      .remaining = 2,
                      .used = 3,
                      .reset_after_ns = 4,
                      .retry_after_ns = 5,
                      .delay_ns = 6,
                      .granted = 7};
  const std::string bytes = WriteNote(note);
  EXPECT_EQ(ReadNote(bytes), note);
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(ReadNote(bytes.substr(0, size))) << size;
  EXPECT_FALSE(ReadNote(bytes + "x"));
  std::string many = bytes;
  many[9] = '\xff';  // the number of tokens
  many[16] = '\xff';
  EXPECT_FALSE(ReadNote(many));
}

}  // namespace
}  // namespace weir::storage::postgres
