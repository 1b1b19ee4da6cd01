// What an item of a plan stands for.
#pragma once

#include <cstdint>

#include "engine/resolve/ruleset.h"

namespace weir::engine {

// Stands for limits that clients bring (DomainEntry::client_limit).
inline bool IsClientLimit(const config::Rule& rule) {
  return rule.level == Level::kDomain && rule.descriptor == nullptr;
}

// Beside each storage::Item of a request's plan.
struct ItemContext {
  const RuleUse* use = nullptr;
  // An item of a rule with penalties: the number of the item that asks the rule's ban box; such an item: the number of
  // its rule's item. Otherwise kNone.
  std::uint32_t partner = kNone;
  bool ban = false;  // this item asks the ban box

  static constexpr std::uint32_t kNone = UINT32_MAX;
};

}  // namespace weir::engine
