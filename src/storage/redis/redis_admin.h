// Administration of the states in a Redis server (storage/admin.h): by name, as the keys are. Looks only at keys of its
// own prefix and version. Each call is a few round trips; a page of a scan is at most some hundred keys of SCAN's
// choice.
#pragma once

#include <string>

#include "storage/admin.h"
#include "storage/redis/pool.h"
#include "storage/redis/redis_store.h"

namespace weir::storage::redis {

// Thread-safe; not from the pool's own thread. The pool outlives it. Every call: kUnavailable when the server does not
// answer in time (kAnswerWithin), refuses, or the store is closed.
class RedisAdmin final : public Admin {
 public:
  static constexpr Nanos kAnswerWithin = 5 * kSecond;

  RedisAdmin(Pool& pool, const RedisStoreOptions& options) : pool_(pool), prefix_(options.key_prefix) {}

  Result<Page> Scan(std::string_view cursor, std::size_t most, Nanos now) override;
  Result<std::optional<StateRecord>> Get(const StateName& name, Nanos now) override;
  Result<bool> Reset(const StateName& name) override;
  Result<Imported> Import(std::span<const StateRecord> states, Nanos now) override;

 private:
  std::string KeyOf(const StateName& name) const;
  Result<std::vector<StateRecord>> Read(std::span<const std::string> keys, Nanos now);

  Pool& pool_;
  const std::string prefix_;
};

}  // namespace weir::storage::redis
