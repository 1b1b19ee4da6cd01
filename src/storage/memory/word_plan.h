// The short way for what most plans are: a check of one to four different buckets with nothing to carry over. Decides
// as Attempt (attempt.h) and PlanRunner do, without what only lists, repeated subjects and full tables need. Takes no
// lock and allocates nothing.
#pragma once

#include "base/clock.h"
#include "storage/memory/states.h"
#include "storage/store.h"

namespace weir::storage::memory {

// False: not such a plan, or there is no room for a new state; then nothing is charged, and the plan is as it was but
// for its outcomes. `now` is clamped. Thread-safe.
bool RunWordPlan(States& states, Plan& plan, Nanos now);

}  // namespace weir::storage::memory
