#include "storage/memory/cell_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "algorithms/algorithm.h"
#include "storage/memory/states.h"

namespace weir::storage::memory {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

struct Table {
  explicit Table(std::uint64_t max_entries, std::uint64_t secret = 1)
      : cells(std::move(CellTable::Create(max_entries, secret, counters)).value()) {}
  CellTable* operator->() { return cells.get(); }

  // How many cells hold live states of each owner.
  std::map<std::uint64_t, int> Holders() const {
    std::map<std::uint64_t, int> holders;
    for (std::uint64_t i = 0; i < cells->cells(); ++i) {
      const Cell cell = cells->Read(i, 0);
      if (cell.owner > kDead) ++holders[cell.owner];
    }
    return holders;
  }

  Counters counters;
  std::unique_ptr<CellTable> cells;
};

TEST(CellTable, RefusesImpossibleSizes) {
  Counters counters;
  EXPECT_EQ(CellTable::Create(0, 1, counters).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(CellTable::Create((std::uint64_t{1} << 36) + 1, 1, counters).error().code, ErrorCode::kInvalidArgument);
}

TEST(CellTable, TakesAtMost28BytesASubjectAndALine) {
  for (const std::uint64_t entries : {1ULL, 2ULL, 100ULL, 1'000'000ULL, 100'000'000ULL}) {
    EXPECT_LE(CellTable::BytesFor(entries), entries * 28 + 64);
    EXPECT_GE(CellTable::BytesFor(entries), entries * 28);
  }
  EXPECT_LT(CellTable::BytesFor(100'000'000), std::uint64_t{4} << 30);
}

TEST(CellTable, FindsWhatWasInserted) {
  Table table(1000);
  for (std::uint64_t owner = 2; owner < 1002; ++owner) {
    EXPECT_EQ(table->Find(owner).cell, nullptr);
    EXPECT_EQ(table->Insert(owner, kNow + static_cast<Nanos>(owner), kNow, FullPolicy::kDenyNew),
              CellTable::Inserted::kDone);
    EXPECT_EQ(table->Insert(owner, kNow + 5, kNow, FullPolicy::kDenyNew), CellTable::Inserted::kExists);
  }
  for (std::uint64_t owner = 2; owner < 1002; ++owner) {
    EXPECT_EQ(table->Find(owner).word, kNow + static_cast<Nanos>(owner));
  }
  EXPECT_EQ(table.counters.Sum(Count::kEntries), 1000u);
}

TEST(CellTable, SwapsOnlyFromWhatWasRead) {
  Table table(100);
  ASSERT_EQ(table->Insert(7, kNow + 1, kNow, FullPolicy::kDenyNew), CellTable::Inserted::kDone);
  const CellTable::Found found = table->Find(7);
  EXPECT_FALSE(table->Swap(found.cell, 7, kNow + 2, kNow + 3));
  EXPECT_FALSE(table->Swap(found.cell, 8, kNow + 1, kNow + 3)) << "another owner";
  EXPECT_TRUE(table->Swap(found.cell, 7, kNow + 1, kNow + 3));
  EXPECT_EQ(table->Find(7).word, kNow + 3);
  EXPECT_TRUE(table->Swap(found.cell, 7, kNow + 3, 0));
  EXPECT_EQ(table->Find(7).word, 0);
  EXPECT_EQ(table.counters.Sum(Count::kEntries), 0u);
  EXPECT_TRUE(table->Swap(found.cell, 7, 0, kNow + 4)) << "a freed cell is still its owner's until taken";
  EXPECT_EQ(table.counters.Sum(Count::kEntries), 1u);
}

TEST(CellTable, HoldsMaxEntriesWithHardlyAnyPlaceMissing) {
  Table table(100'000);
  std::mt19937_64 random(5);
  int full = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t owner = random() | 2;
    if (table->Insert(owner, kNow + 1, kNow, FullPolicy::kDenyNew) == CellTable::Inserted::kFull) ++full;
  }
  EXPECT_LE(full, 20);
}

// The states of one subject begin in one line, and find other places when that is full.
TEST(CellTable, HoldsMaxEntriesAlsoOfSubjectsWithManyStates) {
  for (const std::uint64_t states : {2ULL, 4ULL, 64ULL}) {
    Table table(100'000);
    std::mt19937_64 random(6);
    int full = 0;
    for (std::uint64_t i = 0; i < 100'000 / states; ++i) {
      const SubjectHash subject{.hi = random(), .lo = random()};
      for (std::uint64_t rule = 0; rule < states; ++rule) {
        const std::uint64_t owner = FingerprintOf(KeyOf(rule, subject));
        if (table->Insert(owner, kNow + 1, kNow, FullPolicy::kDenyNew) == CellTable::Inserted::kFull) ++full;
      }
    }
    EXPECT_LE(full, 60) << states << " states each";
  }
}

// Subjects that differ in few bits, or are multiples of each other, spread as well as random ones.
TEST(CellTable, SpreadsOwnersThatAreAlike) {
  for (const unsigned shift : {0U, 20U, 40U}) {
    Table table(10'000);
    for (std::uint64_t i = 1; i <= 10'000; ++i) {
      EXPECT_EQ(table->Insert((i + 2) << shift, kNow + 1, kNow, FullPolicy::kDenyNew), CellTable::Inserted::kDone)
          << i << " << " << shift;
    }
  }
}

TEST(CellTable, ExpiredStatesGiveWayToNewSubjects) {
  Table table(1);
  const std::uint64_t cells = table->cells();
  for (std::uint64_t owner = 2; owner < 2 + cells; ++owner) {
    ASSERT_EQ(table->Insert(owner, kNow + 1, kNow, FullPolicy::kDenyNew), CellTable::Inserted::kDone);
  }
  EXPECT_EQ(table->Insert(100, kNow + 9, kNow, FullPolicy::kDenyNew), CellTable::Inserted::kFull);
  EXPECT_EQ(table->Insert(100, kNow + 9, kNow + 1, FullPolicy::kDenyNew), CellTable::Inserted::kDone);
  EXPECT_EQ(table->Find(100).word, kNow + 9);
  EXPECT_EQ(table.counters.Sum(Count::kReclaimed), 1u);
  EXPECT_EQ(table.counters.Sum(Count::kEvicted), 0u);
  EXPECT_EQ(table.counters.Sum(Count::kEntries), cells);
}

TEST(CellTable, EvictsTheStateThatExpiresSoonest) {
  Table table(1);
  const std::uint64_t cells = table->cells();
  for (std::uint64_t owner = 2; owner < 2 + cells; ++owner) {
    ASSERT_EQ(table->Insert(owner, kNow + 10 + static_cast<Nanos>((owner * 7) % cells), kNow, FullPolicy::kEvict),
              CellTable::Inserted::kDone);
  }
  std::uint64_t soonest = 2;
  for (std::uint64_t owner = 2; owner < 2 + cells; ++owner) {
    if (table->Find(owner).word < table->Find(soonest).word) soonest = owner;
  }
  EXPECT_EQ(table->Insert(100, kNow + 99, kNow, FullPolicy::kEvict), CellTable::Inserted::kDone);
  EXPECT_EQ(table->Find(soonest).cell, nullptr);
  EXPECT_EQ(table.counters.Sum(Count::kEvicted), 1u);
  EXPECT_EQ(table.counters.Sum(Count::kEntries), cells);
}

TEST(CellTable, SweepFreesExpiredCellsALittleAtATime) {
  Table table(1000);
  for (std::uint64_t owner = 2; owner < 502; ++owner) {
    ASSERT_EQ(table->Insert(owner, kNow + (owner % 2 == 0 ? 1 : 1000), kNow, FullPolicy::kDenyNew),
              CellTable::Inserted::kDone);
  }
  EXPECT_EQ(table->Sweep(kNow, table->cells()), 0u);
  std::uint64_t freed = 0;
  for (std::uint64_t seen = 0; seen < table->cells(); seen += 64) {
    const std::uint64_t now_freed = table->Sweep(kNow + 1, 64);
    EXPECT_LE(now_freed, 64u);
    freed += now_freed;
  }
  EXPECT_EQ(freed, 250u);
  EXPECT_EQ(table.counters.Sum(Count::kEntries), 250u);
  EXPECT_EQ(table.counters.Sum(Count::kReclaimed), 250u);
  for (std::uint64_t owner = 3; owner < 502; owner += 2) EXPECT_EQ(table->Find(owner).word, kNow + 1000);
}

// Through churn that fills, frees and refills every line, no subject is ever lost or doubled.
TEST(CellTable, AgreesWithAMapThroughChurn) {
  Table table(60);
  std::map<std::uint64_t, Word> model;
  std::mt19937_64 random(11);
  Nanos now = kNow;
  for (int i = 0; i < 200'000; ++i) {
    now += static_cast<Nanos>(random() % 3);
    const std::uint64_t owner = 2 + random() % 90;
    const CellTable::Found found = table->Find(owner);
    const auto expected = model.find(owner);
    const Word live = expected != model.end() && expected->second > now ? expected->second : 0;
    ASSERT_EQ(found.word > now ? found.word : 0, live) << "step " << i;
    const Word word = random() % 4 == 0 ? 0 : now + 1 + static_cast<Nanos>(random() % 60);
    if (found.cell != nullptr) {
      ASSERT_TRUE(table->Swap(found.cell, owner, found.word, word));
      model[owner] = word;
    } else if (word != 0) {
      const auto inserted = table->Insert(owner, word, now, FullPolicy::kDenyNew);
      ASSERT_NE(inserted, CellTable::Inserted::kExists);
      if (inserted == CellTable::Inserted::kDone) model[owner] = word;
    }
    if (random() % 50 == 0) table->Sweep(now, 8);
  }
  for (const auto& [owner, count] : table.Holders()) EXPECT_EQ(count, 1) << owner;
}

// The heart of the lock-free insertion: threads that insert the same subjects at the same time, into lines that fill up
// and expire, never make two states of one subject.
TEST(CellTable, ThreadsNeverMakeTwoStatesOfOneSubject) {
  constexpr int kThreads = 4, kOwners = 24, kRounds = 4000;
  Table table(16);
  std::atomic<int> arrived = 0;
  std::atomic<int> doubled = 0;
  const auto meet = [&](int round, int stage) {
    arrived.fetch_add(1);
    while (arrived.load() < (round * 2 + stage) * kThreads) std::this_thread::yield();
  };
  const auto work = [&](int thread) {
    std::mt19937_64 random(static_cast<std::uint64_t>(thread) + 1);
    for (int round = 0; round < kRounds; ++round) {
      const Nanos now = kNow + round * 10;
      for (int i = 0; i < kOwners; ++i) {
        const std::uint64_t owner = 2 + (random() % kOwners);
        const CellTable::Found found = table->Find(owner);
        if (found.cell == nullptr) {
          (void)table->Insert(owner, now + 1 + static_cast<Nanos>(random() % 30), now, FullPolicy::kDenyNew);
        } else if (found.word <= now) {
          (void)table->Swap(found.cell, owner, found.word, now + 1 + static_cast<Nanos>(random() % 30));
        }
      }
      meet(round, 1);
      if (thread == 0) {
        for (const auto& [owner, count] : table.Holders()) doubled += count > 1 ? 1 : 0;
      }
      meet(round, 2);
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(doubled, 0);
}

// What the table takes for granted about word algorithms: the word is a time at which it has expired, and never
// negative.
TEST(CellTable, EveryWordIsATimeAtWhichItHasExpired) {
  std::mt19937_64 random(3);
  for (const algorithms::Algorithm& algorithm : algorithms::All()) {
    EXPECT_EQ(ShapeOf(algorithm.kind), algorithm.shape) << algorithm.name;
    if (algorithm.shape != algorithms::Shape::kWord) continue;
    for (int i = 0; i < 2000; ++i) {
      Limit limit;
      limit.kind = algorithm.kind;
      limit.capacity = random() % 1000;
      limit.rate_count = 1 + random() % 100;
      limit.rate_period = static_cast<Nanos>(1 + random() % 10'000'000'000);
      const Nanos least = algorithm.kind == Kind::kAnchoredWindow ? kMillisecond : 1001;
      limit.window = limit.precision = least + static_cast<Nanos>(random() % kHour);
      limit.calendar = static_cast<algorithms::Calendar>(1 + random() % 7);
      limit = algorithms::Sanitize(limit);
      ASSERT_EQ(limit.kind, algorithm.kind);
      Word word = 0;
      Nanos now = kNow;
      for (int step = 0; step < 10; ++step) {
        now += static_cast<Nanos>(random() % kSecond);
        const std::uint64_t cost = step == 9 ? UINT64_MAX : random() % 20;
        algorithm.apply_word(limit, {static_cast<Op>(random() % 6), cost, now, 0}, word);
        ASSERT_GE(word, 0);
        const Nanos expires = algorithm.expires_word(limit, word);
        if (word > now) {
          ASSERT_LE(expires, word);
          // Hardly later: a cell is not kept for long in vain.
          ASSERT_LE(word - expires, algorithm.used_word(limit, word, expires - 1));
        } else {
          ASSERT_LE(expires, now);
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir::storage::memory
