#include "algorithms/fixed_window.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/testing.h"
#include "algorithms/time_zone.h"

namespace weir::algorithms::testing {
namespace {

Limit Rolling(std::uint64_t capacity, Nanos window) {
  Limit limit;
  limit.kind = Kind::kFixedWindow;
  limit.capacity = capacity;
  limit.window = window;
  return Sanitize(limit);
}

// The window as its definition has it: opened by a request, forgotten whole.
struct Naive {
  Limit limit;
  std::optional<WindowBounds> open;
  std::uint64_t count = 0;

  Outcome Check(std::uint64_t cost, Nanos now) {
    if (open && now >= open->end) {
      open.reset();
      count = 0;
    }
    Outcome outcome;
    outcome.limit = limit.capacity;
    const bool never = cost > limit.capacity;
    const bool fits = !never && count + cost <= limit.capacity;
    if (fits || limit.count_denied) {
      if (!open)
        open = limit.calendar == Calendar::kNone ? WindowBounds{now, now + limit.window} : CalendarBounds(limit, now);
      count += cost;
    }
    outcome.used = count;
    outcome.remaining = count < limit.capacity ? limit.capacity - count : 0;
    outcome.reset_after_ns = count > 0 ? open->end - now : 0;
    if (never) {
      outcome.verdict = Verdict::kNever;
    } else if (!fits) {
      outcome.verdict = Verdict::kLater;
      outcome.retry_after_ns = open->end - now;
    }
    return outcome;
  }
};

TEST(FixedWindow, IsWhatItsDefinitionSays) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    Limit limit = RandomLimit(Kind::kFixedWindow, random);
    limit.zone = ZoneIndex(random.OneIn(2) ? "Europe/Berlin" : "UTC").value();
    SCOPED_TRACE(Describe(limit));
    Counter counter(limit);
    Naive naive{.limit = limit, .open = {}};
    Nanos now = kStart;
    for (int step = 0; step < 150; ++step) {
      now += random.OneIn(3) ? 0 : random.In(0, Scale(limit) / 5);
      const auto cost =
          static_cast<std::uint64_t>(random.OneIn(4) ? random.In(1, static_cast<Nanos>(limit.capacity) + 1) : 1);
      ASSERT_EQ(counter.Check(cost, now), naive.Check(cost, now)) << "step " << step;
    }
  }
}

TEST(FixedWindow, NeverMoreThanTwiceTheLimitInAnyTrailingWindow) {
  const Limit limit = Rolling(50, 10 * kSecond);
  Random random(1);
  Counter counter(limit);
  std::vector<Event> admitted;
  Nanos now = kStart;
  for (int i = 0; i < 2000; ++i) {
    now += random.In(0, 400 * kMillisecond);
    for (int j = 0; j < random.In(0, 30); ++j) {
      if (counter.Check(1, now).verdict == Verdict::kAllowed) admitted.push_back({now, 1});
    }
  }
  const std::int64_t most = MostInAnyWindow(admitted, limit.window);
  EXPECT_GT(most, 50);
  EXPECT_LE(most, 100);
}

TEST(FixedWindow, ADayIsTheZonesDay) {
  Limit limit = Rolling(2, 0);
  limit.calendar = Calendar::kDay;
  limit.zone = ZoneIndex("America/New_York").value();
  Counter counter(limit);
  // 2026-03-08 12:00 EDT: the day began 11 hours ago (the clocks lost one) and ends in 12.
  const Nanos noon = 1'772'985'600 * kSecond;
  EXPECT_EQ(counter.Check(2, noon).reset_after_ns, 12 * kHour);
  const Outcome denied = counter.Check(1, noon + kHour);
  EXPECT_EQ(denied.verdict, Verdict::kLater);
  EXPECT_EQ(denied.retry_after_ns, 11 * kHour);
  EXPECT_EQ(counter.Check(1, noon + 12 * kHour).verdict, Verdict::kAllowed);
}

TEST(FixedWindow, EpochWindowsLieEndToEndFrom1970) {
  Limit limit = Rolling(3, 7 * kDay);
  limit.calendar = Calendar::kEpoch;
  const Nanos begin = 2'900 * 7 * kDay;
  for (const char* zone : {"UTC", "Asia/Kolkata"}) {
    limit.zone = ZoneIndex(zone).value();
    Counter counter(limit);
    EXPECT_EQ(counter.Check(1, begin).reset_after_ns, 7 * kDay);
    EXPECT_EQ(counter.Check(2, begin + 6 * kDay).reset_after_ns, kDay);
    const Outcome denied = counter.Check(1, begin + 7 * kDay - 1);
    EXPECT_EQ(denied.verdict, Verdict::kLater);
    EXPECT_EQ(denied.retry_after_ns, 1);
    EXPECT_EQ(counter.Check(3, begin + 7 * kDay).verdict, Verdict::kAllowed);
  }
  EXPECT_EQ(CalendarBounds(limit, -1), (WindowBounds{0, 7 * kDay}));
  EXPECT_EQ(CalendarBounds(limit, 0), (WindowBounds{0, 7 * kDay}));
}

TEST(FixedWindow, AnEpochWindowOfNoLengthIsARollingOne) {
  Limit limit = Rolling(1, 0);
  limit.calendar = Calendar::kEpoch;
  EXPECT_EQ(Sanitize(limit).calendar, Calendar::kNone);
}

TEST(FixedWindow, ACalendarWindowThatBeganLaterOutlivesAClockSetBack) {
  Limit limit = Rolling(1, 0);
  limit.calendar = Calendar::kHour;
  Counter counter(limit);
  const Nanos hour = kStart - kStart % kHour;
  counter.Check(1, hour + kMinute);
  const Outcome outcome = counter.Check(1, hour - kMinute);
  EXPECT_EQ(outcome.verdict, Verdict::kLater);
  EXPECT_EQ(outcome.retry_after_ns, kHour + kMinute);
}

// The basic limiter, as it was: whole seconds, every request of a window counted, denied or not.
struct Basic {
  std::uint64_t max = 0;
  std::int64_t window_seconds = 0;
  std::uint64_t count = 0;
  std::int64_t start = 0;

  struct Answer {
    bool allowed = false;
    std::uint64_t current = 0;
    std::int64_t reset_seconds = 0;
    friend bool operator==(const Answer&, const Answer&) = default;
  };
  Answer Check(std::int64_t now) {
    const std::int64_t age = now > start ? now - start : 0;
    if (count == 0 || age >= window_seconds) {
      count = 1;
      start = now;
    } else {
      ++count;
    }
    return {count <= max, count, start + window_seconds - now};
  }
};

class AnchoredWindow : public ::testing::TestWithParam<Kind> {};

TEST_P(AnchoredWindow, ReplaysTheBasicLimiter) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Basic basic{.max = static_cast<std::uint64_t>(random.In(0, 8)), .window_seconds = random.In(0, 20)};
    Limit limit;
    limit.kind = GetParam();
    limit.capacity = basic.max;
    limit.window = basic.window_seconds * kSecond;
    limit.precision = kMinute;
    limit.count_denied = true;
    Counter counter(Sanitize(limit));
    std::int64_t second = kStart / kSecond;
    for (int step = 0; step < 200; ++step) {
      second += random.In(0, 3);
      if (random.OneIn(30)) second -= random.In(0, 10);
      const Outcome outcome = counter.Check(1, second * kSecond);
      const Basic::Answer got{outcome.verdict == Verdict::kAllowed, outcome.used, outcome.reset_after_ns / kSecond};
      ASSERT_EQ(got, basic.Check(second)) << "seed " << seed << " step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, AnchoredWindow, ::testing::Values(Kind::kSlidingWindow, Kind::kFixedWindow),
                         [](const auto& test) { return std::string(Of(test.param).name); });

}  // namespace
}  // namespace weir::algorithms::testing
