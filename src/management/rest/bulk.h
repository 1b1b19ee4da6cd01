// Many records in one call.
#pragma once

#include <boost/json/value.hpp>
#include <expected>
#include <optional>
#include <vector>

#include "config/source/config_store.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"
#include "management/rest/problem.h"

namespace weir::management::rest {

// {method: PUT or DELETE, collection, name, value}, as a write, or why not.
struct BulkItem {
  config::RecordWrite write;
  std::optional<Problem> refused;
};
// Each item needs the permission that it would need alone.
BulkItem ReadBulkItem(Api& api, Context& context, const boost::json::value& value, const config::Surroundings& around);

// A list of them (`changes`), all or none. Faults have paths below `changes`.
std::expected<std::vector<config::RecordWrite>, Problem> ReadChanges(Api& api, Context& context,
                                                                     const boost::json::value& items);

}  // namespace weir::management::rest
