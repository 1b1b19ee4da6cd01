// Whether an instance without its store is of use: docs/decisions/0014-ready-when-degraded.md.
#pragma once

#include <absl/functional/function_ref.h>

#include <atomic>
#include <cstdint>

#include "config/snapshot/snapshot.h"

namespace weir::server {

// Whether anything is denied because the store does not answer. Looks through all rules.
bool DeniesWithoutStore(const config::Snapshot& snapshot);

// What is to be said of a configuration, found out once for each version: probes ask on loops that serve requests, some
// of them many times a second, and a document may have a hundred thousand rules. Thread-safe.
class FactOfVersion {
 public:
  // `version`: at least 1. `find`: the same for equal versions; called again only when two threads are the first to
  // ask.
  bool Get(std::uint64_t version, absl::FunctionRef<bool()> find);

 private:
  std::atomic<std::uint64_t> known_{0};  // the version, and in the last bit what is so of it; 0: nothing yet
};

}  // namespace weir::server
