// Tenants that are parts of others: whether all of them, however they came together, make trees.
#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "config/compile/compile_entities.h"
#include "config/validate/tenant_chain.h"

namespace weir::config {

void EntityCompiler::CheckParents() {
  bool all = false;
  for (const std::string& name : moved_) {
    const TenantEntry* const tenant = entities_.tenants.Find(name);
    if (tenant == nullptr || tenant->parent().empty()) continue;
    CheckParent(*tenant);
    all = all || entities_.parts.Find(name) != nullptr;
  }
  // What is below a tenant moves with it. Few tenants that have any are moved, and nobody knows their parts by name.
  if (all && faults_.empty()) CheckAllParents();
}

std::string EntityCompiler::ParentFaultOf(const TenantEntry& tenant) const {
  return FaultOfParents(tenant.name, [this](std::string_view name) {
    const TenantEntry* const at = entities_.tenants.Find(name);
    return at == nullptr ? std::string_view() : at->parent();
  });
}

void EntityCompiler::CheckParent(const TenantEntry& tenant) {
  std::string fault = ParentFaultOf(tenant);
  if (!fault.empty()) faults_.Add(fmt::format("tenants.{}.parent", tenant.name), std::move(fault));
}

void EntityCompiler::CheckAllParents() {
  if (entities_.parts.size() == 0) return;
  // A tree that is moved may be of any size: few are told, and always the same.
  constexpr std::size_t kMostTold = 5;
  std::map<std::string_view, const TenantEntry*> wrong;
  entities_.tenants.ForEach([&](const TenantEntry& tenant) {
    if (tenant.parent().empty() || ParentFaultOf(tenant).empty()) return;
    wrong.emplace(tenant.name, &tenant);
    if (wrong.size() > kMostTold) wrong.erase(std::prev(wrong.end()));
  });
  for (const auto& [name, tenant] : wrong) CheckParent(*tenant);
}

void EntityCompiler::CountParts() {
  absl::flat_hash_map<std::string_view, std::size_t> parts;
  entities_.tenants.ForEach([&](const TenantEntry& tenant) {
    if (!tenant.parent().empty()) ++parts[tenant.parent()];
  });
  for (const auto& [name, count] : parts) entities_.parts.Set(MakeCounted<const TenantUse>(name, count));
}

}  // namespace weir::config
