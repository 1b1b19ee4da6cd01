// What the store counts. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "storage/postgres/postgres_store.h"

namespace weir::storage::postgres {

using Count = std::atomic<std::uint64_t>;

// relaxed: a statistic, which orders nothing
inline void Bump(Count& count, std::uint64_t by = 1) { count.fetch_add(by, std::memory_order_relaxed); }

struct Counters {
  Count batches{0}, plans_sent{0}, plans_as_buckets{0}, plans_as_reads{0};
  Count unavailable{0}, refused_breaker{0}, refused_in_flight{0}, timeouts{0}, lost{0}, malformed{0};
  Count errors_locked{0}, errors_read_only{0}, errors_full{0}, errors_other{0}, retried_alone{0};
  Count connects{0}, connect_failures{0}, breaker_opened{0}, swept{0}, emptied{0};
  Count table_bytes{0}, live_rows{0}, dead_rows{0}, oldest_snapshot_s{0};  // as last looked at

  // What stands for now by the pool is left 0.
  PostgresStats Read() const {
    PostgresStats stats;
    stats.batches = batches;
    stats.plans_sent = plans_sent;
    stats.plans_as_buckets = plans_as_buckets;
    stats.plans_as_reads = plans_as_reads;
    stats.unavailable = unavailable;
    stats.refused_breaker = refused_breaker;
    stats.refused_in_flight = refused_in_flight;
    stats.timeouts = timeouts;
    stats.lost = lost;
    stats.malformed = malformed;
    stats.errors_locked = errors_locked;
    stats.errors_read_only = errors_read_only;
    stats.errors_full = errors_full;
    stats.errors_other = errors_other;
    stats.retried_alone = retried_alone;
    stats.connects = connects;
    stats.connect_failures = connect_failures;
    stats.breaker_opened = breaker_opened;
    stats.swept = swept;
    stats.emptied = emptied;
    stats.table_bytes = table_bytes;
    stats.live_rows = live_rows;
    stats.dead_rows = dead_rows;
    stats.oldest_snapshot_s = oldest_snapshot_s;
    return stats;
  }
};

}  // namespace weir::storage::postgres
