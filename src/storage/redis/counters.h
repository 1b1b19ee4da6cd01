// What the store counts. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "storage/redis/redis_store.h"

namespace weir::storage::redis {

using Count = std::atomic<std::uint64_t>;

// relaxed: a statistic, which orders nothing
inline void Bump(Count& count, std::uint64_t by = 1) { count.fetch_add(by, std::memory_order_relaxed); }

struct Counters {
  Count plans_sent{0}, unavailable{0}, refused_breaker{0}, refused_in_flight{0}, timeouts{0}, lost{0}, malformed{0};
  Count script_loads{0}, connects{0}, connect_failures{0}, breaker_opened{0};
  std::array<Count, kErrorKinds> errors{};

  // The counted fields; what stands for now is left 0.
  RedisStats Read() const {
    RedisStats stats;
    stats.plans_sent = plans_sent;
    stats.unavailable = unavailable;
    stats.refused_breaker = refused_breaker;
    stats.refused_in_flight = refused_in_flight;
    stats.timeouts = timeouts;
    stats.lost = lost;
    stats.malformed = malformed;
    stats.script_loads = script_loads;
    stats.connects = connects;
    stats.connect_failures = connect_failures;
    stats.breaker_opened = breaker_opened;
    for (std::size_t i = 0; i < kErrorKinds; ++i) stats.errors[i] = errors[i];
    return stats;
  }
};

}  // namespace weir::storage::redis
