#include "storage/memory/plan_runner.h"

#include <cstddef>

#include "storage/memory/attempt.h"

namespace weir::storage::memory {
namespace {

// What is left of a state that does not exist and could not be made.
Outcome FreshOutcome(const Item& item, Nanos now) {
  const algorithms::Algorithm& algorithm = algorithms::Of(item.limit->kind);
  const algorithms::Ask peek{Op::kPeek, 0, now, item.token};
  algorithms::Word word = 0;
  Words words;
  return ShapeOf(item.limit->kind) == Shape::kWord ? algorithm.apply_word(*item.limit, peek, word)
                                                   : algorithm.apply_list(*item.limit, peek, words);
}

}  // namespace

void PlanRunner::RunOne(Plan& plan, Nanos now) {
  const Item& item = plan.items[0];
  Outcome& outcome = plan.outcomes[0];
  Applied applied = Applied::kDone;
  if (ShapeOf(item.limit->kind) == Shape::kWord && plan.op != Op::kPeek) {
    applied = states_.ApplyWord(item, plan.op, now, Keep::kAlways, outcome);
  } else {
    ShardLocks locks(lists_);
    states_.WantLocks(item, false, locks);
    locks.Acquire();
    if (plan.op == Op::kPeek) {
      states_.Peek(item, item.cost, now, outcome, plan.copies);
    } else {
      applied = states_.Apply(item, plan.op, now, locks, Keep::kAlways, outcome);
      OpenLanes(plan, now);
    }
  }
  const bool is_verdict = plan.op == Op::kCheck || plan.op == Op::kPeek;
  plan.status = PlanStatus::kOk;
  plan.admitted = !is_verdict || item.shadow || outcome.verdict == Verdict::kAllowed;
  if (applied == Applied::kFull && !(item.shadow && is_verdict)) {
    plan.status = PlanStatus::kFull;
    plan.admitted = false;
    outcome = FreshOutcome(item, now);
  }
  plan.untracked |= applied == Applied::kUntracked && !item.shadow;
}

void PlanRunner::RunMany(Plan& plan, Nanos now) {
  plan.status = PlanStatus::kOk;
  plan.admitted = true;
  // The state that one item moves may be the one that another item of the plan moves on.
  bool carry_over = false;
  for (const Item& item : plan.items) carry_over = carry_over || states_.MayCarryOver(item, now);
  ShardLocks locks(lists_);
  for (const Item& item : plan.items) states_.WantLocks(item, carry_over, locks);
  locks.Acquire();
  for (const Item& item : plan.items) {
    if (ShapeOf(item.limit->kind) == Shape::kList) lists_.ShardOf(item.key).PrefetchState(item.key);
  }
  if (plan.op == Op::kPeek) return Peek(plan, now);
  for (const Item& item : plan.items) {
    if (carry_over) states_.CarryOver(item, now, locks);
  }
  if (plan.op == Op::kCheck) {
    Check(plan, now, locks);
    return OpenLanes(plan, now);
  }
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Applied applied = states_.Apply(plan.items[i], plan.op, now, locks, Keep::kAlways, plan.outcomes[i]);
    plan.untracked |= applied == Applied::kUntracked && !plan.items[i].shadow;
    if (applied != Applied::kFull) continue;
    plan.status = PlanStatus::kFull;
    plan.admitted = false;
    plan.outcomes[i] = FreshOutcome(plan.items[i], now);
  }
}

// If lanes let the whole plan be charged without a lock the next time. The locks are still held.
void PlanRunner::OpenLanes(const Plan& plan, Nanos now) {
  if (!MayRunInLanes(plan)) return;
  for (std::size_t i = 0; i < plan.items.size(); ++i) states_.OpenLane(plan.items[i], now, plan.outcomes[i]);
}

void PlanRunner::Peek(Plan& plan, Nanos now) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    StateCopy* const copy = plan.copies == nullptr ? nullptr : plan.copies + i;
    states_.Peek(plan.items[i], plan.items[i].cost, now, plan.outcomes[i], copy);
    if (!plan.items[i].shadow && plan.outcomes[i].verdict != Verdict::kAllowed) plan.admitted = false;
  }
}

void PlanRunner::Check(Plan& plan, Nanos now, const ShardLocks& locks) {
  Attempt attempt(states_, plan, now, locks);
  while (true) {
    if (!attempt.Evaluate()) return Deny(plan, now, locks);
    switch (attempt.Commit()) {
      case Attempt::Committed::kDone:
        return;
      case Attempt::Committed::kFull:
        return Refuse(plan, now, locks);
      case Attempt::Committed::kLost:
        break;
    }
  }
}

// An enforced item denied. Its outcome stands; shadow items are decided by themselves, and the outcomes of the allowed
// ones say what is left.
void PlanRunner::Deny(Plan& plan, Nanos now, const ShardLocks& locks) {
  plan.admitted = false;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    if (item.shadow) {
      (void)states_.Apply(item, Op::kCheck, now, locks, Keep::kAlways, plan.outcomes[i]);
    } else if (plan.outcomes[i].verdict != Verdict::kAllowed) {
      Outcome unused;
      (void)states_.Apply(item, Op::kCheck, now, locks, Keep::kOnlyIfDenied, unused);
    } else {
      states_.Peek(item, 0, now, plan.outcomes[i]);
      plan.outcomes[i].verdict = Verdict::kAllowed;
    }
  }
}

// There is no room for a new state that an enforced item needs.
void PlanRunner::Refuse(Plan& plan, Nanos now, const ShardLocks& locks) {
  Deny(plan, now, locks);
  plan.status = PlanStatus::kFull;
}

}  // namespace weir::storage::memory
