// From a call to the rules that hold for it: what both ways through the engine (decide_one.h, batch.h) begin with.
#pragma once

#include "base/arena.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/resolve/resolve.h"
#include "engine/resolve/ruleset.h"

namespace weir::engine {

// What holds for a call, before it is asked. Borrows from the call, the rules and the arena.
struct Resolved {
  Resolved() = default;
  Resolved(const Ruleset& rules, const Call& call, Nanos wall, Arena& arena);
  Facts facts;
  Resolution resolution;
};

// Asks nothing and counts nothing. `wall`: by the clock on the wall, which schedules and tokens go by.
Facts FactsOf(const Ruleset& rules, const Call& call, Nanos wall, Arena& arena);
inline Resolved::Resolved(const Ruleset& rules, const Call& call, Nanos wall, Arena& arena)
    : facts(FactsOf(rules, call, wall, arena)) {}
inline void ResolveCall(const Ruleset& rules, const Call& call, Resolved& to) {
  Resolve(rules.snapshot(), to.facts, call.trace, to.resolution);
}

// Makes the decision as if nothing had been asked yet, and takes it as far as resolving goes. False: it is complete;
// nothing of the call is to be counted by any rule. Counts and tells unknown domains.
bool BeginDecision(Core& core, const Ruleset& rules, Call& call, const Resolved& resolved);

}  // namespace weir::engine
