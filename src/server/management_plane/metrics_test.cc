#include "server/management_plane/metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "weir/rate_limiter.h"

namespace weir::server {
namespace {

std::unique_ptr<RateLimiter> Make(const std::string& yaml) {
  const ParsedConfig parsed = ParseConfig(yaml);
  EXPECT_TRUE(parsed.ok());
  return RateLimiter::Create(parsed.config).value();
}

std::string Render(RateLimiter& limiter) {
  return RenderMetrics({.engine = &limiter.engine(), .internals = limiter.internals()});
}

// The line of one series, or all of the page when there is none.
std::string LineOf(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(series + " ")) return line;
  }
  return page;
}

TEST(Metrics, WhatIsDegradedIsShown) {
  const auto limiter = Make(R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60, identifier: user_id}
endpoints:
  /script: {combine: stack, rule: {max_requests: 10, window_seconds: 60, identifier: {custom: {extractor: 'lua:error("x")'}}}}
storage: {memory: {max_entries: 1, eviction_policy: deny_new}}
)");
  limiter->Check({.user = ""});  // nobody
  limiter->Check({.user = "bob", .path = "/script"});
  for (int i = 0; i < 100; ++i) limiter->Check({.user = "user" + std::to_string(i)});
  const std::string page = Render(*limiter);
  EXPECT_EQ(LineOf(page, "weir_unidentified_total{on_missing=\"ip\"}"), "weir_unidentified_total{on_missing=\"ip\"} 1");
  EXPECT_EQ(LineOf(page, "weir_script_failures_total"), "weir_script_failures_total 1");
  EXPECT_EQ(LineOf(page, "weir_slots_untracked_total"), "weir_slots_untracked_total 0");
  EXPECT_NE(LineOf(page, "weir_store_full_decisions_total"), "weir_store_full_decisions_total 0");
  EXPECT_EQ(page.find("weir_redis_"), std::string::npos);
  EXPECT_EQ(page.find("store=\"local\""), std::string::npos);
  EXPECT_EQ(page.find("weir_snapshot_"), std::string::npos);
}

TEST(Metrics, OutcomesAreCounted) {
  const auto limiter = Make(R"(
global: {free_tier: {max_requests: 1, window_seconds: 3600, identifier: user_id, algorithm: fixed_window}}
endpoints:
  /wait: {rule: {algorithm: token_bucket, on_exceeded: wait, max_wait_ms: 3600000}}
  /challenge: {rule: {on_exceeded: challenge}}
  /charge: {rule: {on_exceeded: charge}}
)");
  for (int i = 0; i < 2; ++i) limiter->Check({.user = "ann", .path = "/wait"});
  for (int i = 0; i < 3; ++i) limiter->Check({.user = "ann", .path = "/challenge"});
  for (int i = 0; i < 4; ++i) limiter->Check({.user = "ann", .path = "/charge"});
  const std::string page = Render(*limiter);
  const auto count = [&page](const std::string& result) {
    const std::string series = "weir_decisions_total{result=\"" + result + "\"}";
    return LineOf(page, series).substr(series.size());
  };
  EXPECT_EQ(count("allowed"), " 4");
  EXPECT_EQ(count("wait"), " 1");
  EXPECT_EQ(count("denied"), " 5");
  EXPECT_EQ(count("challenge"), " 2");
  EXPECT_EQ(count("charge"), " 3");
}

TEST(Metrics, ARemoteStoreShowsItsBreakerAndTheLocalOneThatStandsIn) {
  // Nothing listens there.
  const auto limiter = Make(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60, identifier: user_id}}
storage: {redis: {url: 'unix:///nonexistent/redis.sock'}}
)");
  limiter->Check({.user = "bob"});
  const std::string page = Render(*limiter);
  EXPECT_EQ(LineOf(page, "weir_store_up{store=\"redis\"}"), "weir_store_up{store=\"redis\"} 0");
  EXPECT_EQ(LineOf(page, "weir_store_up{store=\"local\"}"), "weir_store_up{store=\"local\"} 1");
  // A rule that names no algorithm counts in one word.
  const std::string words = "weir_store_entries{store=\"local\",table=\"buckets\"}";
  EXPECT_EQ(LineOf(page, words), words + " 1");
  EXPECT_EQ(LineOf(page, "weir_redis_breaker"), "weir_redis_breaker 1");
  EXPECT_EQ(LineOf(page, "weir_redis_connections"), "weir_redis_connections 0");
  EXPECT_EQ(LineOf(page, "weir_redis_in_flight"), "weir_redis_in_flight 0");
  EXPECT_EQ(LineOf(page, "weir_redis_unanswered_total{reason=\"breaker\"}"),
            "weir_redis_unanswered_total{reason=\"breaker\"} 1");
  EXPECT_EQ(LineOf(page, "weir_redis_unanswered_total{reason=\"timeout\"}"),
            "weir_redis_unanswered_total{reason=\"timeout\"} 0");
  EXPECT_EQ(LineOf(page, "weir_redis_errors_total{kind=\"oom\"}"), "weir_redis_errors_total{kind=\"oom\"} 0");
}

TEST(Metrics, RequestIdsAreShown) {
  const auto limiter = Make(R"(
global: {free_tier: {max_requests: 1000, window_seconds: 60}}
request_ids: {max_entries: 16}
)");
  for (int i = 0; i < 2; ++i) limiter->Check({.peer_ip = "192.0.2.1", .request_id = "a"});
  std::string page = Render(*limiter);
  EXPECT_EQ(LineOf(page, "weir_request_ids_repeated_total"), "weir_request_ids_repeated_total 1");
  EXPECT_EQ(LineOf(page, "weir_request_ids"), "weir_request_ids 1");
  EXPECT_EQ(LineOf(page, "weir_request_ids_evicted_total"), "weir_request_ids_evicted_total 0");
  EXPECT_EQ(LineOf(page, "weir_decisions_total{result=\"allowed\"}"), "weir_decisions_total{result=\"allowed\"} 1");
  for (int i = 0; i < 100; ++i) limiter->Check({.peer_ip = "192.0.2.1", .request_id = std::to_string(i)});
  page = Render(*limiter);
  EXPECT_NE(LineOf(page, "weir_request_ids_evicted_total"), "weir_request_ids_evicted_total 0");
}

TEST(Metrics, EachFamilyIsWrittenOnce) {
  const auto limiter = Make(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
storage: {redis: {url: 'unix:///nonexistent/redis.sock'}}
)");
  std::istringstream lines(Render(*limiter));
  std::set<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    EXPECT_TRUE(seen.insert(line).second) << line;
  }
  EXPECT_GT(seen.size(), 20U);
}

TEST(Metrics, SavedSnapshotsAreShown) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("weir_metrics_test_" + std::to_string(getpid()));
  const auto limiter =
      Make("global: {free_tier: {max_requests: 10, window_seconds: 60}}\nstorage: {memory: {persist_to_disk: " +
           path.string() + ", persist_interval: 1}}\n");
  std::string page = Render(*limiter);
  while (page.contains("weir_snapshot_saves_total{result=\"ok\"} 0")) page = Render(*limiter);
  EXPECT_EQ(LineOf(page, "weir_snapshot_saves_total{result=\"ok\"}"), "weir_snapshot_saves_total{result=\"ok\"} 1");
  EXPECT_EQ(LineOf(page, "weir_snapshot_saves_total{result=\"failed\"}"),
            "weir_snapshot_saves_total{result=\"failed\"} 0");
  EXPECT_NE(LineOf(page, "weir_snapshot_saved_time_seconds"), "weir_snapshot_saved_time_seconds 0");
  std::filesystem::remove(path);
  std::filesystem::remove(path.string() + ".rules");
}

TEST(MetricsPage, IsRenderedSoOftenASecondAndALargeOneOnce) {
  Nanos now = 5 * kSecond;
  int rendered = 0;
  std::size_t size = MetricsPage::kLarge + 1;
  std::function<void()> while_rendering;
  MetricsPage page(
      [&] {
        ++rendered;
        if (while_rendering) std::exchange(while_rendering, nullptr)();
        return std::string(size, 'x');
      },
      [&] { return now; });
  const auto first = page.Get();
  EXPECT_EQ(page.Get(), first);
  now += kSecond - 1;
  EXPECT_EQ(page.Get(), first);
  EXPECT_EQ(rendered, 1);
  ++now;
  // Who asks while it is rendered anew gets the old one at once.
  while_rendering = [&] { EXPECT_EQ(page.Get(), first); };
  size = 100;
  EXPECT_EQ(page.Get()->size(), 100U);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(page.Get()->size(), 100U);
  EXPECT_EQ(rendered, 1 + MetricsPage::kMostSmall);
  now += kSecond;
  EXPECT_EQ(page.Get()->size(), 100U);
  EXPECT_EQ(rendered, 2 + MetricsPage::kMostSmall);
}

TEST(MetricsPage, WhatBeganEarlierReplacesNothingNewer) {
  int rendered = 0;
  std::function<void()> while_rendering;
  MetricsPage page(
      [&] {
        const std::string text = std::to_string(++rendered);
        if (while_rendering) std::exchange(while_rendering, nullptr)();
        return text;
      },
      [] { return 5 * kSecond; });
  for (int i = 0; i < MetricsPage::kMostSmall - 2; ++i) page.Get();
  const std::string newer = std::to_string(MetricsPage::kMostSmall);
  // Another loop asks, and has its page first.
  while_rendering = [&] { EXPECT_EQ(*page.Get(), newer); };
  EXPECT_EQ(*page.Get(), newer);
  EXPECT_EQ(rendered, MetricsPage::kMostSmall);
  EXPECT_EQ(*page.Get(), newer);
}

TEST(MetricsPage, IsRenderedAgainAfterAFailure) {
  Nanos now = 5 * kSecond;
  int rendered = 0;
  MetricsPage page(
      [&] {
        if (++rendered == 2) throw std::runtime_error("no memory");
        return std::string(MetricsPage::kLarge + 1, 'x');
      },
      [&] { return now; });
  const auto first = page.Get();
  now += kSecond;
  EXPECT_THROW(page.Get(), std::runtime_error);
  EXPECT_TRUE(page.Get() == first);
  now += kSecond;
  EXPECT_TRUE(page.Get() != first);
  EXPECT_EQ(rendered, 3);
}

}  // namespace
}  // namespace weir::server
