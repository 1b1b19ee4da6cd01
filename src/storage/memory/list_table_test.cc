#include "storage/memory/list_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

namespace weir::storage::memory {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

Key KeyOf(std::uint64_t number) {
  return HashKey(9, std::string(reinterpret_cast<const char*>(&number), sizeof(number)));
}

ListState StateOf(std::uint64_t number, Nanos expires, std::size_t words = 2) {
  return {.key = KeyOf(number),
          .kind = Kind::kFixedWindow,
          .expires = expires,
          .words = Words(words, static_cast<algorithms::Word>(number))};
}

TEST(ListShard, AgreesWithAMap) {
  ListShard shard;
  shard.SetSecret(77);
  ListBudget budget(UINT64_MAX, UINT64_MAX);
  std::map<std::uint64_t, Nanos> model;
  std::mt19937_64 random(2);
  for (int i = 0; i < 100'000; ++i) {
    // The number of states swells and shrinks, so that the index is rebuilt both ways.
    const std::uint64_t number = random() % (i / 20'000 % 2 == 0 ? 500 : 20);
    ListState* state = shard.Find(KeyOf(number), Kind::kFixedWindow);
    ASSERT_EQ(state != nullptr, model.contains(number));
    if (state != nullptr) {
      ASSERT_EQ(state->expires, model[number]);
      ASSERT_EQ(state->words[0], static_cast<algorithms::Word>(number));
    }
    if (state == nullptr && random() % 2 == 0) {
      shard.Insert(StateOf(number, i), budget);
      model[number] = i;
    } else if (state != nullptr && random() % 3 == 0) {
      shard.Erase(state, budget);
      model.erase(number);
    } else if (random() % 500 == 0) {
      const Nanos now = i - 2000;
      while (shard.Reclaim(now, shard.size(), budget) != 0) {
      }
      std::erase_if(model, [&](const auto& entry) { return entry.second <= now; });
    }
    ASSERT_EQ(shard.size(), model.size());
    ASSERT_EQ(budget.states(), model.size());
  }
  while (shard.size() > 0) shard.Erase(shard.Find(shard.at(0).key, Kind::kFixedWindow), budget);
  EXPECT_EQ(budget.states(), 0u);
  EXPECT_EQ(budget.bytes(), 0u);
}

TEST(ListShard, AStateOfAnotherKindIsNotFoundAndIsReplaced) {
  ListShard shard;
  ListBudget budget(100, 100'000);
  shard.Insert(StateOf(1, kNow), budget);
  EXPECT_EQ(shard.Find(KeyOf(1), Kind::kSlidingWindow), nullptr);
  ListState other = StateOf(1, kNow + 1);
  other.kind = Kind::kSlidingWindow;
  shard.Insert(std::move(other), budget);
  EXPECT_EQ(shard.Find(KeyOf(1), Kind::kFixedWindow), nullptr);
  EXPECT_NE(shard.Find(KeyOf(1), Kind::kSlidingWindow), nullptr);
  EXPECT_EQ(budget.states(), 1u);
}

TEST(ListShard, AccountsForGrowth) {
  ListShard shard;
  ListBudget budget(100, 100'000);
  ListState* state = shard.Insert(StateOf(1, kNow), budget);
  const std::uint64_t before = budget.bytes();
  const std::uint64_t bytes_before = ListShard::BytesOf(*state);
  state->words.resize(100);
  ListShard::Account(*state, bytes_before, budget);
  EXPECT_EQ(budget.bytes() - before, (state->words.capacity() - 2) * sizeof(algorithms::Word));
}

TEST(ListShard, EvictsSoonestButNeverTheOneThatIsSpared) {
  ListShard shard;
  ListBudget budget(100, 100'000);
  for (std::uint64_t i = 1; i <= 5; ++i) shard.Insert(StateOf(i, kNow + static_cast<Nanos>(i)), budget);
  EXPECT_TRUE(shard.Evict(KeyOf(1), ListShard::Spent::kKeep, budget));
  EXPECT_NE(shard.Find(KeyOf(1), Kind::kFixedWindow), nullptr);
  EXPECT_EQ(shard.Find(KeyOf(2), Kind::kFixedWindow), nullptr);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(shard.Evict(KeyOf(1), ListShard::Spent::kKeep, budget));
  EXPECT_FALSE(shard.Evict(KeyOf(1), ListShard::Spent::kKeep, budget));
  EXPECT_EQ(shard.size(), 1u);
}

TEST(ListTable, MakesRoomInItsOwnShardOrAnother) {
  Counters counters;
  ListTable table(10, 1 << 20, 0, 5, counters);
  for (std::uint64_t i = 0; i < 10; ++i) {
    table.ShardOf(KeyOf(i)).Insert(StateOf(i, kNow + 1), table.budget());
  }
  ShardLocks locks(table);
  locks.Want(KeyOf(100));
  locks.Acquire();
  EXPECT_FALSE(table.budget().HasRoomForState());
  EXPECT_FALSE(table.MakeRoom(KeyOf(100), kNow, ListTable::Victims::kExpired, locks));
  EXPECT_TRUE(table.MakeRoom(KeyOf(100), kNow, ListTable::Victims::kAlsoLive, locks));
  EXPECT_EQ(counters.Sum(Count::kEvicted), 1u);
  EXPECT_TRUE(table.MakeRoom(KeyOf(100), kNow + 1, ListTable::Victims::kExpired, locks));
  EXPECT_GE(counters.Sum(Count::kReclaimed), 1u);
  EXPECT_TRUE(table.budget().HasRoomForState());
}

TEST(ListTable, SweepsAllShardsInTurn) {
  Counters counters;
  ListTable table(10'000, 1 << 24, 0, 5, counters);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    table.ShardOf(KeyOf(i)).Insert(StateOf(i, kNow + static_cast<Nanos>(i % 2)), table.budget());
  }
  std::uint64_t dropped = 0;
  for (int i = 0; i < 1000; ++i) dropped += table.Sweep(kNow, 16);
  EXPECT_EQ(dropped, 2500u);
  EXPECT_EQ(table.budget().states(), 2500u);
}

TEST(ListTable, SweepsNoMoreShardsThanItIsTold) {
  Counters counters;
  ListTable table(10'000, 1 << 24, 0, 5, counters);
  for (std::uint64_t i = 0; i < 5000; ++i) table.ShardOf(KeyOf(i)).Insert(StateOf(i, kNow), table.budget());
  ASSERT_GE(table.shards(), 32u);
  std::uint64_t dropped = 0;
  for (std::size_t shard = 0; shard < table.shards(); ++shard) {
    const std::uint64_t size = table.ShardAt(shard).size();
    EXPECT_EQ(table.Sweep(kNow, 10'000, 1), size);
    dropped += size;
  }
  EXPECT_EQ(dropped, 5000u);
}

TEST(ShardLocks, PlansThatNameTheSameShardsInAnyOrderNeverWaitForEachOtherForEver) {
  Counters counters;
  ListTable table(10'000, 1 << 24, 0, 5, counters);
  std::uint64_t total = 0;  // guarded by the shard of KeyOf(0)
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(thread);
      for (int i = 0; i < 20'000; ++i) {
        ShardLocks locks(table);
        for (int wanted = 0; wanted < 4; ++wanted) locks.Want(KeyOf(random() % 20));
        locks.Want(KeyOf(0));
        locks.Want(KeyOf(0));
        locks.Acquire();
        ++total;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, 80'000u);
}

}  // namespace
}  // namespace weir::storage::memory
