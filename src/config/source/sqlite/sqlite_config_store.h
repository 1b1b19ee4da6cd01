// The configuration store in one file of SQLite: the embedded default, for one machine. Several processes may have it
// open at once.
//
// Durability: what was acknowledged is on the disk (WAL, synchronous). Changes that wait at the same time are committed
// together. A file is made for this user alone (0600), and an existing one is made so. A newer weir's file and another
// program's database are refused and stay as they are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "weir/result.h"

namespace weir::config {

struct SqliteConfigStoreOptions {
  std::string path = {};              // "STATE_DIR/config.db"; its directory must be there
  const Clock* clock = nullptr;       // outlives the store, its Wall() is asked; nullptr: SystemClock()
  std::uint32_t busy_ms = 5000;       // how long to wait for another process
  std::uint32_t poll_ms = 100;        // how often to look for changes by other processes
  std::size_t most_waiting = 10'000;  // changes that wait to be written; more are kResourceExhausted
};

// kInvalidArgument: no regular file, or not weir's. kFailedPrecondition: of a newer weir. kUnavailable: cannot be
// opened or written, with the reason. kDataLoss: damaged.
Result<std::unique_ptr<ConfigStore>> OpenSqliteConfigStore(const SqliteConfigStoreOptions& options);

}  // namespace weir::config
