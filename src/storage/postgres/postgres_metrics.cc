#include "storage/postgres/postgres_store.h"

namespace weir::storage::postgres {
namespace {

double StateOf(io::BreakerState state) {
  switch (state) {
    case io::BreakerState::kClosed:
      return 0;
    case io::BreakerState::kHalfOpen:
      return 0.5;
    case io::BreakerState::kOpen:
      break;
  }
  return 1;
}

double Seconds(Nanos time) { return static_cast<double>(time) / static_cast<double>(kSecond); }

}  // namespace

void PostgresStore::Describe(MetricSink& sink, std::string_view as) const {
  Store::Describe(sink, as);
  const PostgresStats stats = DetailedStats();
  sink.Gauge("weir_postgres_breaker",
             "The circuit breaker: 0 closed (PostgreSQL is asked), 0.5 trying, 1 open (it is not).",
             StateOf(stats.breaker));
  sink.Counter("weir_postgres_breaker_opened_total", "Times that the breaker opened.", stats.breaker_opened);
  sink.Gauge("weir_postgres_in_flight", "Plans waiting for PostgreSQL now.", stats.in_flight);
  sink.Gauge("weir_postgres_connections", "Connections to PostgreSQL that are ready now.", stats.connections_ready);
  sink.Counter("weir_postgres_connects_total", "Connections to PostgreSQL that became ready.", stats.connects);
  sink.Counter("weir_postgres_connect_failures_total", "Attempts to connect to PostgreSQL that failed.",
               stats.connect_failures);
  sink.Counter("weir_postgres_batches_total", "Batches of plans sent, a transaction each.", stats.batches);
  constexpr std::string_view kPlans = "weir_postgres_plans_total", kWay = "Plans sent, by the way they travelled.";
  sink.Counter(kPlans, kWay, stats.plans_as_buckets, {{"way", "buckets"}});
  sink.Counter(kPlans, kWay, stats.plans_as_reads, {{"way", "reads"}});
  sink.Counter(kPlans, kWay, stats.plans_sent - stats.plans_as_buckets - stats.plans_as_reads,
               {{"way", "transactions"}});
  sink.Counter("weir_postgres_retried_total", "Plans tried again by themselves after their batch met a locked row.",
               stats.retried_alone);
  constexpr std::string_view kUnanswered = "weir_postgres_unanswered_total",
                             kWhy = "Plans that PostgreSQL did not answer, by the reason.";
  sink.Counter(kUnanswered, kWhy, stats.refused_breaker, {{"reason", "breaker"}});
  sink.Counter(kUnanswered, kWhy, stats.refused_in_flight, {{"reason", "in_flight"}});
  sink.Counter(kUnanswered, kWhy, stats.timeouts, {{"reason", "timeout"}});
  sink.Counter(kUnanswered, kWhy, stats.lost, {{"reason", "lost"}});
  sink.Counter(kUnanswered, kWhy, stats.malformed, {{"reason", "malformed"}});
  sink.Counter(kUnanswered, kWhy, stats.errors_locked, {{"reason", "locked"}});
  sink.Counter(kUnanswered, kWhy, stats.errors_read_only, {{"reason", "read_only"}});
  sink.Counter(kUnanswered, kWhy, stats.errors_full, {{"reason", "full"}});
  sink.Counter(kUnanswered, kWhy, stats.errors_other, {{"reason", "error"}});
  sink.Gauge("weir_postgres_clock_offset_seconds", "PostgreSQL's clock less this machine's.",
             Seconds(stats.clock_offset));
  sink.Gauge("weir_postgres_clock_round_trip_seconds", "The offset is at most half of this wrong.",
             Seconds(stats.clock_round_trip));
  sink.Counter("weir_postgres_swept_total", "Expired rows that this instance removed.", stats.swept);
  sink.Counter("weir_postgres_emptied_total", "Times that an unlogged table was found empty after a crash.",
               stats.emptied);
  sink.Gauge("weir_postgres_table_bytes", "Size of the table of states with its index.",
             static_cast<double>(stats.table_bytes));
  sink.Gauge("weir_postgres_dead_rows", "Rows that no longer count and are not vacuumed yet, as estimated.",
             static_cast<double>(stats.dead_rows));
  sink.Gauge("weir_postgres_oldest_snapshot_seconds",
             "Age of the oldest transaction with a snapshot that this role may see: it keeps dead rows alive.",
             static_cast<double>(stats.oldest_snapshot_s));
}

}  // namespace weir::storage::postgres
