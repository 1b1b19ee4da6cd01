#include "cli/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "base/utf8.h"

namespace weir::cli {

std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : ReplaceInvalidUtf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    // U+0080 to U+009F, which are controls too, are C2 and one of these.
    const bool c1 = byte >= 0x80 && byte < 0xa0 && !out.empty() && out.back() == '\xC2';
    if (c1) out.pop_back();
    out += byte < 0x20 || byte == 0x7f || c1 ? '?' : c;
  }
  return out;
}

std::string Table(const std::vector<std::vector<std::string>>& raw) {
  std::vector<std::vector<std::string>> rows = raw;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = Printable(cell);
  }
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      line += fmt::format("{:<{}}  ", rows[r][i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
    if (r == 0) {
      std::string rule;
      for (const std::size_t width : widths) rule += std::string(width, '-') + "  ";
      rule.erase(rule.find_last_not_of(' ') + 1);
      out += rule + '\n';
    }
  }
  return out;
}

std::string Duration(Nanos duration) {
  if (duration <= 0) return "now";
  if (duration < kMicrosecond) return fmt::format("{} ns", duration);
  if (duration < kMillisecond) return fmt::format("{:.3g} us", static_cast<double>(duration) / 1e3);
  if (duration < kSecond) return fmt::format("{:.3g} ms", static_cast<double>(duration) / 1e6);
  if (duration < kMinute) return fmt::format("{:.3g} s", static_cast<double>(duration) / 1e9);
  if (duration < kHour) return fmt::format("{} min {} s", duration / kMinute, duration % kMinute / kSecond);
  if (duration < kDay) return fmt::format("{} h {} min", duration / kHour, duration % kHour / kMinute);
  return fmt::format("{} d {} h", duration / kDay, duration % kDay / kHour);
}

std::string Count(std::uint64_t count) {
  if (count == UINT64_MAX) return "unlimited";
  std::string digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string Timestamp(Nanos time) {
  const std::time_t seconds = time / kSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string StackedBars(std::span<const Bar> bars, std::size_t width) {
  std::uint64_t highest = 1;
  std::size_t label_width = 0;
  for (const Bar& bar : bars) {
    highest = std::max(highest, bar.lower + bar.upper);
    label_width = std::max(label_width, bar.label.size());
  }
  const auto scaled = [&](std::uint64_t count) {
    const auto cells = static_cast<std::size_t>(static_cast<double>(count) / static_cast<double>(highest) *
                                                static_cast<double>(width));
    return count > 0 ? std::max<std::size_t>(cells, 1) : 0;
  };
  std::string out;
  for (const Bar& bar : bars) {
    out += fmt::format("{:<{}} ", bar.label, label_width);
    for (std::size_t i = scaled(bar.lower); i > 0; --i) out += "█";
    for (std::size_t i = scaled(bar.upper); i > 0; --i) out += "░";
    out += fmt::format(" {}", Count(bar.lower));
    if (bar.upper > 0) out += fmt::format(" + {} denied", Count(bar.upper));
    out += '\n';
  }
  return out;
}

}  // namespace weir::cli
