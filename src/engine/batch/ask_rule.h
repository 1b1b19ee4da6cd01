// From a rule that holds for a call to items of its plan.
#pragma once

#include <string_view>

#include "base/hash.h"
#include "engine/batch/item_context.h"
#include "engine/engine.h"
#include "engine/identify/identify.h"
#include "engine/identify/request_fields.h"
#include "engine/resolve/ruleset.h"
#include "storage/store.h"

namespace weir::engine {

inline bool IsConcurrency(const algorithms::Limit& limit) { return limit.kind == algorithms::Kind::kConcurrency; }

// What the request adds to the rule's count.
inline std::uint64_t CostOf(const config::Rule& rule, const Request& request) {
  if (rule.counts == CountedUnit::Kind::kCost || request.cost == 0) [[likely]]
    return request.cost;
  return rule.counts == CountedUnit::Kind::kRequests ? 1 : CountOfAttribute(request, rule.parts->counted_attribute);
}

// What is counted of a rule whose identifier found nothing.
inline Tally TallyOf(OnMissing on_missing) {
  switch (on_missing) {
    case OnMissing::kIp:
      return Tally::kCountedByAddress;
    case OnMissing::kDeny:
      return Tally::kDeniedUnidentified;
    case OnMissing::kSkip:
      break;
  }
  return Tally::kUnidentified;
}

// Whom the rule counts in the call, and by which limit: its own or the one that the client brings. A quota field of the
// request is not in it yet (Subjects::quota).
// `counted`: the rule by whose name its states are kept, which is another one only in Resolution::shared.
// `missing`: its identifier found nothing; `subjects` is then empty, or whom on_missing has counted instead.
struct Asked {
  Subjects subjects;
  bool missing = false;
  const algorithms::Limit* limit;
  const config::Rule* counted;
};
inline Asked AskRule(const RuleUse& use, const Call& call, const Resolution& resolution, Identify& identify) {
  const bool client_limit = call.client_limit != nullptr && IsClientLimit(*use.rule);
  const bool shares = client_limit && resolution.shared != nullptr;
  const config::Rule& counted = shares ? *resolution.shared : *use.rule;
  Subjects subjects = identify.Find(counted, client_limit && !shares ? call.client_limit : nullptr);
  const bool missing = subjects.count == 0;
  if (missing && use.on_missing == OnMissing::kIp) {
    subjects.texts[0] = identify.FindInstead();
    subjects.count = 1;
  }
  return {.subjects = subjects,
          .missing = missing,
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
