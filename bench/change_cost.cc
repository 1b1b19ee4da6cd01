#include "change_cost.h"

#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::bench {
namespace {

using config::EntityChange;

double CpuNanos() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double BytesInUse() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

RateLimitRule Numbers(std::uint64_t max_requests) {
  RateLimitRule rule{.max_requests = max_requests, .window_seconds = 60};
  rule.algorithm = TokenBucket{};
  rule.identifier = EnhancedIdentifier{UserId{}};
  return rule;
}

EnterpriseRateLimitConfig Policy(std::uint64_t max_requests) {
  EnterpriseRateLimitConfig policy;
  policy.global.free_tier = policy.global.pro_tier = policy.global.enterprise_tier = Numbers(max_requests);
  policy.endpoints["/api/**"] = {.rule = Numbers(1'000'000), .combine = Combine::kStack};
  policy.storage.kind = MemoryStorage{.max_entries = 10'000};
  return policy;
}

std::unique_ptr<engine::Engine> Make() {
  auto store = storage::memory::MemoryStore::Create({.max_entries = 10'000});
  auto made = engine::Engine::Create(Policy(1'000'000), std::move(*store));
  if (!made) std::abort();
  return std::move(*made);
}

std::string UserName(std::size_t i) { return fmt::format("user-{:08}", i); }

void Put(engine::Engine& engine, std::size_t from, std::size_t to, std::uint64_t limits) {
  std::vector<EntityChange> changes;
  for (std::size_t i = from; i < to; ++i) {
    changes.push_back(
        EntityChange::Put(UserName(i), UserLimits{.rule = RateLimitRule{.max_requests = 5 + i % limits}}));
  }
  if (!engine.ApplyEntities({}, changes)) std::abort();
}

void PrintChanges(std::size_t users, std::uint64_t limits) {
  const auto engine = Make();
  Put(*engine, 0, 1, limits);
  malloc_trim(0);
  const double empty = BytesInUse();
  for (std::size_t from = 0; from < users; from += 10'000) Put(*engine, from, std::min(users, from + 10'000), limits);
  const double bytes = (BytesInUse() - empty) / static_cast<double>(users);

  constexpr std::size_t kChanges = 1000;
  double begin = CpuNanos();
  for (std::size_t i = 0; i < kChanges; ++i) {
    const std::vector<EntityChange> change = {EntityChange::Put(
        UserName(i * 7919 % users), UserLimits{.rule = RateLimitRule{.max_requests = 1000 + i % limits}})};
    if (!engine->ApplyEntities({}, change)) std::abort();
  }
  const double change = (CpuNanos() - begin) / kChanges;
  begin = CpuNanos();
  if (!engine->Apply({}, Policy(2'000'000))) std::abort();
  const double policy = CpuNanos() - begin;
  std::printf("%s", fmt::format("| {} | {} | {:.1f} us | {:.0f} | {:.1f} ms |\n", users, limits, change / 1e3, bytes,
                                policy / 1e6)
                        .c_str());
  std::fflush(stdout);
}

}  // namespace

void PrintChangeCost() {
  std::printf(
      "| users with a limit of their own | different limits | CPU of a change | bytes a user | CPU of a change of "
      "policy |\n| ---: | ---: | ---: | ---: | ---: |\n");
  for (const std::size_t users : {1'000U, 10'000U, 100'000U, 1'000'000U}) PrintChanges(users, 100);
  PrintChanges(100'000, 100'000);
}

}  // namespace weir::bench
