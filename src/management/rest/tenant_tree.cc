#include "management/rest/tenant_tree.h"

#include <algorithm>
#include <boost/json.hpp>

namespace weir::management::rest {

std::vector<std::string_view> LineageOf(const config::Snapshot& snapshot, std::string_view tenant) {
  std::vector<std::string_view> lineage;
  while (!tenant.empty() && lineage.size() < config::kMostTenantLevels) {
    lineage.push_back(tenant);
    const auto* const entry = snapshot.FindTenant(tenant);
    tenant = entry == nullptr ? std::string_view() : entry->parent();
  }
  return lineage;
}

bool AllowedIn(const config::Snapshot& snapshot, const Principal& principal, Verb verb, Resource resource,
               std::string_view tenant) {
  return Allowed(principal, verb, resource, LineageOf(snapshot, tenant));
}

bool Reaches(const config::Snapshot& snapshot, const Reach& reach, std::string_view tenant) {
  if (reach.everywhere) return true;
  return std::ranges::any_of(LineageOf(snapshot, tenant), [&](std::string_view one) {
    return std::ranges::find(reach.tenants, one) != reach.tenants.end();
  });
}

std::set<std::string> TenantsOfTenant(const config::Snapshot& snapshot, const std::string& name,
                                      const config::RecordBody* body) {
  const auto* const entry = snapshot.FindTenant(name);
  const std::string before(entry == nullptr ? std::string_view() : entry->parent());
  std::string after;
  if (body != nullptr) {
    boost::system::error_code fault;
    const boost::json::value value = boost::json::parse(body->value, fault);
    const boost::json::value* const parent =
        fault || !value.is_object() ? nullptr : value.get_object().if_contains("parent");
    if (parent != nullptr && parent->is_string()) after = std::string(parent->get_string());
  }
  // Without one above it: by whoever may everywhere.
  if (entry == nullptr && body != nullptr) return {after};
  std::set<std::string> tenants = {name};
  if (before == after) return tenants;
  for (const std::string& parent : {before, after}) {
    if (!parent.empty()) tenants.insert(parent);
  }
  return tenants;
}

}  // namespace weir::management::rest
