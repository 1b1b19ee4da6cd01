// What the commands print with: tables, bars, JSON text, progress.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace weir::cli {

// Columns aligned to their widest cell; the first row is the head. Control bytes in cells are shown as '?'.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// "1.5 s", "230 ms", "2 h 5 min"; 0 is "now".
std::string Duration(Nanos duration);
// "1,234,567"; UINT64_MAX is "unlimited".
std::string Count(std::uint64_t count);
// "2026-10-10 20:55:36" in UTC.
std::string Timestamp(Nanos time);

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
