// What was used stays used when a user's own rule comes or goes.
//
// A rule that changes takes its counts along by itself. But a user that gets a rule of its own, or loses it, is counted
// by another rule from then on (its tenant's, its tier's): here what was used under the one is charged to the other.
// Only where both count that user and nobody else; between the two readings requests may be counted twice or not at
// all, as many as come in that moment.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "engine/engine.h"

namespace weir::management::rest {

class CarryOver {
 public:
  // More changes at once are not followed.
  static constexpr std::size_t kMost = 10'000;

  // Before the changes are applied.
  CarryOver(engine::Engine& engine, std::span<const config::EntityChange> changes);
  // After.
  void Charge() const;

 private:
  struct Used {
    std::string user;
    std::string tenant;
    std::string rule;
    std::uint64_t used = 0;
  };
  engine::Engine& engine_;
  std::vector<Used> used_;
};

}  // namespace weir::management::rest
