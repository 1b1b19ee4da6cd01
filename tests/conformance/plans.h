// Short ways to write limits, items and plans in tests of stores. For tests only.
#pragma once

#include <cstdint>
#include <semaphore>
#include <span>
#include <string_view>
#include <vector>

#include "storage/store.h"

namespace weir::storage::conformance {

// Applies and waits until complete.
inline void ApplyAndWait(Store& store, std::span<Plan> plans, Nanos now) {
  struct Waiter final : Completion {
    void Done() noexcept override { done.release(); }
    std::binary_semaphore done{0};
  } waiter;
  if (!store.Apply(plans, now, &waiter)) waiter.done.acquire();
}

// What a plan came to, apart from the plan.
struct Answer {
  PlanStatus status = PlanStatus::kOk;
  bool admitted = false;
  std::vector<Outcome> outcomes;
  std::vector<StateCopy> copies;  // kPeek
  friend bool operator==(const Answer&, const Answer&) = default;
};

inline Limit BucketOf(std::uint64_t capacity, std::uint64_t per_minute = 60) {
  Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = capacity;
  limit.rate_count = per_minute;
  limit.rate_period = kMinute;
  return algorithms::Sanitize(limit);
}

inline Limit WindowOf(std::uint64_t capacity, Nanos window = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kFixedWindow;
  limit.capacity = capacity;
  limit.window = window;
  return algorithms::Sanitize(limit);
}

// The one-word form of a window.
inline Limit EpochWindowOf(std::uint64_t capacity, Nanos window = kMinute) {
  Limit limit = WindowOf(capacity, window);
  limit.calendar = algorithms::Calendar::kEpoch;
  return algorithms::Sanitize(limit);
}

// One window that opens with the first request, on one word: what a rule that names no algorithm gets.
inline Limit DefaultOf(std::uint64_t capacity, Nanos window = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kSlidingWindow;
  limit.capacity = capacity;
  limit.window = limit.precision = window;
  return algorithms::Sanitize(limit);
}

// A sliding window of several sub-windows.
inline Limit SubWindowsOf(std::uint64_t capacity, Nanos window = kHour, Nanos precision = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kSlidingWindow;
  limit.capacity = capacity;
  limit.window = window;
  limit.precision = precision;
  return algorithms::Sanitize(limit);
}

inline Limit LogOf(std::uint64_t capacity, Nanos window = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kSlidingWindowLog;
  limit.capacity = capacity;
  limit.window = window;
  return algorithms::Sanitize(limit);
}

inline Limit SlotsOf(std::uint64_t capacity, Nanos lease = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kConcurrency;
  limit.capacity = capacity;
  limit.lease = lease;
  return algorithms::Sanitize(limit);
}

inline Limit LearnedOf(std::uint64_t capacity) {
  Limit limit;
  limit.kind = algorithms::Kind::kAdaptive;
  limit.capacity = capacity;
  limit.window = kMinute;
  limit.learning_window = kHour;
  limit.adjustment_ppm = 1'000'000;
  limit.min_capacity = 1;
  limit.max_capacity = 10 * capacity;
  return algorithms::Sanitize(limit);
}

inline Limit BansOf(std::uint32_t threshold, Nanos first_ban = kMinute) {
  Limit limit;
  limit.kind = algorithms::Kind::kPenalty;
  limit.threshold = threshold;
  limit.window = kHour;
  limit.first_ban = first_ban;
  limit.longest_ban = kDay;
  limit.ban_factor_pct = 200;
  limit.decay = kDay;
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

inline Item Shadow(Item item) {
  item.shadow = true;
  return item;
}

inline Item After(Item item, const Limit& previous, std::string_view rule) {
  item.previous = &previous;
  item.previous_rule = rule;
  item.previous_key = HashKey(Hash64(rule), item.subject);
  return item;
}

inline Answer Do(Store& store, Op op, std::vector<Item> items, Nanos now) {
  Answer answer;
  answer.outcomes.resize(items.size());
  if (op == Op::kPeek) answer.copies.resize(items.size());
  Plan plan{op, items, answer.outcomes, PlanStatus::kOk, false, op == Op::kPeek ? answer.copies.data() : nullptr};
  ApplyAndWait(store, {&plan, 1}, now);
  answer.status = plan.status;
  answer.admitted = plan.admitted;
  return answer;
}

inline std::uint64_t UsedNow(Store& store, const Item& item, Nanos now) {
  Item free = item;
  free.cost = 0;
  return Do(store, Op::kPeek, {free}, now).outcomes[0].used;
}

}  // namespace weir::storage::conformance
