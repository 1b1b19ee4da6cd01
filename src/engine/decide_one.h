// The hot path: one call that wants a decision now, under rules that ask for nothing out of the ordinary. Everything
// else goes through a Batch, with the same contexts and so to the same end.
#pragma once

#include "base/clock.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/resolve/ruleset.h"

namespace weir::engine {

// Whether the call may be one for DecideOne; what its rules are is not known yet.
inline bool MayDecideOne(const Core& core, const Call& call) {
  return core.store_tries_inline && (call.kind == CallKind::kCheck || call.kind == CallKind::kPeek) &&
         call.trace == nullptr && call.subjects == nullptr && call.request.request_id.empty();
}

// `expected`: from Engine::Expect of this request. False: not such a call, or the store cannot decide it by itself;
// then nothing has happened but that the call's decision is unfinished. Takes no lock, makes no system call, and
// allocates nothing for a store in memory.
bool DecideOne(Core& core, const Ruleset& rules, Nanos now, const HashedSubject& expected, Call& call);

}  // namespace weir::engine
