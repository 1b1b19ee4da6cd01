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
// `counted`: the rule by whose name its states are kept, which is another one only in Resolution::shared.
struct Asked {
  Subjects subjects;
  const algorithms::Limit* limit;
  const config::Rule* counted;
};
inline Asked AskRule(const RuleUse& use, const Call& call, const Resolution& resolution, Identify& identify) {
  const bool brought = call.brought != nullptr && IsBrought(*use.rule);
  const bool shares = brought && resolution.shared != nullptr;
  const config::Rule& counted = shares ? *resolution.shared : *use.rule;
  return {.subjects = identify.Find(counted, brought && !shares ? call.brought : nullptr),
          .limit = brought ? call.brought : &use.rule->limit,
          .counted = &counted};
}

// A fresh item. What a former rule adds to it is not in it.
inline storage::Item ItemOf(const RuleUse& use, const config::Rule& counted, const algorithms::Limit& limit,
                            std::string_view subject, std::uint64_t cost, Identify& identify) {
  return {.limit = &limit,
          .key = KeyOf(counted.seed, identify.HashOf(subject)),
          .rule = counted.generation,
          .subject = subject,
          .previous = nullptr,
          .previous_key = {},
          .previous_rule = {},
          .cost = cost,
          .token = 0,
          .shadow = use.shadow};
}

}  // namespace weir::engine
