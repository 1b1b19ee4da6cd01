#include "storage/redis/redis_store.h"

namespace weir::storage::redis {

Result<> Validate(const RedisStoreOptions& options) {
  const auto bad = [](std::string what) {
    return Fail(ErrorCode::kInvalidArgument, "redis store: " + std::move(what));
  };
  if (options.connections < 1 || options.connections > 1024) return bad("connections must be 1..1024");
  if (options.max_in_flight < 1 || options.max_in_flight > 1'000'000) return bad("max_in_flight must be 1..1000000");
  if (options.key_prefix.size() > 128) return bad("key_prefix is longer than 128 bytes");
  for (const Nanos wait : {options.connect_timeout, options.command_timeout, options.backoff_min, options.backoff_max,
                           options.breaker.open_min, options.breaker.open_max, options.clock_interval}) {
    if (wait < kMillisecond || wait > kHour) return bad("timeouts and intervals must be 1 ms..1 h");
  }
  if (options.ttl_margin < 0 || options.ttl_margin > kDay) return bad("ttl_margin must be 0..1 day");
  if (options.breaker.failures_to_open < 1) return bad("failures_to_open must be at least 1");
  if (options.max_reply_bytes < 4096) return bad("max_reply_bytes must be at least 4096");
  return {};
}

}  // namespace weir::storage::redis
