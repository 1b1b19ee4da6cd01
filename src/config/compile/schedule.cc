#include "config/compile/schedule.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "base/ascii.h"

namespace weir::config {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"monday", "tuesday",  "wednesday", "thursday",
                                                   "friday", "saturday", "sunday"};
constexpr std::uint8_t kEveryDay = 0x7f;
constexpr std::int32_t kDaySeconds = 86'400;

std::optional<int> DayNumber(std::string_view name) {
  for (std::size_t i = 0; i < kDays.size(); ++i) {
    if (EqualsIgnoreCase(name, kDays[i]) || EqualsIgnoreCase(name, kDays[i].substr(0, 3))) {
      return static_cast<int>(i);
    }
  }
  return std::nullopt;
}

std::optional<std::int32_t> TwoDigits(std::string_view text) {
  if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return std::nullopt;
  return (text[0] - '0') * 10 + (text[1] - '0');
}

// "HH:MM" or "HH:MM:SS", up to "24:00".
std::optional<std::int32_t> SecondOfDay(std::string_view text) {
  if (text.size() != 5 && text.size() != 8) return std::nullopt;
  if (text[2] != ':' || (text.size() == 8 && text[5] != ':')) return std::nullopt;
  const auto hour = TwoDigits(text.substr(0, 2));
  const auto minute = TwoDigits(text.substr(3, 2));
  const auto second = text.size() == 8 ? TwoDigits(text.substr(6, 2)) : 0;
  if (!hour || !minute || !second || *minute > 59 || *second > 59) return std::nullopt;
  const std::int32_t total = *hour * 3600 + *minute * 60 + *second;
  return total <= kDaySeconds ? std::optional(total) : std::nullopt;
}

}  // namespace

Result<CompiledSchedule> CompiledSchedule::Create(const Schedule& schedule) {
  CompiledSchedule compiled;
  for (const std::string& day : schedule.days) {
    const auto number = DayNumber(day);
    if (!number) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is not a day; days are mon, tue, wed, thu, fri, sat, sun", day));
    }
    compiled.days = static_cast<std::uint8_t>(compiled.days | 1u << *number);
  }
  if (schedule.days.empty()) compiled.days = kEveryDay;
  const auto from = SecondOfDay(schedule.from);
  const auto to = SecondOfDay(schedule.to);
  if (!from || !to) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a time of day; write HH:MM, from 00:00 to 24:00",
                                                         !from ? schedule.from : schedule.to));
  }
  if (*from % kDaySeconds == *to % kDaySeconds && *from >= *to) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("from {} to {} is an empty span", schedule.from, schedule.to));
  }
  compiled.from_second = *from;
  compiled.to_second = *to;
  if (!absl::LoadTimeZone(schedule.time_zone, &compiled.zone)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a time zone; use an IANA name such as Europe/Berlin", schedule.time_zone));
  }
  return compiled;
}

bool CompiledSchedule::Contains(Nanos now) const {
  const absl::TimeZone::CivilInfo local = zone.At(absl::FromUnixNanos(now));
  const int second = local.cs.hour() * 3600 + local.cs.minute() * 60 + local.cs.second();
  const int today = static_cast<int>(absl::GetWeekday(local.cs));  // absl counts from Monday = 0
  const int yesterday = (today + 6) % 7;
  if (from_second < to_second) return (days >> today & 1) != 0 && second >= from_second && second < to_second;
  return ((days >> today & 1) != 0 && second >= from_second) || ((days >> yesterday & 1) != 0 && second < to_second);
}

}  // namespace weir::config
