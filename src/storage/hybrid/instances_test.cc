// Several instances over one shared store: random asks, settlements, delays, crashes and departures, by a clock that
// the test turns. What they admit together is held against the definition of each algorithm, in integers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/time_zone.h"
#include "storage/hybrid/lease.h"
#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::hybrid {
namespace {

using algorithms::testing::Event;
using conformance::BucketOf;
using conformance::DefaultOf;
using conformance::Dice;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::SubWindowsOf;
using conformance::WindowOf;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

// The way from one instance to the shared store. What it asks is decided at once and told when the test says so: were
// it decided later, another could be before it with a later time, and no store of windows keeps that apart.
class Wire final : public Store {
 public:
  // `ahead`: of the instance's clock, by which it asks; the shared store goes by its own, as remote ones do.
  Wire(Store& shared, Nanos ahead) : shared_(shared), ahead_(ahead) {}
  ~Wire() override { Cut(); }

  bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override {
    if (cut_) {
      Refuse(plans);
      return true;
    }
    EXPECT_TRUE(shared_.Apply(plans, now + ahead_, nullptr));
    if (ahead_ != 0) {
      for (Plan& plan : plans) plan.decided_at = now + ahead_;
    }
    if (direct_) return true;
    waiting_.push_back({plans, done});
    return false;
  }
  // Tells what has been decided, in order: the first of it, or all.
  void DeliverOne() {
    const Waiting one = waiting_.front();
    waiting_.pop_front();
    one.done->Done();
  }
  void Deliver() {
    while (!waiting_.empty()) DeliverOne();
  }
  std::size_t waiting() const { return waiting_.size(); }
  // From now on it is answered at once.
  void Connect() {
    Deliver();
    direct_ = true;
  }
  // The instance hears nothing any more, also of what has been decided.
  void Cut() {
    cut_ = true;
    while (!waiting_.empty()) {
      const Waiting one = waiting_.front();
      waiting_.pop_front();
      Refuse(one.plans);
      one.done->Done();
    }
  }
  void Close() override { Cut(); }
  StoreStats Stats() const override { return {}; }
  Health GetHealth() const override { return cut_ ? Health::kDown : Health::kUp; }
  std::string_view Name() const override { return "wire"; }

 private:
  struct Waiting {
    std::span<Plan> plans;
    Completion* done;
  };
  static void Refuse(std::span<Plan> plans) {
    for (Plan& plan : plans) {
      plan.status = PlanStatus::kUnavailable;
      plan.admitted = false;
    }
  }
  Store& shared_;
  const Nanos ahead_;
  std::deque<Waiting> waiting_;
  bool cut_ = false, direct_ = false;
};

// What was admitted of one rule, and what of it was given up.
class Truth {
 public:
  explicit Truth(const Limit& limit) : limit_(limit) {}

  std::size_t Admitted(Nanos at, std::uint64_t cost) {
    events_.push_back({at, static_cast<std::int64_t>(cost)});
    return events_.size() - 1;
  }
  void GiveUp(std::size_t i, std::uint64_t cost) { events_[i].cost -= static_cast<std::int64_t>(cost); }
  const std::vector<Event>& events() const { return events_; }

  // Empty: the limit was kept at each instant.
  std::string Fault() const {
    std::vector<Event> events = events_;
    std::ranges::sort(events, {}, &Event::at);
    const auto capacity = static_cast<std::int64_t>(limit_.capacity);
    algorithms::testing::VesselOracle vessel(limit_);
    Nanos end = 0;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const Event& event = events[i];
      if (event.cost == 0) continue;
      std::int64_t used = 0;
      switch (FormOf(limit_)) {
        case Form::kBucket:
          vessel.Pour(event.cost, event.at);
          used = vessel.level(event.at) <= vessel.brim() ? 0 : capacity + 1;
          break;
        case Form::kWindow:
          if (event.at >= end) {
            end = limit_.calendar == algorithms::Calendar::kNone ? event.at + limit_.window
                                                                 : algorithms::CalendarBounds(limit_, event.at).end;
            count = 0;
          }
          used = count += event.cost;
          break;
        case Form::kSubWindow: {
          const std::vector<Event> so_far(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          used = algorithms::testing::Interpolated(so_far, limit_, event.at);
          break;
        }
        case Form::kNone:
          used = algorithms::testing::InTrailingWindow(events, limit_.window, event.at);
          break;
      }
      if (used > capacity) {
        return fmt::format("{}\n{} used of {} at {} ns", conformance::Describe(limit_), used, capacity,
                           event.at - kStart);
      }
    }
    return "";
  }

 private:
  Limit limit_;
  std::vector<Event> events_;
};

struct Setup {
  std::uint64_t instances = 3;
  bool settles = true;
  bool slow = true;
  bool loses_answers = true;  // of a crash: also of asks, which are charged then and admitted to nobody
  int steps = 400;
};

class World {
 public:
  World(const Setup& setup, std::vector<Limit> limits, std::uint64_t seed)
      : setup_(setup), limits_(std::move(limits)), dice_(seed), shared_(MakeMemory()) {
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      truths_.emplace_back(limits_[i]);
      names_.push_back("rule" + std::to_string(i));
    }
    for (std::uint64_t i = 0; i < setup.instances; ++i) Join(i);
  }
  ~World() {
    for (Instance& instance : instances_) instance.wire->Cut();
  }

  std::string Run() {
    for (int step = 0; step < setup_.steps; ++step) {
      Advance();
      Step();
      if (step % 16 != 15 && step + 1 < setup_.steps) continue;
      for (const Truth& truth : truths_) {
        if (const std::string fault = truth.Fault(); !fault.empty()) return fmt::format("step {}: {}", step, fault);
      }
    }
    return "";
  }
  std::uint64_t admitted() const { return admitted_; }

 private:
  struct Instance {
    Wire* wire = nullptr;
    Nanos behind = 0;  // its clock
    std::unique_ptr<HybridStore> store;
  };
  struct Asked final : Completion {
    World* world = nullptr;
    std::vector<std::size_t> rules;
    std::vector<Item> items;
    std::vector<Outcome> outcomes;
    std::deque<algorithms::PastCharge> charges;
    Plan plan;
    Nanos now = 0;
    bool done = false;
    void Done() noexcept override {
      done = true;
      if (plan.op != Op::kCheck || plan.status != PlanStatus::kOk || !plan.admitted) return;
      ++world->admitted_;
      for (std::size_t i = 0; i < items.size(); ++i) world->truths_[rules[i]].Admitted(now, items[i].cost);
    }
  };

  void Join(std::uint64_t place) {
    Instance instance;
    static constexpr std::array<Nanos, 4> kBehind = {0, 0, -7 * kSecond - 13, 300 * kMillisecond + 1};
    instance.behind = dice_.Of(kBehind);
    auto wire = std::make_unique<Wire>(*shared_, instance.behind);
    instance.wire = wire.get();
    instance.store = MakeHybrid(std::move(wire), {.hot_after = 2, .least_lease = 1});
    if (place < instances_.size()) {
      instances_[place] = std::move(instance);
    } else {
      instances_.push_back(std::move(instance));
    }
  }

  void Advance() {
    static constexpr std::array<Nanos, 7> kSteps = {
        0, kMillisecond, 3 * kMillisecond, 10 * kMillisecond, 40 * kMillisecond, 300 * kMillisecond, 2 * kSecond};
    const Nanos step = dice_.Of(kSteps);
    if (dice_.OneIn(step >= 300 * kMillisecond ? 6 : 1)) {
      now_ += static_cast<Nanos>(dice_.Below(static_cast<std::uint64_t>(step) + 1));
    }
  }

  void Go(Instance& instance, Asked& asked) {
    HybridStore& store = *instance.store;
    const Nanos its_now = now_ - instance.behind;
    asked.world = this;
    asked.now = now_;
    asked.outcomes.resize(asked.items.size());
    asked.plan.items = asked.items;
    asked.plan.outcomes = asked.outcomes;
    if (!store.TryApply(asked.plan, its_now) && !store.Apply({&asked.plan, 1}, its_now, &asked)) return;
    asked.Done();
    if (asked.plan.status == PlanStatus::kOk) {
      EXPECT_EQ(asked.plan.decided_at == 0 ? its_now : asked.plan.decided_at, now_) << "so that it can be settled";
    }
  }

  Asked& Fresh() {
    std::erase_if(asked_, [](const Asked& asked) { return asked.done; });
    return asked_.emplace_back();
  }

  void Step() {
    const std::uint64_t place = dice_.Below(instances_.size());
    Instance& instance = instances_[place];
    const std::uint64_t what = dice_.Below(100);
    if (what < 75) {
      // A client that sends many in a row.
      for (std::uint64_t many = 1 + dice_.Below(dice_.OneIn(3) ? 30 : 4); many > 0; --many) Check(instance);
    } else if (what < 85 && setup_.settles) {
      Settle(instance);
    } else if (what < 88) {
      Asked& asked = Fresh();
      asked.plan.op = Op::kPeek;
      Put(asked, dice_.Below(limits_.size()), 1);
      Go(instance, asked);
    } else if (what < 92) {
      instance.store->Tick(now_ - instance.behind);
    } else if (what < 94) {
      Leave(instance, dice_.OneIn(2));
      Join(place);
    }
    if (!setup_.slow || dice_.OneIn(2)) {
      for (Instance& each : instances_) each.wire->Deliver();
    }
  }

  // With `crash` whatever it holds is lost.
  void Leave(Instance& instance, bool crash) {
    if (crash) {
      if (!setup_.loses_answers) instance.wire->Deliver();
      instance.wire->Cut();
    } else {
      instance.wire->Connect();
      instance.store->Close();
    }
    instance.store.reset();
  }

  void Put(Asked& asked, std::size_t rule, std::uint64_t cost) {
    asked.rules.push_back(rule);
    asked.items.push_back(ItemOf(limits_[rule], names_[rule], "a", cost));
  }

  void Check(Instance& instance) {
    Asked& asked = Fresh();
    asked.plan.op = Op::kCheck;
    const std::uint64_t cost = dice_.OneIn(6) ? 1 + dice_.Below(7) : 1;
    for (std::size_t rule = 0; rule < limits_.size(); ++rule) {
      if (limits_.size() == 1 || dice_.Below(3) > 0) Put(asked, rule, cost);
    }
    if (asked.items.empty()) Put(asked, 0, cost);
    Go(instance, asked);
  }

  // Gives up a part of something that was admitted lately.
  void Settle(Instance& instance) {
    const std::size_t rule = dice_.Below(limits_.size());
    const std::vector<Event>& events = truths_[rule].events();
    if (events.empty()) return;
    const std::size_t i = events.size() - 1 - dice_.Below(std::min<std::size_t>(events.size(), 12));
    if (events[i].cost == 0) return;
    const auto left = static_cast<std::uint64_t>(events[i].cost);
    const std::uint64_t cost = 1 + dice_.Below(left);
    Asked& asked = Fresh();
    asked.plan.op = Op::kRefund;
    asked.charges.push_back({.cost = left, .at = events[i].at});
    Put(asked, rule, cost);
    asked.items.back().charge = &asked.charges.back();
    truths_[rule].GiveUp(i, cost);
    Go(instance, asked);
  }

  const Setup setup_;
  const std::vector<Limit> limits_;
  Dice dice_;
  std::unique_ptr<Store> shared_;
  std::vector<std::string> names_;
  std::vector<Truth> truths_;
  std::vector<Instance> instances_;
  std::list<Asked> asked_;
  Nanos now_ = kStart;
  std::uint64_t admitted_ = 0;
};

Nanos Quarters(Dice& dice, std::uint64_t most) { return static_cast<Nanos>(1 + dice.Below(most)) * kSecond / 4; }

Limit SomeBucket(Dice& dice) { return BucketOf(20 + dice.Below(300), 60 * (2 + dice.Below(150))); }

void HoldsFor(const Setup& setup, const std::function<std::vector<Limit>(Dice&)>& limits, int worlds) {
  std::random_device device;
  Dice seeds((std::uint64_t{device()} << 32) | device());
  std::uint64_t admitted = 0;
  for (int i = 0; i < worlds; ++i) {
    const std::uint64_t seed = seeds.Below(UINT64_MAX);
    Dice dice(seed);
    Setup some = setup;
    some.instances = 1 + dice.Below(setup.instances);
    World world(some, limits(dice), seed);
    ASSERT_EQ(world.Run(), "") << "seed " << seed;
    admitted += world.admitted();
  }
  EXPECT_GT(admitted, 0u);
}

TEST(Instances, OfABucketAdmitNoMoreThanItHolds) {
  HoldsFor({.instances = 5}, [](Dice& dice) { return std::vector{SomeBucket(dice)}; }, 150);
}

TEST(Instances, OfACalendarWindowAdmitNoMoreThanItsLimit) {
  HoldsFor(
      {.instances = 5}, [](Dice& dice) { return std::vector{EpochWindowOf(20 + dice.Below(300), Quarters(dice, 40))}; },
      60);
}

// Nobody gives up anything, and no answer is lost: the truth would close a window that the store keeps open, or open
// one later.
TEST(Instances, OfAWindowFromItsFirstRequestAdmitNoMoreThanItsLimit) {
  for (const auto make : {WindowOf, DefaultOf}) {
    HoldsFor(
        {.instances = 5, .settles = false, .loses_answers = false},
        [&](Dice& dice) { return std::vector{make(20 + dice.Below(300), Quarters(dice, 40))}; }, 40);
  }
}

TEST(Instances, OfASlidingWindowAdmitNoMoreThanItsCountAllows) {
  HoldsFor(
      {.instances = 5},
      [](Dice& dice) {
        const Nanos precision = Quarters(dice, 8);
        return std::vector{
            SubWindowsOf(20 + dice.Below(300), precision * static_cast<Nanos>(2 + dice.Below(9)), precision)};
      },
      60);
}

// Taken, then forgotten by the store, then told: it is charged nowhere.
TEST(Instances, DoNotSpendWhatWasGrantedBeforeAReset) {
  const auto shared = MakeMemory();
  auto way = std::make_unique<Wire>(*shared, 0);
  Wire& wire = *way;
  const auto store = MakeHybrid(std::move(way));
  const Limit limit = EpochWindowOf(1'000, kDay);
  const auto go = [&](Op op) {
    struct Deaf final : Completion {
      void Done() noexcept override {}
    } deaf;
    Item item = ItemOf(limit, "rule", "a");
    Outcome outcome;
    Plan plan{.op = op, .items = {&item, 1}, .outcomes = {&outcome, 1}};
    if (!store->TryApply(plan, kStart) && !store->Apply({&plan, 1}, kStart, &deaf)) {
      // The plan itself is told last: what it is behind is older.
      if (op == Op::kCheck) wire.DeliverOne();
      while (op != Op::kCheck && wire.waiting() > 0) wire.DeliverOne();
    }
    return plan.admitted;
  };
  while (wire.waiting() == 0) EXPECT_TRUE(go(Op::kCheck));
  go(Op::kReset);  // while a take waits to be told
  std::uint64_t admitted = 0;
  for (int i = 0; i < 3'000; ++i) {
    admitted += go(Op::kCheck) ? 1U : 0U;
    wire.Deliver();
  }
  EXPECT_EQ(admitted, 1'000U);
  wire.Cut();
}

TEST(Instances, KeepAllRulesOfAPlanTogether) {
  HoldsFor(
      {.instances = 4},
      [](Dice& dice) {
        return std::vector{SomeBucket(dice), EpochWindowOf(50 + dice.Below(300), 5 * kSecond),
                           SubWindowsOf(50 + dice.Below(300), 4 * kSecond, kSecond), SomeBucket(dice)};
      },
      60);
}

}  // namespace
}  // namespace weir::storage::hybrid
