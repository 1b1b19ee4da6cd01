// Random histories of a store: rules that change, subjects, plans of every kind, a clock that jumps both ways. Made
// from a seed, so that a failing one can be run again, shortened and printed. For tests only.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "algorithms/adaptive.h"
#include "storage/store.h"

namespace weir::storage::conformance {

using algorithms::Calendar;
using algorithms::Kind;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  // 0..n-1; n > 0.
  std::uint64_t Below(std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(engine_); }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }
  template <typename T, std::size_t N>
  T Of(const std::array<T, N>& choices) {
    return choices[Below(N)];
  }

 private:
  std::mt19937_64 engine_;
};

// One ask of a plan, by number: what the rules and subjects are is in the scenario.
struct Part {
  std::uint32_t rule = 0;
  std::uint32_t generation = 0;           // of the rule
  std::optional<std::uint32_t> previous;  // the generation named as `previous`
  std::uint32_t subject = 0;
  std::uint64_t cost = 1;
  std::uint64_t token = 0;
  bool shadow = false;
  std::optional<algorithms::PastCharge> charge;  // which one a refund settles
};

struct PlanSpec {
  Op op = Op::kCheck;
  std::vector<Part> parts;
};

// A batch at a time.
struct Step {
  Nanos now = 0;
  std::vector<PlanSpec> plans;
};

struct Scenario {
  std::vector<std::vector<Limit>> rules;  // [rule][generation]
  std::vector<Step> steps;
};

struct ScenarioOptions {
  std::vector<Kind> kinds;  // rules draw from these
  std::uint32_t rules = 4;
  std::uint32_t generations = 1;  // > 1: rules change on the way, and items carry over
  bool roll_back = false;         // any generation may follow any other, and requests of all are in flight at once
  std::uint32_t subjects = 3;
  std::uint32_t steps = 60;
  std::uint32_t max_plans = 3;  // per batch
  std::uint32_t max_parts = 4;  // per plan
  bool clock_backwards = true;
  bool only_checks = false;
  Nanos start = 1'800'000'000 * kSecond;
};

inline constexpr std::array kAllKinds = {Kind::kUnlimited,     Kind::kTokenBucket,      Kind::kLeakyBucket,
                                         Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kFixedWindow,
                                         Kind::kConcurrency,   Kind::kAdaptive,         Kind::kPenalty};

inline Limit RandomLimit(Kind kind, Dice& dice) {
  static constexpr std::array<std::uint64_t, 10> kCapacities = {0,  1,  2,    3,         5,
                                                                10, 50, 1000, 1'000'000, algorithms::kMaxCount};
  static constexpr std::array<std::uint64_t, 6> kSmall = {1, 2, 3, 5, 10, 20};
  static constexpr std::array<Nanos, 8> kPeriods = {
      kMillisecond, 7 * kMillisecond + 1, kSecond, 10 * kSecond, kMinute, kHour, kDay, 30 * kDay};
  static constexpr std::array<std::uint64_t, 6> kDivisors = {1, 2, 3, 7, 10, 60};
  Limit limit;
  limit.kind = kind;
  limit.capacity = dice.OneIn(4) ? dice.Of(kCapacities) : dice.Of(kSmall);
  // A log of millions of entries would only be slow.
  if (kind == Kind::kSlidingWindowLog || kind == Kind::kConcurrency) limit.capacity = dice.Below(30);
  limit.rate_count = dice.OneIn(8) ? dice.Below(1'000'000) + 1 : dice.Of(kSmall);
  limit.rate_period = dice.Of(kPeriods);
  limit.window = dice.Of(kPeriods);
  limit.precision = limit.window / static_cast<Nanos>(dice.Of(kDivisors));
  if (dice.OneIn(6)) limit.precision = 2 * limit.window;
  if (kind == Kind::kFixedWindow && dice.OneIn(2)) limit.calendar = static_cast<Calendar>(dice.Below(8));
  limit.shape = kind == Kind::kLeakyBucket && dice.OneIn(2);
  const bool bucket = kind == Kind::kLeakyBucket || kind == Kind::kTokenBucket;
  if (bucket && dice.OneIn(3)) limit.max_wait = dice.Of(kPeriods);
  limit.count_denied = (kind == Kind::kFixedWindow || kind == Kind::kSlidingWindow) && dice.OneIn(2);
  if (dice.OneIn(2)) limit.retention = limit.window * static_cast<Nanos>(1 + dice.Below(5));
  if (dice.OneIn(2)) limit.cleanup = dice.Of(kPeriods);
  limit.lease = dice.Of(kPeriods);
  limit.learning_window = dice.Of(kPeriods);
  limit.adjustment_ppm = static_cast<std::uint32_t>(dice.Below(4'000'000));
  limit.min_capacity = dice.Below(5);
  limit.max_capacity = limit.min_capacity + dice.Below(50);
  limit.threshold = static_cast<std::uint32_t>(dice.Below(5));
  limit.ban_factor_pct = static_cast<std::uint32_t>(100 + dice.Below(300));
  limit.first_ban = dice.Of(kPeriods);
  limit.longest_ban = limit.first_ban * static_cast<Nanos>(1 + dice.Below(20));
  limit.decay = dice.Of(kPeriods);
  return algorithms::Sanitize(limit);
}

// Another limit of the kind whose states mean the same.
inline Limit OtherNumbers(const Limit& limit, Dice& dice) {
  Limit other = RandomLimit(limit.kind, dice);
  other.rate_count = limit.rate_count;
  other.rate_period = limit.rate_period;
  other.calendar = limit.calendar;
  other.precision = limit.precision;
  if (dice.OneIn(2)) other.window = limit.window;
  return algorithms::Sanitize(other);
}

inline Op RandomOp(Dice& dice) {
  static constexpr std::array<Op, 15> kOps = {Op::kCheck,  Op::kCheck, Op::kCheck,  Op::kCheck,  Op::kCheck,
                                              Op::kCheck,  Op::kPeek,  Op::kPeek,   Op::kCharge, Op::kRefund,
                                              Op::kRefund, Op::kReset, Op::kAssign, Op::kTake,   Op::kTake};
  return dice.Of(kOps);
}

inline std::uint64_t RandomCost(Dice& dice) {
  static constexpr std::array<std::uint64_t, 6> kRare = {
      0, 7, 100, algorithms::kMaxCount, algorithms::kMaxCount + 1, UINT64_MAX};
  return dice.OneIn(8) ? dice.Of(kRare) : 1 + dice.Below(3);
}

// How an upstream fared, as an adaptive rule is told: at usual latencies, and beyond what is believed.
inline std::uint64_t RandomFeedback(Dice& dice) {
  static constexpr std::array<Nanos, 8> kLatencies = {
      0, 999, 20 * kMillisecond, 21 * kMillisecond, 25 * kMillisecond, 500 * kMillisecond, 3 * kSecond, kDay};
  return algorithms::adaptive::FeedbackToken(dice.Of(kLatencies), dice.OneIn(4));
}

// Mostly a little forward, sometimes not at all, by whole windows, or back.
inline Nanos RandomAdvance(const ScenarioOptions& options, Dice& dice) {
  static constexpr std::array<Nanos, 12> kSteps = {
      0,           0,       1,       kMicrosecond, kMillisecond, 400 * kMillisecond,
      kSecond - 1, kSecond, kSecond, 15 * kSecond, kMinute,      kHour + 1};
  static constexpr std::array<Nanos, 3> kJumps = {kDay, 31 * kDay, 400 * kDay};
  if (dice.OneIn(40)) return dice.Of(kJumps);
  const Nanos by = dice.Of(kSteps);
  return options.clock_backwards && dice.OneIn(10) ? -by : by;
}

inline Part RandomPart(const Scenario& scenario, const ScenarioOptions& options, std::uint32_t step, Dice& dice) {
  Part part;
  part.rule = static_cast<std::uint32_t>(dice.Below(scenario.rules.size()));
  // Generations come into force evenly over the history; now and then a late one still asks by the previous.
  part.generation = static_cast<std::uint32_t>(std::uint64_t{step} * options.generations / options.steps);
  if (part.generation > 0 && dice.OneIn(6)) --part.generation;
  if (part.generation > 0 && !dice.OneIn(10)) part.previous = part.generation - 1;
  if (options.roll_back) {
    part.generation = static_cast<std::uint32_t>(dice.Below(options.generations));
    part.previous = static_cast<std::uint32_t>(dice.Below(options.generations));  // now and then itself
    if (dice.OneIn(4)) part.previous.reset();
  }
  part.subject = static_cast<std::uint32_t>(dice.Below(options.subjects));
  part.cost = RandomCost(dice);
  part.token = dice.Below(6);
  if (dice.OneIn(4)) {
    part.token = RandomFeedback(dice);
    if (dice.OneIn(2)) part.cost = 0;
  }
  part.shadow = dice.OneIn(5);
  // Mostly one that was made, perhaps by another; at times more of it is asked back than is charged.
  if (!scenario.steps.empty() && dice.OneIn(2)) {
    const Nanos at =
        scenario.steps[scenario.steps.size() - 1 - dice.Below(std::min<std::size_t>(scenario.steps.size(), 8))].now;
    part.charge =
        algorithms::PastCharge{.cost = dice.OneIn(4) ? dice.Below(4) : part.cost, .at = at - (dice.OneIn(8) ? 1 : 0)};
  }
  return part;
}

inline Scenario RandomScenario(const ScenarioOptions& options, std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario;
  scenario.rules.resize(options.rules);
  for (auto& generations : scenario.rules) {
    for (std::uint32_t i = 0; i < options.generations; ++i) {
      generations.push_back(i > 0 && dice.OneIn(2)
                                ? OtherNumbers(generations.back(), dice)
                                : RandomLimit(options.kinds[dice.Below(options.kinds.size())], dice));
    }
  }
  Nanos now = options.start;
  for (std::uint32_t i = 0; i < options.steps; ++i) {
    now += RandomAdvance(options, dice);
    Step step{now, {}};
    for (std::uint64_t plans = 1 + dice.Below(options.max_plans); plans > 0; --plans) {
      PlanSpec plan{options.only_checks ? Op::kCheck : RandomOp(dice), {}};
      for (std::uint64_t parts = 1 + dice.Below(options.max_parts); parts > 0; --parts) {
        plan.parts.push_back(RandomPart(scenario, options, i, dice));
      }
      step.plans.push_back(std::move(plan));
    }
    scenario.steps.push_back(std::move(step));
  }
  return scenario;
}

inline std::string_view Name(Op op) {
  static constexpr std::array<std::string_view, 7> kNames = {"check", "peek",   "charge", "refund",
                                                             "reset", "assign", "take"};
  return kNames[static_cast<std::size_t>(op)];
}

inline std::string Describe(const Limit& limit) {
  return fmt::format(
      "{} calendar={} shape={} count_denied={} capacity={} rate={}/{}ns window={} precision={} lease={} learning={} "
      "ppm={} "
      "bounds={}..{} threshold={} factor={}% ban={}..{} decay={} max_wait={}",
      algorithms::Of(limit.kind).name, static_cast<int>(limit.calendar), limit.shape, limit.count_denied,
      limit.capacity, limit.rate_count, limit.rate_period, limit.window, limit.precision, limit.lease,
      limit.learning_window, limit.adjustment_ppm, limit.min_capacity, limit.max_capacity, limit.threshold,
      limit.ban_factor_pct, limit.first_ban, limit.longest_ban, limit.decay, limit.max_wait);
}

inline std::string Describe(const Outcome& outcome) {
  static constexpr std::array<std::string_view, 3> kVerdicts = {"allowed", "later", "never"};
  return fmt::format("{} limit={} remaining={} used={} reset_after={} retry_after={} delay={} granted={}",
                     kVerdicts[static_cast<std::size_t>(outcome.verdict)], outcome.limit, outcome.remaining,
                     outcome.used, outcome.reset_after_ns, outcome.retry_after_ns, outcome.delay_ns, outcome.granted);
}

inline std::string Describe(const StateCopy& copy) {
  return fmt::format("[{}] at {}", fmt::join(copy.words, " "), copy.now);
}

inline std::string Describe(const Scenario& scenario) {
  std::string text;
  for (std::size_t rule = 0; rule < scenario.rules.size(); ++rule) {
    for (std::size_t i = 0; i < scenario.rules[rule].size(); ++i) {
      text += fmt::format("rule {} generation {}: {}\n", rule, i, Describe(scenario.rules[rule][i]));
    }
  }
  for (const Step& step : scenario.steps) {
    text += fmt::format("at {}:\n", step.now);
    for (const PlanSpec& plan : step.plans) {
      text += fmt::format("  {}", Name(plan.op));
      for (const Part& part : plan.parts) {
        text += fmt::format(" [rule {}.{}{} subject {} cost {} token {}{}{}]", part.rule, part.generation,
                            part.previous ? fmt::format("<-{}", *part.previous) : "", part.subject, part.cost,
                            part.token, part.shadow ? " shadow" : "",
                            part.charge ? fmt::format(" of {} at {}", part.charge->cost, part.charge->at) : "");
      }
      text += '\n';
    }
  }
  return text;
}

// Owns what the items of plans point to.
class Names {
 public:
  explicit Names(const Scenario& scenario) : scenario_(scenario) {
    for (std::size_t rule = 0; rule < scenario.rules.size(); ++rule) {
      std::vector<std::string> names;
      for (std::size_t i = 0; i < scenario.rules[rule].size(); ++i) names.push_back(fmt::format("rule{}@{}", rule, i));
      rules_.push_back(std::move(names));
    }
    for (std::uint32_t i = 0; i < 64; ++i) subjects_.push_back(fmt::format("subject-{}", i));
  }

  Item ItemOf(const Part& part) const {
    Item item;
    item.limit = &scenario_.rules[part.rule][part.generation];
    item.rule = rules_[part.rule][part.generation];
    item.subject = subjects_[part.subject];
    item.key = HashKey(Hash64(item.rule), item.subject);
    if (part.previous) {
      item.previous = &scenario_.rules[part.rule][*part.previous];
      item.previous_rule = rules_[part.rule][*part.previous];
      item.previous_key = HashKey(Hash64(item.previous_rule), item.subject);
    }
    item.cost = part.cost;
    item.token = part.token;
    item.shadow = part.shadow;
    if (part.charge) item.charge = &*part.charge;
    return item;
  }

 private:
  const Scenario& scenario_;
  std::vector<std::vector<std::string>> rules_;
  std::vector<std::string> subjects_;
};

}  // namespace weir::storage::conformance
