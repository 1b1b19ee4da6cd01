// One behaviour suite for every store. A store's test program includes this header once and stamps it:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(StoreUnderTest{...}));
//
// Its CMakeLists.txt adds ${PROJECT_SOURCE_DIR} to the include directories of the test program, and fmt::fmt to
// TEST_DEPS.
//
// Random histories must give the answers of ReferenceStore, every field of every outcome, to the nanosecond; named
// tests then say one promise each, so that a failure reads well.
//
// Time is made up: it starts at `start` and moves by jumps, forwards and backwards. A store that drops states by a
// clock of its own (TTLs) must add slack of at least some minutes to each TTL, or states vanish in the middle of a
// test.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "storage/store.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/reference_store.h"
#include "tests/conformance/scenario.h"

namespace weir::storage::conformance {

struct StoreUnderTest {
  std::string name;                              // of the instantiation, for messages
  std::function<std::unique_ptr<Store>()> make;  // an empty store with room for thousands of states
  Nanos start = 1'800'000'000 * kSecond;
  std::uint64_t seed = std::random_device{}();  // of the random histories; printed with each failure
  int histories = 60;                           // per test of random histories
};

inline void PrintTo(const StoreUnderTest& store, std::ostream* out) { *out << store.name; }

inline std::vector<Answer> Ask(Store& store, const Step& step, const Names& names) {
  std::vector<std::vector<Item>> items;
  std::vector<Answer> answers(step.plans.size());
  std::vector<Plan> plans;
  items.reserve(step.plans.size());
  for (std::size_t i = 0; i < step.plans.size(); ++i) {
    items.emplace_back();
    for (const Part& part : step.plans[i].parts) items.back().push_back(names.ItemOf(part));
    answers[i].outcomes.resize(items.back().size());
    const bool peek = step.plans[i].op == Op::kPeek;
    // Something left over from before, which must not stay.
    if (peek) answers[i].copies.assign(items.back().size(), StateCopy{.words = {1, 2}, .now = 3});
    StateCopy* const copies = peek ? answers[i].copies.data() : nullptr;
    plans.push_back(Plan{step.plans[i].op, items.back(), answers[i].outcomes, PlanStatus::kOk, false, copies});
  }
  ApplyAndWait(store, plans, step.now);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    answers[i].status = plans[i].status;
    answers[i].admitted = plans[i].admitted;
  }
  return answers;
}

// The first difference between the store and the reference over the history; nullopt when there is none.
inline std::optional<std::string> FirstDifference(const StoreUnderTest& under_test, const Scenario& scenario) {
  const std::unique_ptr<Store> store = under_test.make();
  ReferenceStore reference;
  const Names names(scenario);
  for (std::size_t i = 0; i < scenario.steps.size(); ++i) {
    Step step = scenario.steps[i];
    step.now = std::max(step.now, reference.Earliest());
    const std::vector<Answer> expected = Ask(reference, step, names);
    const std::vector<Answer> actual = Ask(*store, step, names);
    for (std::size_t plan = 0; plan < expected.size(); ++plan) {
      if (actual[plan] == expected[plan]) continue;
      std::string text =
          fmt::format("step {} plan {}: admitted {} (expected {}), status {}\n", i, plan, actual[plan].admitted,
                      expected[plan].admitted, static_cast<int>(actual[plan].status));
      for (std::size_t item = 0; item < expected[plan].outcomes.size(); ++item) {
        text += fmt::format("  item {}: {}\n", item, Describe(actual[plan].outcomes[item]));
        if (actual[plan].outcomes[item] != expected[plan].outcomes[item]) {
          text += fmt::format("  expected {}\n", Describe(expected[plan].outcomes[item]));
        }
        if (expected[plan].copies.empty() || actual[plan].copies[item] == expected[plan].copies[item]) continue;
        text += fmt::format("  state {}\n  expected {}\n", Describe(actual[plan].copies[item]),
                            Describe(expected[plan].copies[item]));
      }
      return text;
    }
  }
  return std::nullopt;
}

// Leaves out steps, plans and parts as long as a difference remains.
inline Scenario Shorten(const StoreUnderTest& under_test, Scenario scenario) {
  const auto differs = [&](const Scenario& candidate) { return FirstDifference(under_test, candidate).has_value(); };
  bool shorter = true;
  while (shorter) {
    shorter = false;
    for (std::size_t length = scenario.steps.size(); length > 0; length /= 2) {
      for (std::size_t i = 0; i + length <= scenario.steps.size();) {
        Scenario candidate = scenario;
        const auto first = candidate.steps.begin() + static_cast<std::ptrdiff_t>(i);
        candidate.steps.erase(first, first + static_cast<std::ptrdiff_t>(length));
        if (differs(candidate)) {
          scenario = std::move(candidate);
          shorter = true;
        } else {
          ++i;
        }
      }
    }
    for (std::size_t step = 0; step < scenario.steps.size(); ++step) {
      for (std::size_t plan = 0; plan < scenario.steps[step].plans.size();) {
        Scenario candidate = scenario;
        auto& plans = candidate.steps[step].plans;
        if (plans[plan].parts.size() > 1) {
          plans[plan].parts.pop_back();
        } else {
          plans.erase(plans.begin() + static_cast<std::ptrdiff_t>(plan));
        }
        if (differs(candidate)) {
          scenario = std::move(candidate);
          shorter = true;
        } else {
          ++plan;
        }
      }
    }
  }
  return scenario;
}

class StoreConformance : public testing::TestWithParam<StoreUnderTest> {
 protected:
  void HoldsFor(ScenarioOptions options) {
    options.start = GetParam().start;
    Dice seeds(GetParam().seed);
    for (int i = 0; i < GetParam().histories; ++i) {
      const std::uint64_t seed = seeds.Below(UINT64_MAX);
      const Scenario scenario = RandomScenario(options, seed);
      if (!FirstDifference(GetParam(), scenario)) continue;
      const Scenario shortest = Shorten(GetParam(), scenario);
      FAIL() << "seed " << seed << "\n" << Describe(shortest) << FirstDifference(GetParam(), shortest).value_or("");
    }
  }

  std::unique_ptr<Store> Make() { return GetParam().make(); }
  Nanos start() const { return GetParam().start; }
};

// ---- random histories -----------------------------------------------------------------------------------------------

TEST_P(StoreConformance, AnswersAsTheReferenceForEveryAlgorithmAlone) {
  for (const Kind kind : kAllKinds) {
    SCOPED_TRACE(algorithms::Of(kind).name);
    HoldsFor({.kinds = {kind}, .rules = 2, .subjects = 2, .max_parts = 1});
    if (HasFatalFailure()) return;
  }
}

TEST_P(StoreConformance, AnswersAsTheReferenceForPlansOfSeveralRules) {
  HoldsFor({.kinds = {kAllKinds.begin(), kAllKinds.end()}, .rules = 6, .max_parts = 6});
}

TEST_P(StoreConformance, AnswersAsTheReferenceForChecksOfBuckets) {
  HoldsFor({.kinds = {Kind::kTokenBucket, Kind::kLeakyBucket}, .rules = 5, .steps = 100, .only_checks = true});
}

TEST_P(StoreConformance, AnswersAsTheReferenceWhenTheSameSubjectsAreNamedAgainAndAgain) {
  HoldsFor({.kinds = {Kind::kTokenBucket, Kind::kFixedWindow, Kind::kConcurrency},
            .rules = 2,
            .subjects = 1,
            .max_parts = 5});
}

TEST_P(StoreConformance, AnswersAsTheReferenceWhenRulesChange) {
  HoldsFor({.kinds = {kAllKinds.begin(), kAllKinds.end()}, .rules = 3, .generations = 4, .max_parts = 3});
}

TEST_P(StoreConformance, AnswersAsTheReferenceWhenChangesAreRolledBack) {
  HoldsFor({.kinds = {kAllKinds.begin(), kAllKinds.end()},
            .rules = 2,
            .generations = 4,
            .roll_back = true,
            .subjects = 2,
            .max_parts = 3});
}

TEST_P(StoreConformance, AnswersAsTheReferenceWhenOnlyNumbersChange) {
  for (const Kind kind : kAllKinds) {
    SCOPED_TRACE(algorithms::Of(kind).name);
    HoldsFor({.kinds = {kind}, .rules = 2, .generations = 3, .roll_back = true, .subjects = 2, .max_parts = 2});
    if (HasFatalFailure()) return;
  }
}

TEST_P(StoreConformance, AnswersAsTheReferenceForPlansOfMoreThanEightRules) {
  HoldsFor({.kinds = {kAllKinds.begin(), kAllKinds.end()}, .rules = 12, .subjects = 2, .max_parts = 14});
}

TEST_P(StoreConformance, AnswersAsTheReferenceForLargeBatches) {
  HoldsFor({.kinds = {Kind::kTokenBucket, Kind::kSlidingWindow},
            .subjects = 8,
            .steps = 10,
            .max_plans = 80,
            .max_parts = 2});
}

// ---- one promise each -----------------------------------------------------------------------------------------------

TEST_P(StoreConformance, HasANameAndIsUp) {
  const auto store = Make();
  EXPECT_FALSE(store->Name().empty());
  EXPECT_EQ(store->GetHealth(), Health::kUp);
}

TEST_P(StoreConformance, TakesAnEmptyBatchAndAnEmptyPlan) {
  const auto store = Make();
  ApplyAndWait(*store, {}, start());
  EXPECT_TRUE(Do(*store, Op::kCheck, {}, start()).admitted);
  EXPECT_TRUE(Do(*store, Op::kPeek, {}, start()).admitted);
}

TEST_P(StoreConformance, AdmitsAsManyAsTheLimitAndThenDenies) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(3), WindowOf(3)}) {
    const Item item = ItemOf(limit, algorithms::Of(limit.kind).name, "a");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start()).admitted);
    const Answer denied = Do(*store, Op::kCheck, {item}, start());
    EXPECT_FALSE(denied.admitted);
    EXPECT_EQ(denied.outcomes[0].verdict, Verdict::kLater);
    EXPECT_GT(denied.outcomes[0].retry_after_ns, 0);
    EXPECT_FALSE(Do(*store, Op::kCheck, {item}, start() + denied.outcomes[0].retry_after_ns - 1).admitted);
    EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start() + denied.outcomes[0].retry_after_ns).admitted);
    EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(limit, item.rule, "b")}, start()).admitted);
  }
}

TEST_P(StoreConformance, ADeniedPlanConsumesNothingOfAnyRule) {
  const auto store = Make();
  const Limit wide = BucketOf(10), window = WindowOf(10), narrow = BucketOf(1);
  const std::vector<Item> items = {ItemOf(wide, "wide", "a"), ItemOf(window, "window", "a"),
                                   ItemOf(narrow, "narrow", "a")};
  EXPECT_TRUE(Do(*store, Op::kCheck, items, start()).admitted);
  for (int i = 0; i < 5; ++i) {
    const Answer denied = Do(*store, Op::kCheck, items, start());
    EXPECT_FALSE(denied.admitted);
    EXPECT_EQ(denied.outcomes[0].verdict, Verdict::kAllowed);
    EXPECT_EQ(denied.outcomes[0].remaining, 9u) << "tells what is left, nothing consumed";
    EXPECT_EQ(denied.outcomes[1].verdict, Verdict::kAllowed);
    EXPECT_EQ(denied.outcomes[1].remaining, 9u);
    EXPECT_EQ(denied.outcomes[2].verdict, Verdict::kLater);
  }
  EXPECT_EQ(UsedNow(*store, items[0], start()), 1u);
  EXPECT_EQ(UsedNow(*store, items[1], start()), 1u);
}

TEST_P(StoreConformance, ADenialThatCountsIsCountedInADeniedPlanToo) {
  for (const Kind kind : {Kind::kFixedWindow, Kind::kSlidingWindow}) {
    for (const Nanos precision : {kSecond, kHour}) {
      const auto store = Make();
      const Limit ten = BucketOf(10), none = BucketOf(0);
      Limit counts = WindowOf(2);
      counts.kind = kind;
      counts.precision = precision;
      counts.count_denied = true;
      counts = algorithms::Sanitize(counts);
      const Item item = ItemOf(counts, "counts", "a"), wide = ItemOf(ten, "wide", "a");
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start()).admitted);
      const Answer denied = Do(*store, Op::kCheck, {wide, item}, start());
      EXPECT_FALSE(denied.admitted);
      EXPECT_EQ(denied.outcomes[1].used, 3u);
      EXPECT_EQ(UsedNow(*store, item, start()), 3u) << "counted, though the plan was denied";
      EXPECT_EQ(UsedNow(*store, wide, start()), 0u);
      // Allowed by itself, and denied by another: nothing of it is counted.
      const Item other = ItemOf(counts, "counts", "b");
      EXPECT_FALSE(Do(*store, Op::kCheck, {other, ItemOf(none, "none", "b")}, start()).admitted);
      EXPECT_EQ(UsedNow(*store, other, start()), 0u);
    }
  }
}

TEST_P(StoreConformance, AWindowOfNoLengthKeepsNothingAlsoWhenTheClockGoesBack) {
  const auto store = Make();
  const Limit minute = WindowOf(2), moment = WindowOf(2, 0);
  // One key may be asked by both, as their states have one shape.
  EXPECT_TRUE(Do(*store, Op::kCheck, {ItemOf(minute, "window", "a", 2)}, start()).admitted);
  const Answer back = Do(*store, Op::kCheck, {ItemOf(moment, "window", "a", 2)}, start() - kSecond);
  EXPECT_TRUE(back.admitted);
  EXPECT_EQ(back.outcomes[0].used, 2u);
  EXPECT_EQ(UsedNow(*store, ItemOf(moment, "window", "a"), start() - kSecond), 0u);
}

TEST_P(StoreConformance, AShadowRuleNeverDeniesAndIsChargedOnItsOwnVerdict) {
  const auto store = Make();
  const Limit one = BucketOf(1), wide = BucketOf(5), none = BucketOf(0);
  const Item shadow = Shadow(ItemOf(one, "shadow", "a"));
  EXPECT_TRUE(Do(*store, Op::kCheck, {shadow, ItemOf(wide, "wide", "a")}, start()).admitted);
  const Answer second = Do(*store, Op::kCheck, {shadow, ItemOf(wide, "wide", "a")}, start());
  EXPECT_TRUE(second.admitted);
  EXPECT_EQ(second.outcomes[0].verdict, Verdict::kLater);
  // In a denied plan too.
  const Item other = Shadow(ItemOf(wide, "shadow-wide", "a"));
  EXPECT_FALSE(Do(*store, Op::kCheck, {other, ItemOf(none, "none", "a")}, start()).admitted);
  EXPECT_EQ(UsedNow(*store, other, start()), 1u);
}

TEST_P(StoreConformance, TheSameSubjectTwiceInAPlanCountsTwice) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(3), WindowOf(3)}) {
    const Item item = ItemOf(limit, algorithms::Of(limit.kind).name, "a");
    EXPECT_TRUE(Do(*store, Op::kCheck, {item, item}, start()).admitted);
    EXPECT_EQ(UsedNow(*store, item, start()), 2u);
    EXPECT_FALSE(Do(*store, Op::kCheck, {item, item}, start()).admitted);
    EXPECT_EQ(UsedNow(*store, item, start()), 2u);
    EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start()).admitted);
  }
}

TEST_P(StoreConformance, PlansOfABatchSeeEachOtherInOrder) {
  const auto store = Make();
  const Limit limit = BucketOf(2);
  const Item item = ItemOf(limit, "bucket", "a");
  std::array<Outcome, 4> outcomes;
  std::array<Plan, 4> plans;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    plans[i] = Plan{Op::kCheck, {&item, 1}, {&outcomes[i], 1}, PlanStatus::kOk, false};
  }
  plans[2].op = Op::kReset;
  ApplyAndWait(*store, plans, start());
  EXPECT_EQ(outcomes[0].remaining, 1u);
  EXPECT_EQ(outcomes[1].remaining, 0u);
  EXPECT_EQ(outcomes[3].remaining, 1u);
}

TEST_P(StoreConformance, PeekChangesNothing) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(2), WindowOf(2)}) {
    const Item item = ItemOf(limit, algorithms::Of(limit.kind).name, "a");
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(Do(*store, Op::kPeek, {item}, start()).admitted);
    EXPECT_FALSE(Do(*store, Op::kPeek, {ItemOf(limit, item.rule, "a", 3)}, start()).admitted);
    EXPECT_EQ(UsedNow(*store, item, start()), 0u);
  }
}

TEST_P(StoreConformance, RefundChargeResetAndAssignDoAsTheySay) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(10), WindowOf(10)}) {
    const Item item = ItemOf(limit, algorithms::Of(limit.kind).name, "a", 4);
    EXPECT_TRUE(Do(*store, Op::kCheck, {item}, start()).admitted);
    EXPECT_TRUE(Do(*store, Op::kCharge, {item}, start()).admitted);
    EXPECT_EQ(UsedNow(*store, item, start()), 8u);
    EXPECT_EQ(Do(*store, Op::kCharge, {item}, start()).outcomes[0].verdict, Verdict::kAllowed) << "debt";
    EXPECT_FALSE(Do(*store, Op::kCheck, {ItemOf(limit, item.rule, "a", 1)}, start()).admitted);
    Do(*store, Op::kRefund, {item}, start());
    EXPECT_EQ(UsedNow(*store, item, start()), 8u);
    Do(*store, Op::kAssign, {item}, start());
    EXPECT_EQ(UsedNow(*store, item, start()), 4u);
    Do(*store, Op::kReset, {item}, start());
    EXPECT_EQ(UsedNow(*store, item, start()), 0u);
    Do(*store, Op::kRefund, {item}, start());
    EXPECT_EQ(UsedNow(*store, item, start()), 0u);
  }
}

TEST_P(StoreConformance, LaterAndNeverAreDifferentAnswers) {
  const auto store = Make();
  const Limit limit = BucketOf(5);
  const Answer never = Do(*store, Op::kCheck, {ItemOf(limit, "bucket", "a", 6)}, start());
  EXPECT_EQ(never.outcomes[0].verdict, Verdict::kNever);
  EXPECT_EQ(never.outcomes[0].retry_after_ns, 0);
  EXPECT_EQ(UsedNow(*store, ItemOf(limit, "bucket", "a"), start()), 0u);
}

TEST_P(StoreConformance, SlotsAreTakenReleasedAndRunOut) {
  const auto store = Make();
  const Limit limit = SlotsOf(2);
  const auto slot = [&](std::uint64_t token) {
    Item item = ItemOf(limit, "slots", "a");
    item.token = token;
    return item;
  };
  EXPECT_TRUE(Do(*store, Op::kCheck, {slot(1)}, start()).admitted);
  EXPECT_TRUE(Do(*store, Op::kCheck, {slot(2)}, start()).admitted);
  EXPECT_FALSE(Do(*store, Op::kCheck, {slot(3)}, start()).admitted);
  Do(*store, Op::kRefund, {slot(9)}, start());
  EXPECT_FALSE(Do(*store, Op::kCheck, {slot(3)}, start()).admitted) << "an unknown token releases nothing";
  Do(*store, Op::kRefund, {slot(1)}, start());
  EXPECT_TRUE(Do(*store, Op::kCheck, {slot(3)}, start()).admitted);
  EXPECT_TRUE(Do(*store, Op::kCheck, {slot(4)}, start() + kMinute).admitted) << "leases have run out";
}

TEST_P(StoreConformance, ManyThreadsAreAdmittedExactlyTheLimit) {
  const auto store = Make();
  for (const Limit& limit : {BucketOf(500), WindowOf(500), EpochWindowOf(500, kDay)}) {
    const std::string subject = std::to_string(limit.window);
    const Item item = ItemOf(limit, algorithms::Of(limit.kind).name, subject);
    std::atomic<int> admitted = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 250; ++i) admitted += Do(*store, Op::kCheck, {item}, start()).admitted ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(admitted, 500);
  }
}

}  // namespace weir::storage::conformance

#include "tests/conformance/store_changes.h"
#include "tests/conformance/store_services.h"
