// What the tests of this folder share: limits, items, asking and waiting. For tests only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <semaphore>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "storage/redis/redis_store.h"

namespace weir::storage::redis {

inline constexpr Nanos kStart = 1'800'000'000 * kSecond;

inline Limit BucketOf(std::uint64_t capacity) {
  Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = capacity;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  return algorithms::Sanitize(limit);
}

inline Item ItemOf(const Limit& limit, std::string_view rule, std::string_view subject, std::uint64_t cost = 1) {
  Item item;
  item.limit = &limit;
  item.rule = rule;
  item.subject = subject;
  item.key = HashKey(Hash64(rule), subject);
  item.cost = cost;
  return item;
}

class Waiter final : public Completion {
 public:
  void Done() noexcept override { done_.release(); }
  void Wait() { done_.acquire(); }

 private:
  std::binary_semaphore done_{0};
};

// One plan, its memory, and how to wait for it.
struct Asked {
  std::vector<Item> items;
  std::vector<Outcome> outcomes;
  Plan plan;
  Waiter waiter;
  bool inline_answer = false;

  Asked(Store& store, Op op, std::vector<Item> given, Nanos now = kStart)
      : items(std::move(given)), outcomes(items.size()), plan{op, items, outcomes, PlanStatus::kOk, false} {
    inline_answer = store.Apply({&plan, 1}, now, &waiter);
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  Plan& Wait() {
    if (!inline_answer) waiter.Wait();
    inline_answer = true;
    return plan;
  }
};

struct Answered {
  PlanStatus status = PlanStatus::kOk;
  bool admitted = false;
  Outcome outcome;  // of the first item
};

inline Answered Check(Store& store, std::vector<Item> items, Nanos now = kStart) {
  Asked asked(store, Op::kCheck, std::move(items), now);
  const Plan& plan = asked.Wait();
  return {plan.status, plan.admitted, asked.outcomes[0]};
}

// Until it is so; false after half a minute.
inline bool Eventually(const std::function<bool()>& so) {
  for (int i = 0; i < 15'000; ++i) {
    if (so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

inline bool BecomesUp(const Store& store) {
  return Eventually([&] { return store.GetHealth() == Health::kUp; });
}

// Quick to give up and quick to come back.
inline RedisStoreOptions ImpatientOptions(std::string url) {
  RedisStoreOptions options;
  options.url = std::move(url);
  options.connections = 1;
  options.clock = ClockSource::kCaller;
  options.command_timeout = 10 * kSecond;
  options.connect_timeout = 10 * kSecond;
  options.backoff_min = kMillisecond;
  options.backoff_max = 20 * kMillisecond;
  options.breaker = {.failures_to_open = 1000, .open_min = kMillisecond, .open_max = 20 * kMillisecond};
  return options;
}

inline std::unique_ptr<RedisStore> MakeStore(const RedisStoreOptions& options) {
  return std::move(RedisStore::Create(options)).value();
}

}  // namespace weir::storage::redis
