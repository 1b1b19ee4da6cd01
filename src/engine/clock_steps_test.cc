// A wall clock that is set while the engine runs, and over a restart: by any step, in either direction.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/time_zone.h"
#include "base/anchored_clock.h"
#include "engine/engine_fixture.h"
#include "storage/memory/snapshot_file.h"

namespace weir::engine {
namespace {

constexpr Nanos kNoon = 1'800'000'000 * kSecond;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  Nanos In(Nanos low, Nanos high) { return std::uniform_int_distribution<Nanos>(low, high)(engine_); }
  // Of any size and direction.
  Nanos Step() {
    static constexpr Nanos kSizes[] = {kSecond, kMinute, kHour, kDay, 40 * kDay, 3'000 * kDay};
    const Nanos size = kSizes[In(0, 5)];
    return In(-size, size);
  }

 private:
  std::mt19937_64 engine_;
};

// One machine: its clocks, and an engine by them.
struct Machine {
  Machine(std::string_view yaml, ManualClock& the_wall, ManualClock& the_monotonic)
      : wall(the_wall), clock(the_wall, the_monotonic) {
    auto memory = storage::memory::MemoryStore::Create({.max_entries = 1000, .secret = 7}).value();
    store = memory.get();
    EngineOptions options;
    options.clock = &clock;
    engine = Engine::Create(ParseOrDie(yaml), std::move(memory), std::move(options)).value();
  }
  ~Machine() {
    algorithms::SetWallAhead(0);
    algorithms::time_zone_internal::wall_was_set = false;
  }

  Decision Ask(std::uint64_t cost = 1) {
    Call call;
    call.request = {.peer_ip = "192.0.2.1", .cost = cost};
    engine->Run({&call, 1});
    return call.decision;
  }

  ManualClock& wall;
  AnchoredClock clock;
  storage::memory::MemoryStore* store = nullptr;
  std::unique_ptr<Engine> engine;
};

std::string RuleOf(std::string_view algorithm, int window_seconds) {
  return "global: {free_tier: {max_requests: 20, window_seconds: " + std::to_string(window_seconds) +
         ", algorithm: " + std::string(algorithm) + "}}";
}

constexpr std::string_view kAlgorithms[] = {"token_bucket", "leaky_bucket", "sliding_window", "sliding_window_log",
                                            "{fixed_window: {aligned: rolling}}"};

TEST(ClockSteps, AtRunTimeChangeNothingForRulesThatAreNotOfACalendar) {
  for (const std::string_view algorithm : kAlgorithms) {
    SCOPED_TRACE(algorithm);
    Dice dice(7);
    ManualClock wall(kNoon), still(kNoon), monotonic(5 * kDay), other(5 * kDay);
    Machine stepped(RuleOf(algorithm, 60), wall, monotonic), steady(RuleOf(algorithm, 60), still, other);
    for (int i = 0; i < 2000; ++i) {
      const Nanos passed = dice.In(0, 3 * kSecond);
      for (ManualClock* clock : {&wall, &still, &monotonic, &other}) clock->Advance(passed);
      if (dice.In(0, 9) == 0) wall.Set(std::clamp<Nanos>(wall.Now() + dice.Step(), 0, 100'000 * kDay));
      const auto cost = static_cast<std::uint64_t>(dice.In(0, 3));
      const Decision a = stepped.Ask(cost), b = steady.Ask(cost);
      ASSERT_EQ(a.allowed, b.allowed) << i;
      ASSERT_EQ(a.decider()->outcome, b.decider()->outcome) << i;
    }
  }
}

TEST(ClockSteps, AnHourForthAndBackLeavesNobodyWaiting) {
  for (const Nanos step : {kHour, -kDay}) {
    ManualClock wall(kNoon), monotonic(0);
    Machine machine(RuleOf("{fixed_window: {aligned: rolling}}", 60), wall, monotonic);
    int admitted = 0;
    const auto ask = [&] {
      for (int i = 0; i < 100; ++i) admitted += machine.Ask().allowed ? 1 : 0;
    };
    ask();
    wall.Advance(step);
    ask();
    wall.Advance(-step);
    ask();
    EXPECT_EQ(admitted, 20);
    monotonic.Advance(kMinute);
    wall.Advance(kMinute);
    EXPECT_TRUE(machine.Ask().allowed);
  }
}

// A calendar follows the wall: its window ends when the wall says so, for each step at most one window's limit is
// admitted beside what the passing of windows allows, and nobody waits for longer than the unit (and the seconds by
// which the clock may have been put right).
TEST(ClockSteps, CalendarWindowsFollowTheWall) {
  const std::pair<std::string_view, Nanos> units[] = {{"minute", kMinute}, {"hour", kHour}, {"day", kDay}};
  for (const auto& [name, unit] : units) {
    SCOPED_TRACE(name);
    Dice dice(static_cast<std::uint64_t>(unit));
    ManualClock wall(kNoon), monotonic(5 * kDay);
    Machine machine(RuleOf("{fixed_window: {aligned: " + std::string(name) + "}}", 60), wall, monotonic);
    std::uint64_t admitted = 0, steps = 0, windows = 1;
    for (int i = 0; i < 3000; ++i) {
      const Nanos passed = dice.In(0, unit / 8);
      // The wall in whole seconds of difference, as it is kept.
      const Nanos step = dice.In(0, 9) == 0 ? dice.Step() / kSecond * kSecond : 0;
      const Nanos before = algorithms::ClampNow(wall.Now());
      wall.Advance(passed);
      monotonic.Advance(passed);
      windows += before / unit != wall.Now() / unit ? 1U : 0U;
      if (step != 0 && wall.Now() + step > 3'000 * kDay && wall.Now() + step < 70'000 * kDay) {
        wall.Advance(step);
        ++steps;
        // It is looked at once a second.
        wall.Advance(kSecond);
        monotonic.Advance(kSecond);
        windows += (wall.Now() - kSecond) / unit != wall.Now() / unit ? 1U : 0U;
      }
      for (int k = 0; k < 3; ++k) {
        const Decision decision = machine.Ask(8);
        admitted += decision.allowed ? 8 : 0;
        const Outcome& outcome = decision.decider()->outcome;
        ASSERT_LE(outcome.retry_after_ns, unit + 10 * kSecond) << i;
        if (outcome.reset_after_ns > 0) {
          ASSERT_EQ((wall.Now() + outcome.reset_after_ns) % unit, 0) << i << ": not where the wall's unit ends";
        }
      }
      ASSERT_LE(admitted, 20 * (windows + steps)) << i;
    }
    EXPECT_GT(steps, 100U);
    EXPECT_GT(admitted, 16 * windows / 2) << "and it was not for ever shut";
  }
}

TEST(ClockSteps, OverARestart) {
  const std::string path = std::filesystem::temp_directory_path() / ("weir-steps-" + std::to_string(getpid()));
  for (const std::string_view algorithm : {"token_bucket", "sliding_window", "sliding_window_log",
                                           "{fixed_window: {aligned: rolling}}", "{fixed_window: {aligned: minute}}"}) {
    SCOPED_TRACE(algorithm);
    Dice dice(11);
    for (int i = 0; i < 60; ++i) {
      ManualClock wall(kNoon + dice.In(0, kHour)), monotonic(dice.In(0, kDay));
      int admitted = 0;
      const auto ask = [&](Machine& machine) {
        Decision last;
        for (int k = 0; k < 30; ++k) {
          last = machine.Ask();
          admitted += last.allowed ? 1 : 0;
        }
        EXPECT_FALSE(last.allowed);
        // The default window is up to a microsecond longer than written (docs/decisions/0021).
        EXPECT_LE(last.decider()->outcome.retry_after_ns, kMinute + kMicrosecond);
        return last.decider()->outcome.retry_after_ns;
      };
      {
        Machine before(RuleOf(algorithm, 60), wall, monotonic);
        if (i % 2 == 0) wall.Advance(dice.Step());
        ask(before);
        ASSERT_TRUE(storage::memory::SaveSnapshot(*before.store, path, before.clock.Now()));
      }
      wall.Set(std::clamp<Nanos>(wall.Now() + dice.Step(), 100 * kDay, 70'000 * kDay));
      monotonic.Set(dice.In(0, kHour));
      Machine after(RuleOf(algorithm, 60), wall, monotonic);
      const auto report = storage::memory::LoadSnapshot(*after.store, path, after.clock.Now());
      ASSERT_TRUE(report);
      after.clock.ContinueFrom(report->created_at);
      const Nanos wait = ask(after);
      EXPECT_LE(admitted, 40) << "at most one window's limit more";
      wall.Advance(wait);
      monotonic.Advance(wait);
      EXPECT_TRUE(after.Ask().allowed);
    }
  }
  std::remove(path.c_str());
}

TEST(ClockSteps, SchedulesGoByTheWall) {
  ManualClock wall(kNoon - kNoon % kDay + 8 * kHour), monotonic(0);
  Machine machine(R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60}
endpoints:
  /**:
    combine: stack
    rule:
      max_requests: 1
      window_seconds: 60
      schedule: {from: "09:00", to: "17:00"}
)",
                  wall, monotonic);
  const auto allowed = [&] {
    Call call;
    call.request = {.peer_ip = "192.0.2.1", .path = "/a", .cost = 2};
    machine.engine->Run({&call, 1});
    return call.decision.allowed;
  };
  EXPECT_TRUE(allowed()) << "at eight";
  wall.Advance(2 * kHour + kSecond);
  monotonic.Advance(kSecond);
  EXPECT_FALSE(allowed()) << "set to ten";
  wall.Advance(kSecond - 2 * kHour);
  monotonic.Advance(kSecond);
  EXPECT_TRUE(allowed()) << "and back";
}

}  // namespace
}  // namespace weir::engine
