#include "base/anchored_clock.h"

#include <gtest/gtest.h>

#include "base/manual_clock.h"

namespace weir {
namespace {

TEST(AnchoredClock, StepsOfTheWallClockAreNotHeardOf) {
  ManualClock wall(1'000 * kDay), monotonic(77);
  const AnchoredClock clock(wall, monotonic);
  EXPECT_EQ(clock.Now(), 1'000 * kDay);
  for (const Nanos step : {kHour, -kHour, -kDay, 5'000 * kDay, Nanos{1}, -kSecond}) {
    const Nanos before = clock.Now();
    wall.Advance(step + kSecond);
    monotonic.Advance(kSecond);
    EXPECT_EQ(clock.Now(), before + kSecond);
    EXPECT_EQ(clock.Wall(), wall.Now());
  }
}

TEST(AnchoredClock, GoesOnFromALaterTimeOnly) {
  ManualClock wall(1'000 * kDay), monotonic(77);
  AnchoredClock clock(wall, monotonic);
  clock.ContinueFrom(999 * kDay);
  EXPECT_EQ(clock.Now(), 1'000 * kDay);
  clock.ContinueFrom(1'001 * kDay);
  EXPECT_EQ(clock.Now(), 1'001 * kDay);
  monotonic.Advance(5);
  EXPECT_EQ(clock.Now(), 1'001 * kDay + 5);
  EXPECT_EQ(clock.Wall(), 1'000 * kDay);
}

TEST(AnchoredClock, TheMachinesDoesNotGoBack) {
  const Nanos first = DecisionClock().Now();
  EXPECT_GE(DecisionClock().Now(), first);
  EXPECT_GT(first, 0);
}

}  // namespace
}  // namespace weir
