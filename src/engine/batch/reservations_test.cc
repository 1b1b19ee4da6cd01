#include "engine/batch/reservations.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

Reservation At(Nanos since) { return {.charges = {Charge{}}, .since = since}; }

TEST(Reservations, AreTakenOnce) {
  Reservations reservations;
  ASSERT_TRUE(reservations.TakeRoom(0));
  reservations.Put(7, At(0));
  EXPECT_EQ(reservations.open(), 1U);
  EXPECT_FALSE(reservations.Take(8, 0));
  EXPECT_TRUE(reservations.Take(7, 0));
  EXPECT_FALSE(reservations.Take(7, 0));
  EXPECT_EQ(reservations.open(), 0U);
}

TEST(Reservations, ExpireAfterAnHour) {
  Reservations reservations;
  for (const std::uint64_t id : {1U, 2U, 3U}) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(id, At(0));
  }
  EXPECT_TRUE(reservations.Take(1, kHour - 1));
  EXPECT_FALSE(reservations.Take(2, kHour));
  EXPECT_TRUE(reservations.Take(3, -kHour)) << "a clock that goes back expires nothing";
  EXPECT_EQ(reservations.open(), 0U);
}

TEST(Reservations, AreBoundedAndExpiredOnesMakeRoom) {
  Reservations reservations(100);
  for (std::uint64_t id = 1; id <= 100; ++id) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(id, At(0));
  }
  EXPECT_FALSE(reservations.TakeRoom(1));
  EXPECT_EQ(reservations.open(), 100U);
  EXPECT_TRUE(reservations.TakeRoom(kHour));
  reservations.GiveUp();
  EXPECT_EQ(reservations.open(), 0U);
}

TEST(Reservations, SettledOnesBehindAnOldOneAreForgotten) {
  // One that stays open, and a million that come and go: only memory would tell, so this is for the sanitizers and the
  // clock.
  Reservations reservations;
  ASSERT_TRUE(reservations.TakeRoom(0));
  reservations.Put(16, At(0));
  for (std::uint64_t i = 2; i < 100'000; ++i) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(i * 16, At(static_cast<Nanos>(i)));
    ASSERT_TRUE(reservations.Take(i * 16, static_cast<Nanos>(i)));
  }
  EXPECT_TRUE(reservations.Take(16, 1));
}

TEST(Reservations, IdsDoNotRepeat) {
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 10'000; ++i) ids.insert(RandomId());
  EXPECT_EQ(ids.size(), 10'000U);
  EXPECT_FALSE(ids.contains(0));
}

TEST(Reservations, IdsOfAForkedChildAreNotItsParents) {
  (void)RandomId();  // the pool is full of numbers not given out yet
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  constexpr std::size_t kIds = 100;
  const auto draw = [] {
    std::array<std::uint64_t, kIds> ids{};
    for (std::uint64_t& id : ids) id = RandomId();
    return ids;
  };
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto ids = draw();
    const bool written = write(ends[1], ids.data(), sizeof ids) == static_cast<ssize_t>(sizeof ids);
    _exit(written ? 0 : 1);
  }
  const auto mine = draw();
  std::array<std::uint64_t, kIds> theirs{};
  ASSERT_EQ(read(ends[0], theirs.data(), sizeof theirs), static_cast<ssize_t>(sizeof theirs));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  close(ends[0]);
  close(ends[1]);
  std::set<std::uint64_t> all(mine.begin(), mine.end());
  all.insert(theirs.begin(), theirs.end());
  EXPECT_EQ(all.size(), 2 * kIds);
}

TEST(Reservations, AreSettledExactlyOnceByManyThreads) {
  Reservations reservations;
  for (std::uint64_t id = 1; id <= 2000; ++id) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(id, At(0));
  }
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t id = 1; id <= 2000; ++id) taken += reservations.Take(id, 0) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, 2000);
  EXPECT_EQ(reservations.open(), 0U);
}

Reservation Until(Nanos since, Nanos until) { return {.charges = {}, .since = since, .until = until}; }

TEST(Reservations, ThoseThatEndAreNamedOnceInTime) {
  Reservations reservations;
  EXPECT_FALSE(reservations.AnyEnded(INT64_MAX - 1));
  for (std::uint64_t id = 1; id <= 100; ++id) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(id, Until(0, static_cast<Nanos>(id) * 10));
  }
  EXPECT_FALSE(reservations.AnyEnded(9));
  EXPECT_TRUE(reservations.AnyEnded(10));
  ASSERT_TRUE(reservations.Take(30, 0));
  const auto some = reservations.TakeEnded(500, 40);
  EXPECT_EQ(some.size(), 40U);
  EXPECT_TRUE(reservations.AnyEnded(500));
  const auto rest = reservations.TakeEnded(500, 40);
  EXPECT_EQ(rest.size(), 9U);  // but for number 30
  std::set<std::uint64_t> named(some.begin(), some.end());
  named.insert(rest.begin(), rest.end());
  EXPECT_EQ(named.size(), 49U);
  EXPECT_LE(*named.rbegin(), 50U);
  EXPECT_FALSE(reservations.AnyEnded(509));
  EXPECT_TRUE(reservations.AnyEnded(510));
  // Named, and there until somebody takes it.
  EXPECT_TRUE(reservations.Take(50, 500));
}

TEST(Reservations, WhatEndedAndWasPutBackIsNamedAgain) {
  Reservations reservations;
  ASSERT_TRUE(reservations.TakeRoom(0));
  reservations.Put(1, Until(0, 10));
  ASSERT_EQ(reservations.TakeEnded(10, 9).size(), 1U);
  auto taken = reservations.Take(1, 10);
  ASSERT_TRUE(taken);
  reservations.PutBack(1, std::move(*taken), 10);
  EXPECT_TRUE(reservations.TakeEnded(10 + kSecond - 1, 9).empty());
  EXPECT_EQ(reservations.TakeEnded(10 + kSecond, 9).size(), 1U);
}

TEST(Reservations, EndsOfSettledOnesAreForgotten) {
  Reservations reservations;
  for (std::uint64_t i = 1; i < 100'000; ++i) {
    ASSERT_TRUE(reservations.TakeRoom(0));
    reservations.Put(i * 16, Until(0, kMinute));
    ASSERT_TRUE(reservations.Take(i * 16, 0));
  }
  EXPECT_TRUE(reservations.TakeEnded(kMinute, 9).empty());
  EXPECT_FALSE(reservations.AnyEnded(kHour));
}

}  // namespace
}  // namespace weir::engine
