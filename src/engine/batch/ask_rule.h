// From a rule that holds for a call to items of its plan.
#pragma once

#include <string_view>

#include "base/hash.h"
#include "engine/batch/item_context.h"
#include "engine/engine.h"
#include "engine/identify/identify.h"
#include "engine/resolve/ruleset.h"
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
  const bool client_limit = call.client_limit != nullptr && IsClientLimit(*use.rule);
  const bool shares = client_limit && resolution.shared != nullptr;
  const config::Rule& counted = shares ? *resolution.shared : *use.rule;
  return {.subjects = identify.Find(counted, client_limit && !shares ? call.client_limit : nullptr),
          .limit = client_limit ? call.client_limit : &use.rule->limit,
          .counted = &counted};
}

// A fresh item. What a previous rule adds to it is not in it.
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

// The only item of a throttle's plan.
inline storage::Item ThrottleItem(const Ruleset& rules, const Call& call) {
  const config::Rule& rule = *rules.throttle().rule;
  storage::Item item;
  item.limit = call.client_limit;
  item.key = HashKey(rule.seed, call.throttle_key);
  item.rule = rule.generation;
  item.subject = call.throttle_key;
  item.cost = call.request.cost;
  return item;
}

}  // namespace weir::engine
