#include "decision_cost.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "analytics/event_log.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"

namespace weir::bench {
namespace {

constexpr std::size_t kPicks = 1 << 20;

double CpuNanos() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double ResidentBytes() {
  long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return static_cast<double>(resident) * 4096;
}

// ---- decisions ------------------------------------------------------------------------------------------------------

std::unique_ptr<RateLimiter> Limiter(std::size_t subjects, std::uint64_t window_seconds, bool bucket) {
  RateLimitRule rule{.max_requests = 100'000'000, .window_seconds = window_seconds};
  if (bucket) rule.algorithm = TokenBucket{};
  rule.identifier = EnhancedIdentifier{UserId{}};
  EnterpriseRateLimitConfig config;
  config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
  config.endpoints["/api/**"] = {.methods = {}, .rule = rule, .combine = Combine::kStack};
  config.storage.kind = MemoryStorage{.max_entries = subjects * 5 / 2};
  return std::move(*RateLimiter::Create(config));
}

struct Percentiles {
  std::uint32_t p50 = UINT32_MAX, p99 = UINT32_MAX, p999 = UINT32_MAX;
  double cpu = std::numeric_limits<double>::max();  // ns of a thread's CPU time a decision
};

// One decision in 64 is timed.
Percentiles Ask(RateLimiter& limiter, const std::vector<std::string>& names, int threads, double seconds) {
  using Time = std::chrono::steady_clock;
  std::atomic<bool> stop{false};
  std::vector<std::vector<std::uint32_t>> samples(static_cast<std::size_t>(threads));
  std::atomic<std::uint64_t> decisions{0};
  std::atomic<double> cpu{0};
  std::vector<std::jthread> all;
  for (std::size_t thread = 0; thread < samples.size(); ++thread) {
    all.emplace_back([&, thread] {
      std::mt19937_64 random(thread + 1);
      std::vector<std::uint32_t> picks(kPicks);
      for (auto& pick : picks) pick = static_cast<std::uint32_t>(random() % names.size());
      Request request{.method = "GET", .path = "/api/v1/items"};
      std::uint64_t count = 0;
      const double begin_cpu = CpuNanos();
      for (; !stop.load(std::memory_order_relaxed); ++count) {
        // A server has just read the name that it asks about.
        __builtin_prefetch(&names[picks[(count + 16) % kPicks]]);
        request.user = names[picks[count % kPicks]];
        const bool sample = count % 64 == 0;
        const auto begin = sample ? Time::now() : Time::time_point();
        (void)limiter.Check(request).allowed;
        if (!sample) continue;
        const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Time::now() - begin).count();
        samples[thread].push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took, UINT32_MAX)));
      }
      cpu.fetch_add(CpuNanos() - begin_cpu);
      decisions.fetch_add(count);
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  all.clear();
  std::vector<std::uint32_t> sorted;
  for (const auto& mine : samples) sorted.insert(sorted.end(), mine.begin(), mine.end());
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double part) {
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  };
  return {at(0.5), at(0.99), at(0.999), cpu / static_cast<double>(decisions)};
}

// ---- memory ---------------------------------------------------------------------------------------------------------

algorithms::Limit Sliding(Nanos window, Nanos precision) {
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kSlidingWindow;
  limit.capacity = 100'000'000;
  limit.window = window;
  limit.precision = precision;
  return algorithms::Sanitize(limit);
}

// Resident bytes a subject when each of `subjects` has asked `each` times in each of so many sub-windows.
double BytesASubject(const algorithms::Limit& limit, std::uint64_t subjects, int sub_windows, int each) {
  malloc_trim(0);
  const double before = ResidentBytes();
  const auto store = std::move(*storage::memory::MemoryStore::Create({.max_entries = subjects}));
  std::string name = "user-00000000";
  for (int sub_window = 0; sub_window < sub_windows; ++sub_window) {
    for (std::uint64_t i = 0; i < subjects; ++i) {
      storage::Item item;
      item.limit = &limit;
      item.rule = "bench";
      item.subject = name;
      item.key = HashKey(7, fmt::format("user-{}", i));
      for (int k = 0; k < each; ++k) {
        Outcome outcome;
        storage::Plan plan;
        plan.items = {&item, 1};
        plan.outcomes = {&outcome, 1};
        if (!store->Apply({&plan, 1}, 1'800'000'000 * kSecond + sub_window * kMinute, nullptr)) std::abort();
      }
    }
  }
  return (ResidentBytes() - before) / static_cast<double>(subjects);
}

void PrintMemory() {
  std::printf("| one rule | bytes a subject |\n| --- | ---: |\n");
  const auto minute = Sliding(kMinute, kMinute), hour = Sliding(kHour, kMinute);
  std::printf("%s", fmt::format("| a minute | {:.0f} |\n", BytesASubject(minute, 1'000'000, 1, 2)).c_str());
  std::printf("%s", fmt::format("| an hour, one request | {:.0f} |\n", BytesASubject(hour, 200'000, 1, 1)).c_str());
  std::printf("%s", fmt::format("| an hour, one request in each of 61 minutes | {:.0f} |\n",
                                BytesASubject(hour, 200'000, 61, 1))
                        .c_str());
  std::printf("%s", fmt::format("| an hour, two requests in each of 61 minutes | {:.0f} |\n",
                                BytesASubject(hour, 200'000, 61, 2))
                        .c_str());
}

// ---- observers ------------------------------------------------------------------------------------------------------

class Idle final : public engine::Observer {
 public:
  void OnDecision(const engine::DecisionEvent& /*event*/) noexcept override {}
};

// One decision in 64 is copied.
class Sampler final : public engine::Observer {
 public:
  void OnDecision(const engine::DecisionEvent& event) noexcept override {
    thread_local std::uint32_t turn = 0;
    if ((++turn & 63) != 0) return;
    Sample& sample = samples_[turn / 64 % samples_.size()];
    sample = {event.now, event.call.decision.reason, event.call.decision.rule_count, event.call.request.user.size()};
  }

 private:
  struct Sample {
    Nanos at;
    Reason reason;
    std::uint32_t rules;
    std::size_t user;
  };
  std::array<Sample, 1024> samples_{};
};

struct Observed {
  std::string_view name;
  std::unique_ptr<engine::Engine> engine;
  double batch_of_16 = std::numeric_limits<double>::max();
  double one = std::numeric_limits<double>::max();
};

std::unique_ptr<engine::Engine> EngineWith(std::uint64_t max_requests, std::vector<engine::Observer*> observers) {
  RateLimitRule rule{.max_requests = max_requests, .window_seconds = 60};
  rule.identifier = EnhancedIdentifier{UserId{}};
  EnterpriseRateLimitConfig policy;
  policy.global.free_tier = policy.global.pro_tier = policy.global.enterprise_tier = rule;
  policy.endpoints["/api/**"] = {.rule = rule, .combine = Combine::kStack};
  policy.storage.kind = MemoryStorage{.max_entries = 10'000};
  engine::EngineOptions options;
  options.observers = std::move(observers);
  auto made = engine::Engine::Create(policy, std::move(*storage::memory::MemoryStore::Create({.max_entries = 10'000})),
                                     std::move(options));
  if (!made) std::abort();
  return std::move(*made);
}

double NanosADecision(engine::Engine& engine, std::size_t batch) {
  constexpr std::size_t kDecisions = 320'000;
  std::vector<engine::Call> calls(batch);
  for (engine::Call& call : calls) call.request = {.user = "user-00000001", .method = "GET", .path = "/api/v1/items"};
  const double begin = CpuNanos();
  for (std::size_t i = 0; i < kDecisions; i += batch) (void)engine.Submit(calls, nullptr);
  return (CpuNanos() - begin) / static_cast<double>(kDecisions);
}

void PrintObserved(std::string_view what, std::vector<Observed>& all, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (Observed& each : all) {
      each.one = std::min(each.one, NanosADecision(*each.engine, 1));
      each.batch_of_16 = std::min(each.batch_of_16, NanosADecision(*each.engine, 16));
    }
  }
  for (const Observed& each : all) {
    std::printf("%s",
                fmt::format("| {} | {} | {:.1f} ns ({:+.1f}) | {:.1f} ns ({:+.1f}) |\n", what, each.name, each.one,
                            each.one - all[0].one, each.batch_of_16, each.batch_of_16 - all[0].batch_of_16)
                    .c_str());
  }
}

}  // namespace

void PrintDecisionCost(std::size_t subjects, double seconds, int rounds) {
  PrintMemory();
  std::vector<std::string> names(subjects);
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = fmt::format("user-{}", i);
  struct Kind {
    std::string_view name;
    std::unique_ptr<RateLimiter> limiter;
    std::array<Percentiles, 4> by_threads{};
  };
  std::array<Kind, 3> kinds = {{{"two buckets", Limiter(subjects, 60, true)},
                                {"two default rules of a minute", Limiter(subjects, 60, false)},
                                {"two default rules of an hour", Limiter(subjects, 3600, false)}}};
  constexpr std::array<int, 4> kThreads = {1, 2, 8, 32};
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < kThreads.size(); ++i) {
      for (Kind& kind : kinds) {
        const Percentiles now = Ask(*kind.limiter, names, kThreads[i], seconds);
        Percentiles& least = kind.by_threads[i];
        least = {std::min(least.p50, now.p50), std::min(least.p99, now.p99), std::min(least.p999, now.p999),
                 std::min(least.cpu, now.cpu)};
      }
    }
  }
  std::printf("\n| rules | threads | CPU a decision | p50 | p99 | p99.9 | p99 against buckets |\n");
  std::printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  for (std::size_t i = 0; i < kThreads.size(); ++i) {
    for (const Kind& kind : kinds) {
      const Percentiles& least = kind.by_threads[i];
      std::printf("%s", fmt::format("| {} | {} | {:.0f} ns | {} ns | {} ns | {} ns | {:.2f}x |\n", kind.name,
                                    kThreads[i], least.cpu, least.p50, least.p99, least.p999,
                                    static_cast<double>(least.p99) / kinds[0].by_threads[i].p99)
                            .c_str());
    }
  }
}

void PrintObserverCost(int rounds) {
  Idle idle;
  Sampler sampler;
  analytics::EventLog log([](const analytics::Denial&) {}, [](std::uint64_t) {});
  log.Enable(true);
  std::printf("| decisions | observers | one at a time | in batches of 16 |\n| --- | --- | ---: | ---: |\n");
  for (const auto& [what, limit] : {std::pair{"allowed", 1'000'000'000ULL}, std::pair{"denied", 1ULL}}) {
    std::vector<Observed> all;
    all.push_back({"none", EngineWith(limit, {})});
    all.push_back({"one that does nothing", EngineWith(limit, {&idle})});
    all.push_back({"one that samples", EngineWith(limit, {&sampler})});
    all.push_back({"the log of denials", EngineWith(limit, {&log})});
    PrintObserved(what, all, rounds);
  }
}

}  // namespace weir::bench
