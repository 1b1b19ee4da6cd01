// Tenants that are parts of others: whether what is above one ends, and soon enough.
#pragma once

#include <absl/functional/function_ref.h>

#include <string>
#include <string_view>

namespace weir::config {

// What is wrong with what the tenant is a part of, with the names on the way up; empty: nothing. `parent_of`: empty of
// a tenant that is a part of none, or that is not there (it is a level nevertheless). Looks at no more than
// kMostTenantLevels, also where the way up never ends.
std::string FaultOfParents(std::string_view tenant, absl::FunctionRef<std::string_view(std::string_view)> parent_of);

}  // namespace weir::config
