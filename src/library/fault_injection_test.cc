// The installed ManualClock, and StoreFaults seen by a limiter.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "weir/testing.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, StandsStillUntilItIsMoved) {
  ManualClock clock(5 * kSecond);
  EXPECT_EQ(clock.Now(), 5 * kSecond);
  EXPECT_EQ(clock.Wall(), clock.Now());
  clock.Advance(2s);
  clock.Advance(-kSecond);
  EXPECT_EQ(clock.Now(), 6 * kSecond);
  clock.Set(1);
  EXPECT_EQ(clock.Now(), 1);
}

TEST(ManualClock, CallsWhatIsDueInOrder) {
  ManualClock clock(0);
  std::vector<std::string> called;
  const auto note = [&](std::string what) { return [&called, what = std::move(what)] { called.push_back(what); }; };
  clock.At(20, note("b"));
  clock.At(10, note("a"));
  clock.At(20, note("c"));
  clock.At(0, note("now"));
  EXPECT_EQ(called, (std::vector<std::string>{"now"}));
  clock.Advance(9);
  EXPECT_EQ(called.size(), 1U);
  clock.Advance(100);
  EXPECT_EQ(called, (std::vector<std::string>{"now", "a", "b", "c"}));
  clock.Set(0);
  clock.Set(1000);
  EXPECT_EQ(called.size(), 4U) << "each once";
}

TEST(ManualClock, WhatIsCalledMayMoveTheClockAndAskForMore) {
  ManualClock clock(0);
  int called = 0;
  clock.At(1, [&] {
    ++called;
    clock.At(5, [&] { ++called; });
    clock.Advance(4);
  });
  clock.At(4, [&] { ++called; });
  clock.Advance(1);
  EXPECT_EQ(called, 3);
  EXPECT_EQ(clock.Now(), 5);
}

}  // namespace
}  // namespace weir
