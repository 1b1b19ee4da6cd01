#include "cli/access_log.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

namespace weir::cli {
namespace {

// Walks a line from the left; remembers what it wanted when it could not go on.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : line_(line) {}

  std::optional<std::string_view> Until(char end, std::string_view what) {
    const std::size_t found = line_.find(end, at_);
    if (found == std::string_view::npos) return Missing(what);
    const std::string_view taken = line_.substr(at_, found - at_);
    at_ = found + 1;
    return taken;
  }

  bool Skip(char expected, std::string_view what) {
    if (at_ >= line_.size() || line_[at_] != expected) {
      Missing(what);
      return false;
    }
    ++at_;
    return true;
  }

  // A quoted field; a backslash hides the next byte, as both servers write it.
  std::optional<std::string_view> Quoted(std::string_view what) {
    if (!Skip('"', what)) return std::nullopt;
    const std::size_t start = at_;
    while (at_ < line_.size() && line_[at_] != '"') at_ += line_[at_] == '\\' ? 2U : 1U;
    if (at_ >= line_.size()) {
      at_ = start;
      return Missing(what);
    }
    return line_.substr(start, at_++ - start);
  }

  std::string_view Word() {
    const std::size_t start = at_;
    while (at_ < line_.size() && line_[at_] != ' ') ++at_;
    return line_.substr(start, at_ - start);
  }

  bool AtEnd() const { return at_ >= line_.size(); }

  std::unexpected<Error> Failure() const {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("expected {} at byte {}", wanted_, at_ + 1));
  }

  std::optional<std::string_view> Missing(std::string_view what) {
    wanted_ = what;
    return std::nullopt;
  }

 private:
  std::string_view line_;
  std::size_t at_ = 0;
  std::string_view wanted_ = "a log line";
};

template <typename Number>
bool ReadNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

// "10/Oct/2026:13:55:36 -0700"
std::optional<Nanos> ParseTime(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' || text[17] != ':' ||
      text[20] != ' ' || (text[21] != '+' && text[21] != '-')) {
    return std::nullopt;
  }
  unsigned month = 0;
  while (month < kMonths.size() && kMonths[month] != text.substr(3, 3)) ++month;
  unsigned day = 0, hour = 0, minute = 0, second = 0, zone_hours = 0, zone_minutes = 0;
  int year = 0;
  if (month == kMonths.size() || !ReadNumber(text.substr(0, 2), day) || !ReadNumber(text.substr(7, 4), year) ||
      !ReadNumber(text.substr(12, 2), hour) || !ReadNumber(text.substr(15, 2), minute) ||
      !ReadNumber(text.substr(18, 2), second) || !ReadNumber(text.substr(22, 2), zone_hours) ||
      !ReadNumber(text.substr(24, 2), zone_minutes)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month + 1), std::chrono::day(day)};
  // Later years would not fit into 64 bits of nanoseconds.
  if (!date.ok() || year < 1970 || year > 2261 || hour > 23 || minute > 59 || second > 60 || zone_hours > 14 ||
      zone_minutes > 59) {
    return std::nullopt;
  }
  const Nanos zone = static_cast<Nanos>(zone_hours) * kHour + static_cast<Nanos>(zone_minutes) * kMinute;
  const Nanos local = static_cast<Nanos>(std::chrono::sys_days(date).time_since_epoch().count()) * kDay +
                      static_cast<Nanos>(hour) * kHour + static_cast<Nanos>(minute) * kMinute +
                      static_cast<Nanos>(second) * kSecond;
  return text[21] == '-' ? local + zone : local - zone;
}

std::string_view DashIsEmpty(std::string_view field) { return field == "-" ? std::string_view() : field; }

}  // namespace

Result<AccessLogEntry> ParseAccessLogLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  Cursor cursor(line);
  AccessLogEntry entry;
  const auto address = cursor.Until(' ', "an address and a space");
  if (!address || address->empty()) return cursor.Failure();
  if (!cursor.Until(' ', "the identity field ('-')")) return cursor.Failure();
  // A user's name may hold spaces; the bracket of the time ends it.
  const auto user = cursor.Until('[', "the user and a '[' before the time");
  if (!user || user->empty()) return cursor.Failure();
  const auto time_text = cursor.Until(']', "a ']' behind the time");
  if (!time_text) return cursor.Failure();
  const auto time = ParseTime(*time_text);
  if (!time) {
    cursor.Missing("a time like 10/Oct/2026:13:55:36 +0000 before this");
    return cursor.Failure();
  }
  if (!cursor.Skip(' ', "a space behind the time")) return cursor.Failure();
  const auto request = cursor.Quoted("the quoted request line");
  if (!request || !cursor.Skip(' ', "a space behind the request line")) return cursor.Failure();
  if (!ReadNumber(cursor.Word(), entry.status)) {
    cursor.Missing("a status code before this");
    return cursor.Failure();
  }
  entry.address = *address;
  entry.user = DashIsEmpty(user->substr(0, user->size() - 1));
  entry.time = *time;
  // A request that was never understood is logged as "-" or as raw bytes: it has no method, but it did arrive.
  const std::size_t method_end = request->find(' ');
  if (method_end != std::string_view::npos) {
    entry.method = request->substr(0, method_end);
    const std::string_view rest = request->substr(method_end + 1);
    entry.target = rest.substr(0, rest.rfind(' '));
  }
  if (cursor.AtEnd() || !cursor.Skip(' ', "a size")) return entry;
  cursor.Word();
  if (cursor.AtEnd() || !cursor.Skip(' ', "a referer")) return entry;
  const auto referer = cursor.Quoted("a quoted referer");
  if (!referer || !cursor.Skip(' ', "a user agent")) return entry;
  const auto agent = cursor.Quoted("a quoted user agent");
  entry.referer = DashIsEmpty(*referer);
  if (agent) entry.user_agent = DashIsEmpty(*agent);
  return entry;
}

}  // namespace weir::cli
