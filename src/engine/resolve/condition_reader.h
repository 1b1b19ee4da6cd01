// What a rule's condition (config/compile/condition.h) reads of a request.
#pragma once

#include <optional>
#include <string_view>

#include "base/path.h"
#include "config/compile/condition.h"
#include "engine/resolve/resolve.h"

namespace weir::engine {

// Made where a rule with a condition is met. `path` is the path in normal form (base/path.h), without its query;
// headers are named without case; claims are those of the bearer token, verified when the configuration has a key.
class ConditionReader final : public config::ConditionInput {
 public:
  ConditionReader(const Facts& facts, std::string_view tenant) : facts_(facts), tenant_(tenant) {}

  std::string_view Get(Text field) const override;
  std::optional<std::string_view> Find(Map map, std::string_view key) const override;
  std::uint64_t cost() const override;
  // Whether something was read that the request gives several values, of which servers may take another one.
  bool ambiguous() const { return ambiguous_; }

 private:
  const Facts& facts_;
  std::string_view tenant_;
  mutable PathBuffer path_room_;
  mutable std::optional<std::string_view> path_;
  mutable bool ambiguous_ = false;
};

}  // namespace weir::engine
