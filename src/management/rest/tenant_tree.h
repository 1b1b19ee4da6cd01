// Permissions along the tree of tenants, as it is in force: a role within an organisation reaches its teams.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "config/source/config_store.h"
#include "management/auth/permissions.h"

namespace weir::management::rest {

// The tenant and those above it, from the snapshot, which must outlive what is returned. Of no tenant: none.
std::vector<std::string_view> LineageOf(const config::Snapshot& snapshot, std::string_view tenant);
// Whether the principal may in that tenant, by a role in it or in one above it.
bool AllowedIn(const config::Snapshot& snapshot, const Principal& principal, Verb verb, Resource resource,
               std::string_view tenant);
bool Reaches(const config::Snapshot& snapshot, const Reach& reach, std::string_view tenant);

// In which tenants it takes permission to write that record of a tenant; nullptr: to remove it. Whoever is in a tenant
// alone can neither take it out from under its organisation, whose limits it would leave, nor put it under another,
// whose limits it would use up. (So it is with when a record expires: see MovesExpiry.) A tenant that does not exist,
// or not any more, is made by whoever may in the one above it, and without one by whoever may everywhere: {""}.
std::set<std::string> TenantsOfTenant(const config::Snapshot& snapshot, const std::string& name,
                                      const config::RecordBody* body);

// Whether the record will expire at another time than it does: then it takes what its removal takes.
inline bool MovesExpiry(const config::RecordBody* before, const config::RecordBody& after) {
  return before != nullptr && before->expires != after.expires;
}

}  // namespace weir::management::rest
