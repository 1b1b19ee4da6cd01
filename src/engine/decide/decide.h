// From the outcomes of a plan to the decision on its request.
#pragma once

#include <cstdint>
#include <span>

#include "base/crypto/siphash.h"
#include "engine/batch/item_context.h"
#include "storage/store.h"
#include "weir/decision.h"

namespace weir::engine {

// Makes the decision as if nothing had been asked yet.
void ClearDecision(Decision& decision);

// A denial that no rule's count decided. `action`: kDeny or kChallenge; `style` as Decision::own_style.
inline void DenyWithout(Reason reason, Action action, const ResponseStyle* style, Decision& decision) {
  decision.allowed = false;
  decision.action = action;
  decision.reason = reason;
  decision.deciding = -1;
  decision.own_style = style;
}
// Of a request in which this rule with on_missing deny found nobody.
inline void DenyUnidentified(const config::Rule& rule, Decision& decision) {
  DenyWithout(Reason::kMissingIdentifier, Action::kDeny, rule.style, decision);
}

// Writes down which rules the decision is about, one an item; what came of each is left to Decide. `secret` hides the
// subjects that subject_hash names, of rules whose headers tell it.
void DescribeRules(std::span<const storage::Item> items, std::span<const ItemContext> contexts, const SipKey& secret,
                   Decision& decision);

// Fills in a decision from a kCheck, kPeek or kCharge plan: `rules` of its items stand for rules, which DescribeRules
// has seen, and come first; the rest ask ban boxes. `failed`: kOk when the store answered, else what
// FailurePolicy::Decide said.
void Decide(storage::Plan& plan, std::span<const ItemContext> contexts, std::uint32_t rules, Reason failed,
            Decision& decision);

// Finds the rule that headers describe. Of a denied request: of the rules that are exceeded the one with the strictest
// action (deny, charge, challenge), then one that never fits, then the one to wait for longest; and lets it decide the
// action. Of an allowed one: the enforced rule with the smallest context of its limit left.
void ChooseDeciding(Decision& decision);

// Makes a look (cost 0) at rules some of which have been charged more than their limits a denial by those; as with a
// charge, retry_after_ns is then the time until all is restored. False: no enforced rule has, and nothing is changed.
bool DenyOverdrawn(Decision& decision);

// Of decisions that belong to one request: whether its headers describe `a` rather than `b`, by the same order. A
// denial goes before what was allowed, and a decision that no rule made goes last of its kind.
bool Outranks(const Decision& a, const Decision& b);

}  // namespace weir::engine
