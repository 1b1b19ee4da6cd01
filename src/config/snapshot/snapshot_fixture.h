// What tests of snapshots begin with: a small document, compiled, and its rules by path.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "config/snapshot/snapshot.h"

namespace weir::config::testing {

inline constexpr Nanos kNow = 1'700'000'000 * kSecond;

inline RateLimitRule Numbers(std::uint64_t max_requests, std::uint32_t window_seconds = 60) {
  RateLimitRule rule;
  rule.max_requests = max_requests;
  rule.window_seconds = window_seconds;
  return rule;
}

inline EnterpriseRateLimitConfig Document() {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = Numbers(100);
  document.global.pro_tier = Numbers(1000);
  document.global.enterprise_tier = Numbers(10'000);
  return document;
}

inline std::shared_ptr<const Snapshot> Compiled(const EnterpriseRateLimitConfig& document,
                                                const Snapshot* previous = nullptr, Nanos now = kNow) {
  auto snapshot = Snapshot::Compile(document, previous, now);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

inline const Rule& Named(const Snapshot& snapshot, std::string_view path) {
  for (const Rule& rule : snapshot.rules()) {
    if (rule.path == path) return rule;
  }
  for (const Rule& rule : snapshot.FindEntityRules(path)) {
    if (rule.path == path) return rule;
  }
  ADD_FAILURE() << "no rule " << path;
  return snapshot.rules()[0];
}

}  // namespace weir::config::testing
