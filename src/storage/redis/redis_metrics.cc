#include <array>

#include "storage/redis/redis_store.h"

namespace weir::storage::redis {
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

}  // namespace

void RedisStore::Describe(MetricSink& sink, std::string_view as) const {
  Store::Describe(sink, as);
  const RedisStats stats = DetailedStats();
  sink.Gauge("weir_redis_breaker", "The circuit breaker: 0 closed (Redis is asked), 0.5 trying, 1 open (it is not).",
             StateOf(stats.breaker));
  sink.Counter("weir_redis_breaker_opened_total", "Times that the breaker opened.", stats.breaker_opened);
  sink.Gauge("weir_redis_in_flight", "Plans waiting for Redis now.", stats.in_flight);
  sink.Gauge("weir_redis_connections", "Connections to Redis that are ready now.", stats.connections_ready);
  sink.Counter("weir_redis_connects_total", "Connections to Redis that became ready.", stats.connects);
  sink.Counter("weir_redis_connect_failures_total", "Attempts to connect to Redis that failed.",
               stats.connect_failures);
  constexpr std::string_view kUnanswered = "weir_redis_unanswered_total",
                             kWhy = "Plans that Redis did not answer, by the reason.";
  sink.Counter(kUnanswered, kWhy, stats.refused_breaker, {{"reason", "breaker"}});
  sink.Counter(kUnanswered, kWhy, stats.refused_in_flight, {{"reason", "in_flight"}});
  sink.Counter(kUnanswered, kWhy, stats.timeouts, {{"reason", "timeout"}});
  sink.Counter(kUnanswered, kWhy, stats.lost, {{"reason", "lost"}});
  sink.Counter(kUnanswered, kWhy, stats.malformed, {{"reason", "malformed"}});
  constexpr std::array<std::string_view, kErrorKinds> kKinds = {"noscript", "readonly", "loading", "busy",
                                                                "oom",      "refused",  "other"};
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    sink.Counter("weir_redis_errors_total", "Error replies of Redis by kind.", stats.errors[i], {{"kind", kKinds[i]}});
  }
  sink.Counter("weir_redis_script_loads_total", "Times that the script was sent again.", stats.script_loads);
  sink.Gauge("weir_redis_clock_offset_seconds", "Redis' clock less this machine's.",
             static_cast<double>(stats.clock_offset) / static_cast<double>(kSecond));
  sink.Gauge("weir_redis_clock_round_trip_seconds", "The offset is at most half of this wrong.",
             static_cast<double>(stats.clock_round_trip) / static_cast<double>(kSecond));
}

}  // namespace weir::storage::redis
