#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
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

std::size_t TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

bool ShowsColours() {
  static const bool shows = [] {
    const char* no_colour = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    if (no_colour != nullptr && *no_colour != '\0') return false;
    return isatty(STDOUT_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
  }();
  return shows;
}

std::string Coloured(std::string_view text, Colour colour) {
  if (!ShowsColours()) return std::string(text);
  int code = 0;
  switch (colour) {
    case Colour::kGreen:
      code = 32;
      break;
    case Colour::kRed:
      code = 31;
      break;
    case Colour::kYellow:
      code = 33;
      break;
    case Colour::kBold:
      code = 1;
      break;
    case Colour::kDim:
      code = 2;
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

namespace {

constexpr std::size_t kNarrowest = 8;

// Characters, as far as each takes one cell: what is not the first byte of one is part of it.
std::size_t WidthOf(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Cut to `width` characters, the last of which then is "…".
std::string Fitted(std::string_view text, std::size_t width) {
  const std::size_t has = WidthOf(text);
  if (has <= width) return std::string(text) + std::string(width - has, ' ');
  std::size_t end = 0;
  for (std::size_t kept = 0; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80 && kept++ + 1 == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

// Takes from the widest until all fit.
void Narrow(std::vector<std::size_t>& widths, std::size_t width) {
  const auto taken = [&] {
    std::size_t sum = 0;
    for (const std::size_t one : widths) sum += one + 2;
    return sum < 2 ? 0 : sum - 2;
  };
  while (width > 0 && taken() > width) {
    const auto widest = std::ranges::max_element(widths);
    if (widest == widths.end() || *widest <= kNarrowest) return;
    --*widest;
  }
}

}  // namespace

std::string Table(const std::vector<std::vector<std::string>>& raw, std::size_t width) {
  std::vector<std::vector<std::string>> rows = raw;
  std::vector<std::size_t> widths;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = Printable(cell);
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  Narrow(widths, width);
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) line += Fitted(rows[r][i], widths[i]) + "  ";
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
    if (r == 0) {
      std::string rule;
      for (const std::size_t one : widths) rule += std::string(one, '-') + "  ";
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

std::string Timestamp(Nanos time, Nanos zone) {
  const std::time_t seconds = (time + zone) / kSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

namespace {

// "+02:00"; empty in UTC.
std::string Offset(Nanos zone) {
  if (zone == 0) return "";
  const Nanos minutes = (zone < 0 ? -zone : zone) / kMinute;
  return fmt::format("{}{:02}:{:02}", zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

}  // namespace

std::string ZoneName(Nanos zone) { return "UTC" + Offset(zone); }

std::string IsoTimestamp(Nanos time, Nanos zone) {
  std::string text = Timestamp(time, zone);
  text[10] = 'T';
  return text + (zone == 0 ? "Z" : Offset(zone));
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
