#include "engine/batch/request_ids.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace weir::engine {
namespace {

Key KeyOf(std::uint64_t n) { return AskDigest().Add(n).Finish(); }

RepeatedAnswer AnswerOf(std::uint64_t remaining) {
  RepeatedAnswer answer;
  answer.outcomes.push_back({.remaining = remaining});
  return answer;
}

class Told final : public storage::Completion {
 public:
  void Done() noexcept override { ++times; }
  std::atomic<int> times{0};
};

TEST(RequestIds, TheFirstAnswersAndLaterOnesAreGivenThat) {
  RequestIds ids;
  ids.SetBounds(1000, kMinute);
  auto [ask, first] = ids.Ask(KeyOf(1), 0);
  ASSERT_TRUE(first);
  ask->Answer(AnswerOf(7));
  const auto again = ids.Ask(KeyOf(1), kMinute - 1);
  EXPECT_FALSE(again.first);
  EXPECT_EQ(again.ask->Wait().outcomes.at(0).remaining, 7U);
  EXPECT_TRUE(ids.Ask(KeyOf(2), 0).first);
  EXPECT_TRUE(ids.Ask(KeyOf(1), kMinute).first) << "its time is over";
}

TEST(RequestIds, AClockThatIsSetBackKeepsNoAnswerForLonger) {
  RequestIds ids;
  ids.SetBounds(1000, kMinute);
  EXPECT_TRUE(ids.Ask(KeyOf(1), kHour).first);
  EXPECT_FALSE(ids.Ask(KeyOf(1), kHour - kMinute + 1).first);
  EXPECT_TRUE(ids.Ask(KeyOf(1), kHour - kMinute).first);
}

TEST(RequestIds, WhatIsForgottenIsAskedAnew) {
  RequestIds ids;
  ids.SetBounds(1000, kMinute);
  const auto denied = ids.Ask(KeyOf(1), 0);
  const auto meanwhile = ids.Ask(KeyOf(1), 0);
  EXPECT_FALSE(meanwhile.first);
  ids.Forget(KeyOf(1), *denied.ask);
  denied.ask->Answer(AnswerOf(0));
  EXPECT_EQ(meanwhile.ask->Wait().outcomes.at(0).remaining, 0U) << "who waited shares the answer";
  const auto anew = ids.Ask(KeyOf(1), 1);
  EXPECT_TRUE(anew.first);
  ids.Forget(KeyOf(1), *denied.ask);
  EXPECT_FALSE(ids.Ask(KeyOf(1), 2).first) << "only the ask that is named is forgotten";
  EXPECT_EQ(ids.entries(), 1U);
}

TEST(RequestIds, WhoWaitsIsToldOnce) {
  RequestIds ids;
  ids.SetBounds(1000, kMinute);
  const auto first = ids.Ask(KeyOf(1), 0);
  Told told, late;
  EXPECT_EQ(first.ask->WaitFor(&told), nullptr);
  EXPECT_EQ(told.times, 0);
  first.ask->Answer(AnswerOf(3));
  EXPECT_EQ(told.times, 1);
  const RepeatedAnswer* const answer = first.ask->WaitFor(&late);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->outcomes.at(0).remaining, 3U);
  EXPECT_EQ(late.times, 0) << "it has its answer already";
}

TEST(RequestIds, BeyondTheBoundTheOldestAreForgottenAndCounted) {
  RequestIds ids;
  ids.SetBounds(160, kHour);
  for (std::uint64_t n = 0; n < 10'000; ++n) {
    EXPECT_TRUE(ids.Ask(KeyOf(n), static_cast<Nanos>(n)).first);
    ASSERT_LE(ids.entries(), 160U);
  }
  EXPECT_EQ(ids.evicted() + ids.entries(), 10'000U);
  EXPECT_FALSE(ids.Ask(KeyOf(9'999), 10'000).first);
  EXPECT_TRUE(ids.Ask(KeyOf(0), 10'000).first);
}

TEST(RequestIds, ABoundThatIsLoweredHoldsBeforeLong) {
  RequestIds ids;
  ids.SetBounds(16'000, kHour);
  for (std::uint64_t n = 0; n < 10'000; ++n) ids.Ask(KeyOf(n), 0);
  ids.SetBounds(16, kHour);
  for (std::uint64_t n = 10'000; n < 12'000; ++n) ids.Ask(KeyOf(n), 0);
  EXPECT_LE(ids.entries(), 16U);
}

TEST(RequestIds, WhatHasExpiredIsDroppedByThoseWhoCome) {
  RequestIds ids;
  ids.SetBounds(100'000, kMinute);
  for (std::uint64_t n = 0; n < 10'000; ++n) ids.Ask(KeyOf(n), 0);
  for (std::uint64_t n = 0; n < 2'000; ++n) ids.Ask(KeyOf(10'000 + n), kHour);
  EXPECT_EQ(ids.entries(), 2'000U);
  EXPECT_EQ(ids.evicted(), 0U) << "their time was over";
}

// Denials are forgotten at once: no number of them fills the table, nor what it keeps beside.
TEST(RequestIds, ManyForgottenOnesLeaveNothing) {
  RequestIds ids;
  ids.SetBounds(1600, kHour);
  EXPECT_TRUE(ids.Ask(KeyOf(UINT64_MAX), 0).first);
  for (std::uint64_t n = 0; n < 100'000; ++n) {
    const auto asked = ids.Ask(KeyOf(n), 1);
    ids.Forget(KeyOf(n), *asked.ask);
  }
  EXPECT_EQ(ids.entries(), 1U);
  EXPECT_EQ(ids.evicted(), 0U);
  EXPECT_FALSE(ids.Ask(KeyOf(UINT64_MAX), 2).first);
}

TEST(RequestIds, OfManyThreadsThatAskOneIsTheFirst) {
  RequestIds ids;
  ids.SetBounds(100'000, kHour);
  constexpr int kThreads = 4, kAsks = 2'000;
  std::vector<std::atomic<int>> firsts(kAsks);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; n < kAsks; ++n) {
        const auto asked = ids.Ask(KeyOf(static_cast<std::uint64_t>(n)), 0);
        if (asked.first) {
          ++firsts[static_cast<std::size_t>(n)];
          asked.ask->Answer(AnswerOf(static_cast<std::uint64_t>(n)));
        } else if (asked.ask->Wait().outcomes.at(0).remaining != static_cast<std::uint64_t>(n)) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& first : firsts) EXPECT_EQ(first, 1);
  EXPECT_EQ(wrong, 0);
}

TEST(AskDigest, TellsApartWhatDiffers) {
  EXPECT_NE(AskDigest().Add("ab").Add("c").Finish(), AskDigest().Add("a").Add("bc").Finish());
  EXPECT_NE(AskDigest().Add("a").Finish(), AskDigest().Add("a").Add("").Finish());
  EXPECT_NE(AskDigest().Add(std::uint64_t{1}).Finish(), AskDigest().Add(std::uint64_t{2}).Finish());
  EXPECT_EQ(AskDigest().Add("a").Add(std::uint64_t{1}).Finish(), AskDigest().Add("a").Add(std::uint64_t{1}).Finish());
}

// Instances of different versions share a store: SHA-256 of the bytes, by sha256sum.
TEST(AskDigest, IsTheSameEverywhere) {
  EXPECT_EQ(AskDigest().Add("weir").Finish(), (Key{.hi = 0x8888299fedff9bd1, .lo = 0x5b09615573cad080}));
}

}  // namespace
}  // namespace weir::engine
