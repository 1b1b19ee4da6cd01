// From a rule that holds for a call to items of its plan.
#pragma once

#include <string_view>

#include "base/hash.h"
#include "engine/engine.h"
#include "engine/identify.h"
#include "engine/part.h"
#include "engine/ruleset.h"
#include "storage/store.h"

namespace weir::engine {

inline bool IsConcurrency(const algorithms::Limit& limit) { return limit.kind == algorithms::Kind::kConcurrency; }

// Whom the rule counts in the call, and by which limit: its own or the one that the client brings. A quota field of the
// request is not in it yet (Subjects::quota).
struct Asked {
  Subjects subjects;
  const algorithms::Limit* limit;
};
inline Asked AskRule(const RuleUse& use, const Call& call, Identify& identify) {
  const bool brought = call.brought != nullptr && IsBrought(*use.rule);
  return {.subjects = identify.Find(*use.rule, brought ? call.brought : nullptr),
          .limit = brought ? call.brought : &use.rule->limit};
}

// A fresh item. What a former rule adds to it is not in it.
inline storage::Item ItemOf(const RuleUse& use, const algorithms::Limit& limit, std::string_view subject,
                            std::uint64_t cost, Identify& identify) {
  return {.limit = &limit,
          .key = KeyOf(use.rule->seed, identify.HashOf(subject)),
          .rule = use.rule->generation,
          .subject = subject,
          .previous = nullptr,
          .previous_key = {},
          .previous_rule = {},
          .cost = cost,
          .token = 0,
          .shadow = use.shadow};
}

}  // namespace weir::engine
