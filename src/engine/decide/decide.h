// From the outcomes of a plan to the decision on its request.
#pragma once

#include <cstdint>
#include <span>

#include "engine/batch/item_context.h"
#include "storage/store.h"
#include "weir/decision.h"

namespace weir::engine {

// Makes the decision as if nothing had been asked yet.
void ClearDecision(Decision& decision);

// Of a request in which a rule with on_missing deny found nobody.
inline void DenyUnidentified(Decision& decision) {
  decision.allowed = false;
  decision.reason = Reason::kMissingIdentifier;
  decision.deciding = -1;
}

// Writes down which rules the decision is about, one an item; what came of each is left to Decide. `secret` hides the
// subjects that subject_hash names.
void DescribeRules(std::span<const storage::Item> items, std::span<const ItemContext> contexts, std::uint64_t secret,
                   Decision& decision);

// Fills in a decision from a kCheck, kPeek or kCharge plan: `rules` of its items stand for rules, which DescribeRules
// has seen, and come first; the rest ask ban boxes. `failed`: kOk when the store answered, else what
// FailurePolicy::Decide said.
void Decide(storage::Plan& plan, std::span<const ItemContext> contexts, std::uint32_t rules, Reason failed,
            Decision& decision);

// Finds the rule that headers describe. Of a denied request: the rule that denied it, one that never fits first, then
// the one to wait for longest. Of an allowed one: the enforced rule with the smallest context of its limit left.
void ChooseDeciding(Decision& decision);

// Of decisions that belong to one request: whether its headers describe `a` rather than `b`, by the same order. A
// denial goes before what was allowed, and a decision that no rule made goes last of its kind.
bool Outranks(const Decision& a, const Decision& b);

}  // namespace weir::engine
