#include "config/validate/tenant_chain.h"

#include <absl/container/inlined_vector.h>
#include <fmt/format.h>

#include <algorithm>

#include "config/document/reader.h"
#include "config/snapshot/snapshot.h"

namespace weir::config {

std::string FaultOfParents(std::string_view tenant, absl::FunctionRef<std::string_view(std::string_view)> parent_of) {
  absl::InlinedVector<std::string_view, kMostTenantLevels + 1> chain = {tenant};
  while (true) {
    const std::string_view parent = parent_of(chain.back());
    if (parent.empty()) return {};
    const bool again = std::ranges::find(chain, parent) != chain.end();
    chain.push_back(parent);
    if (!again && chain.size() <= kMostTenantLevels) continue;
    std::string names;
    for (const std::string_view name : chain) names += (names.empty() ? "" : " in ") + Quoted(name);
    if (!again) return fmt::format("is more than {} levels deep: {}", kMostTenantLevels, names);
    if (parent == tenant) return fmt::format("is a part of itself: {}", names);
    return fmt::format("is below a tenant that is a part of itself: {}", names);
  }
}

}  // namespace weir::config
