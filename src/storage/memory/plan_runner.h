// Decides one plan on the two tables: the contract of storage/store.h under concurrency.
//
// kCheck of several items: all are evaluated reading only; a denial ends there. Otherwise the words are charged one by
// one, each by compare-and-swap from what was evaluated. When another thread changed a word in between and it still
// fits, it is charged as it is now; when it does not, what this plan has charged is given back, and it is evaluated
// anew. So a limit is never exceeded; the price is that for the moment between charging and giving back (some
// nanoseconds, and only when two plans collide) another request can see less left than there is, and be denied for it.
// List states are locked for the whole plan, so for them there is no such moment, but for those that have a lane
// (lane_table.h): plans of words and lanes are charged like plans of words. (A state that is reset or evicted in
// that same moment is forgotten together with this plan's charge; giving back then finds less, or another's charge.)
#pragma once

#include "base/clock.h"
#include "storage/memory/states.h"
#include "storage/memory/word_plan.h"
#include "storage/store.h"

namespace weir::storage::memory {

// Thread-safe. `now` is clamped (ClampNow).
class PlanRunner {
 public:
  PlanRunner(States& states, ListTable& lists) : states_(states), lists_(lists) {}

  void Run(Plan& plan, Nanos now) {
    if (RunWordPlan(states_, plan, now)) return;
    if (states_.lanes().used() && RunLanePlan(states_, plan, now)) return;
    if (plan.items.size() == 1 && (plan.items[0].previous == nullptr || !states_.MayCarryOver(plan.items[0], now))) {
      RunOne(plan, now);
    } else {
      RunMany(plan, now);
    }
  }

 private:
  void RunOne(Plan& plan, Nanos now);
  void RunMany(Plan& plan, Nanos now);
  void OpenLanes(const Plan& plan, Nanos now);
  void Peek(Plan& plan, Nanos now);
  void Check(Plan& plan, Nanos now, const ShardLocks& locks);
  void Deny(Plan& plan, Nanos now, const ShardLocks& locks);
  void Refuse(Plan& plan, Nanos now, const ShardLocks& locks);

  States& states_;
  ListTable& lists_;
};

}  // namespace weir::storage::memory
