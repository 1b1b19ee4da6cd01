// What a bucket gives back of a charge, with any other charges before, between and behind it: every history of a small
// bucket, against the word "at most what that very charge still occupies" (gcra.h, Settling).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "algorithms/gcra.h"

namespace weir::algorithms {
namespace {

constexpr Nanos kStart = 1'000;
constexpr std::uint64_t kCapacity = 4;

Limit SmallBucket(Kind kind) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = kCapacity;
  limit.rate_count = 1;
  limit.rate_period = 1;  // a unit is restored each ns
  return limit;
}

struct Made {
  std::uint64_t cost = 0;
  Nanos at = 0;
  std::uint64_t kept = 0;  // what was not given up
  std::uint64_t left = 0;  // what the bucket has not drained of it, oldest first, nor given back
};

// A bucket by its word, and all that it was charged.
struct History {
  Word tat = 0;
  Nanos now = kStart;
  std::vector<Made> made;

  Nanos Level() const { return gcra::Spent(tat, now); }
  // What would be spent if what was given up had never been charged.
  Nanos TrueLevel() const {
    Nanos empty_at = 0;
    for (const Made& one : made) empty_at = std::max(empty_at, one.at) + static_cast<Nanos>(one.kept);
    return std::max<Nanos>(0, empty_at - now);
  }
  void Wait(Nanos time) {
    now += time;
    auto drained = static_cast<std::uint64_t>(time);
    for (Made& one : made) {
      const std::uint64_t part = std::min(drained, one.left);
      one.left -= part;
      drained -= part;
    }
  }
  bool Check(const Limit& limit, std::uint64_t cost) {
    const Outcome outcome = gcra::Apply(limit, {.op = Op::kCheck, .cost = cost, .now = now}, tat);
    if (outcome.verdict != Verdict::kAllowed) return false;
    made.push_back({.cost = cost, .at = now, .kept = cost, .left = cost});
    return true;
  }
  // How much was given back.
  Nanos GiveUp(const Limit& limit, std::size_t i) {
    Made& one = made[i];
    const PastCharge charge{.cost = one.cost, .at = one.at};
    const Nanos before = Level();
    gcra::Apply(limit, {.op = Op::kRefund, .cost = one.cost, .now = now, .charge = &charge}, tat);
    one.kept = 0;
    return before - Level();
  }
};

class BucketSettling : public testing::TestWithParam<Kind> {
 protected:
  const Limit limit_ = SmallBucket(GetParam());

  // Calls `see` with every history of up to `steps` waits and checks.
  template <typename See>
  void Each(const History& history, int steps, const See& see) {
    see(history);
    if (steps == 0) return;
    History waited = history;
    waited.Wait(1);
    Each(waited, steps - 1, see);
    for (std::uint64_t cost = 1; cost <= kCapacity; ++cost) {
      if (History charged = history; charged.Check(limit_, cost)) Each(charged, steps - 1, see);
    }
  }
};

// The word does not tell whose time it holds. Of all histories that end in the same word, with a charge of this cost as
// long ago, the one in which the charge occupies least says how much may be given back: no more, and no less is.
TEST_P(BucketSettling, GivesBackTheMostThatIsSurelyTheChargesOwn) {
  std::map<std::tuple<Nanos, std::uint64_t, Nanos>, Nanos> least;  // by level, cost and age: what it occupies
  Each({}, 8, [&](const History& history) {
    for (std::size_t i = 0; i < history.made.size(); ++i) {
      const Made& one = history.made[i];
      History without = history;
      without.made[i].kept = 0;
      const Nanos occupied = history.Level() - without.TrueLevel();
      const auto key = std::tuple(history.Level(), one.cost, history.now - one.at);
      const auto known = least.try_emplace(key, occupied).first;
      known->second = std::min(known->second, occupied);
    }
  });
  ASSERT_GT(least.size(), 20U);
  for (const auto& [key, occupied] : least) {
    const auto& [level, cost, age] = key;
    SCOPED_TRACE(testing::Message() << "spent " << level << ", cost " << cost << ", " << age << " ns ago");
    const PastCharge charge{.cost = cost, .at = kStart};
    const Ask ask{.op = Op::kRefund, .cost = cost, .now = kStart + age, .charge = &charge};
    EXPECT_EQ(std::min(level, gcra::GivenBack(limit_, ask, kStart + age)), occupied);
  }
}

// Any number of charges and of give-backs among them, in any order.
TEST_P(BucketSettling, NeverGivesBackWhatIsAnothers) {
  std::size_t seen = 0;
  const auto give_up_each = [&](const auto& self, const History& history, int steps) -> void {
    for (std::size_t i = 0; i < history.made.size(); ++i) {
      if (history.made[i].kept == 0) continue;
      History after = history;
      const Nanos given = after.GiveUp(limit_, i);
      ++seen;
      ASSERT_GE(after.Level(), after.TrueLevel());
      ASSERT_LE(given, static_cast<Nanos>(history.made[i].left)) << "drained oldest first, so much of it is left";
      after.made[i].left -= static_cast<std::uint64_t>(given);
      if (steps == 0) continue;
      Each(after, 2, [&](const History& later) { self(self, later, steps - 1); });
      if (testing::Test::HasFatalFailure()) return;
    }
  };
  Each({}, 5, [&](const History& history) {
    if (!testing::Test::HasFatalFailure()) give_up_each(give_up_each, history, 2);
  });
  EXPECT_GT(seen, 10'000U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BucketSettling, testing::Values(Kind::kTokenBucket, Kind::kLeakyBucket));

}  // namespace
}  // namespace weir::algorithms
