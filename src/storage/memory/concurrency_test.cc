// Many threads on few subjects: never more than the limit, all or nothing, nothing lost or counted twice. Each test
// goes on until collisions have really happened, and fails when they have not.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "storage/memory/memory_store.h"
#include "tests/conformance/plans.h"

namespace weir::storage::memory {
namespace {

using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::SubWindowsOf;
using conformance::UsedNow;
using conformance::WindowOf;

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr int kThreads = 4;
constexpr int kMostAttempts = 10'000;  // on a busy machine the threads seldom really meet

std::unique_ptr<MemoryStore> Make(std::uint64_t max_entries = 1000) {
  return std::move(MemoryStore::Create({.max_entries = max_entries})).value();
}

// Runs `work(thread)` on all threads, which begin together.
void Race(const std::function<void(int)>& work) {
  std::atomic<int> waiting = kThreads;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      waiting.fetch_sub(1);
      while (waiting.load() > 0) std::this_thread::yield();
      work(thread);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// One plan over and over, without allocating between.
class Asker {
 public:
  Asker(MemoryStore& store, std::vector<Item> items)
      : store_(store), items_(std::move(items)), outcomes_(items_.size()) {}
  bool Ask(Op op, Nanos now = kNow) {
    Plan plan{op, items_, outcomes_, PlanStatus::kOk, false};
    (void)store_.Apply({&plan, 1}, now, nullptr);
    return plan.admitted;
  }

 private:
  MemoryStore& store_;
  std::vector<Item> items_;
  std::vector<Outcome> outcomes_;
};

TEST(Concurrency, AHotBucketAdmitsExactlyItsLimit) {
  const Limit limit = BucketOf(5000);
  std::uint64_t collisions = 0;
  for (int attempt = 0; attempt < kMostAttempts && collisions == 0; ++attempt) {
    const auto store = Make();
    std::atomic<int> admitted = 0;
    Race([&](int) {
      Asker asker(*store, {ItemOf(limit, "bucket", "hot")});
      int mine = 0;
      for (int i = 0; i < 4000; ++i) mine += asker.Ask(Op::kCheck) ? 1 : 0;
      admitted += mine;
    });
    ASSERT_EQ(admitted, 5000);
    collisions += store->Stats().collisions;
  }
  EXPECT_GT(collisions, 0u);
}

TEST(Concurrency, ANewSubjectIsMadeOnceHoweverManyMeetIt) {
  const Limit limit = BucketOf(3);
  std::uint64_t collisions = 0;
  for (int attempt = 0; attempt < kMostAttempts && (collisions == 0 || attempt < 3); ++attempt) {
    const auto store = Make();
    constexpr int kSubjects = 500;
    std::vector<std::string> subjects;
    for (int i = 0; i < kSubjects; ++i) subjects.push_back("s" + std::to_string(i));
    std::array<std::atomic<int>, kSubjects> admitted{};
    Race([&](int) {
      for (std::size_t i = 0; i < kSubjects; ++i) {
        Asker asker(*store, {ItemOf(limit, "bucket", subjects[i])});
        for (int ask = 0; ask < 3; ++ask) admitted[i] += asker.Ask(Op::kCheck) ? 1 : 0;
      }
    });
    for (const std::atomic<int>& count : admitted) ASSERT_EQ(count, 3);
    ASSERT_EQ(store->Stats().entries, std::uint64_t{kSubjects});
    ASSERT_EQ(store->Stats().evicted_live, 0u) << "there is room for all";
    collisions += store->Stats().collisions;
  }
  EXPECT_GT(collisions, 0u);
}

// Threads take from two or three limits at once, in different orders, and give back what they got. Before each gives
// back, what all hold together is checked against each limit.
void HoldsAllOrNothing(const std::array<Limit, 3>& limits, bool must_roll_back) {
  constexpr std::array<std::array<int, 3>, kThreads> kOrders = {{{0, 1, 2}, {2, 1, 0}, {1, 0, -1}, {2, 0, -1}}};
  constexpr std::array<std::string_view, 3> kRules = {"a", "b", "c"};
  std::uint64_t collisions = 0, rollbacks = 0;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const auto store = Make();
    std::array<std::atomic<std::int64_t>, 3> held{};
    std::atomic<int> exceeded = 0, admitted = 0, denied = 0;
    Race([&](int thread) {
      std::vector<Item> items;
      std::vector<std::size_t> rules;
      for (const int rule : kOrders[static_cast<std::size_t>(thread)]) {
        if (rule < 0) continue;
        rules.push_back(static_cast<std::size_t>(rule));
        items.push_back(ItemOf(limits[rules.back()], kRules[rules.back()], "s", 1 + rules.back() % 2));
      }
      Asker asker(*store, items);
      for (int i = 0; i < 3000; ++i) {
        if (!asker.Ask(Op::kCheck)) {
          ++denied;
          continue;
        }
        ++admitted;
        for (std::size_t k = 0; k < rules.size(); ++k) {
          const auto cost = static_cast<std::int64_t>(items[k].cost);
          const auto limit = static_cast<std::int64_t>(limits[rules[k]].capacity);
          if (held[rules[k]].fetch_add(cost) + cost > limit) ++exceeded;
        }
        for (std::size_t k = 0; k < rules.size(); ++k) {
          held[rules[k]].fetch_sub(static_cast<std::int64_t>(items[k].cost));
        }
        asker.Ask(Op::kRefund);
      }
    });
    ASSERT_EQ(exceeded, 0);
    ASSERT_GT(admitted, 0);
    // Everything was given back: any plan that charged without being admitted, or was admitted without charging, shows.
    for (std::size_t rule = 0; rule < 3; ++rule) {
      ASSERT_EQ(UsedNow(*store, ItemOf(limits[rule], kRules[rule], "s"), kNow), 0u) << kRules[rule];
    }
    collisions += store->Stats().collisions;
    rollbacks += store->Stats().rollbacks;
    if (collisions > 0 && (rollbacks > 0 || !must_roll_back) && attempt >= 2) break;
  }
  EXPECT_GT(collisions, 0u);
  if (must_roll_back) {
    EXPECT_GT(rollbacks, 0u);
  }
}

TEST(Concurrency, PlansOfBucketsAreAllOrNothing) { HoldsAllOrNothing({BucketOf(3), BucketOf(3), BucketOf(4)}, true); }

TEST(Concurrency, PlansOfBucketsAndEpochWindowsAreAllOrNothing) {
  HoldsAllOrNothing({EpochWindowOf(3), BucketOf(3), EpochWindowOf(4)}, true);
}

TEST(Concurrency, PlansOfDefaultRulesAreAllOrNothing) {
  HoldsAllOrNothing({DefaultOf(3), BucketOf(3), DefaultOf(4)}, true);
}

TEST(Concurrency, PlansOfBucketsAndWindowsAreAllOrNothing) {
  HoldsAllOrNothing({BucketOf(3), WindowOf(3), BucketOf(4)}, false);
}

TEST(Concurrency, PlansOfBucketsAndSubWindowsAreAllOrNothing) {
  HoldsAllOrNothing({BucketOf(3), SubWindowsOf(3), BucketOf(4)}, false);
}

// Two spent limits leave a little room as time goes on, for which plans compete that name them in opposite orders. In
// lanes alone: what one has charged when the other was faster is given back there.
TEST(Concurrency, WhatIsLostInALaneIsGivenBack) {
  const Limit limit = SubWindowsOf(1000);
  std::uint64_t rollbacks = 0;
  for (int attempt = 0; attempt < kMostAttempts && rollbacks == 0; ++attempt) {
    const auto store = Make();
    const Item a = ItemOf(limit, "a", "s"), b = ItemOf(limit, "b", "s");
    for (Item item : {a, b}) {
      item.cost = 1000;
      ASSERT_TRUE(Do(*store, Op::kCheck, {item}, kNow).admitted);
    }
    // The minute in which what was used leaves the window, a unit each 60 ms.
    std::atomic<Nanos> clock = kNow + kHour + 10 * kSecond;
    std::atomic<std::uint64_t> admitted = 0;
    Race([&](int thread) {
      Asker asker(*store, thread % 2 == 0 ? std::vector<Item>{a, b} : std::vector<Item>{b, a});
      for (int i = 0; i < 800; ++i) {
        if (asker.Ask(Op::kCheck, clock.fetch_add(15 * kMillisecond))) ++admitted;
      }
    });
    // What is left of the old ones at the end of the minute is nothing.
    const Nanos later = kNow + kHour + kMinute;
    ASSERT_GT(admitted, 500u);
    ASSERT_EQ(UsedNow(*store, a, later), admitted);
    ASSERT_EQ(UsedNow(*store, b, later), admitted);
    rollbacks += store->Stats().rollbacks;
  }
  EXPECT_GT(rollbacks, 0u);
}

// Sub-windows pass while all threads ask, states are looked at, given back and written to a snapshot's scan: what was
// admitted and not given back is counted, to the last one, and never more than the limit.
TEST(Concurrency, LanesThatOpenAndCloseLoseAndDoubleNothing) {
  const Limit limit = SubWindowsOf(2'000, kHour, kMinute);
  std::uint64_t collisions = 0;
  for (int attempt = 0; attempt < kMostAttempts && (collisions == 0 || attempt < 3); ++attempt) {
    const auto store = Make();
    std::atomic<std::int64_t> held = 0;
    Race([&](int thread) {
      const Item item = ItemOf(limit, "hour", "hot");
      Asker asker(*store, {item});
      std::int64_t mine = 0;
      for (int i = 0; i < 1500; ++i) {
        const Nanos now = kNow + i / 150 * kMinute;
        mine += asker.Ask(Op::kCheck, now) ? 1 : 0;
        if (thread == 0 && i % 50 == 0) (void)asker.Ask(Op::kPeek, now);
        if (thread == 1 && i % 70 == 0) {
          const algorithms::PastCharge charge{.cost = 1, .at = now};
          Item refund = item;
          refund.charge = &charge;
          const std::uint64_t before = static_cast<std::uint64_t>(mine);
          if (before > 0 && asker.Ask(Op::kCheck, now)) (void)Do(*store, Op::kRefund, {refund}, now);
        }
        if (thread == 2 && i % 90 == 0) (void)store->GetAdmin()->Scan("", 100, now);
      }
      held += mine;
    });
    ASSERT_LE(held, 2'000);
    ASSERT_EQ(UsedNow(*store, ItemOf(limit, "hour", "hot"), kNow + 9 * kMinute), static_cast<std::uint64_t>(held));
    collisions += store->Stats().collisions;
  }
  EXPECT_GT(collisions, 0u);
}

TEST(Concurrency, ADeniedRuleTakesNothingFromTheOthers) {
  // `narrow` runs out at once; `wide` must then hold exactly what was admitted.
  const Limit wide = BucketOf(1'000'000), narrow = BucketOf(100);
  std::uint64_t collisions = 0;
  for (int attempt = 0; attempt < kMostAttempts && collisions == 0; ++attempt) {
    const auto store = Make();
    std::atomic<std::uint64_t> admitted = 0;
    Race([&](int thread) {
      std::vector<Item> items = {ItemOf(wide, "wide", "s"), ItemOf(narrow, "narrow", "s")};
      if (thread % 2 == 1) std::swap(items[0], items[1]);
      Asker asker(*store, items);
      std::uint64_t mine = 0;
      for (int i = 0; i < 2000; ++i) mine += asker.Ask(Op::kCheck) ? 1U : 0U;
      admitted += mine;
    });
    ASSERT_EQ(admitted, 100u);
    ASSERT_EQ(UsedNow(*store, ItemOf(wide, "wide", "s"), kNow), 100u);
    ASSERT_EQ(UsedNow(*store, ItemOf(narrow, "narrow", "s"), kNow), 100u);
    collisions += store->Stats().collisions;
  }
  EXPECT_GT(collisions, 0u);
}

TEST(Concurrency, OneSubjectNamedTwiceInAPlanIsExactToo) {
  const Limit limit = BucketOf(2000);
  const auto store = Make();
  std::atomic<int> admitted = 0;
  Race([&](int) {
    const Item item = ItemOf(limit, "bucket", "s");
    Asker asker(*store, {item, item});
    for (int i = 0; i < 1000; ++i) admitted += asker.Ask(Op::kCheck) ? 1 : 0;
  });
  EXPECT_EQ(admitted, 1000);
  EXPECT_EQ(UsedNow(*store, ItemOf(limit, "bucket", "s"), kNow), 2000u);
}

// While a rule changes, some requests still ask by its previous form and some by the new one, both ways round (the
// change is rolled back at the same time), and some know nothing of a change. What was admitted is found again, to the
// last one.
void LosesNothingWhileRulesChange(const Limit& first, const Limit& second, bool both_ways) {
  for (int attempt = 0; attempt < 30; ++attempt) {
    const auto store = Make();
    std::vector<std::string> subjects;
    for (int i = 0; i < 40; ++i) subjects.push_back("s" + std::to_string(i));
    std::vector<std::atomic<std::uint64_t>> admitted(subjects.size());
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      Asker asker(*store, {ItemOf(first, "rule@1", subjects[i])});
      for (int k = 0; k < 5; ++k) admitted[i] += asker.Ask(Op::kCheck) ? 1U : 0U;
    }
    Race([&](int thread) {
      for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < subjects.size(); ++i) {
          Item item = conformance::After(ItemOf(second, "rule@2", subjects[i]), first, "rule@1");
          if (thread % 2 == 1) item = ItemOf(first, "rule@1", subjects[i]);
          const bool late = round % 4 == thread;
          if (thread % 2 == 1 && both_ways && !late) item = conformance::After(item, second, "rule@2");
          if (thread == 2 && late) item = ItemOf(second, "rule@2", subjects[i]);
          Asker asker(*store, {item});
          if (asker.Ask(Op::kCheck)) admitted[i].fetch_add(1);
        }
      }
    });
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      const std::uint64_t found = UsedNow(*store, ItemOf(first, "rule@1", subjects[i]), kNow) +
                                  UsedNow(*store, ItemOf(second, "rule@2", subjects[i]), kNow);
      ASSERT_EQ(found, admitted[i].load()) << subjects[i] << " attempt " << attempt;
    }
  }
}

TEST(Concurrency, ABucketThatChangesLosesAndDoublesNothing) {
  LosesNothingWhileRulesChange(BucketOf(100'000), BucketOf(200'000), false);
  LosesNothingWhileRulesChange(BucketOf(100'000), BucketOf(200'000, 120), true);
}

// What was used counts at every moment of the move: never is more admitted than the new limit leaves.
void AdmitsOnlyWhatIsLeft(const Limit& first, const Limit& second) {
  constexpr int kSubjects = 300;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto store = Make();
    std::vector<std::string> subjects;
    std::array<std::atomic<std::uint64_t>, kSubjects> admitted{};
    for (int i = 0; i < kSubjects; ++i) {
      subjects.push_back("s" + std::to_string(i));
      Asker asker(*store, {ItemOf(first, "rule@1", subjects.back(), first.capacity)});
      ASSERT_TRUE(asker.Ask(Op::kCheck));
    }
    Race([&](int) {
      for (std::size_t i = 0; i < kSubjects; ++i) {
        const Item item = conformance::After(ItemOf(second, "rule@2", subjects[i]), first, "rule@1");
        Asker asker(*store, {item});
        for (int ask = 0; ask < 4; ++ask) admitted[i] += asker.Ask(Op::kCheck) ? 1U : 0U;
      }
    });
    for (const auto& count : admitted) ASSERT_EQ(count, second.capacity - first.capacity);
  }
}

TEST(Concurrency, WhatMovesIsCountedAtEveryMoment) {
  AdmitsOnlyWhatIsLeft(BucketOf(10), BucketOf(13));
  AdmitsOnlyWhatIsLeft(BucketOf(10), BucketOf(13, 600));
  AdmitsOnlyWhatIsLeft(BucketOf(10), WindowOf(13));
  AdmitsOnlyWhatIsLeft(BucketOf(10), EpochWindowOf(13));
  AdmitsOnlyWhatIsLeft(EpochWindowOf(10), EpochWindowOf(13, kHour));
  AdmitsOnlyWhatIsLeft(EpochWindowOf(10), WindowOf(13));
  AdmitsOnlyWhatIsLeft(DefaultOf(10), DefaultOf(13));
  AdmitsOnlyWhatIsLeft(DefaultOf(990), DefaultOf(1003));  // of another grid
  AdmitsOnlyWhatIsLeft(BucketOf(10), DefaultOf(13));
  AdmitsOnlyWhatIsLeft(WindowOf(10), BucketOf(13));
  AdmitsOnlyWhatIsLeft(WindowOf(10), conformance::LogOf(13));
  AdmitsOnlyWhatIsLeft(SubWindowsOf(10), SubWindowsOf(13));
  AdmitsOnlyWhatIsLeft(SubWindowsOf(10), SubWindowsOf(13, kHour, 2 * kMinute));
  AdmitsOnlyWhatIsLeft(BucketOf(10), SubWindowsOf(13));
  AdmitsOnlyWhatIsLeft(SubWindowsOf(10), BucketOf(13));
}

TEST(Concurrency, ABucketThatBecomesAWindowLosesAndDoublesNothing) {
  LosesNothingWhileRulesChange(BucketOf(100'000), WindowOf(100'000), true);
}

TEST(Concurrency, AWindowThatBecomesABucketLosesAndDoublesNothing) {
  LosesNothingWhileRulesChange(WindowOf(100'000), BucketOf(100'000), true);
  LosesNothingWhileRulesChange(EpochWindowOf(100'000), BucketOf(100'000), true);
}

TEST(Concurrency, AWindowThatChangesLosesAndDoublesNothing) {
  LosesNothingWhileRulesChange(WindowOf(100'000), WindowOf(200'000, kHour), true);
  LosesNothingWhileRulesChange(EpochWindowOf(100'000), EpochWindowOf(200'000, kHour), true);
  LosesNothingWhileRulesChange(EpochWindowOf(100'000), WindowOf(200'000), true);
  LosesNothingWhileRulesChange(DefaultOf(100'000), DefaultOf(120'000), true);
  LosesNothingWhileRulesChange(DefaultOf(100'000), DefaultOf(200'000, kHour), true);
  LosesNothingWhileRulesChange(SubWindowsOf(100'000), SubWindowsOf(200'000), true);
  LosesNothingWhileRulesChange(SubWindowsOf(100'000), BucketOf(200'000), true);
  LosesNothingWhileRulesChange(DefaultOf(100'000), SubWindowsOf(200'000), true);
}

// Windows open, fill up and end while all threads ask: never is more admitted in one than its limit.
TEST(Concurrency, WindowsThatOpenAndEndUnderAllThreadsAdmitExactlyTheirLimit) {
  const Limit limit = DefaultOf(40, kMillisecond);
  std::uint64_t collisions = 0;
  for (int attempt = 0; attempt < kMostAttempts && (collisions == 0 || attempt < 3); ++attempt) {
    const auto store = Make();
    constexpr int kWindows = 50;
    const auto begin_of = [](int window) { return kNow + window * 2 * kMillisecond; };
    std::atomic<int> admitted = 0;
    Race([&](int) {
      Asker asker(*store, {ItemOf(limit, "default", "hot")});
      for (int window = 0; window < kWindows; ++window) {
        // All threads ask by the same times, but not at the same time: those who come late ask in the past, and are
        // counted in the window that is open.
        for (int i = 0; i < 20; ++i) admitted += asker.Ask(Op::kCheck, begin_of(window)) ? 1 : 0;
      }
    });
    ASSERT_LE(admitted, 40 * kWindows);
    ASSERT_EQ(UsedNow(*store, ItemOf(limit, "default", "hot"), begin_of(kWindows - 1)), 40u);
    collisions += store->Stats().collisions;
  }
  EXPECT_GT(collisions, 0u);
}

// Cells change hands all the time: more subjects than places, states that expire as time goes on. What a subject is
// admitted between two moments at which everything has expired is never more than its limit.
TEST(Concurrency, CellsThatChangeHandsAreNeverChargedByMistake) {
  const Limit limit = BucketOf(2, 60'000);  // 1 ms a unit
  constexpr int kSubjects = 60;
  std::vector<std::string> subjects;
  for (int i = 0; i < kSubjects; ++i) subjects.push_back("s" + std::to_string(i));
  const auto store = std::move(MemoryStore::Create({.max_entries = 16, .full_policy = FullPolicy::kDenyNew})).value();
  for (int round = 0; round < 400; ++round) {
    const Nanos now = kNow + round * kSecond;
    std::vector<std::atomic<int>> admitted(kSubjects);
    Race([&](int thread) {
      std::mt19937_64 random(static_cast<std::uint64_t>(round * kThreads + thread));
      for (int i = 0; i < 60; ++i) {
        const std::size_t subject = random() % kSubjects;
        Asker asker(*store, {ItemOf(limit, "bucket", subjects[subject])});
        if (asker.Ask(Op::kCheck, now)) admitted[subject].fetch_add(1);
      }
    });
    for (const std::atomic<int>& count : admitted) ASSERT_LE(count, 2);
  }
  EXPECT_EQ(store->Stats().evicted_live, 0u);
  EXPECT_GT(store->Stats().reclaimed, 0u);
  EXPECT_GT(store->Stats().refused_new, 0u);
}

TEST(Concurrency, SweepingTakesNothingFromTheLiving) {
  const Limit limit = BucketOf(50'000), window = WindowOf(50'000);
  const auto store = Make();
  std::atomic<int> bucket_admitted = 0, window_admitted = 0;
  Race([&](int thread) {
    if (thread == 0) {
      for (int i = 0; i < 3000; ++i) store->Sweep(kNow, 64);
      return;
    }
    Asker bucket(*store, {ItemOf(limit, "bucket", "s")}), windows(*store, {ItemOf(window, "window", "s")});
    for (int i = 0; i < 3000; ++i) {
      bucket_admitted += bucket.Ask(Op::kCheck) ? 1 : 0;
      window_admitted += windows.Ask(Op::kCheck) ? 1 : 0;
    }
  });
  EXPECT_EQ(UsedNow(*store, ItemOf(limit, "bucket", "s"), kNow), static_cast<std::uint64_t>(bucket_admitted));
  EXPECT_EQ(UsedNow(*store, ItemOf(window, "window", "s"), kNow), static_cast<std::uint64_t>(window_admitted));
}

}  // namespace
}  // namespace weir::storage::memory
