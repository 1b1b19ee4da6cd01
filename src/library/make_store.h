// The store that a configuration names, built.
#pragma once

#include <cstdint>
#include <memory>

#include "storage/memory/memory_store.h"
#include "storage/store.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::library {

struct Stores {
  std::unique_ptr<storage::Store> main;
  // Beside a remote store: a small memory store that decides while the remote one is away. Otherwise nullptr.
  std::unique_ptr<storage::Store> local;
  // `main`, when it is a memory store (what is persisted); otherwise nullptr.
  storage::memory::MemoryStore* memory = nullptr;
};

// kInvalidArgument: an option is out of range or not supported (Redis Cluster). kUnavailable: no memory for the table.
// A remote server that does not answer is no error.
Result<Stores> MakeStores(const StorageConfig& config);

// The statements that make what a PostgreSQL store needs in its database, for who may run them. `role`: whom to grant
// their use; empty: nobody.
std::string PostgresSchema(const PostgresStorage& config, const std::string& role);

// As `local`, of whatever `main`.
Result<std::unique_ptr<storage::Store>> MakeLocalStore();

}  // namespace weir::library
