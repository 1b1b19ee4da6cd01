// The usual plan by the shortest way: kCheck of a few buckets, all enforced, all different, none with anything to carry
// over. Whatever is out of the ordinary is left to the general way (attempt.h), which gives the same answers.
#pragma once

#include "base/clock.h"
#include "storage/memory/states.h"
#include "storage/store.h"

namespace weir::storage::memory {

// False: not such a plan, or another thread or a full table was in the way. Nothing is charged then, the outcomes mean
// nothing, and the plan is to be run in the general way. No lock, no allocation. `now` is clamped (ClampNow).
bool CheckPlainly(States& states, Plan& plan, Nanos now);

}  // namespace weir::storage::memory
