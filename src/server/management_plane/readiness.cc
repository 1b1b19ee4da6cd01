#include "server/management_plane/readiness.h"

#include <algorithm>

namespace weir::server {

bool DeniesWithoutStore(const config::Snapshot& snapshot) {
  return snapshot.document().storage.on_store_failure == StoreFailurePolicy::kDeny ||
         std::ranges::any_of(snapshot.rules(), [](const config::Rule& rule) {
           return !rule.unlimited && !rule.shadow && rule.on_store_failure == StoreFailurePolicy::kDeny;
         });
}

// Relaxed: one word, and nothing else is read by it.
bool FactOfVersion::Get(std::uint64_t version, absl::FunctionRef<bool()> find) {
  const std::uint64_t known = known_.load(std::memory_order_relaxed);
  if (known >> 1U == version) return (known & 1U) != 0;
  const bool fact = find();
  known_.store(version << 1U | (fact ? 1U : 0U), std::memory_order_relaxed);
  return fact;
}

}  // namespace weir::server
