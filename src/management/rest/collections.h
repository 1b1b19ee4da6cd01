// What the collections of the API have in common: records of one kind, each with its name, in the document's own shape.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/config_store.h"
#include "management/auth/permissions.h"
#include "management/rest/route.h"

namespace weir::management::rest {

struct Collection {
  std::string_view segment;  // "ip-rules"
  std::string_view kind;     // of records: "ip_rules"
  std::string_view item;     // "IpRule", for names of operations
  std::string_view noun;     // "an IP rule"
  std::string_view schema;   // of the document: "ip_rule"
  Resource resource;
  bool entity;              // one by one; false: a part of the policy
  bool scoped;              // belongs to a tenant
  std::string_view prefix;  // where it stands in a document: "users."; "" for overrides
};

std::span<const Collection> Collections();
const Collection* CollectionOfKind(std::string_view kind);

// What of a record of `collection` belongs to tenants: whoever touches it needs permission in each of these; empty: in
// none of them. Never an empty set. A key belongs to its user's tenant too, and a user also to the tenant in which it
// is at the moment, whatever is to be written.
std::set<std::string> TenantsOf(const Api& api, const Collection& collection, const std::string& key,
                                const config::RecordBody& body);
// The tenant in which a user of that name is in force, empty: none; nullopt: nothing is known of that user.
std::optional<std::string> TenantOfUser(const Api& api, const std::string& name);
// Whether the caller may do what the route does with that key, user or tenant; notes its tenant for the audit log.
std::optional<Problem> AuthoriseRecord(const Api& api, Context& context, const Collection& collection,
                                       const std::string& key, const config::RecordBody& body);

// list, get, put, patch and delete of each.
void AddCollectionRoutes(std::vector<Route>& routes);

}  // namespace weir::management::rest
