#include "config/compile/schedule.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::config {
namespace {

CompiledSchedule Compiled(Schedule schedule) { return CompiledSchedule::Create(schedule).value(); }

Nanos At(const char* zone, int year, int month, int day, int hour, int minute, int second = 0) {
  absl::TimeZone loaded;
  EXPECT_TRUE(absl::LoadTimeZone(zone, &loaded));
  return absl::ToUnixNanos(absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), loaded));
}

TEST(Schedule, OfficeHours) {
  const auto office = Compiled({.days = {"mon", "Tue", "wednesday", "thu", "fri"},
                                .from = "09:00",
                                .to = "17:30",
                                .time_zone = "Europe/Berlin"});
  EXPECT_FALSE(office.Contains(At("Europe/Berlin", 2024, 7, 1, 8, 59, 59)));  // a Monday
  EXPECT_TRUE(office.Contains(At("Europe/Berlin", 2024, 7, 1, 9, 0)));
  EXPECT_TRUE(office.Contains(At("Europe/Berlin", 2024, 7, 1, 17, 29, 59)));
  EXPECT_FALSE(office.Contains(At("Europe/Berlin", 2024, 7, 1, 17, 30)));
  EXPECT_FALSE(office.Contains(At("Europe/Berlin", 2024, 7, 6, 12, 0)));  // a Saturday
  EXPECT_TRUE(office.Contains(At("UTC", 2024, 7, 1, 7, 0)));              // summer: UTC+2
  EXPECT_FALSE(office.Contains(At("UTC", 2024, 1, 1, 7, 0)));             // winter: UTC+1
}

TEST(Schedule, SpanOverMidnightBelongsToTheDayItBegins) {
  const auto night = Compiled({.days = {"fri"}, .from = "22:00", .to = "06:00", .time_zone = "UTC"});
  EXPECT_FALSE(night.Contains(At("UTC", 2024, 7, 5, 5, 0)));  // Friday morning is Thursday's night
  EXPECT_FALSE(night.Contains(At("UTC", 2024, 7, 5, 21, 59)));
  EXPECT_TRUE(night.Contains(At("UTC", 2024, 7, 5, 22, 0)));
  EXPECT_TRUE(night.Contains(At("UTC", 2024, 7, 6, 5, 59, 59)));
  EXPECT_FALSE(night.Contains(At("UTC", 2024, 7, 6, 6, 0)));
  EXPECT_FALSE(night.Contains(At("UTC", 2024, 7, 6, 23, 0)));
}

TEST(Schedule, ClockChanges) {
  // 31 March 2024: 02:00 -> 03:00; 27 October 2024: 03:00 -> 02:00.
  const auto skipped = Compiled({.days = {}, .from = "02:00", .to = "03:00", .time_zone = "Europe/Berlin"});
  const Nanos spring = At("UTC", 2024, 3, 31, 0, 0);
  for (Nanos at = spring; at < spring + 4 * kHour; at += kMinute) EXPECT_FALSE(skipped.Contains(at));
  const Nanos autumn = At("UTC", 2024, 10, 26, 23, 0);
  int minutes = 0;
  for (Nanos at = autumn; at < autumn + 6 * kHour; at += kMinute) minutes += skipped.Contains(at) ? 1 : 0;
  EXPECT_EQ(minutes, 120);
}

TEST(Schedule, RefusesWhatCannotBeMeant) {
  const auto refused = [](Schedule schedule) { return !CompiledSchedule::Create(schedule).has_value(); };
  EXPECT_TRUE(refused({.days = {"someday"}}));
  EXPECT_TRUE(refused({.days = {}, .from = "9:00"}));
  EXPECT_TRUE(refused({.days = {}, .from = "24:01"}));
  EXPECT_TRUE(refused({.days = {}, .from = "12:60"}));
  EXPECT_TRUE(refused({.days = {}, .to = "12-30"}));
  EXPECT_TRUE(refused({.days = {}, .to = ""}));
  EXPECT_TRUE(refused({.days = {}, .from = "10:00", .to = "10:00"}));
  EXPECT_TRUE(refused({.days = {}, .from = "24:00", .to = "00:00"}));
  EXPECT_TRUE(refused({.days = {}, .time_zone = "Mars/Olympus"}));
  EXPECT_FALSE(refused({.days = {}, .from = "00:00", .to = "24:00"}));
  EXPECT_FALSE(refused({.days = {}, .from = "12:00:30", .to = "12:00:31"}));
  EXPECT_FALSE(refused({.days = {}, .from = "22:00", .to = "00:00"}));
}

// The definition, said differently: some day of the list has a span, from its civil midnight, that holds the local
// time.
TEST(Schedule, AgreesWithCivilTime) {
  std::mt19937 random(11);
  const std::vector<std::string> names = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  const std::vector<std::string> zones = {"UTC",          "Europe/Berlin",      "America/New_York", "Asia/Kathmandu",
                                          "Pacific/Apia", "Australia/Lord_Howe"};
  for (int round = 0; round < 300; ++round) {
    Schedule schedule;
    for (const auto& name : names) {
      if (random() % 2 == 0) schedule.days.push_back(name);
    }
    const int from = static_cast<int>(random() % 96) * 15;
    const int to = static_cast<int>(random() % 97) * 15;
    const auto text = [](int minutes) {
      char buffer[16];
      std::snprintf(buffer, sizeof buffer, "%02d:%02d", minutes / 60, minutes % 60);
      return std::string(buffer);
    };
    schedule.from = text(from);
    schedule.to = text(to);
    schedule.time_zone = zones[random() % zones.size()];
    const auto compiled = CompiledSchedule::Create(schedule);
    if (!compiled) {
      EXPECT_TRUE(from % 1440 == to % 1440);
      continue;
    }
    absl::TimeZone zone;
    ASSERT_TRUE(absl::LoadTimeZone(schedule.time_zone, &zone));
    const auto begins_on = [&](absl::CivilDay day) {
      return schedule.days.empty() ||
             std::ranges::find(schedule.days, names[static_cast<std::size_t>(absl::GetWeekday(day))]) !=
                 schedule.days.end();
    };
    for (int i = 0; i < 100; ++i) {
      const Nanos now = At("UTC", 2024, 1, 1, 0, 0) + static_cast<Nanos>(random() % (366 * 24 * 60)) * kMinute;
      const absl::CivilSecond local = absl::ToCivilSecond(absl::FromUnixNanos(now), zone);
      bool expected = false;
      for (int back = 0; back <= 1; ++back) {
        const absl::CivilDay day = absl::CivilDay(local) - back;
        const absl::CivilMinute start = absl::CivilMinute(day) + from;
        const absl::CivilMinute end = absl::CivilMinute(day) + to + (to <= from ? 1440 : 0);
        expected = expected || (begins_on(day) && absl::CivilSecond(start) <= local && local < absl::CivilSecond(end));
      }
      ASSERT_EQ(compiled->Contains(now), expected)
          << schedule.from << "-" << schedule.to << " " << absl::FormatCivilTime(local);
    }
  }
}

}  // namespace
}  // namespace weir::config
