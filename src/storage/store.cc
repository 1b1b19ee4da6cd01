#include "storage/store.h"

namespace weir::storage {
namespace {

double Number(std::uint64_t count) { return static_cast<double>(count); }

double UpOf(Health health) {
  switch (health) {
    case Health::kUp:
      return 1;
    case Health::kDegraded:
      return 0.5;
    case Health::kDown:
      break;
  }
  return 0;
}

}  // namespace

void Store::Describe(MetricSink& sink, std::string_view as) const {
  const StoreStats stats = Stats();
  DescribeStats(stats, GetHealth(), as, sink);
  DescribeRoom(stats.entries, stats.capacity, as, {}, sink);
}

void DescribeRoom(std::uint64_t entries, std::uint64_t capacity, std::string_view as, std::string_view table,
                  MetricSink& sink) {
  constexpr std::string_view kEntries = "weir_store_entries", kCapacity = "weir_store_capacity";
  constexpr std::string_view kEntriesHelp = "Counter states held now (approximate).";
  constexpr std::string_view kCapacityHelp = "Most counter states that fit; 0 = unbounded.";
  if (table.empty()) {
    sink.Gauge(kEntries, kEntriesHelp, Number(entries), {{"store", as}});
    sink.Gauge(kCapacity, kCapacityHelp, Number(capacity), {{"store", as}});
  } else {
    sink.Gauge(kEntries, kEntriesHelp, Number(entries), {{"store", as}, {"table", table}});
    sink.Gauge(kCapacity, kCapacityHelp, Number(capacity), {{"store", as}, {"table", table}});
  }
}

void DescribeStats(const StoreStats& stats, Health health, std::string_view as, MetricSink& sink) {
  const MetricLabel store = {"store", as};
  sink.Gauge("weir_store_up", "1 when the store answers, 0.5 degraded, 0 down.", UpOf(health), {store});
  sink.Gauge("weir_store_bytes", "Memory taken by counter states.", Number(stats.bytes), {store});
  sink.Counter("weir_store_reclaimed_total", "Expired states dropped.", stats.reclaimed, {store});
  sink.Counter("weir_store_evicted_live_total", "Live states dropped because the store was full.", stats.evicted_live,
               {store});
  sink.Counter("weir_store_refused_new_total", "New subjects refused because the store was full.", stats.refused_new,
               {store});
  sink.Counter("weir_store_admitted_untracked_total", "New subjects let through uncounted because the store was full.",
               stats.admitted_untracked, {store});
  sink.Counter("weir_store_collisions_total", "Compare-and-swaps lost and tried again.", stats.collisions, {store});
  sink.Counter("weir_store_rollbacks_total", "Plans undone half-way because another request won.", stats.rollbacks,
               {store});
  sink.Counter("weir_store_failures_total", "Plans that the store did not answer.", stats.failures, {store});
  sink.Counter("weir_store_round_trips_total", "Round trips to a remote store.", stats.round_trips, {store});
}

}  // namespace weir::storage
