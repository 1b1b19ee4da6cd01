// One user, tenant or API key, judged as if it stood in the document.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "weir/config.h"

namespace weir::config {

// What an entity is judged by: the policy (tiers, templates, what rules inherit), and the entities that it names.
struct Surroundings {
  const EnterpriseRateLimitConfig& policy;
  std::function<std::optional<TenantLimits>(const std::string&)> tenant;
  std::function<std::optional<UserLimits>(const std::string&)> user;
};
// As they are in a snapshot, which outlives it.
Surroundings SurroundingsOf(const Snapshot& snapshot);

// The document in which the entities of `of` are judged: those, what they name, and the parts of the policy by which
// entities are judged. For Validate().
EnterpriseRateLimitConfig DocumentToJudge(EnterpriseRateLimitConfig of, const Surroundings& around);

// What is wrong with what is put, all faults in one error (kInvalidArgument), a line each.
Result<> CheckEntity(const EntityChange& change, const Snapshot& snapshot);

}  // namespace weir::config
