#include "cli/timeline.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

constexpr Nanos kStart = 1'700'000'000 * kSecond;  // 2023-11-14T22:13:20Z

TEST(Timeline, IsEmptyWithoutRequests) { EXPECT_TRUE(Timeline().Slices(24).empty()); }

TEST(Timeline, SlicesHaveALengthThatPeopleUseAndCountEverything) {
  for (const Nanos span : {Nanos{1}, kMinute, 25 * kMinute, kHour, 7 * kHour, kDay, 3 * kDay, 40 * kDay, 4000 * kDay}) {
    Timeline timeline;
    timeline.SetZone(2 * kHour);
    for (Nanos i = 0; i < 100; ++i) timeline.Add(kStart + span / 100 * i, i % 2 == 0);
    const auto slices = timeline.Slices(24);
    const Nanos length = timeline.SliceLength(24);
    EXPECT_LE(slices.size(), 24U) << span;
    EXPECT_EQ(length % kMinute, 0);
    EXPECT_TRUE(length >= kDay ? length % kDay == 0 : kDay % length == 0) << length;
    std::uint64_t allowed = 0, denied = 0;
    for (const auto& slice : slices) {
      EXPECT_EQ((slice.start + 2 * kHour) % length, 0);
      allowed += slice.allowed;
      denied += slice.denied;
    }
    EXPECT_EQ(allowed, 50U);
    EXPECT_EQ(denied, 50U);
  }
}

TEST(Timeline, IsBounded) {
  Timeline timeline;
  for (Nanos i = 0; i < 20'000; ++i) timeline.Add(kStart + i * kMinute, true);
  std::uint64_t allowed = 0;
  for (const auto& slice : timeline.Slices(24)) allowed += slice.allowed;
  EXPECT_EQ(allowed, 20'000U);
  EXPECT_EQ(timeline.Slices(1).size(), 1U);
}

TEST(Timeline, KnowsThePeaks) {
  Timeline timeline;
  for (int i = 0; i < 5; ++i) timeline.Add(kStart + i * kSecond, true);
  for (int i = 0; i < 3; ++i) timeline.Add(kStart + kHour, false);
  EXPECT_EQ(timeline.peak_second().requests, 3U);
  EXPECT_EQ(timeline.peak_second().start, kStart + kHour);
  EXPECT_EQ(timeline.peak_minute().requests, 5U);
  EXPECT_EQ(timeline.peak_minute().start, kStart - 20 * kSecond);
}

}  // namespace
}  // namespace weir::cli
