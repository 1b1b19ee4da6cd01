// Many threads on lanes that open, close, change hands and are given back: what was admitted is what an exact history
// of it allows, to the last unit.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "algorithms/oracle.h"
#include "storage/memory/memory_store.h"
#include "storage/memory/snapshot_file.h"
#include "tests/conformance/plans.h"

namespace weir::storage::memory {
namespace {

using algorithms::testing::Event;
using algorithms::testing::Interpolated;
using algorithms::testing::MostInAnyWindow;
using conformance::BucketOf;
using conformance::Do;
using conformance::ItemOf;
using conformance::SubWindowsOf;
using conformance::UsedNow;

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr int kThreads = 4;

std::unique_ptr<MemoryStore> Make(const MemoryStoreOptions& options = {.max_entries = 1000}) {
  return std::move(MemoryStore::Create(options)).value();
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

// All threads ask at one instant, then time moves on, often to just before or after the end of a sub-window. After each
// instant the store has admitted exactly as many as the whole history leaves room for, whatever else was done to the
// state meanwhile; and over all of it never more than the bound that algorithms/sliding_window.h states.
TEST(LaneRaces, AdmitWhatTheWholeHistoryLeavesRoomFor) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    const Nanos precision = seed % 2 == 0 ? kMinute : 7 * kMillisecond;
    const auto sub_windows = static_cast<Nanos>(3 + random() % 8);
    const Limit limit = SubWindowsOf(20 + random() % 200, sub_windows * precision, precision);
    const Limit wide = BucketOf(1'000'000, 1);
    const auto capacity = static_cast<std::int64_t>(limit.capacity);
    const auto store = Make();
    const Item item = ItemOf(limit, "window", "s");
    std::vector<Event> admitted;
    std::vector<std::int64_t> in_sub_window;
    std::int64_t index = 0;
    std::int64_t all = 0;
    Nanos now = kNow;
    for (int instant = 0; instant < 60; ++instant) {
      switch (random() % 5) {
        case 0:
          now += static_cast<Nanos>(random() % static_cast<std::uint64_t>(2 * precision));
          break;
        case 1:
          now += precision - now % precision - 1;
          break;
        case 2:
          now += precision - now % precision;
          break;
        default:
          now += static_cast<Nanos>(random() % static_cast<std::uint64_t>(precision / 4));
      }
      const std::int64_t used = Interpolated(admitted, limit, now);
      std::atomic<std::int64_t> count = 0;
      std::atomic<bool> denied = false;
      Race([&](int thread) {
        // Some with another rule, which always has room.
        std::vector<Item> items = {item};
        if (thread % 2 == 1) items.push_back(ItemOf(wide, "wide", "s"));
        for (int i = 0; i < 25; ++i) {
          if (Do(*store, Op::kCheck, items, now).admitted) {
            ++count;
          } else {
            denied = true;
          }
          if (thread == 0 && i % 8 == 0) (void)UsedNow(*store, item, now);
          if (thread == 1 && i % 10 == 0) (void)store->GetAdmin()->Scan("", 100, now);
          if (thread == 2 && i % 12 == 0) store->Sweep(now, 64);
        }
      });
      ASSERT_EQ(count, std::min<std::int64_t>(kThreads * 25, std::max<std::int64_t>(0, capacity - used))) << seed;
      ASSERT_EQ(denied, count < kThreads * 25);
      if (count > 0) admitted.push_back({now, count});
      all += count;
      if (now / precision != index || in_sub_window.empty()) in_sub_window.push_back(0);
      index = now / precision;
      in_sub_window.back() += count;
    }
    const std::int64_t most = *std::ranges::max_element(in_sub_window);
    ASSERT_LE(MostInAnyWindow(admitted, limit.window), capacity + std::max<std::int64_t>(most, 1) - 1) << seed;
    ASSERT_EQ(UsedNow(*store, ItemOf(wide, "wide", "s"), now) > 0, all > 0);
  }
}

// Two windows that have hardly any room, named in both orders, while other threads close their lanes: a plan that got
// the one and not the other gives it back, in the lane or in the state, and both end with the same count.
TEST(LaneRaces, ALostPlanIsUndoneAlsoWhenItsLaneIsClosed) {
  std::uint64_t rollbacks = 0;
  for (int attempt = 0; attempt < 2000 && (rollbacks == 0 || attempt < 5); ++attempt) {
    const Limit limit = SubWindowsOf(1000);
    const auto store = Make();
    const Item a = ItemOf(limit, "a", "s"), b = ItemOf(limit, "b", "s");
    for (Item item : {a, b}) {
      item.cost = 1000;
      ASSERT_TRUE(Do(*store, Op::kCheck, {item}, kNow).admitted);
    }
    std::atomic<Nanos> clock = kNow + kHour + 10 * kSecond;
    std::atomic<std::uint64_t> admitted = 0;
    std::atomic<int> asking = 2;
    Race([&](int thread) {
      if (thread >= 2) {
        while (asking > 0) (void)UsedNow(*store, thread == 2 ? a : b, clock);
        return;
      }
      for (int i = 0; i < 1500; ++i) {
        const Nanos now = clock.fetch_add(15 * kMillisecond);
        if (Do(*store, Op::kCheck, thread == 0 ? std::vector{a, b} : std::vector{b, a}, now).admitted) ++admitted;
      }
      --asking;
    });
    const Nanos later = kNow + kHour + kMinute;
    ASSERT_EQ(UsedNow(*store, a, later), admitted);
    ASSERT_EQ(UsedNow(*store, b, later), admitted);
    rollbacks += store->Stats().rollbacks;
  }
  EXPECT_GT(rollbacks, 0u);
}

// More subjects than places, states that end as time goes on: places and lanes change hands all the time. Between two
// moments at which everything has ended, no subject is admitted more than its limit.
TEST(LaneRaces, LanesThatChangeHandsAreNeverChargedByMistake) {
  const Limit limit = SubWindowsOf(6, 3 * kSecond, kSecond);
  constexpr int kSubjects = 60;
  const auto store = Make({.max_entries = 16, .full_policy = FullPolicy::kDenyNew});
  for (int round = 0; round < 150; ++round) {
    const Nanos now = kNow + round * kMinute;
    std::vector<std::atomic<int>> admitted(kSubjects);
    Race([&](int thread) {
      std::mt19937_64 random(static_cast<std::uint64_t>(round * kThreads + thread));
      for (int i = 0; i < 60; ++i) {
        // Few of them in each round, so that some ask again and again.
        const std::size_t subject = (random() % 12 + static_cast<std::size_t>(round) * 5) % kSubjects;
        if (Do(*store, Op::kCheck, {ItemOf(limit, "window", "s" + std::to_string(subject))}, now).admitted) {
          admitted[subject].fetch_add(1);
        }
      }
    });
    for (const std::atomic<int>& count : admitted) ASSERT_LE(count, 6);
  }
  EXPECT_EQ(store->Stats().evicted_live, 0u);
  EXPECT_GT(store->Stats().reclaimed, 0u);
  EXPECT_TRUE(store->lists().lanes().used());
}

// A full table that evicts: a spent subject that still asks is not forgotten for newcomers, also where its denials are
// answered without the lock.
TEST(LaneRaces, ASpentSubjectThatAsksIsNotForgottenForNewcomers) {
  const Limit limit = SubWindowsOf(20);
  const auto store = Make({.max_entries = 256});
  const Item spent = ItemOf(limit, "hour", "spent");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Do(*store, Op::kCheck, {spent}, kNow).admitted);
  ASSERT_FALSE(Do(*store, Op::kCheck, {spent}, kNow).admitted);
  std::atomic<int> admitted = 0;
  Race([&](int thread) {
    for (int i = 0; i < 2000; ++i) {
      const Nanos now = kNow + i * 10 * kMillisecond;
      if (thread == 0) {
        admitted += Do(*store, Op::kCheck, {spent}, now).admitted ? 1 : 0;
        continue;
      }
      const std::string name = std::to_string(thread) + " " + std::to_string(i);
      for (int k = 0; k < 3; ++k) (void)Do(*store, Op::kCheck, {ItemOf(limit, "hour", name)}, now);
    }
  });
  EXPECT_EQ(admitted, 0);
  EXPECT_GT(store->Stats().evicted_live, 0u);
}

// Snapshots are written while all threads charge: a snapshot never holds more than was admitted when it was done, nor
// less than what was when it began.
TEST(LaneRaces, SnapshotsHoldWhatWasCharged) {
  const Limit limit = SubWindowsOf(1'000'000);
  const auto store = Make();
  const Item item = ItemOf(limit, "hour", "s");
  const std::string path = ::testing::TempDir() + "lane_races.snapshot";
  std::atomic<std::uint64_t> asked = 0, admitted = 0;
  std::atomic<int> asking = kThreads - 1;
  Race([&](int thread) {
    if (thread > 0) {
      for (int i = 0; i < 4000; ++i) {
        ++asked;
        if (Do(*store, Op::kCheck, {item}, kNow).admitted) ++admitted;
      }
      --asking;
      return;
    }
    while (asking > 0) {
      const std::uint64_t least = admitted;
      ASSERT_TRUE(SaveSnapshot(*store, path, kNow));
      const std::uint64_t most = asked;
      const auto restored = Make();
      ASSERT_TRUE(LoadSnapshot(*restored, path, kNow));
      const std::uint64_t held = UsedNow(*restored, item, kNow);
      ASSERT_GE(held, least);
      ASSERT_LE(held, most);
    }
  });
  std::filesystem::remove(path);
  EXPECT_EQ(UsedNow(*store, item, kNow), admitted);
}

}  // namespace
}  // namespace weir::storage::memory
