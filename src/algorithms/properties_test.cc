// What every algorithm promises, tried on random limits and traffic. The exact oracles of each are in its own test.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "algorithms/adaptive.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

class Properties : public ::testing::TestWithParam<Kind> {
 protected:
  // Runs `probe(counter, random, now)` at many points of many random histories.
  template <typename Probe>
  void Everywhere(int histories, int steps, Probe probe) {
    for (int history = 0; history < histories; ++history) {
      Random random(static_cast<std::uint64_t>(history) * 7919 + static_cast<std::uint64_t>(GetParam()));
      const Limit limit = RandomLimit(GetParam(), random);
      SCOPED_TRACE("history " + std::to_string(history) + ": " + Describe(limit));
      Counter counter(limit);
      Nanos now = kStart + random.In(0, kDay);
      const Nanos scale = std::max<Nanos>(1, Scale(limit));
      for (int step = 0; step < steps; ++step) {
        now += random.OneIn(3) ? 0 : random.In(0, random.OneIn(10) ? scale * 2 : scale / 3);
        if (random.OneIn(25)) now -= random.In(0, scale);
        probe(counter, random, now);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
        // The step itself: mostly checks, at times the rest.
        const auto cost = static_cast<std::uint64_t>(random.OneIn(6) ? random.In(0, 20) : 1);
        const int what = static_cast<int>(random.In(1, 30));
        const Op op = what == 1 ? Op::kCharge : what == 2 ? Op::kRefund : what == 3 ? Op::kAssign : Op::kCheck;
        counter.Do(op, cost, now, static_cast<std::uint64_t>(random.In(0, 1000)));
      }
    }
  }
};

void ExpectSane(const Outcome& outcome) {
  EXPECT_LE(outcome.remaining, outcome.limit);
  EXPECT_LE(outcome.used, kMaxCount);
  EXPECT_GE(outcome.reset_after_ns, 0);
  EXPECT_GE(outcome.delay_ns, 0);
  if (outcome.verdict == Verdict::kLater) {
    EXPECT_GT(outcome.retry_after_ns, 0);
  } else {
    EXPECT_EQ(outcome.retry_after_ns, 0);
  }
}

std::uint64_t RandomCost(const Limit& limit, Random& random) {
  return static_cast<std::uint64_t>(random.In(1, random.OneIn(3) ? static_cast<std::int64_t>(limit.capacity) + 2 : 2));
}

TEST_P(Properties, PeekAnswersWhatCheckWouldAndChangesNothing) {
  Everywhere(60, 200, [](Counter& counter, Random& random, Nanos now) {
    const std::uint64_t cost = static_cast<std::uint64_t>(random.In(0, 1)) * RandomCost(counter.limit(), random);
    Counter peeked = counter;
    const Outcome peek = peeked.Do(Op::kPeek, cost, now, 7);
    EXPECT_TRUE(peeked.SameState(counter));
    Counter checked = counter;
    const Outcome check = checked.Check(cost, now, 7);
    EXPECT_EQ(peek, check);
    ExpectSane(check);
    if (cost == 0) {
      EXPECT_EQ(check.verdict, Verdict::kAllowed);
      EXPECT_TRUE(checked.SameState(counter));
      EXPECT_EQ(check.used, counter.Used(now));
    }
    EXPECT_EQ(check.used, checked.Used(now));
  });
}

TEST_P(Properties, DenialChangesNothingUnlessDenialsCount) {
  Everywhere(60, 200, [](Counter& counter, Random& random, Nanos now) {
    Counter after = counter;
    const Outcome outcome = after.Check(RandomCost(counter.limit(), random), now);
    if (outcome.verdict == Verdict::kAllowed) return;
    const bool counts =
        counter.limit().count_denied && (GetParam() == Kind::kFixedWindow || GetParam() == Kind::kSlidingWindow);
    if (!counts) {
      EXPECT_TRUE(after.SameState(counter));
    } else {
      EXPECT_GE(outcome.used, counter.Used(now));
    }
  });
}

TEST_P(Properties, DeniedAtEveryFractionOfRetryAfterAndAllowedAtItsEnd) {
  int denials = 0;
  Everywhere(150, 150, [&](Counter& counter, Random& random, Nanos now) {
    const std::uint64_t cost = RandomCost(counter.limit(), random);
    Counter denied = counter;
    const Outcome outcome = denied.Check(cost, now, 7);
    if (outcome.verdict != Verdict::kLater) return;
    ++denials;
    const Nanos retry = outcome.retry_after_ns;
    for (const Nanos wait : {Nanos{0}, Nanos{1}, retry / 4, retry / 2, retry / 2 + retry / 4, retry - 1,
                             random.In(0, retry - 1), random.In(0, retry - 1)}) {
      if (wait >= retry) continue;
      // `denied`, for there the denial was counted where denials count.
      const Outcome early = denied.Peek(cost, now + wait, 7);
      ASSERT_EQ(early.verdict, Verdict::kLater) << "after " << wait << " of " << retry << " cost " << cost;
      // What is left to wait shrinks with the waiting; counted denials aside, to the nanosecond.
      if (!counter.limit().count_denied) {
        ASSERT_EQ(early.retry_after_ns, retry - wait);
      }
    }
    const Verdict then = denied.Peek(cost, now + retry, 7).verdict;
    // What an adaptive limit has learned until then may leave no room for so large a cost.
    if (counter.limit().kind == Kind::kAdaptive && then == Verdict::kNever) return;
    ASSERT_EQ(then, Verdict::kAllowed) << "cost " << cost << " retry " << retry;
  });
  EXPECT_GT(denials, 500);
}

TEST_P(Properties, NeverIsForCostsAboveTheLimitOnly) {
  Everywhere(60, 150, [](Counter& counter, Random& random, Nanos now) {
    const Limit& limit = counter.limit();
    const std::uint64_t most = GetParam() == Kind::kAdaptive ? counter.Peek(0, now).limit : limit.capacity;
    const std::uint64_t cost = RandomCost(limit, random);
    EXPECT_EQ(counter.Peek(cost, now).verdict == Verdict::kNever, cost > most);
    EXPECT_EQ(counter.Peek(UINT64_MAX, now).verdict, Verdict::kNever);
    EXPECT_EQ(counter.Peek(most + 1, now).verdict, Verdict::kNever);
  });
}

TEST_P(Properties, RemainingFitsAndOneMoreDoesNot) {
  Everywhere(80, 200, [](Counter& counter, Random&, Nanos now) {
    const Outcome now_left = counter.Peek(0, now);
    EXPECT_EQ(counter.Peek(now_left.remaining, now).verdict, Verdict::kAllowed);
    EXPECT_NE(counter.Peek(now_left.remaining + 1, now).verdict, Verdict::kAllowed);
  });
}

TEST_P(Properties, RefundRestores) {
  Everywhere(80, 200, [](Counter& counter, Random& random, Nanos now) {
    const std::uint64_t cost = RandomCost(counter.limit(), random);
    Counter changed = counter;
    if (changed.Check(cost, now, 0xabcdef).verdict != Verdict::kAllowed) return;
    changed.Do(Op::kRefund, cost, now, 0xabcdef);
    EXPECT_EQ(changed.Used(now), counter.Used(now));
    // Not only now: nothing that can be asked later tells the two apart. (The bucket above 1,000 units a us and the log
    // with clocks that went back restore the count, but may differ in when; adaptive's empty window is open or not.)
    if (GetParam() == Kind::kAdaptive) return;
    for (const Nanos wait : {Nanos{0}, Scale(counter.limit()) / 3, Scale(counter.limit())}) {
      EXPECT_EQ(changed.Used(now + wait), counter.Used(now + wait)) << "after " << wait;
    }
  });
}

TEST_P(Properties, RefundNeverGoesBeyondEmpty) {
  Everywhere(40, 100, [](Counter& counter, Random&, Nanos now) {
    Counter changed = counter;
    for (std::uint64_t token = 0; token <= 1000; ++token) {
      changed.Do(Op::kRefund, UINT64_MAX, now, token);
      if (GetParam() != Kind::kConcurrency) break;
    }
    EXPECT_EQ(changed.Used(now), 0U);
    const Outcome outcome = changed.Peek(0, now);
    EXPECT_EQ(outcome.remaining, outcome.limit);
  });
}

TEST_P(Properties, ResetForgetsAndAssignSets) {
  Everywhere(60, 100, [](Counter& counter, Random& random, Nanos now) {
    Counter reset = counter;
    const Outcome outcome = reset.Do(Op::kReset, 3, now);
    EXPECT_EQ(outcome.used, 0U);
    EXPECT_EQ(outcome.reset_after_ns, 0);
    EXPECT_TRUE(reset.SameState(Counter(counter.limit())));
    Counter assigned = counter;
    const auto cost = static_cast<std::uint64_t>(random.In(0, 50));
    assigned.Do(Op::kAssign, cost, now);
    const std::uint64_t used = assigned.Used(now);
    EXPECT_GE(used + Grain(counter.limit()), cost);
    EXPECT_LE(used, cost + Grain(counter.limit()));
  });
}

TEST_P(Properties, ClockBackwardsRestoresNothing) {
  Everywhere(80, 150, [](Counter& counter, Random& random, Nanos now) {
    const Nanos back = random.In(0, 3 * Scale(counter.limit()));
    Counter before = counter;
    before.Check(1, now, 1);
    EXPECT_GE(before.Used(now - back), before.Used(now)) << "back " << back;
    EXPECT_LE(before.Peek(0, now - back).remaining, before.Peek(0, now).remaining);
    // Asking in the past and coming back leaves no less used than was.
    Counter wandered = before;
    wandered.Check(1, now - back, 2);
    EXPECT_GE(wandered.Used(now), before.Used(now));
  });
}

TEST_P(Properties, ExpiredReadsAsFresh) {
  Everywhere(80, 150, [](Counter& counter, Random& random, Nanos now) {
    const Nanos expires = counter.Expires();
    const Counter fresh(counter.limit());
    if (expires == kMinNanos) {
      EXPECT_TRUE(counter.SameState(fresh));
      return;
    }
    const std::uint64_t cost = RandomCost(counter.limit(), random);
    for (const Nanos later : {Nanos{0}, Nanos{1}, random.In(0, kDay)}) {
      EXPECT_EQ(counter.Peek(cost, expires + later), fresh.Peek(cost, expires + later));
    }
    if (GetParam() == Kind::kAdaptive) return;
    const Outcome outcome = counter.Peek(0, now);
    if (counter.limit().retention > counter.limit().window) {
      EXPECT_LE(outcome.reset_after_ns, std::max<Nanos>(0, expires - now)) << "it is kept for longer";
    } else if (now < expires) {
      EXPECT_EQ(outcome.reset_after_ns, expires - now);
    } else {
      EXPECT_EQ(outcome.reset_after_ns, 0);
    }
  });
}

TEST_P(Properties, StatesStayWithinTheirBound) {
  Everywhere(30, 400, [](Counter& counter, Random& random, Nanos now) {
    EXPECT_LE(counter.words.size(), MaxWords(counter.limit()));
    counter.Do(Op::kCharge, static_cast<std::uint64_t>(random.In(0, 3)), now, random.Bits());
  });
}

TEST_P(Properties, ChargeIsDebtAndSaturates) {
  Everywhere(30, 60, [](Counter& counter, Random& random, Nanos now) {
    Counter charged = counter;
    const std::uint64_t before = counter.Used(now);
    const Outcome outcome = charged.Do(Op::kCharge, 5, now, random.Bits());
    EXPECT_EQ(outcome.verdict, Verdict::kAllowed);
    EXPECT_GE(outcome.used + Grain(counter.limit()), std::min(kMaxCount, before + 5));
    for (int i = 0; i < 3; ++i) charged.Do(Op::kCharge, UINT64_MAX, now, random.Bits());
    const Outcome full = charged.Peek(1, now);
    ExpectSane(full);
    EXPECT_EQ(full.remaining, 0U);
    EXPECT_NE(full.verdict, Verdict::kAllowed);
    EXPECT_LE(full.used, kMaxCount);
  });
}

TEST_P(Properties, AnyStateAnyLimitAnyAskIsAnswered) {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    const Limit limit = random.OneIn(2) ? HostileLimit(GetParam(), random) : RandomLimit(GetParam(), random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(limit));
    Counter counter(limit);
    const auto any = [&]() -> std::int64_t {
      switch (random.In(0, 4)) {
        case 0:
          return static_cast<std::int64_t>(random.Bits());
        case 1:
          return random.OneIn(2) ? INT64_MAX : INT64_MIN;
        case 2:
          return kStart + random.In(-kDay, kDay);
        case 3:
          return random.In(-2, 2);
        default:
          return random.Magnitude(INT64_MAX);
      }
    };
    counter.word = any();
    counter.words.resize(random.OneIn(3) ? std::min<std::size_t>(MaxWords(limit), 64)
                                         : static_cast<std::size_t>(random.In(0, 40)));
    for (Word& word : counter.words) word = any();
    for (int step = 0; step < 8; ++step) {
      const Nanos now = any();
      const auto cost = static_cast<std::uint64_t>(any());
      const auto op = static_cast<Op>(random.In(0, 5));
      const Outcome outcome = counter.Do(op, cost, now, random.Bits());
      ExpectSane(outcome);
      EXPECT_LE(counter.Used(now), kMaxCount);
      if (op == Op::kReset) {
        EXPECT_EQ(counter.Used(now), 0U);
      }
      counter.Expires();
      if (HasNonfatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Properties, ::testing::ValuesIn(kRuleKinds),
                         [](const auto& test) { return std::string(Of(test.param).name); });

}  // namespace
}  // namespace weir::algorithms::testing
