#include "library/make_store.h"

#include <algorithm>
#include <utility>

#include "storage/hybrid/hybrid_store.h"
#include "storage/hybrid/relaxed_store.h"
#include "storage/postgres/postgres_store.h"
#include "storage/redis/redis_store.h"

namespace weir::library {
namespace {

using storage::memory::MemoryStore;
using storage::memory::MemoryStoreOptions;

// Enough for the subjects that one instance sees while its store is away; more push the oldest out.
constexpr std::uint64_t kLocalEntries = 100'000;
// Subjects of a strict hybrid whose asks are counted: the hot ones are few.
constexpr std::uint64_t kLeastTracked = 64, kMostTracked = 65'536;

using storage::postgres::PostgresStore;
using storage::postgres::PostgresStoreOptions;
using storage::redis::RedisStore;
using storage::redis::RedisStoreOptions;

storage::memory::FullPolicy FullPolicyOf(FullPolicy policy) {
  switch (policy) {
    case FullPolicy::kDenyNew:
      return storage::memory::FullPolicy::kDenyNew;
    case FullPolicy::kAllowNew:
      return storage::memory::FullPolicy::kAllowNew;
    case FullPolicy::kEvict:
      break;
  }
  return storage::memory::FullPolicy::kEvict;
}

Result<Stores> Make(const MemoryStorage& config) {
  MemoryStoreOptions options;
  options.max_entries = config.max_entries;
  options.memory_limit = config.memory_limit;
  options.full_policy = FullPolicyOf(config.eviction_policy);
  options.sweep_interval = config.cleanup_interval * kSecond;
  auto store = MemoryStore::Create(options);
  if (!store) return std::unexpected(std::move(store).error());
  Stores stores;
  stores.memory = store->get();
  stores.main = std::move(*store);
  return stores;
}

// A remote store, with what decides while it is away.
template <typename Made>
Result<Stores> WithLocal(Result<Made> store) {
  if (!store) return std::unexpected(std::move(store).error());
  auto local = MakeLocalStore();
  if (!local) return std::unexpected(std::move(local).error());
  Stores stores;
  stores.main = std::move(*store);
  stores.local = std::move(*local);
  return stores;
}

storage::postgres::Durability DurabilityOf(PostgresDurability durability) {
  switch (durability) {
    case PostgresDurability::kUnlogged:
      return storage::postgres::Durability::kUnlogged;
    case PostgresDurability::kSync:
      return storage::postgres::Durability::kSync;
    case PostgresDurability::kAsync:
      break;
  }
  return storage::postgres::Durability::kAsync;
}

Result<Stores> Make(const RedisStorage& config) {
  if (config.cluster) {
    return Fail(ErrorCode::kInvalidArgument, "storage.redis.cluster: Redis Cluster is not supported in this version");
  }
  RedisStoreOptions options;
  options.url = config.url;
  options.connections = config.pool_size;
  options.key_prefix = config.key_prefix;
  options.connect_timeout = config.connection_timeout_ms * kMillisecond;
  options.command_timeout = config.command_timeout_ms * kMillisecond;
  options.max_in_flight = config.max_in_flight;
  return WithLocal(RedisStore::Create(options));
}

Result<Stores> Make(const PostgresStorage& config) {
  PostgresStoreOptions options;
  options.url = config.database_url;
  options.schema = config.schema;
  options.durability = DurabilityOf(config.durability);
  options.create_schema = config.create_schema;
  options.connections = config.pool_size;
  options.batch = config.batch;
  options.connect_timeout = config.connection_timeout_ms * kMillisecond;
  options.command_timeout = config.command_timeout_ms * kMillisecond;
  options.max_in_flight = config.max_in_flight;
  return WithLocal(PostgresStore::Create(options));
}

Result<Stores> Make(const HybridStorage& config) {
  const auto* const memory = std::get_if<MemoryStorage>(&config.primary->kind);
  if (memory == nullptr) return Fail(ErrorCode::kInvalidArgument, "storage.hybrid.primary: only memory can be one");
  if (std::holds_alternative<HybridStorage>(config.secondary->kind) ||
      std::holds_alternative<MemoryStorage>(config.secondary->kind)) {
    return Fail(ErrorCode::kInvalidArgument, "storage.hybrid.secondary: only redis or postgres can be one");
  }
  auto stores = MakeStores(*config.secondary);
  if (!stores) return stores;
  // What it would persist are counts that are not there.
  stores->memory = nullptr;
  if (config.mode == HybridMode::kRelaxed) {
    auto primary = Make(*memory);
    if (!primary) return primary;
    storage::hybrid::RelaxedOptions options;
    options.sync_interval = config.sync_interval * kSecond;
    options.max_subjects = std::max(memory->max_entries, kLeastTracked);
    auto relaxed = storage::hybrid::RelaxedStore::Create(std::move(primary->main), std::move(stores->main), options);
    if (!relaxed) return std::unexpected(std::move(relaxed).error());
    stores->main = std::move(*relaxed);
    return stores;
  }
  storage::hybrid::HybridOptions options;
  options.max_subjects = std::clamp(memory->max_entries, kLeastTracked, kMostTracked);
  auto hybrid = storage::hybrid::HybridStore::Create(std::move(stores->main), options);
  if (!hybrid) return std::unexpected(std::move(hybrid).error());
  stores->main = std::move(*hybrid);
  return stores;
}

}  // namespace

Result<std::unique_ptr<storage::Store>> MakeLocalStore() {
  MemoryStoreOptions options;
  options.max_entries = kLocalEntries;
  return MemoryStore::Create(options);
}

std::string PostgresSchema(const PostgresStorage& config, const std::string& role) {
  return storage::postgres::SchemaScript(config.schema, DurabilityOf(config.durability), role);
}

Result<Stores> MakeStores(const StorageConfig& config) {
  return std::visit([](const auto& kind) { return Make(kind); }, config.kind);
}

}  // namespace weir::library
