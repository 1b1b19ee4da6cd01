// The fast path, which most plans take: a check of one to four different word states with nothing to carry over. Its
// decisions are those of Attempt (attempt.h) and PlanRunner, without the work that only lists, repeated subjects and
// full tables need. Takes no lock and allocates nothing.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "storage/memory/states.h"
#include "storage/store.h"

namespace weir::storage::memory {

// False: not such a plan, or there is no room for a new state; then nothing is charged, and the plan is as it was but
// for its outcomes. `now` is clamped. Thread-safe.
bool RunWordPlan(States& states, Plan& plan, Nanos now);

// The same for plans some of whose items are sliding windows that have a lane (lane_table.h). False also when a window
// has no lane, or its lane cannot answer.
bool RunLanePlan(States& states, Plan& plan, Nanos now);
// Whether a plan is of that kind, whether or not its windows have lanes.
inline constexpr std::size_t kMostLanesAPlan = 4;
bool MayRunInLanes(const Plan& plan);

}  // namespace weir::storage::memory
