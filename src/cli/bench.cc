#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "cli/commands.h"
#include "cli/request_flags.h"
#include "cli/terminal.h"
#include "weir/rate_limiter.h"

namespace weir::cli {
namespace {

// Two token buckets a request: one of the user, one of the endpoint.
EnterpriseRateLimitConfig TwoBuckets(std::uint64_t subjects) {
  EnterpriseRateLimitConfig config;
  RateLimitRule rule{.max_requests = 100, .window_seconds = 60};
  rule.algorithm = TokenBucket{};
  rule.identifier = EnhancedIdentifier{UserId{}};
  config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
  EndpointLimits endpoint;
  endpoint.rule = rule;
  endpoint.combine = Combine::kStack;
  config.endpoints["/api/**"] = endpoint;
  config.storage.kind = MemoryStorage{.max_entries = subjects * 2 + subjects / 2};
  return config;
}

std::vector<std::uint32_t> PickSubjects(std::uint64_t subjects, bool zipf, std::uint64_t seed) {
  constexpr std::size_t kAsks = 1 << 20;
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> picks(kAsks);
  if (!zipf) {
    for (auto& pick : picks) pick = static_cast<std::uint32_t>(random() % subjects);
    return picks;
  }
  // Inverse of the continuous Zipf distribution with s = 0.99: close enough, and needs no table.
  constexpr double kOneMinusS = 0.01;
  const double top = std::pow(static_cast<double>(subjects), kOneMinusS) - 1;
  std::uniform_real_distribution<double> uniform(0, 1);
  for (auto& pick : picks) {
    const double rank = std::pow(1 + uniform(random) * top, 1 / kOneMinusS);
    pick = static_cast<std::uint32_t>(std::min<std::uint64_t>(static_cast<std::uint64_t>(rank) - 1, subjects - 1));
  }
  return picks;
}

struct ThreadResult {
  std::uint64_t decisions = 0, allowed = 0;
  std::vector<std::uint32_t> sampled_ns;
};

ThreadResult Work(RateLimiter& limiter, const std::vector<std::string>& names, const std::vector<std::uint32_t>& picks,
                  const std::atomic<bool>& stop) {
  using Time = std::chrono::steady_clock;
  constexpr std::size_t kMaxSamples = 1 << 20;
  ThreadResult result;
  Request request{.method = "GET", .path = "/api/v1/items"};
  for (std::size_t at = 0; !stop.load(std::memory_order_relaxed); ++at) {
    // A server has just read the name that it asks about; here it would come from memory, and that be measured too.
    __builtin_prefetch(&names[picks[(at + 16) & (picks.size() - 1)]]);
    request.user = names[picks[at & (picks.size() - 1)]];
    // Timing each one would mostly time the clock; one of 64 is enough for the tail.
    const bool sample = at % 64 == 0 && result.sampled_ns.size() < kMaxSamples;
    const auto begin = sample ? Time::now() : Time::time_point();
    if (limiter.Check(request).allowed) ++result.allowed;
    if (sample) {
      const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Time::now() - begin).count();
      result.sampled_ns.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took, UINT32_MAX)));
    }
    ++result.decisions;
  }
  return result;
}

// What the two readings of the clock add to each latency: their median with nothing between them.
std::uint32_t ClockCost() {
  using Time = std::chrono::steady_clock;
  std::vector<std::uint32_t> costs(10'001);
  for (auto& cost : costs) {
    const auto begin = Time::now();
    cost = static_cast<std::uint32_t>((Time::now() - begin).count());
  }
  std::ranges::nth_element(costs, costs.begin() + 5'000);
  return costs[5'000];
}

}  // namespace

int RunBench(const BenchOptions& options) {
  Result<EnterpriseRateLimitConfig> config = TwoBuckets(options.subjects);
  if (!options.config_file.empty()) config = LoadConfigFile(options.config_file);
  if (!config) {
    fmt::print(stderr, "weir: {}\n", config.error().message);
    return 2;
  }
  auto limiter = RateLimiter::Create(*config);
  if (!limiter) {
    fmt::print(stderr, "weir: {}\n", limiter.error().message);
    return 2;
  }
  std::vector<std::string> names(options.subjects);
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = fmt::format("user-{}", i);

  std::atomic<bool> stop{false};
  std::vector<ThreadResult> results(options.threads);
  std::vector<std::thread> threads;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&, i] {
      const auto picks = PickSubjects(options.subjects, options.zipf, i + 1);
      results[i] = Work(**limiter, names, picks, stop);
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(options.seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  ThreadResult all;
  for (ThreadResult& result : results) {
    all.decisions += result.decisions;
    all.allowed += result.allowed;
    all.sampled_ns.insert(all.sampled_ns.end(), result.sampled_ns.begin(), result.sampled_ns.end());
  }
  std::sort(all.sampled_ns.begin(), all.sampled_ns.end());
  const auto percentile = [&](double p) {
    if (all.sampled_ns.empty()) return std::uint32_t{0};
    return all.sampled_ns[static_cast<std::size_t>(p * static_cast<double>(all.sampled_ns.size() - 1))];
  };
  const double per_second = static_cast<double>(all.decisions) / seconds;
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"decisions_per_second", per_second},
                                                                  {"threads", options.threads},
                                                                  {"subjects", options.subjects},
                                                                  {"zipf", options.zipf},
                                                                  {"decisions", all.decisions},
                                                                  {"allowed", all.allowed},
                                                                  {"clock_ns", ClockCost()},
                                                                  {"p50_ns", percentile(0.5)},
                                                                  {"p99_ns", percentile(0.99)},
                                                                  {"p999_ns", percentile(0.999)}}));
    return 0;
  }
  fmt::print("{}",
             Table({{"threads", "subjects", "picked", "decisions/s", "p50", "p99", "p99.9", "allowed"},
                    {Count(options.threads), Count(options.subjects), options.zipf ? "zipf" : "uniform",
                     Count(static_cast<std::uint64_t>(per_second)), Duration(percentile(0.5)),
                     Duration(percentile(0.99)), Duration(percentile(0.999)),
                     fmt::format("{:.1f}%", 100.0 * static_cast<double>(all.allowed) /
                                                static_cast<double>(std::max<std::uint64_t>(all.decisions, 1)))}}));
  fmt::print("latencies are of one decision in 64 and include two readings of the clock: {} of each\n",
             Duration(ClockCost()));
  return 0;
}

}  // namespace weir::cli
