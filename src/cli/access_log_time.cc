#include "cli/access_log_time.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace weir::cli {
namespace {

// Later years would not fit into 64 bits of nanoseconds.
constexpr int kFirstYear = 1970, kLastYear = 2261;

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

struct Civil {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

std::optional<Nanos> Local(const Civil& civil) {
  const std::chrono::year_month_day date{std::chrono::year(civil.year), std::chrono::month(civil.month),
                                         std::chrono::day(civil.day)};
  if (!date.ok() || civil.year < kFirstYear || civil.year > kLastYear) return std::nullopt;
  if (civil.hour > 23 || civil.minute > 59 || civil.second > 60) return std::nullopt;  // 60: a leap second
  return static_cast<Nanos>(std::chrono::sys_days(date).time_since_epoch().count()) * kDay +
         static_cast<Nanos>(civil.hour) * kHour + static_cast<Nanos>(civil.minute) * kMinute +
         static_cast<Nanos>(civil.second) * kSecond;
}

// "+0200", "-07:00". nullopt: neither.
std::optional<Nanos> ReadZone(std::string_view text) {
  const bool colon = text.size() == 6 && text[3] == ':';
  if ((text.size() != 5 && !colon) || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  unsigned hours = 0, minutes = 0;
  if (!ReadNumber(text.substr(1, 2), hours) || !ReadNumber(text.substr(colon ? 4 : 3, 2), minutes)) return std::nullopt;
  if (hours > 14 || minutes > 59) return std::nullopt;
  const Nanos zone = static_cast<Nanos>(hours) * kHour + static_cast<Nanos>(minutes) * kMinute;
  return text[0] == '-' ? -zone : zone;
}

}  // namespace

std::optional<LogTime> ParseLogTime(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' || text[17] != ':' ||
      text[20] != ' ') {
    return std::nullopt;
  }
  Civil civil;
  while (civil.month < kMonths.size() && kMonths[civil.month] != text.substr(3, 3)) ++civil.month;
  if (civil.month == kMonths.size()) return std::nullopt;
  ++civil.month;
  if (!ReadNumber(text.substr(0, 2), civil.day) || !ReadNumber(text.substr(7, 4), civil.year) ||
      !ReadNumber(text.substr(12, 2), civil.hour) || !ReadNumber(text.substr(15, 2), civil.minute) ||
      !ReadNumber(text.substr(18, 2), civil.second)) {
    return std::nullopt;
  }
  const auto local = Local(civil);
  const auto zone = ReadZone(text.substr(21));
  if (!local || !zone) return std::nullopt;
  return LogTime{*local - *zone, *zone};
}

std::optional<LogTime> ParseIsoTime(std::string_view text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  Civil civil;
  if (!ReadNumber(text.substr(0, 4), civil.year) || !ReadNumber(text.substr(5, 2), civil.month) ||
      !ReadNumber(text.substr(8, 2), civil.day) || !ReadNumber(text.substr(11, 2), civil.hour) ||
      !ReadNumber(text.substr(14, 2), civil.minute) || !ReadNumber(text.substr(17, 2), civil.second)) {
    return std::nullopt;
  }
  const auto local = Local(civil);
  if (!local) return std::nullopt;
  LogTime time{.time = *local, .zone = 0};
  text.remove_prefix(19);
  if (!text.empty() && (text[0] == '.' || text[0] == ',')) {
    text.remove_prefix(1);
    Nanos unit = kSecond / 10;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), unit /= 10) {
      time.time += (text[0] - '0') * unit;
    }
  }
  if (text.empty() || text == "Z" || text == "z") return time;
  const auto zone = ReadZone(text);
  if (!zone) return std::nullopt;
  time.zone = *zone;
  time.time -= *zone;
  return time;
}

std::optional<LogTime> ParseEpochTime(std::string_view text) {
  double number = 0;
  if (!ReadNumber(text, number) || !(number > 0)) return std::nullopt;
  // 2261 is 9.2e9 in seconds; 1970-04-17 is already 9.2e9 in milliseconds, and no log is that old.
  constexpr double kLastSecond = 9.2e9;
  std::uint64_t whole = 0;
  if (number <= kLastSecond) return LogTime{static_cast<Nanos>(number * 1e9), 0};
  if (number <= kLastSecond * 1e3) return LogTime{static_cast<Nanos>(number * 1e6), 0};
  if (ReadNumber(text, whole) && whole <= static_cast<std::uint64_t>(INT64_MAX)) {
    return LogTime{static_cast<Nanos>(whole), 0};
  }
  return std::nullopt;
}

}  // namespace weir::cli
