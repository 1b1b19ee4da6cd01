// What the collections of the API have in common: records of one kind, each with its name, in the document's own shape.
#pragma once

#include <span>
#include <string_view>
#include <vector>

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

// list, get, put, patch and delete of each.
void AddCollectionRoutes(std::vector<Route>& routes);

}  // namespace weir::management::rest
