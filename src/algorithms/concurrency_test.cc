#include "algorithms/concurrency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit Slots(std::uint64_t capacity, Nanos lease) {
  Limit limit;
  limit.kind = Kind::kConcurrency;
  limit.capacity = capacity;
  limit.lease = lease;
  return Sanitize(limit);
}

TEST(Concurrency, AcquiresAndReleases) {
  Counter counter(Slots(2, kMinute));
  EXPECT_EQ(counter.Check(1, kStart, 11).remaining, 1U);
  EXPECT_EQ(counter.Check(1, kStart + 1, 12).remaining, 0U);
  const Outcome denied = counter.Check(1, kStart + 2, 13);
  EXPECT_EQ(denied.verdict, Verdict::kLater);
  EXPECT_EQ(denied.retry_after_ns, kMinute - 2);
  EXPECT_EQ(counter.Do(Op::kRefund, 1, kStart + 3, 11).remaining, 1U);
  EXPECT_EQ(counter.Check(1, kStart + 4, 13).verdict, Verdict::kAllowed);
}

TEST(Concurrency, LateAndRepeatedReleasesChangeNothing) {
  Counter counter(Slots(2, kMinute));
  counter.Check(1, kStart, 1);
  counter.Check(1, kStart + kMinute, 2);  // 1 has run out
  counter.Do(Op::kRefund, 1, kStart + kMinute, 1);
  EXPECT_EQ(counter.Used(kStart + kMinute), 1U);
  counter.Do(Op::kRefund, 1, kStart + kMinute, 2);
  counter.Do(Op::kRefund, 1, kStart + kMinute, 2);
  EXPECT_EQ(counter.Used(kStart + kMinute), 0U);
}

TEST(Concurrency, ReleasesAllSlotsOfAToken) {
  Counter counter(Slots(10, kMinute));
  counter.Check(4, kStart, 1);
  counter.Check(5, kStart, 2);
  EXPECT_EQ(counter.Check(2, kStart, 3).verdict, Verdict::kLater);
  counter.Do(Op::kRefund, 1, kStart, 1);
  EXPECT_EQ(counter.Used(kStart), 5U);
}

TEST(Concurrency, LeavesTheSlotsToTheirHoldersWhenTheNumberChanges) {
  Counter old(Slots(2, kMinute));
  old.Check(1, kStart, 1);
  old.Check(1, kStart, 2);
  Counter changed(Slots(5, kHour));
  ASSERT_TRUE(CarriesOver(old.limit(), changed.limit()));
  changed.words = old.words;
  EXPECT_EQ(changed.Do(Op::kRefund, 1, kStart, 2).used, 1U);
}

struct Held {
  std::uint64_t token;
  std::int64_t slots;
  Nanos expiry;
};

TEST(Concurrency, AgreesWithAListOfHolders) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const auto capacity = random.In(1, 30);
    const Limit limit = Slots(static_cast<std::uint64_t>(capacity), random.In(1, 10 * kSecond));
    SCOPED_TRACE(Describe(limit));
    Counter counter(limit);
    std::vector<Held> held;
    Nanos now = kStart;
    const auto used_at = [&](Nanos at) {
      std::int64_t used = 0;
      for (const Held& h : held) used += h.expiry > at ? h.slots : 0;
      return used;
    };
    for (int step = 0; step < 200; ++step) {
      now += random.OneIn(3) ? 0 : random.In(0, limit.lease / 8);
      if (random.OneIn(40)) now -= random.In(0, limit.lease);
      const auto token = static_cast<std::uint64_t>(random.In(0, 40));
      if (random.OneIn(3)) {
        counter.Do(Op::kRefund, 1, now, token);
        std::erase_if(held, [&](const Held& h) { return h.token == token; });
        ASSERT_EQ(counter.Used(now), static_cast<std::uint64_t>(used_at(now)));
        continue;
      }
      const std::int64_t cost = random.In(1, random.OneIn(4) ? capacity + 1 : 2);
      const Outcome outcome = counter.Check(static_cast<std::uint64_t>(cost), now, token);
      ASSERT_EQ(outcome.verdict == Verdict::kAllowed, used_at(now) + cost <= capacity);
      if (outcome.verdict == Verdict::kAllowed) {
        // What has expired is gone, also for a clock that goes back afterwards.
        std::erase_if(held, [&](const Held& h) { return h.expiry <= now; });
        held.push_back({token, cost, now + limit.lease});
      }
      ASSERT_EQ(outcome.used, static_cast<std::uint64_t>(used_at(now)));
      if (outcome.verdict == Verdict::kLater) {
        ASSERT_LE(used_at(now + outcome.retry_after_ns) + cost, capacity);
        ASSERT_GT(used_at(now + outcome.retry_after_ns - 1) + cost, capacity);
      }
    }
  }
}

TEST(Concurrency, DebtDoesNotGrowTheStateWithoutBound) {
  Counter counter(Slots(4, kHour));
  for (std::size_t i = 0; i < concurrency::kMostEntries + 100; ++i) counter.Do(Op::kCharge, 1, kStart, i);
  EXPECT_LE(counter.words.size(), MaxWords(counter.limit()));
  EXPECT_EQ(counter.Check(1, kStart, 1).verdict, Verdict::kLater);
}

}  // namespace
}  // namespace weir::algorithms::testing
