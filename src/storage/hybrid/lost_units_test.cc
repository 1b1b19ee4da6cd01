// Strict: what a lease may not lose, nor give to whom it does not belong.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "algorithms/aligned_window.h"
#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"

namespace weir::storage::hybrid {
namespace {

using conformance::After;
using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::LogOf;
using conformance::UsedNow;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

// A shared store over a network: it decides when the test says so, by a clock of its own if that is set, refuses what
// it is too busy for, or loses answers.
class Remote final : public Store {
 public:
  struct State {
    std::unique_ptr<Store> store = MakeMemory();
    bool busy = false, loses = false, waits = false, down = false;
    std::size_t room = SIZE_MAX;  // plans: what is beyond is refused, the last of a batch first
    Nanos late = 0;
    struct Waiting {
      std::span<Plan> plans;
      Nanos now;
      Completion* done;
    };
    std::deque<Waiting> waiting;
    std::uint64_t asked = 0;
    std::vector<std::uint64_t> takes;

    void Decide(std::span<Plan> plans, Nanos now) {
      (void)store->Apply(plans, now + late, nullptr);
      for (Plan& plan : plans) {
        if (late != 0) plan.decided_at = now + late;
        if (loses) plan.status = PlanStatus::kUnavailable;
        if (loses) plan.admitted = false;
      }
    }
    void Deliver() {
      while (!waiting.empty()) {
        const Waiting one = waiting.front();
        waiting.pop_front();
        Decide(one.plans, one.now);
        one.done->Done();
      }
    }
  };
  explicit Remote(std::shared_ptr<State> state) : state_(std::move(state)) {}

  bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override {
    ++state_->asked;
    for (Plan& plan : plans) {
      if (plan.op == Op::kTake) state_->takes.push_back(plan.items[0].cost);
      if (!state_->busy) continue;
      plan.status = PlanStatus::kUnavailable;
      plan.admitted = false;
    }
    if (state_->busy) return true;
    if (plans.size() > state_->room) {
      for (Plan& plan : plans.subspan(state_->room)) {
        plan.status = PlanStatus::kUnavailable;
        plan.admitted = false;
      }
      plans = plans.first(state_->room);
      if (plans.empty()) return true;
    }
    if (state_->room != SIZE_MAX) state_->room -= plans.size();
    if (state_->waits) {
      state_->waiting.push_back({plans, now, done});
      return false;
    }
    state_->Decide(plans, now);
    return true;
  }
  StoreStats Stats() const override { return {}; }
  Health GetHealth() const override { return state_->down ? Health::kDown : Health::kUp; }
  std::string_view Name() const override { return "remote"; }

 private:
  std::shared_ptr<State> state_;
};

struct Asked {
  bool admitted = false;
  Nanos decided_at = 0;
  std::vector<Outcome> outcomes;
};

struct One {
  One() : state(std::make_shared<Remote::State>()), store(MakeHybrid(std::make_unique<Remote>(state))) {}
  explicit One(std::shared_ptr<Remote::State> the_state)
      : state(std::move(the_state)), store(MakeHybrid(std::make_unique<Remote>(state))) {}

  Asked Do(Op op, std::vector<Item> items, Nanos now) {
    struct Deaf final : Completion {
      void Done() noexcept override {}
    } deaf;
    Asked asked;
    asked.outcomes.resize(items.size());
    Plan plan{.op = op, .items = items, .outcomes = asked.outcomes};
    if (!store->TryApply(plan, now) && !store->Apply({&plan, 1}, now, &deaf)) state->Deliver();
    asked.admitted = plan.admitted;
    asked.decided_at = plan.decided_at;
    return asked;
  }
  bool Ask(const Item& item, Nanos now) { return Do(Op::kCheck, {item}, now).admitted; }
  double Told(const std::string& name) {
    struct Sink final : MetricSink {
      void AddMetric(Kind, std::string_view series, std::string_view, double value,
                     std::span<const MetricLabel> labels) override {
        std::string full(series);
        for (const MetricLabel& label : labels) full += "," + std::string(label.value);
        told[full] = value;
      }
      std::map<std::string, double> told;
    } sink;
    store->Describe(sink, "hybrid");
    return sink.told[name];
  }
  double Held() { return Told("weir_hybrid_outstanding_units"); }

  std::shared_ptr<Remote::State> state;
  std::unique_ptr<HybridStore> store;
};

// A question, or an ask that another item denies, must not send a lease home that loses itself on the way.
TEST(LostUnits, QuestionsAndDenialsBurnNoBucket) {
  const Limit ten = BucketOf(1'000, 1'000 * 60), user = EpochWindowOf(10, kMinute), log = LogOf(1'000'000, kSecond);
  const Item item = ItemOf(ten, "t", "acme");
  for (int what = 0; what < 3; ++what) {
    SCOPED_TRACE(what);
    One one;
    Nanos now = kStart;
    for (int ms = 0; ms < 8'000; ++ms) {
      now = kStart + ms * kMillisecond;
      if (ms % 500 == 0) one.store->Tick(now);
      if (ms % 5 == 0) {
        EXPECT_TRUE(one.Ask(item, now)) << ms;
      } else if (what == 0) {
        one.Do(Op::kPeek, {item}, now);
      } else if (what == 1 && ms % 5 == 2) {
        one.Do(Op::kCheck, {ItemOf(ten, "t", "acme", 0)}, now);
      } else if (what == 2) {
        one.Do(Op::kCheck, {ItemOf(user, "u", "evil"), item, ItemOf(log, "l", "evil")}, now);
      }
    }
    EXPECT_LE(UsedNow(*one.state->store, item, now), 400U) << "200 a second of 1,000, and what is leased";
  }
}

// What the store would give back goes home, and the rest is spent here.
TEST(LostUnits, TheRestOfALeaseIsStillSpent) {
  One one;
  const Limit limit = BucketOf(1'000, 5 * 60);
  const Item item = ItemOf(limit, "t", "a");
  for (int i = 0; i < 400; ++i) EXPECT_TRUE(one.Ask(item, kStart + i * kMillisecond));
  const double held = one.Held();
  ASSERT_GT(held, 30);
  const Nanos now = kStart + 400 * kMillisecond;
  const std::uint64_t used = UsedNow(*one.state->store, item, now);
  one.Do(Op::kCheck, {ItemOf(limit, "t", "a", 0)}, now);
  const double lapsed = one.Told("weir_hybrid_lease_units_total,lapsed");
  EXPECT_EQ(lapsed, 0);
  EXPECT_GT(one.Held(), 0) << "about a second's drain";
  EXPECT_LT(one.Held(), held);
  EXPECT_NEAR(static_cast<double>(used - UsedNow(*one.state->store, item, now)), held - one.Held(), 2);
}

// The ends of these windows lie on a grid, and the store tells windows apart by it.
TEST(LostUnits, WhatWasTakenAtTheEndOfAWindowDoesNotComeOffTheNext) {
  const std::uint64_t limit = 10'000'000, cost = limit / 1'000;
  const Limit rule = DefaultOf(limit, kMinute);
  ASSERT_EQ(rule.kind, algorithms::Kind::kAnchoredWindow);
  const Nanos grid = algorithms::aligned_window::Grid(rule);
  const auto state = std::make_shared<Remote::State>();
  One a(state), b(state);
  const Nanos end = kStart + a.Do(Op::kCheck, {ItemOf(rule, "r", "s")}, kStart).outcomes[0].reset_after_ns;
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(a.Ask(ItemOf(rule, "r", "s", cost), end - grid / 50 + i));
  ASSERT_GT(a.Held(), 0);
  std::uint64_t admitted = 0;
  const Nanos next = end + grid / 10;
  for (int i = 0; i < 3'000; ++i) admitted += b.Ask(ItemOf(rule, "r", "s", cost), next + i) ? cost : 0;
  a.store->Tick(end + kSecond);
  b.store->Tick(next + 2 * kSecond);
  for (int i = 0; i < 3'000; ++i) admitted += b.Ask(ItemOf(rule, "r", "s", cost), next + 3 * kSecond + i) ? cost : 0;
  EXPECT_LE(admitted, limit);
}

TEST(LostUnits, WhatCouldNotGoHomeGoesLater) {
  const Limit limit = EpochWindowOf(100'000, 30 * kDay);
  const Item item = ItemOf(limit, "r", "s", 10);
  for (int why = 0; why < 3; ++why) {
    SCOPED_TRACE(why);
    One one;
    for (int i = 0; i < 500; ++i) EXPECT_TRUE(one.Ask(item, kStart + i * kMillisecond));
    const double held = one.Held();
    ASSERT_GT(held, 0);
    const std::uint64_t asked = one.state->asked;
    (why == 0 ? one.state->down : why == 1 ? one.state->busy : one.state->loses) = true;
    one.state->waits = why == 2;
    for (int tick = 2; tick < 6; ++tick) {
      one.store->Tick(kStart + tick * kSecond);
      one.state->Deliver();
    }
    if (why == 0) EXPECT_EQ(one.state->asked, asked) << "nothing is sent to a store that is down";
    one.state->down = one.state->busy = one.state->loses = false;
    if (why < 2) {
      EXPECT_EQ(one.Told("weir_hybrid_lease_units_total,returned"), 0);
      EXPECT_GT(UsedNow(*one.state->store, item, kStart + 6 * kSecond), 5'000U);
    }
    one.store->Tick(kStart + 6 * kSecond);
    one.state->Deliver();
    EXPECT_EQ(UsedNow(*one.state->store, item, kStart + 6 * kSecond), 5'000U) << "once";
    EXPECT_EQ(one.Told("weir_hybrid_lease_units_total," + std::string(why < 2 ? "returned" : "lost")), held);
  }
}

// It may have room for some: the others are not lost.
TEST(LostUnits, WhatWasRefusedBesideWhatWasTakenGoesLater) {
  One one;
  const Limit limit = EpochWindowOf(100'000, 30 * kDay);
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("s" + std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    for (const std::string& name : names) EXPECT_TRUE(one.Ask(ItemOf(limit, "r", name, 10), kStart + i));
  }
  ASSERT_GT(one.Held(), 0);
  one.state->waits = true;
  one.state->room = 3;
  one.store->Tick(kStart + 2 * kSecond);
  one.state->Deliver();
  one.state->room = SIZE_MAX;
  one.store->Tick(kStart + 3 * kSecond);
  one.state->Deliver();
  one.state->waits = false;
  EXPECT_EQ(one.Told("weir_hybrid_lease_units_total,lost"), 0);
  for (const std::string& name : names) {
    EXPECT_EQ(UsedNow(*one.state->store, ItemOf(limit, "r", name), kStart + 4 * kSecond), 1'000U) << name;
  }
}

// A store that seems to be away may do it all the same.
TEST(LostUnits, AResetDropsWhatIsHeldAlsoWhenTheStoreSeemsAway) {
  One one;
  const Limit limit = EpochWindowOf(1'000, 30 * kDay);
  const Item item = ItemOf(limit, "r", "s", 2);
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(one.Ask(item, kStart + i * kMillisecond));
  ASSERT_GT(one.Held(), 0);
  one.state->down = true;
  one.Do(Op::kReset, {item}, kStart + kSecond);
  one.state->down = false;
  EXPECT_EQ(one.Held(), 0);
  One other(one.state);
  EXPECT_TRUE(other.Ask(ItemOf(limit, "r", "s", 500), kStart + 2 * kSecond));
  one.store->Tick(kStart + 3 * kSecond);
  EXPECT_EQ(UsedNow(*one.state->store, item, kStart + 4 * kSecond), 500U);
}

TEST(LostUnits, WhatWaitsToGoHomeIsDroppedByAReset) {
  One one;
  const Limit limit = EpochWindowOf(100'000, 30 * kDay);
  const Item item = ItemOf(limit, "r", "s", 10);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(one.Ask(item, kStart + i * kMillisecond));
  one.state->down = true;
  one.store->Tick(kStart + 2 * kSecond);
  one.state->down = false;
  one.Do(Op::kReset, {item}, kStart + 3 * kSecond);
  EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s", 5'000), kStart + 3 * kSecond));
  one.store->Tick(kStart + 4 * kSecond);
  EXPECT_EQ(UsedNow(*one.state->store, item, kStart + 4 * kSecond), 5'000U);
}

// By its own clock the store decides after the window's end, and the leased charge is of the window before.
TEST(LostUnits, APlanPartlySpentHereWasDecidedWhenThatWas) {
  One one;
  const Limit limit = EpochWindowOf(1'000, kMinute), log = LogOf(1'000'000, kSecond);
  const Nanos end = kStart / kMinute * kMinute + kMinute;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s"), end - 500 * kMillisecond + i * 1'000'000));
  ASSERT_GT(one.Held(), 10);
  one.state->late = 20 * kMillisecond;
  const Asked asked = one.Do(Op::kCheck, {ItemOf(limit, "r", "s", 10), ItemOf(log, "l", "s")}, end - 10 * kMillisecond);
  EXPECT_TRUE(asked.admitted);
  EXPECT_EQ(asked.decided_at, end - 10 * kMillisecond);
}

// A log finds what is cancelled by the instant that the store told, though its clock has moved since the lease.
TEST(LostUnits, CancellingAPlanPartlySpentHereFindsItsLog) {
  for (const bool bucket : {false, true}) {
    SCOPED_TRACE(bucket);
    One one;
    const Limit limit = bucket ? BucketOf(1'000, 60) : EpochWindowOf(1'000, kMinute), log = LogOf(1'000, kHour);
    const Nanos window = kStart / kMinute * kMinute + kSecond;
    one.state->late = 5 * kMillisecond;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s"), window + i * kMillisecond));
    one.state->late += 1'000;
    Item leased = ItemOf(limit, "r", "s", 10), logged = ItemOf(log, "l", "s", 10);
    ASSERT_GE(one.Held(), 10);
    const Asked asked = one.Do(Op::kCheck, {leased, logged}, window + 110 * kMillisecond);
    EXPECT_TRUE(asked.admitted);
    EXPECT_EQ(UsedNow(*one.state->store, logged, window + kSecond), 10U);
    const algorithms::PastCharge charge{.cost = 10, .at = asked.decided_at};
    leased.charge = logged.charge = &charge;
    one.Do(Op::kRefund, {leased, logged}, window + kSecond);
    EXPECT_EQ(UsedNow(*one.state->store, logged, window + 2 * kSecond), 0U);
  }
}

TEST(LostUnits, WhatIsDeniedMakesNoLeaseLarger) {
  One one;
  const Limit limit = EpochWindowOf(100'000, kDay);
  const Item item = ItemOf(limit, "r", "s");
  EXPECT_TRUE(one.Ask(ItemOf(limit, "r", "s", 20'000), kStart - kDay));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(one.Ask(item, kStart + i));
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(one.Ask(ItemOf(limit, "r", "s", 200'000), kStart + 100 + i));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(one.Ask(item, kStart + 1'000 + i));
  for (const std::uint64_t take : one.state->takes) EXPECT_LE(take, 40U);
}

TEST(LostUnits, AnInstanceHoldsNoMoreThanIsWorthIt) {
  One one;
  const Limit limit = EpochWindowOf(8'000, kDay);
  const Item item = ItemOf(limit, "r", "s", 50);
  double most = 0;
  for (int i = 0; i < 120; ++i) {
    // No tick: what is over stays here until then.
    EXPECT_TRUE(one.Ask(item, kStart + i * 25 * kMillisecond));
    most = std::max(most, one.Held());
  }
  EXPECT_LE(most, 1'000) << "an eighth";
  EXPECT_GT(most, 0);
}

// Spent, then its state is reset, then denied elsewhere: it belongs to nobody.
TEST(LostUnits, NothingIsPutBackAcrossAReset) {
  One one;
  const Limit limit = EpochWindowOf(1'000, kDay), log = LogOf(1, kDay);
  const Item item = ItemOf(limit, "r", "s");
  EXPECT_TRUE(one.Ask(ItemOf(log, "l", "s"), kStart));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(one.Ask(item, kStart + i));
  ASSERT_GT(one.Held(), 10);
  struct Deaf final : Completion {
    void Done() noexcept override {}
  } deaf;
  std::vector<Item> items = {ItemOf(limit, "r", "s", 10), ItemOf(log, "l", "s")};
  std::vector<Outcome> outcomes(2);
  Plan plan{.op = Op::kCheck, .items = items, .outcomes = outcomes};
  one.state->waits = true;
  ASSERT_FALSE(one.store->Apply({&plan, 1}, kStart + 200, &deaf));
  Item reset = item;
  Outcome outcome;
  Plan resets{.op = Op::kReset, .items = {&reset, 1}, .outcomes = {&outcome, 1}};
  ASSERT_FALSE(one.store->Apply({&resets, 1}, kStart + 200, &deaf));
  one.state->Deliver();
  one.state->waits = false;
  EXPECT_FALSE(plan.admitted);
  EXPECT_EQ(one.Held(), 0);
  std::uint64_t admitted = 0;
  for (int i = 0; i < 1'500; ++i) admitted += one.Ask(item, kStart + 300 + i) ? 1U : 0U;
  EXPECT_EQ(admitted, 1'000U);
}

TEST(LostUnits, AChangedRuleLosesNoInstancesLeases) {
  const auto state = std::make_shared<Remote::State>();
  One a(state), b(state);
  const Limit before = EpochWindowOf(100'000, 30 * kDay), after = EpochWindowOf(200'000, 30 * kDay);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(a.Ask(ItemOf(before, "r", "s", 10), kStart + i * kMillisecond));
  ASSERT_GT(a.Held(), 0);
  const Item item = After(ItemOf(after, "r2", "s", 10), before, "r");
  const Nanos now = kStart + 600 * kMillisecond;
  EXPECT_TRUE(b.Ask(item, now));
  EXPECT_TRUE(a.Ask(item, now));
  EXPECT_EQ(UsedNow(*state->store, ItemOf(after, "r2", "s"), now), 5'020U);
}

}  // namespace
}  // namespace weir::storage::hybrid
