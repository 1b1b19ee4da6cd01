// What the commands print with: tables, bars, JSON text, progress.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace weir::cli {

// Columns of the terminal that standard output is; 0 when it is none, or does not say.
std::size_t TerminalWidth();
// Whether standard output is a terminal that shows colours: not with NO_COLOR set or TERM=dumb.
bool ShowsColours();

enum class Colour : std::uint8_t { kGreen, kRed, kYellow, kBold, kDim };
// The text in a colour where ShowsColours(), else as it is.
std::string Coloured(std::string_view text, Colour colour);

// Columns aligned to their widest cell; the first row is the head. Control bytes in cells are shown as '?'. With a
// `width` the widest columns are cut ("…") until a line fits, but none to less than 8 characters; 0: no bound.
std::string Table(const std::vector<std::vector<std::string>>& rows, std::size_t width = 0);

// "1.5 s", "230 ms", "2 h 5 min"; 0 is "now".
std::string Duration(Nanos duration);
// "1,234,567"; UINT64_MAX is "unlimited".
std::string Count(std::uint64_t count);
// "2026-10-10 20:55:36", in UTC or so far east of it.
std::string Timestamp(Nanos time, Nanos zone = 0);
// "UTC", "UTC+02:00".
std::string ZoneName(Nanos zone);
// RFC 3339: "2026-10-10T20:55:36Z", "2026-10-10T22:55:36+02:00".
std::string IsoTimestamp(Nanos time, Nanos zone);

// Text made safe for a terminal: controls become '?', and what is not UTF-8 U+FFFD, so that a log line cannot steer it.
std::string Printable(std::string_view text);

// A two-part bar chart over time, one row a bucket: `lower` is drawn full, `upper` shaded behind it.
struct Bar {
  std::string label;
  std::uint64_t lower = 0;
  std::uint64_t upper = 0;
};
std::string StackedBars(std::span<const Bar> bars, std::size_t width);

}  // namespace weir::cli
