// What is counted of a decision (Counters).
#pragma once

#include <span>

#include "engine/batch/item_context.h"
#include "engine/counters/counters.h"
#include "engine/engine.h"

namespace weir::engine {

inline bool IsDecision(CallKind kind) {
  return kind == CallKind::kCheck || kind == CallKind::kPeek || kind == CallKind::kReserve || kind == CallKind::kCharge;
}

// Peeks are answered, but nothing has happened that is worth counting.
inline bool Counts(const Call& call) {
  return IsDecision(call.kind) && call.kind != CallKind::kPeek && call.request.cost > 0 && !call.decision.repeated;
}

// What a call is to observers.
std::uint32_t InterestOf(const Call& call);

// `contexts`: at least those of the decision's rules. `charged`: whether what the rules allowed was charged.
void CountDecision(Counters& counters, const Ruleset& rules, const Call& call, std::span<const ItemContext> contexts,
                   bool charged);

}  // namespace weir::engine
