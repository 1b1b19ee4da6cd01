// Limits of one entity as the document writes them, alone: what a store of entities keeps, and what an API sends.
#pragma once

#include <string>
#include <string_view>

#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

// Limits: TenantLimits, UserLimits or ApiKeyLimits. JSON in one line, with what differs from the defaults.
template <typename Limits>
std::string LimitsToJson(const Limits& limits);
// Fields, types and ranges are checked, each fault described in a line (kInvalidArgument); whether it makes sense with
// the policy, Snapshot::With tells.
template <typename Limits>
Result<Limits> LimitsFromJson(std::string_view json);

}  // namespace weir::config
