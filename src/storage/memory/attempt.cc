#include "storage/memory/attempt.h"

namespace weir::storage::memory {
namespace {

using algorithms::Ask;
using algorithms::Of;

}  // namespace

Attempt::Attempt(States& states, Plan& plan, Nanos now, const ShardLocks& locks)
    : states_(states), plan_(plan), now_(now), locks_(locks) {
  for (const Item& item : plan.items) {
    const Shape shape = ShapeOf(item.limit->kind);
    std::uint32_t number = 0;
    while (number < slots_.size() && (slots_[number].key != item.key || slots_[number].shape != shape)) ++number;
    if (number == slots_.size()) {
      Slot& slot = slots_.emplace_back();
      slot.key = item.key;
      slot.shape = shape;
      slot.owner = FingerprintOf(item.key);
    }
    slots_[number].enforced = slots_[number].enforced || !item.shadow;
    slots_[number].limit = item.limit;
    ++slots_[number].uses;
    slot_of_item_.push_back(number);
  }
}

bool Attempt::Evaluate() {
  for (Slot& slot : slots_) {
    if (slot.shape != Shape::kWord) continue;
    const CellTable::Found found = states_.cells().Find(slot.owner);
    slot.cell = found.cell;
    slot.before = found.word;
    slot.after = found.word;
    slot.charged = false;
  }
  for (std::size_t i = 0; i < plan_.items.size(); ++i) {
    Slot& slot = slots_[slot_of_item_[i]];
    if (slot.shape != Shape::kList || slot.uses == 1) continue;
    trials_.resize(slots_.size());
    TrialOf(slot) = states_.WordsOf(plan_.items[i]);
  }
  bool admitted = true;
  for (std::size_t i = 0; i < plan_.items.size(); ++i) {
    const Item& item = plan_.items[i];
    Try(item, slots_[slot_of_item_[i]], plan_.outcomes[i]);
    if (!item.shadow && plan_.outcomes[i].verdict != Verdict::kAllowed) admitted = false;
  }
  return admitted;
}

// The item's outcome after the items before it; what they would leave is in the slot.
void Attempt::Try(const Item& item, Slot& slot, Outcome& outcome) {
  const Ask ask{Op::kCheck, item.cost, now_, item.token};
  switch (slot.shape) {
    case Shape::kWord:
      return Fill(outcome, [&] { return words::Apply(*item.limit, ask, slot.after); });
    case Shape::kList:
      return Fill(outcome, [&] {
        if (slot.uses > 1) return Of(item.limit->kind).apply_list(*item.limit, ask, TrialOf(slot));
        // kPeek changes nothing, so the state may be lent to it. (Not States::Peek: carrying over is done already.)
        const Ask peek{Op::kPeek, item.cost, now_, item.token};
        return Of(item.limit->kind).apply_list(*item.limit, peek, const_cast<Words&>(states_.WordsOf(item)));
      });
    case Shape::kNone:
      outcome = UnlimitedOutcome(item, Op::kCheck);
  }
}

Attempt::Committed Attempt::Commit() {
  // Only this policy can refuse, and it must do so before anything is charged.
  const Room enforced_room = states_.policy() == FullPolicy::kDenyNew ? Room::kReserved : Room::kAsk;
  for (std::size_t i = 0; i < plan_.items.size() && enforced_room == Room::kReserved; ++i) {
    const Item& item = plan_.items[i];
    if (item.shadow || item.cost == 0 || slots_[slot_of_item_[i]].shape != Shape::kList) continue;
    if (states_.ReserveList(item, Op::kCheck, now_, locks_)) continue;
    (void)states_.NoRoom();
    return Committed::kFull;
  }
  // Enforced states first: once they are charged nothing can deny any more.
  for (const bool enforced : {true, false}) {
    for (std::uint32_t number = 0; number < slots_.size(); ++number) {
      if (slots_[number].shape != Shape::kWord || slots_[number].enforced != enforced) continue;
      const Charged charged = Charge(number);
      if (charged == Charged::kDone || !enforced) continue;
      GiveBackAll();
      return charged == Charged::kFull ? Committed::kFull : Committed::kLost;
    }
  }
  for (std::size_t i = 0; i < plan_.items.size(); ++i) {
    const Item& item = plan_.items[i];
    if (slots_[slot_of_item_[i]].shape != Shape::kList) continue;
    const Room room = item.shadow ? Room::kAsk : enforced_room;
    const Applied applied = states_.ApplyList(item, Op::kCheck, now_, locks_, Keep::kAlways, room, plan_.outcomes[i]);
    plan_.untracked |= applied == Applied::kUntracked && !item.shadow;
  }
  return Committed::kDone;
}

Attempt::Charged Attempt::Charge(std::uint32_t slot_number) {
  Slot& slot = slots_[slot_number];
  CellTable& cells = states_.cells();
  while (true) {
    const Word after = words::Kept(*slot.limit, slot.after, now_);
    if (after == slot.before) return Charged::kDone;
    if (slot.cell != nullptr) {
      if (cells.Swap(slot.cell, slot.owner, slot.before, after)) break;
    } else {
      const CellTable::Inserted inserted = cells.Insert(slot.owner, after, now_, states_.policy());
      if (inserted == CellTable::Inserted::kDone) break;
      if (inserted == CellTable::Inserted::kFull) {
        if (states_.NoRoom() == Applied::kFull) return Charged::kFull;
        plan_.untracked |= slot.enforced;
        return Charged::kDone;
      }
    }
    states_.counters().Add(Count::kCollisions);
    if (!EvaluateSlotAgain(slot_number)) return Charged::kDenied;
  }
  slot.charged = true;
  return Charged::kDone;
}

// The state as it is now, with the items of this slot only. False: it denies an enforced one.
bool Attempt::EvaluateSlotAgain(std::uint32_t slot_number) {
  Slot& slot = slots_[slot_number];
  const CellTable::Found found = states_.cells().Find(slot.owner);
  slot.cell = found.cell;
  slot.before = found.word;
  slot.after = found.word;
  bool admitted = true;
  for (std::size_t i = 0; i < plan_.items.size(); ++i) {
    if (slot_of_item_[i] != slot_number) continue;
    Try(plan_.items[i], slot, plan_.outcomes[i]);
    if (!plan_.items[i].shadow && plan_.outcomes[i].verdict != Verdict::kAllowed) admitted = false;
  }
  return admitted;
}

void Attempt::GiveBackAll() {
  bool any = false;
  for (std::uint32_t number = 0; number < slots_.size(); ++number) {
    if (!slots_[number].charged) continue;
    GiveBack(number);
    any = true;
  }
  if (any) states_.counters().Add(Count::kRollbacks);
}

// Undoes Charge(): restores the old word if no other thread has changed it since, else takes this plan's part out of
// the present word.
void Attempt::GiveBack(std::uint32_t slot_number) {
  Slot& slot = slots_[slot_number];
  slot.charged = false;
  CellTable& cells = states_.cells();
  const Word before = words::Kept(*slot.limit, slot.before, now_);
  CellTable::Found found = cells.Find(slot.owner);
  if (found.cell == nullptr) return;
  if (found.word == slot.after && cells.Swap(found.cell, slot.owner, found.word, before)) return;
  for (std::size_t i = 0; i < plan_.items.size(); ++i) {
    if (slot_of_item_[i] != slot_number || plan_.outcomes[i].verdict != Verdict::kAllowed) continue;
    states_.GiveBack(plan_.items[i], slot.after, now_);
  }
}

}  // namespace weir::storage::memory
