#include "config/snapshot/exempt_paths.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::config {
namespace {

// The basic limiter's words: equal, or a final '*' is stripped and the rest begins the path.
bool BasicallyExempt(const std::vector<std::string>& patterns, const std::string& path) {
  for (const std::string& pattern : patterns) {
    if (path == pattern) return true;
    if (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1))) return true;
  }
  return false;
}

TEST(ExemptPaths, ReadsPatternsAsTheBasicLimiterDoes) {
  const ExemptPaths paths({"/health", "/api/v1/public/*", "/img*", "/a*b", "/stars**", "/.well*"});
  EXPECT_TRUE(paths.Contains("/health"));
  EXPECT_FALSE(paths.Contains("/health/"));
  EXPECT_FALSE(paths.Contains("/Health"));
  EXPECT_TRUE(paths.Contains("/api/v1/public/status"));
  EXPECT_TRUE(paths.Contains("/api/v1/public/"));
  EXPECT_FALSE(paths.Contains("/api/v1/public"));
  EXPECT_TRUE(paths.Contains("/imgs/x"));
  EXPECT_TRUE(paths.Contains("/a*b"));
  EXPECT_FALSE(paths.Contains("/axb"));
  EXPECT_TRUE(paths.Contains("/stars*/x"));
  EXPECT_FALSE(paths.Contains("/stars/x"));
  EXPECT_TRUE(paths.Contains("/.well-known/x"));
  EXPECT_FALSE(paths.Contains(""));
  EXPECT_TRUE(ExemptPaths({"*"}).Contains("/anything"));
  EXPECT_TRUE(ExemptPaths({"/*"}).Contains("/"));
  EXPECT_FALSE(ExemptPaths({""}).Contains(""));
  EXPECT_FALSE(ExemptPaths().Contains("/"));
}

TEST(ExemptPaths, PatternsAreBroughtToNormalFormToo) {
  EXPECT_TRUE(ExemptPaths({"/caf%C3%A9"}).Contains("/caf\xc3\xa9"));
  EXPECT_TRUE(ExemptPaths({"/caf%c3%a9*"}).Contains("/caf\xc3\xa9/menu"));
  EXPECT_TRUE(ExemptPaths({"//static//*"}).Contains("/static/x"));
  EXPECT_TRUE(ExemptPaths({"/a/%2e*"}).Contains("/a/.hidden"));
}

TEST(ExemptPaths, AgreesWithThePlainReading) {
  std::mt19937 random(13);
  const auto text = [&](std::size_t most) {
    std::string out = "/";
    for (auto n = random() % (most + 1); n > 0; --n) out += "ab*"[random() % 3];
    return out;
  };
  for (int round = 0; round < 2'000; ++round) {
    std::vector<std::string> patterns;
    for (auto n = random() % 6; n > 0; --n) patterns.push_back(text(4));
    const ExemptPaths paths(patterns);
    for (int i = 0; i < 50; ++i) {
      const std::string path = text(6);
      ASSERT_EQ(paths.Contains(path), BasicallyExempt(patterns, path)) << path;
    }
  }
}

}  // namespace
}  // namespace weir::config
