// What tests of faults begin with: the faults of a document, as they are shown.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "weir/config.h"

namespace weir::config::faults {

inline std::vector<std::string> FaultsOf(std::string_view text, DocumentFormat format = DocumentFormat::kAuto) {
  std::vector<std::string> lines;
  for (const Fault& fault : ParseConfig(text, format).faults) lines.push_back(Describe(fault));
  return lines;
}

// A valid first line, so that each case shows its own faults only.
inline constexpr std::string_view kBase = "global: {free_tier: {max_requests: 10, window_seconds: 60}}\n";

struct Case {
  std::string_view yaml;  // behind kBase: its first line is line 2
  std::vector<std::string> faults;
};

inline void ExpectFaults(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    EXPECT_EQ(FaultsOf(std::string(kBase) + std::string(one.yaml)), one.faults) << one.yaml;
  }
}

}  // namespace weir::config::faults
