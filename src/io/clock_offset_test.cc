#include "io/clock_offset.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace weir::io {
namespace {

// A sample as it comes about: this machine's wall clock is `ahead` of the monotonic one, the server's is `server_ahead`
// of the monotonic one; the request takes `there`, the answer `back`.
ClockSample Sample(Nanos sent, Nanos there, Nanos back, Nanos ahead, Nanos server_ahead) {
  return {.sent = sent,
          .received = sent + there + back,
          .server = sent + there + server_ahead,
          .caller = sent + there + back + ahead};
}

TEST(ClockOffset, IsZeroBeforeTheFirstSample) {
  const ClockOffset clock;
  EXPECT_EQ(clock.offset(), 0);
  EXPECT_EQ(clock.round_trip(), 0);
}

TEST(ClockOffset, IsExactWhenBothWaysTakeTheSameTime) {
  ClockOffset clock;
  clock.Add(Sample(1000, 50, 50, 7 * kSecond, 9 * kSecond));
  EXPECT_EQ(clock.offset(), 2 * kSecond);
  EXPECT_EQ(clock.round_trip(), 100);
}

TEST(ClockOffset, BelievesTheShortestRoundTrip) {
  ClockOffset clock;
  clock.Add(Sample(0, 10, 10, 0, kSecond));
  for (Nanos i = 1; i < 10; ++i) clock.Add(Sample(i * kSecond, kMillisecond, 9 * kMillisecond, 0, kSecond));
  EXPECT_EQ(clock.offset(), kSecond);
  EXPECT_EQ(clock.round_trip(), 20);
}

TEST(ClockOffset, IsWrongByAtMostHalfTheRoundTrip) {
  for (Nanos there = 0; there <= 10'000; there += 500) {
    ClockOffset clock;
    clock.Add(Sample(5, there, 10'000 - there, -kSecond, 3 * kSecond));
    EXPECT_LE(std::abs(clock.offset() - 4 * kSecond), clock.round_trip() / 2);
  }
}

TEST(ClockOffset, ForgetsGoodSamplesThatAreOld) {
  ClockOffset clock;
  clock.Add(Sample(0, 1, 1, 0, kSecond));
  for (Nanos i = 1; i <= 16; ++i) clock.Add(Sample(i * kSecond, 500, 500, 0, kSecond + i * 10));
  EXPECT_EQ(clock.round_trip(), 1000);
}

TEST(ClockOffset, NoticesThatThisMachinesClockWasSet) {
  ClockOffset clock;
  clock.Add(Sample(0, 10, 10, 0, kSecond));
  clock.Add(Sample(kSecond, 50, 50, -kHour, kSecond));
  EXPECT_EQ(clock.offset(), kSecond + kHour);
}

TEST(ClockOffset, NoticesThatTheServersClockWasSet) {
  ClockOffset clock;
  for (Nanos i = 0; i < 5; ++i) clock.Add(Sample(i * kSecond, 10, 10, 0, kSecond));
  clock.Add(Sample(6 * kSecond, 500, 500, 0, kHour));
  EXPECT_EQ(clock.offset(), kHour);
  EXPECT_EQ(clock.round_trip(), 1000);
}

TEST(ClockOffset, IgnoresASampleThatEndsBeforeItBegins) {
  ClockOffset clock;
  clock.Add({.sent = 10, .received = 5, .server = kHour, .caller = 0});
  EXPECT_EQ(clock.offset(), 0);
}

}  // namespace
}  // namespace weir::io
