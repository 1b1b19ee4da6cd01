// Sliding windows that are charged in lanes: the answers are those of the states without, and what has to be asked of
// the state is.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "algorithms/testing.h"
#include "storage/memory/memory_store.h"
#include "storage/memory/snapshot_file.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/reference_store.h"

namespace weir::storage::memory {
namespace {

using conformance::Answer;
using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::Do;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::ReferenceStore;
using conformance::Shadow;
using conformance::SubWindowsOf;
using conformance::UsedNow;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

std::unique_ptr<MemoryStore> Make(const MemoryStoreOptions& options = {.max_entries = 1000}) {
  return std::move(MemoryStore::Create(options)).value();
}

bool HasLane(MemoryStore& store, const Item& item) {
  LaneView view;
  return store.lists().lanes().Read(item.key, view);
}

TEST(Lanes, AreTakenWithTheSecondRequestOfASubWindow) {
  const auto store = Make();
  const Limit limit = SubWindowsOf(100);
  const Item item = ItemOf(limit, "hour", "s");
  for (int minute = 0; minute < 3; ++minute) {
    EXPECT_TRUE(Do(*store, Op::kCheck, {item}, kNow + minute * kMinute).admitted);
    EXPECT_FALSE(HasLane(*store, item));
  }
  for (int i = 0; i < 10; ++i) {
    const Answer answer = Do(*store, Op::kCheck, {item}, kNow + 2 * kMinute + i);
    EXPECT_TRUE(answer.admitted);
    EXPECT_EQ(answer.outcomes[0].used, 4u + static_cast<unsigned>(i));
    EXPECT_TRUE(HasLane(*store, item));
  }
  EXPECT_EQ(UsedNow(*store, item, kNow + 2 * kMinute), 13u);
  EXPECT_FALSE(HasLane(*store, item)) << "the state was looked at";
}

TEST(Lanes, OtherRulesTakeNone) {
  const auto store = Make();
  const Limit limits[] = {BucketOf(10), DefaultOf(10), LogOf(10), SubWindowsOf(10, kMinute, 7 * kSecond)};
  for (const Limit& limit : limits) {
    for (int i = 0; i < 12; ++i)
      (void)Do(*store, Op::kCheck, {ItemOf(limit, "rule", std::to_string(&limit - limits))}, kNow);
  }
  const Limit hour = SubWindowsOf(10), log = LogOf(100);
  for (int i = 0; i < 5; ++i) {
    (void)Do(*store, Op::kCheck, {ItemOf(hour, "hour", "s"), ItemOf(log, "log", "s")}, kNow);
    (void)Do(*store, Op::kCheck, {Shadow(ItemOf(hour, "shadow", "s"))}, kNow);
  }
  EXPECT_FALSE(store->lists().lanes().used());
}

// Denials are answered without the lock, too, and the state is asked again when the answer could be another.
TEST(Lanes, AnswerDenials) {
  const auto store = Make();
  ReferenceStore reference;
  const Limit limit = SubWindowsOf(10);
  const Item item = ItemOf(limit, "hour", "s");
  for (Nanos now = kNow; now < kNow + 150 * kMinute; now += 17 * kSecond) {
    for (const std::uint64_t cost : {1U, 1U, 2U, 11U, 0U, 1U}) {
      Item asked = item;
      asked.cost = cost;
      ASSERT_EQ(Do(*store, Op::kCheck, {asked}, now), Do(reference, Op::kCheck, {asked}, now)) << now - kNow;
    }
    const bool spent = !Do(reference, Op::kPeek, {item}, now).admitted;
    if (spent) {
      ASSERT_TRUE(HasLane(*store, item)) << now - kNow;
    }
  }
}

// Random histories that stay in one sub-window most of the time.
TEST(Lanes, AgreeWithTheReference) {
  std::uint64_t in_lanes = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t n) { return random() % n; };
    const auto store = Make({.max_entries = 1000, .sweep_interval = 0, .secret = 7});
    ReferenceStore reference;
    const Nanos precision = below(2) == 0 ? kMinute : kMillisecond;
    // Rule "a" has two limits on one state, as when an instance counts its share. Rule "d" has the default.
    const Limit limits[] = {SubWindowsOf(5 + below(30), 4 * precision, precision),
                            SubWindowsOf(8, 3 * precision, precision), BucketOf(20, 600), DefaultOf(20),
                            SubWindowsOf(9, 4 * precision, precision)};
    const std::string_view rules[] = {"a", "b", "c", "d", "a"}, subjects[] = {"s", "t"};
    Nanos now = kNow + static_cast<Nanos>(below(kMinute));
    for (int step = 0; step < 150; ++step) {
      const std::uint64_t jump = below(30);
      if (jump == 0) now += static_cast<Nanos>(below(6 * static_cast<std::uint64_t>(precision)));
      if (jump == 1) now -= static_cast<Nanos>(below(static_cast<std::uint64_t>(precision)));
      if (jump > 20) now += static_cast<Nanos>(below(static_cast<std::uint64_t>(precision) / 10));
      now = std::max(now, reference.Earliest());
      std::vector<Item> items;
      const algorithms::PastCharge charge{.cost = 1 + below(3),
                                          .at = now - static_cast<Nanos>(below(static_cast<std::uint64_t>(precision)))};
      static constexpr Op kOps[] = {Op::kPeek, Op::kCharge, Op::kRefund, Op::kReset, Op::kAssign, Op::kTake};
      const Op op = below(8) == 0 ? kOps[below(6)] : Op::kCheck;
      for (std::uint64_t i = 0; i < 1 + below(3); ++i) {
        const std::uint64_t rule = below(5);
        items.push_back(ItemOf(limits[rule], rules[rule], subjects[below(2)], below(10) == 0 ? below(40) : below(3)));
        if (below(12) == 0) items.back() = Shadow(items.back());
        if (op == Op::kRefund && below(2) == 0) items.back().charge = &charge;
      }
      for (const Item& item : items) in_lanes += HasLane(*store, item) && op == Op::kCheck ? 1U : 0U;
      const Answer answer = Do(*store, op, items, now), expected = Do(reference, op, items, now);
      ASSERT_EQ(answer.status, expected.status) << "seed " << seed << " step " << step;
      ASSERT_EQ(answer.admitted, expected.admitted) << "seed " << seed << " step " << step;
      ASSERT_EQ(answer.outcomes, expected.outcomes) << "seed " << seed << " step " << step;
    }
  }
  EXPECT_GT(in_lanes, 5000u);
}

TEST(Lanes, AreWrittenToSnapshotsAndListed) {
  const auto store = Make();
  const Limit limit = SubWindowsOf(100);
  const Item item = ItemOf(limit, "hour", "s");
  for (int i = 0; i < 9; ++i) (void)Do(*store, Op::kCheck, {item}, kNow);
  ASSERT_TRUE(HasLane(*store, item));
  const auto page = store->GetAdmin()->Scan("", 10, kNow);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->states.size(), 1u);
  EXPECT_EQ(page->states[0].words, (Words{9, kNow / kMinute, 9}));

  for (int i = 0; i < 5; ++i) (void)Do(*store, Op::kCheck, {item}, kNow);
  ASSERT_TRUE(HasLane(*store, item));
  const std::string path = ::testing::TempDir() + "lanes.snapshot";
  ASSERT_TRUE(SaveSnapshot(*store, path, kNow));
  const auto restored = Make();
  ASSERT_TRUE(LoadSnapshot(*restored, path, kNow));
  std::filesystem::remove(path);
  EXPECT_EQ(UsedNow(*restored, item, kNow), 14u);
}

// A state that is dropped takes its lane with it.
TEST(Lanes, EndWithTheirState) {
  const auto store = Make();
  const Limit limit = SubWindowsOf(100);
  const Item item = ItemOf(limit, "hour", "s");
  for (int i = 0; i < 9; ++i) (void)Do(*store, Op::kCheck, {item}, kNow);
  ASSERT_TRUE(HasLane(*store, item));
  StateName name;
  name.key = item.key;
  ASSERT_TRUE(store->GetAdmin()->Reset(name));
  EXPECT_FALSE(HasLane(*store, item));
  for (int i = 0; i < 9; ++i) (void)Do(*store, Op::kCheck, {item}, kNow);
  ASSERT_TRUE(HasLane(*store, item));
  EXPECT_GT(store->Sweep(kNow + 2 * kHour, 10'000), 0u);
  EXPECT_FALSE(HasLane(*store, item));
  EXPECT_EQ(UsedNow(*store, item, kNow + 2 * kHour), 0u);
}

// Where room is short a state has to note when it denied: each second, and no more often than that.
TEST(Lanes, DenialsAreNotedOnceASecondWhereRoomIsShort) {
  const auto store = Make({.max_entries = 64, .secret = 7});
  const Limit limit = SubWindowsOf(3);
  const Item spent = ItemOf(limit, "hour", "spent");
  for (int i = 0; i < 63; ++i) {
    (void)Do(*store, Op::kCheck, {ItemOf(limit, "hour", "newcomer " + std::to_string(i))}, kNow);
  }
  for (int i = 0; i < 5; ++i) (void)Do(*store, Op::kCheck, {spent}, kNow);
  int went_to_the_state = 0;
  LaneView before;
  ASSERT_TRUE(store->lists().lanes().Read(spent.key, before));
  for (int i = 0; i < 300; ++i) {
    ASSERT_FALSE(Do(*store, Op::kCheck, {spent}, kNow + i * 100 * kMillisecond).admitted);
    LaneView after;
    ASSERT_TRUE(store->lists().lanes().Read(spent.key, after));
    went_to_the_state += after.IsOpeningOf(before) ? 0 : 1;
    before = after;
  }
  EXPECT_GE(went_to_the_state, 29);
  EXPECT_LE(went_to_the_state, 30);
}

// A spent subject that still asks is the last to be forgotten.
TEST(Lanes, DenialsAreNotedWhereRoomIsShort) {
  const auto store = Make({.max_entries = 64, .secret = 7});
  const Limit limit = SubWindowsOf(3);
  const Item spent = ItemOf(limit, "hour", "spent");
  for (int i = 0; i < 5; ++i) (void)Do(*store, Op::kCheck, {spent}, kNow);
  for (int i = 0; i < 5'000; ++i) {
    const Nanos now = kNow + i * 10 * kMillisecond;
    (void)Do(*store, Op::kCheck, {ItemOf(limit, "hour", "newcomer " + std::to_string(i))}, now);
    if (i % 20 == 0) {
      ASSERT_FALSE(Do(*store, Op::kCheck, {spent}, now).admitted) << i;
    }
  }
  EXPECT_GT(store->Stats().evicted_live, 0u);
}

}  // namespace
}  // namespace weir::storage::memory
