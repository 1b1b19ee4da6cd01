#include "storage/memory/plain_check.h"

#include <array>
#include <cstddef>

#include "algorithms/gcra.h"
#include "weir/decision.h"

namespace weir::storage::memory {
namespace {

namespace gcra = algorithms::gcra;

struct Place {
  std::uint64_t owner;
  Cell* cell;
  Word before;  // as read
  Word after;   // charged; before if denied
};
using Places = std::array<Place, kInlineRules>;

bool IsPlain(const Item& item) {
  return !item.shadow && item.previous == nullptr && ShapeOf(item.limit->kind) == Shape::kWord;
}

// A denied plan charges nothing: what was allowed tells what is left.
void TellWhatIsLeft(Plan& plan, const Places& places, Nanos now) {
  plan.admitted = false;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    if (plan.outcomes[i].verdict != Verdict::kAllowed) continue;
    Fill(plan.outcomes[i], [&] { return gcra::Describe(*plan.items[i].limit, places[i].before, now); });
  }
}

bool Charge(States& states, const Place& place, Nanos now) {
  const Word after = place.after > now ? place.after : 0;
  if (after == place.before) return true;
  if (place.cell != nullptr) {
    if (states.cells().Swap(place.cell, place.owner, place.before, after)) return true;
    states.counters().Add(Count::kCollisions);
    return false;
  }
  return states.cells().Insert(place.owner, after, now, states.policy()) == CellTable::Inserted::kDone;
}

// Puts back what was there if nobody has touched it since, else takes the charge out of what it has become.
void GiveBack(States& states, const Place& place, const Item& item, Nanos now) {
  const CellTable::Found found = states.cells().Find(place.owner);
  if (found.cell == nullptr) return;
  const Word before = place.before > now ? place.before : 0;
  if (found.word == place.after && states.cells().Swap(found.cell, place.owner, found.word, before)) return;
  Outcome unused;
  (void)states.ApplyWord(item, Op::kRefund, now, Keep::kAlways, unused);
}

}  // namespace

bool CheckPlainly(States& states, Plan& plan, Nanos now) {
  const std::size_t count = plan.items.size();
  if (plan.op != Op::kCheck || count > kInlineRules) return false;
  Places places;
  bool admitted = true;
  for (std::size_t i = 0; i < count; ++i) {
    const Item& item = plan.items[i];
    if (!IsPlain(item)) return false;
    Place& place = places[i];
    place.owner = FingerprintOf(item.key);
    for (std::size_t k = 0; k < i; ++k) {
      if (places[k].owner == place.owner) return false;
    }
    const CellTable::Found found = states.cells().Find(place.owner);
    place.cell = found.cell;
    place.before = place.after = found.word;
    Fill(plan.outcomes[i], [&] {
      return gcra::Admit(*item.limit, gcra::MakeTerms(*item.limit, item.cost), item.cost, now, place.after);
    });
    // A state that has expired is removed also when it denies; only what never fits can deny then.
    if (plan.outcomes[i].verdict == Verdict::kNever) return false;
    admitted &= plan.outcomes[i].verdict == Verdict::kAllowed;
  }
  plan.status = PlanStatus::kOk;
  plan.admitted = true;
  if (!admitted) {
    TellWhatIsLeft(plan, places, now);
    return true;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (Charge(states, places[i], now)) continue;
    bool any = false;
    for (std::size_t k = 0; k < i; ++k) {
      if (places[k].after == places[k].before) continue;
      GiveBack(states, places[k], plan.items[k], now);
      any = true;
    }
    if (any) states.counters().Add(Count::kRollbacks);
    return false;
  }
  return true;
}

}  // namespace weir::storage::memory
