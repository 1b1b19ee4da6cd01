#include "storage/memory/memory_store.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/conformance/plans.h"

namespace weir::storage::memory {
namespace {

using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::Shadow;
using conformance::UsedNow;
using conformance::WindowOf;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

std::unique_ptr<MemoryStore> Make(const MemoryStoreOptions& options) {
  return std::move(MemoryStore::Create(options)).value();
}

TEST(MemoryStore, RefusesImpossibleOptions) {
  EXPECT_EQ(MemoryStore::Create({.max_entries = 0}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(MemoryStore::Create({.max_entries = UINT64_MAX}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(MemoryStore::Create({.memory_limit = 100}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(MemoryStore::Create({.sweep_interval = -1}).error().code, ErrorCode::kInvalidArgument);
}

TEST(MemoryStore, AHundredMillionSubjectsFitInFourGigabytes) {
  EXPECT_LT(MemoryStore::BytesFor(100'000'000), std::uint64_t{4'000'000'000});
  EXPECT_LE(MemoryStore::BytesFor(1'000'000), std::uint64_t{32} * 1'000'000);
}

// What a rule that names no algorithm counts by takes no list, and so no lock and not a byte more than a bucket.
TEST(MemoryStore, ADefaultRuleIsKeptAsABucketIs) {
  const auto store = Make({.max_entries = 1000});
  const std::uint64_t empty = store->Stats().bytes;
  EXPECT_LE(empty, 40u * 1000);
  for (const Limit& limit : {DefaultOf(100), DefaultOf(100'000'000)}) {
    for (int i = 0; i < 300; ++i) {
      const std::string subject = "s" + std::to_string(i), rule = std::to_string(limit.capacity);
      EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(limit, rule, subject)}, kNow + i).admitted);
      EXPECT_EQ(UsedNow(*store, ItemOf(limit, rule, subject), kNow + i), 1u);
    }
  }
  EXPECT_EQ(store->Stats().entries, 600u);
  EXPECT_EQ(store->lists().budget().states(), 0u);
  EXPECT_EQ(store->Stats().bytes, empty);
}

TEST(MemoryStore, KeepsToItsMemoryLimit) {
  const auto store = Make({.max_entries = 1'000'000, .memory_limit = 1 << 20});
  EXPECT_LE(store->Stats().bytes, std::uint64_t{1} << 20);
  EXPECT_LT(store->cells().cells(), 100'000u);
  EXPECT_GT(store->cells().cells(), 30'000u);
  // Logs grow until the limit, and then push each other out.
  const Limit log = LogOf(1000);
  for (int i = 0; i < 2000; ++i) {
    const std::string subject = "s" + std::to_string(i % 40);
    (void)Do(*store, Op::kCheck, {ItemOf(log, "log", subject)}, kNow + i);
    ASSERT_LE(store->Stats().bytes, (std::uint64_t{1} << 20) + 4096);
  }
  for (int i = 0; i < 20'000; ++i) {
    const std::string subject = "t" + std::to_string(i);
    (void)Do(*store, Op::kCheck, {ItemOf(log, "log", subject)}, kNow + i);
  }
  EXPECT_LE(store->Stats().bytes, (std::uint64_t{1} << 20) + 4096);
  EXPECT_GT(store->Stats().evicted_live, 0u);
}

TEST(MemoryStore, AStateThatGrowsBeyondTheMemoryLimitIsSubjectToThePolicyToo) {
  for (const FullPolicy policy : {FullPolicy::kDenyNew, FullPolicy::kAllowNew, FullPolicy::kEvict}) {
    const auto store = Make({.max_entries = 4, .memory_limit = 4096, .full_policy = policy});
    const Limit log = LogOf(100'000);
    const Item item = ItemOf(log, "log", "a");
    int full = 0, admitted = 0;
    for (int i = 0; i < 2000; ++i) {
      const conformance::Answer answer = Do(*store, Op::kCheck, {item}, kNow + i);
      admitted += answer.admitted ? 1 : 0;
      full += answer.status == PlanStatus::kFull ? 1 : 0;
    }
    EXPECT_EQ(admitted + full, 2000);
    if (policy == FullPolicy::kDenyNew) {
      EXPECT_GT(full, 0);
      EXPECT_EQ(store->Stats().refused_new, static_cast<std::uint64_t>(full));
      EXPECT_LE(store->Stats().bytes, 3 * 4096u) << "one growth beyond, at most";
    } else if (policy == FullPolicy::kAllowNew) {
      EXPECT_EQ(admitted, 2000);
      EXPECT_GT(store->Stats().admitted_untracked, 0u);
      EXPECT_LE(store->Stats().bytes, 3 * 4096u);
    } else {
      // There is nobody else to push out: the one state that is asked for is kept and exact.
      EXPECT_EQ(UsedNow(*store, item, kNow + 2000), 2000u);
    }
  }
}

TEST(MemoryStore, AStateThatDoesNotGrowIsServedThoughTheMemoryIsUsedUp) {
  const auto store = Make({.max_entries = 100, .memory_limit = 8192, .full_policy = FullPolicy::kDenyNew});
  const Limit window = WindowOf(10), bucket = BucketOf(10);
  int held = 0;
  for (; held < 200; ++held) {
    const std::string subject = "s" + std::to_string(held);
    if (Do(*store, Op::kCheck, {ItemOf(window, "w", subject)}, kNow).status == PlanStatus::kFull) break;
  }
  ASSERT_LT(held, 100) << "bytes run out before the count does";
  const Item known = ItemOf(window, "w", "s0");
  EXPECT_TRUE(Do(*store, Op::kCheck, {known}, kNow).admitted);
  EXPECT_TRUE(Do(*store, Op::kCheck, {known, ItemOf(bucket, "b", "s0")}, kNow).admitted);
  EXPECT_EQ(UsedNow(*store, known, kNow), 3u);
}

// ---- full of live states --------------------------------------------------------------------------------------------

struct FullCase {
  const char* name;
  Limit limit;
};
void PrintTo(const FullCase& full, std::ostream* out) { *out << full.name; }

class WhenFull : public testing::TestWithParam<FullCase> {
 protected:
  // A store in which no further subject has a place, and how many it took.
  std::unique_ptr<MemoryStore> Fill(FullPolicy policy) {
    auto store = Make({.max_entries = 8, .full_policy = policy, .sweep_interval = 0});
    for (held_ = 0; held_ < 1000; ++held_) {
      const std::string subject = Subject(held_);
      if (Do(*store, Op::kCheck, {ItemOf(GetParam().limit, "r", subject)}, kNow).status == PlanStatus::kFull) break;
      if (store->Stats().evicted_live + store->Stats().admitted_untracked != 0) break;
    }
    EXPECT_GE(held_, 8u);
    EXPECT_LE(held_, 16u);
    return store;
  }
  static std::string Subject(std::uint64_t number) { return "subject-" + std::to_string(number); }
  Item NewItem() const { return ItemOf(GetParam().limit, "r", "newcomer"); }

  std::uint64_t held_ = 0;
};

TEST_P(WhenFull, DenyNewSaysSoAndForgetsNobody) {
  const auto store = Fill(FullPolicy::kDenyNew);
  const std::uint64_t refused = store->Stats().refused_new;
  const conformance::Answer answer = Do(*store, Op::kCheck, {NewItem()}, kNow);
  EXPECT_EQ(answer.status, PlanStatus::kFull);
  EXPECT_FALSE(answer.admitted);
  EXPECT_EQ(answer.outcomes[0].remaining, GetParam().limit.capacity) << "nothing was consumed";
  EXPECT_EQ(store->Stats().refused_new, refused + 1);
  EXPECT_EQ(store->Stats().evicted_live, 0u);
  for (std::uint64_t i = 0; i < held_; ++i) {
    const std::string subject = Subject(i);
    EXPECT_EQ(UsedNow(*store, ItemOf(GetParam().limit, "r", subject), kNow), 1u);
  }
}

TEST_P(WhenFull, DenyNewStillServesThoseItKnowsAndPeeksAndRefunds) {
  const auto store = Fill(FullPolicy::kDenyNew);
  const std::string known = Subject(0);
  EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(GetParam().limit, "r", known)}, kNow).admitted);
  EXPECT_TRUE(Do(*store, Op::kPeek, {NewItem()}, kNow).admitted);
  EXPECT_EQ(Do(*store, Op::kRefund, {NewItem()}, kNow).status, PlanStatus::kOk) << "needs no state";
  EXPECT_EQ(Do(*store, Op::kReset, {NewItem()}, kNow).status, PlanStatus::kOk);
  EXPECT_EQ(Do(*store, Op::kCharge, {NewItem()}, kNow).status, PlanStatus::kFull);
  Item free = NewItem();
  free.cost = 0;
  EXPECT_TRUE(Do(*store, Op::kCheck, {free}, kNow).admitted);
  EXPECT_TRUE(Do(*store, Op::kCheck, {free, ItemOf(GetParam().limit, "r", known)}, kNow).admitted);
}

TEST_P(WhenFull, DenyNewRefusesAWholePlanAndConsumesNothing) {
  const auto store = Fill(FullPolicy::kDenyNew);
  const std::string known = Subject(0);
  const Item item = ItemOf(GetParam().limit, "r", known);
  for (const std::vector<Item>& items : {std::vector<Item>{item, NewItem()}, std::vector<Item>{NewItem(), item}}) {
    const conformance::Answer answer = Do(*store, Op::kCheck, items, kNow);
    EXPECT_EQ(answer.status, PlanStatus::kFull);
    EXPECT_FALSE(answer.admitted);
    EXPECT_EQ(UsedNow(*store, item, kNow), 1u);
  }
}

TEST_P(WhenFull, DenyNewNeverLetsAShadowRuleRefuse) {
  const auto store = Fill(FullPolicy::kDenyNew);
  const std::string known = Subject(0);
  const std::uint64_t refused = store->Stats().refused_new;
  EXPECT_TRUE(Do(*store, Op::kCheck, {Shadow(NewItem())}, kNow).admitted);
  const conformance::Answer answer =
      Do(*store, Op::kCheck, {Shadow(NewItem()), ItemOf(GetParam().limit, "r", known)}, kNow);
  EXPECT_EQ(answer.status, PlanStatus::kOk);
  EXPECT_TRUE(answer.admitted);
  EXPECT_EQ(store->Stats().refused_new, refused + 2) << "but it is counted";
}

TEST_P(WhenFull, AllowNewDecidesAsForAFreshStateAndCountsThat) {
  const auto store = Fill(FullPolicy::kAllowNew);
  const std::uint64_t untracked = store->Stats().admitted_untracked;
  for (int i = 0; i < 5; ++i) {
    const conformance::Answer answer = Do(*store, Op::kCheck, {NewItem()}, kNow);
    EXPECT_TRUE(answer.admitted);
    EXPECT_EQ(answer.outcomes[0].used, 1u);
  }
  EXPECT_EQ(store->Stats().admitted_untracked, untracked + 5);
  EXPECT_EQ(store->Stats().evicted_live, 0u);
  Item never = NewItem();
  never.cost = GetParam().limit.capacity + 1;
  EXPECT_FALSE(Do(*store, Op::kCheck, {never}, kNow).admitted);
  const std::string known = Subject(0);
  const conformance::Answer both = Do(*store, Op::kCheck, {NewItem(), ItemOf(GetParam().limit, "r", known)}, kNow);
  EXPECT_TRUE(both.admitted);
  EXPECT_EQ(both.outcomes[1].used, 2u);
  EXPECT_EQ(store->Stats().admitted_untracked, untracked + 6);
}

TEST_P(WhenFull, EvictTakesTheNewcomerAndCountsTheOneThatHadToGo) {
  const auto store = Fill(FullPolicy::kEvict);
  const std::uint64_t evicted = store->Stats().evicted_live;
  for (int i = 1; i <= 3; ++i) {
    const conformance::Answer answer = Do(*store, Op::kCheck, {NewItem()}, kNow);
    EXPECT_TRUE(answer.admitted);
    EXPECT_EQ(answer.outcomes[0].used, static_cast<std::uint64_t>(i)) << "it is tracked";
  }
  EXPECT_EQ(store->Stats().evicted_live, evicted + 1);
  EXPECT_EQ(store->Stats().refused_new, 0u);
}

TEST_P(WhenFull, ExpiredStatesMakeRoomUnderEveryPolicy) {
  for (const FullPolicy policy : {FullPolicy::kDenyNew, FullPolicy::kAllowNew, FullPolicy::kEvict}) {
    const auto store = Fill(policy);
    const StoreStats before = store->Stats();
    const Nanos later = kNow + 2 * kHour;
    for (int i = 0; i < 8; ++i) {
      const std::string subject = "later-" + std::to_string(i);
      EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(GetParam().limit, "r", subject)}, later).admitted);
    }
    const StoreStats after = store->Stats();
    EXPECT_EQ(after.evicted_live, before.evicted_live);
    EXPECT_EQ(after.refused_new, before.refused_new);
    EXPECT_EQ(after.admitted_untracked, before.admitted_untracked);
    EXPECT_GT(after.reclaimed, before.reclaimed);
  }
}

// Newcomers come without end; the subjects whose limit is spent go on asking, and get nothing for it. Newcomers of a
// rule with longer windows expire later than what is spent: who expires soonest must not decide.
TEST_P(WhenFull, EvictForgetsWhatIsSpentAndStillAskedForLast) {
  for (const bool longer : {false, true}) {
    for (const bool in_plans : {false, true}) {
      const auto store = Make({.max_entries = 1000, .full_policy = FullPolicy::kEvict, .sweep_interval = kMinute});
      const Limit& limit = GetParam().limit;
      Limit others = limit;
      if (longer) {
        others.window *= 10;
        others.rate_period *= 10;
      }
      others = algorithms::Sanitize(others);
      const Limit wide = BucketOf(1'000'000);
      constexpr int kSpent = 50;
      int admitted = 0;
      Nanos now = kNow;
      const auto ask = [&](int i) {
        const std::string subject = "spent-" + std::to_string(i % kSpent);
        std::vector<Item> items = {ItemOf(limit, "r", subject)};
        if (in_plans) items.push_back(ItemOf(wide, "wide", "all"));
        admitted += Do(*store, Op::kCheck, items, now).admitted ? 1 : 0;
      };
      for (int i = 0; i < 11 * kSpent; ++i) ask(i);
      ASSERT_EQ(admitted, 10 * kSpent);
      for (int i = 0; i < 10'000; ++i) {
        now += 10 * kMicrosecond;
        const std::string subject = Subject(static_cast<std::uint64_t>(i));
        EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(others, "others", subject)}, now).admitted);
        ask(i);
      }
      EXPECT_GT(store->Stats().evicted_live, 5000u);
      EXPECT_EQ(admitted, 10 * kSpent) << (longer ? "longer" : "same") << (in_plans ? ", in plans" : "");
    }
  }
}

TEST_P(WhenFull, AllowNewSaysThatItDidNotCount) {
  const auto store = Fill(FullPolicy::kAllowNew);
  const auto ask = [&](Op op, std::vector<Item> items) {
    std::vector<Outcome> outcomes(items.size());
    Plan plan{.op = op, .items = items, .outcomes = outcomes};
    EXPECT_TRUE(store->Apply({&plan, 1}, kNow, nullptr));
    EXPECT_TRUE(plan.admitted);
    EXPECT_EQ(plan.status, PlanStatus::kOk);
    return plan.untracked;
  };
  const std::string known = Subject(0);
  const Item tracked = ItemOf(GetParam().limit, "r", known);
  EXPECT_TRUE(ask(Op::kCheck, {NewItem()}));
  EXPECT_TRUE(ask(Op::kCheck, {tracked, NewItem()}));
  EXPECT_TRUE(ask(Op::kCheck, {NewItem(), NewItem()}));
  EXPECT_TRUE(ask(Op::kCharge, {NewItem()}));
  EXPECT_TRUE(ask(Op::kTake, {tracked, NewItem()}));
  EXPECT_FALSE(ask(Op::kCheck, {tracked}));
  EXPECT_FALSE(ask(Op::kPeek, {NewItem()}));
  EXPECT_FALSE(ask(Op::kRefund, {NewItem()}));
  EXPECT_FALSE(ask(Op::kCheck, {tracked, conformance::Shadow(NewItem())})) << "a shadow rule has no say";
  EXPECT_FALSE(ask(Op::kCheck, {conformance::Shadow(NewItem())}));
}

INSTANTIATE_TEST_SUITE_P(Shapes, WhenFull,
                         testing::Values(FullCase{"Bucket", BucketOf(10, 1)}, FullCase{"Window", WindowOf(10)},
                                         FullCase{"EpochWindow", EpochWindowOf(10)}, FullCase{"Log", LogOf(10)}),
                         [](const auto& full) { return std::string(full.param.name); });

TEST(MemoryStore, HoldsNoMoreThanItsCapacitySays) {
  struct Sink final : MetricSink {
    void AddMetric(Kind, std::string_view name, std::string_view, double value,
                   std::span<const MetricLabel> labels) override {
      for (const MetricLabel& label : labels) {
        if (label.name == "table") values[std::string(name) + " " + std::string(label.value)] = value;
      }
    }
    std::map<std::string, double> values;
  };
  for (const Limit& limit : {BucketOf(10, 1), WindowOf(10, kHour)}) {
    const auto store = Make({.max_entries = 1000});
    for (int i = 0; i < 5000; ++i) {
      const std::string subject = "s" + std::to_string(i);
      (void)Do(*store, Op::kCheck, {ItemOf(limit, "r", subject)}, kNow);
    }
    Sink sink;
    store->Describe(sink, "memory");
    for (const std::string table : {"buckets", "lists"}) {
      EXPECT_LE(sink.values["weir_store_entries " + table], sink.values["weir_store_capacity " + table]);
      EXPECT_GE(sink.values["weir_store_capacity " + table], 1000);
    }
    const StoreStats stats = store->Stats();
    EXPECT_LE(stats.entries, stats.capacity);
    EXPECT_EQ(sink.values["weir_store_entries buckets"] + sink.values["weir_store_entries lists"], stats.entries);
  }
}

// ---- reclaiming -----------------------------------------------------------------------------------------------------

TEST(MemoryStore, TrafficSweepsTheWholeTableWithinTheInterval) {
  const auto store = Make({.max_entries = 10'000, .sweep_interval = kMinute});
  const Limit bucket = BucketOf(10), window = WindowOf(10);
  for (int i = 0; i < 4000; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", subject), ItemOf(window, "w", subject)}, kNow);
  }
  EXPECT_EQ(store->Stats().entries, 8000u);
  // Hours later one subject goes on asking: what it leaves behind is only its own.
  const Nanos later = kNow + 5 * kHour;
  for (int i = 0; i < 1300; ++i) {
    (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", "alone")}, later + i * 50 * kMillisecond);
  }
  EXPECT_LE(store->Stats().entries, 2u);
  EXPECT_EQ(store->Stats().reclaimed, 8000u);
}

// A log counts for its window, is there for its retention, and then goes.
TEST(MemoryStore, LogsGoAtTheEndOfTheirRetentionAndNotBefore) {
  const auto store = Make({.max_entries = 1000, .sweep_interval = kSecond});
  Limit log = LogOf(5, kMinute);
  log.retention = 10 * kMinute;
  log = algorithms::Sanitize(log);
  const Item item = ItemOf(log, "log", "a");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Do(*store, Op::kCheck, {item}, kNow).admitted);
  // Another subject's traffic sweeps; its own is only looked at.
  const Limit bucket = BucketOf(1'000'000);
  const auto pass = [&](Nanos until) {
    for (Nanos now = until - 10 * kSecond; now < until; now += 50 * kMillisecond) {
      (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", "other")}, now);
    }
  };
  pass(kNow + kMinute);
  EXPECT_FALSE(Do(*store, Op::kPeek, {item}, kNow + kMinute - 1).admitted) << "all of the window";
  EXPECT_TRUE(Do(*store, Op::kPeek, {item}, kNow + kMinute).admitted);
  pass(kNow + 10 * kMinute);
  EXPECT_EQ(store->Stats().entries, 2u) << "kept";
  pass(kNow + 10 * kMinute + 20 * kSecond);
  EXPECT_EQ(store->Stats().entries, 1u);
}

TEST(MemoryStore, SweepingSurvivesAClockThatIsSetBack) {
  const auto store = Make({.max_entries = 1000, .sweep_interval = kMinute});
  const Limit bucket = BucketOf(10);
  (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", "future")}, kNow + 365 * kDay);
  for (int i = 0; i < 500; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", subject)}, kNow);
  }
  for (int i = 0; i < 300; ++i) {
    (void)Do(*store, Op::kPeek, {ItemOf(bucket, "b", "x")}, kNow + kHour + i * kSecond);
  }
  EXPECT_EQ(store->Stats().entries, 1u);
}

TEST(MemoryStore, APeekStoresNothing) {
  const auto store = Make({.max_entries = 100});
  const Limit bucket = BucketOf(10), window = WindowOf(10);
  for (int i = 0; i < 50; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*store, Op::kPeek, {ItemOf(bucket, "b", subject), ItemOf(window, "w", subject)}, kNow);
  }
  EXPECT_EQ(store->Stats().entries, 0u);
}

TEST(MemoryStore, CountsItsEntries) {
  const auto store = Make({.max_entries = 1000});
  const Limit bucket = BucketOf(10), window = WindowOf(10);
  for (int i = 0; i < 100; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*store, Op::kCheck, {ItemOf(bucket, "b", subject), ItemOf(window, "w", subject)}, kNow);
  }
  EXPECT_EQ(store->Stats().entries, 200u);
  for (int i = 0; i < 50; ++i) {
    const std::string subject = "s" + std::to_string(i);
    (void)Do(*store, Op::kReset, {ItemOf(bucket, "b", subject), ItemOf(window, "w", subject)}, kNow);
  }
  EXPECT_EQ(store->Stats().entries, 100u);
}

}  // namespace
}  // namespace weir::storage::memory
