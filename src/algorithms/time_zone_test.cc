#include "algorithms/time_zone.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "algorithms/instant.h"
#include "algorithms/testing.h"

namespace weir::algorithms::testing {
namespace {

Limit In(std::string_view zone, Calendar calendar) {
  Limit limit;
  limit.kind = Kind::kFixedWindow;
  limit.calendar = calendar;
  limit.zone = ZoneIndex(zone).value();
  return limit;
}

absl::TimeZone Load(const std::string& name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone));
  return zone;
}

Nanos At(const std::string& zone, int year, int month, int day, int hour = 0, int minute = 0) {
  return absl::ToUnixNanos(absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute), Load(zone)));
}

TEST(TimeZone, NamesHaveOneIndexEach) {
  EXPECT_EQ(ZoneIndex("UTC").value(), 0);
  EXPECT_EQ(ZoneIndex("").value(), 0);
  const std::uint16_t berlin = ZoneIndex("Europe/Berlin").value();
  EXPECT_EQ(ZoneIndex("Europe/Berlin").value(), berlin);
  EXPECT_EQ(ZoneName(berlin), "Europe/Berlin");
  EXPECT_EQ(ZoneName(0), "UTC");
  EXPECT_EQ(ZoneName(65'535), "UTC");
}

TEST(TimeZone, WhatIsNoZoneIsRefused) {
  for (const char* name : {"Europe/Atlantis", "/etc/passwd", "../../etc/passwd", "localtime", "UTC\n",
                           "file:/etc/hosts", "Europe/../UTC", " ", "Etc/UTC\\x"}) {
    const auto index = ZoneIndex(name);
    ASSERT_FALSE(index.has_value()) << name;
    EXPECT_EQ(index.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(ZoneIndex(std::string(10'000, 'A')).has_value());
  EXPECT_FALSE(ZoneIndex(std::string("UTC\0x", 5)).has_value());
}

TEST(CalendarBounds, DaysHave23And25HoursWhenClocksChange) {
  const auto length = [](Nanos now) {
    const WindowBounds bounds = CalendarBounds(In("Europe/Berlin", Calendar::kDay), now);
    return (bounds.end - bounds.start) / kHour;
  };
  EXPECT_EQ(length(At("Europe/Berlin", 2026, 3, 29, 15)), 23);
  EXPECT_EQ(length(At("Europe/Berlin", 2026, 10, 25, 15)), 25);
  EXPECT_EQ(length(At("Europe/Berlin", 2026, 7, 1, 15)), 24);
}

TEST(CalendarBounds, WeeksBeginOnMonday) {
  const Nanos sunday = At("UTC", 2026, 10, 4, 23, 59);
  const WindowBounds bounds = CalendarBounds(In("UTC", Calendar::kWeek), sunday);
  EXPECT_EQ(bounds.start, At("UTC", 2026, 9, 28));
  EXPECT_EQ(bounds.end, At("UTC", 2026, 10, 5));
  EXPECT_EQ(CalendarBounds(In("UTC", Calendar::kWeek), bounds.end).start, bounds.end);
}

TEST(CalendarBounds, MonthsAndYears) {
  const Nanos leap_day = At("UTC", 2028, 2, 29, 12);
  const WindowBounds month = CalendarBounds(In("UTC", Calendar::kMonth), leap_day);
  EXPECT_EQ(month.start, At("UTC", 2028, 2, 1));
  EXPECT_EQ(month.end, At("UTC", 2028, 3, 1));
  const WindowBounds year = CalendarBounds(In("Asia/Tokyo", Calendar::kYear), leap_day);
  EXPECT_EQ(year.start, At("Asia/Tokyo", 2028, 1, 1));
  EXPECT_EQ(year.end, At("Asia/Tokyo", 2029, 1, 1));
}

TEST(CalendarBounds, AMidnightThatDoesNotExist) {
  // Sao Paulo, 2018-11-04: 00:00 became 01:00.
  const Limit day = In("America/Sao_Paulo", Calendar::kDay);
  const WindowBounds bounds = CalendarBounds(day, At("America/Sao_Paulo", 2018, 11, 4, 12));
  EXPECT_EQ(bounds.start, At("America/Sao_Paulo", 2018, 11, 4, 1));
  EXPECT_EQ(bounds.end - bounds.start, 23 * kHour);
}

TEST(CalendarBounds, ADateThatDoesNotExist) {
  // Samoa skipped 2011-12-30.
  const Limit day = In("Pacific/Apia", Calendar::kDay);
  const WindowBounds before = CalendarBounds(day, At("Pacific/Apia", 2011, 12, 29, 12));
  EXPECT_EQ(before.end - before.start, kDay);
  const WindowBounds after = CalendarBounds(day, before.end);
  EXPECT_EQ(after.start, before.end);
  EXPECT_EQ(after.end, At("Pacific/Apia", 2012, 1, 1));
}

TEST(CalendarBounds, HoursAreCutWhereAnOffsetChangesWithinThem) {
  // Lord Howe Island moves by half an hour.
  const Limit hour = In("Australia/Lord_Howe", Calendar::kHour);
  const Nanos back = At("UTC", 2026, 4, 4, 15);  // 02:00 becomes 01:30
  EXPECT_EQ(CalendarBounds(hour, back - 1), (WindowBounds{back - kHour, back}));
  EXPECT_EQ(CalendarBounds(hour, back), (WindowBounds{back, back + 30 * kMinute}));
  EXPECT_EQ(CalendarBounds(hour, back + 30 * kMinute), (WindowBounds{back + 30 * kMinute, back + 90 * kMinute}));
}

TEST(CalendarBounds, AnHourThatOccursTwiceIsTwoHours) {
  const Limit hour = In("Europe/Berlin", Calendar::kHour);
  const Nanos back = At("UTC", 2026, 10, 25, 1);
  EXPECT_EQ(CalendarBounds(hour, back - 1), (WindowBounds{back - kHour, back}));
  EXPECT_EQ(CalendarBounds(hour, back), (WindowBounds{back, back + kHour}));
}

// Every zone and unit: the bounds contain the instant, tile the line, and begin where a unit begins on the wall.
TEST(CalendarBounds, TileTheTimeLineInAwkwardZones) {
  for (const char* name : {"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
                           "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "Asia/Tehran", "Africa/Casablanca",
                           "America/Havana", "Africa/Cairo", "Asia/Pyongyang", "Antarctica/Troll"}) {
    for (int unit = 1; unit <= 6; ++unit) {
      const Limit limit = In(name, static_cast<Calendar>(unit));
      Random random(static_cast<std::uint64_t>(unit));
      const absl::TimeZone zone = Load(name);
      for (int i = 0; i < 400; ++i) {
        Nanos now = random.In(0, 70LL * 365 * kDay);
        if (random.OneIn(2)) {
          absl::TimeZone::CivilTransition transition;
          if (zone.NextTransition(absl::FromUnixNanos(now), &transition)) {
            now = absl::ToUnixNanos(zone.At(transition.to).trans) + random.In(-2, 2) * random.In(0, 2 * kHour);
          }
        }
        now = std::max<Nanos>(now, 0);
        SCOPED_TRACE(std::string(name) + " unit " + std::to_string(unit) + " at " + std::to_string(now));
        const WindowBounds bounds = CalendarBounds(limit, now);
        ASSERT_LE(bounds.start, now);
        ASSERT_LT(now, bounds.end);
        ASSERT_EQ(CalendarBounds(limit, bounds.end - 1), bounds);
        ASSERT_EQ(CalendarBounds(limit, bounds.end).start, bounds.end);
        if (bounds.start > 0) {
          ASSERT_EQ(CalendarBounds(limit, bounds.start), bounds);
          ASSERT_EQ(CalendarBounds(limit, bounds.start - 1).end, bounds.start);
        }
      }
    }
  }
}

TEST(CalendarBounds, AnswerAtTheEndsOfTime) {
  for (int unit = 0; unit <= 6; ++unit) {
    Limit limit = In("Europe/Berlin", static_cast<Calendar>(unit));
    limit.window = kSecond;
    for (const Nanos now : {INT64_MIN, Nanos{-1}, Nanos{0}, INT64_MAX}) {
      const WindowBounds bounds = CalendarBounds(limit, now);
      EXPECT_LT(bounds.start, bounds.end);
    }
  }
}

TEST(TimeZone, TableIsThreadSafe) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) {
        for (const char* name : {"Europe/Paris", "Asia/Tokyo", "Africa/Lagos", "America/Lima"}) {
          const std::uint16_t index = ZoneIndex(name).value();
          EXPECT_EQ(ZoneName(index), name);
          Limit limit;
          limit.kind = Kind::kFixedWindow;
          limit.calendar = Calendar::kDay;
          limit.zone = index;
          const Nanos now = kStart + (i * 4 + t) * kHour;
          const WindowBounds bounds = CalendarBounds(limit, now);
          EXPECT_LE(bounds.start, now);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// The time line's noon is the wall's noon at first; then the wall is set.
class WallAhead : public ::testing::Test {
 protected:
  ~WallAhead() override {
    SetWallAhead(0);
    time_zone_internal::wall_was_set = false;
  }
  static Limit Daily(std::uint64_t capacity, bool count_denied) {
    Limit limit;
    limit.kind = Kind::kFixedWindow;
    limit.calendar = Calendar::kDay;
    limit.capacity = capacity;
    limit.count_denied = count_denied;
    return Sanitize(limit);
  }
  static constexpr Nanos kMidnight = 20'000 * kDay;
};

TEST_F(WallAhead, MovesTheBoundsOfUnitsAndOfNothingElse) {
  const Limit daily = Daily(5, false);
  Limit epoch = daily;
  epoch.calendar = Calendar::kEpoch;
  epoch.window = kHour;
  EXPECT_FALSE(WallWasSet());
  SetWallAhead(kHour + kSecond / 4);
  EXPECT_TRUE(WallWasSet());
  EXPECT_EQ(CalendarBounds(daily, kMidnight), (WindowBounds{kMidnight - kHour, kMidnight + 23 * kHour}));
  EXPECT_EQ(CalendarBounds(epoch, kMidnight), (WindowBounds{kMidnight, kMidnight + kHour}));
  SetWallAhead(-kHour - kSecond / 4);
  EXPECT_EQ(CalendarBounds(daily, kMidnight), (WindowBounds{kMidnight - 23 * kHour, kMidnight + kHour}));
  for (const Nanos nonsense : {INT64_MAX, INT64_MIN, kLatestNow, -kLatestNow}) {
    SetWallAhead(nonsense);
    EXPECT_EQ(CalendarBounds(daily, kMidnight), (WindowBounds{kMidnight, kMidnight + kDay})) << "is not believed";
  }
}

// In one word and in a list.
TEST_F(WallAhead, AWindowEndsWhenTheWallSaysSo) {
  for (const bool count_denied : {false, true}) {
    for (const Nanos step : {kHour, 10 * kHour, -5 * kSecond, -kHour, -10 * kHour}) {
      SetWallAhead(0);
      time_zone_internal::wall_was_set = false;
      const Limit limit = Daily(5, count_denied);
      const Algorithm& algorithm = Of(limit.kind);
      Word word = 0;
      Words words;
      const auto ask = [&](Op op, std::uint64_t cost, Nanos now) {
        const Ask ask{.op = op, .cost = cost, .now = now};
        return algorithm.shape == Shape::kWord ? algorithm.apply_word(limit, ask, word)
                                               : algorithm.apply_list(limit, ask, words);
      };
      const Nanos now = kMidnight + 12 * kHour, end = kMidnight + kDay - step;
      ask(Op::kCheck, 5, now);
      SetWallAhead(step);
      if (step < -kMinute) {
        // Set back by more than a little: a new window begins.
        EXPECT_EQ(ask(Op::kPeek, 1, now + 1).verdict, Verdict::kAllowed);
        EXPECT_EQ(ask(Op::kCheck, 5, now + 1).reset_after_ns % kHour, kHour - 1);
        continue;
      }
      EXPECT_EQ(ask(Op::kPeek, 1, now + 1).retry_after_ns, end - now - 1);
      EXPECT_EQ(ask(Op::kPeek, 1, end).verdict, Verdict::kAllowed);
      if (step > 0) {
        EXPECT_EQ(ask(Op::kPeek, 1, end - 1).verdict, Verdict::kLater);
      }
      // Written again, it keeps its end also when that is later than before.
      ask(Op::kCharge, 1, now + 2);
      EXPECT_EQ(ask(Op::kPeek, 1, end - 1).verdict, Verdict::kLater);
      const Nanos expires =
          algorithm.shape == Shape::kWord ? algorithm.expires_word(limit, word) : algorithm.expires_list(limit, words);
      EXPECT_EQ(expires, end);
    }
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
