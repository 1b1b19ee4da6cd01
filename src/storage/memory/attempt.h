// One try at charging all items of a kCheck plan: evaluate, then commit.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "storage/memory/states.h"
#include "storage/store.h"
#include "weir/decision.h"

namespace weir::storage::memory {

// Used by one thread, for one plan, while the plan's shards are held. Allocates nothing for up to 8 word items.
class Attempt {
 public:
  Attempt(States& states, Plan& plan, Nanos now, const ShardLocks& locks);

  // Reads all states and fills in plan.outcomes as if everything were charged in order. Writes no state. False: an
  // enforced item denies.
  bool Evaluate();

  // Charges what Evaluate() found. kLost: a word was changed by another thread and does not fit any more; everything is
  // given back. kFull: no room for a new state and the policy is to refuse; nothing was charged.
  enum class Committed : std::uint8_t { kDone, kLost, kFull };
  Committed Commit();

 private:
  // One state of the plan; several items may share it.
  struct Slot {
    Key key;
    Shape shape = Shape::kNone;
    bool enforced = false;  // by at least one item
    std::uint32_t uses = 0;
    // Words.
    const Limit* limit = nullptr;  // of the last item that names it
    std::uint64_t owner = 0;
    Cell* cell = nullptr;
    Word before = 0;  // as read
    Word after = 0;   // with this plan's charges
    bool charged = false;
  };

  void Try(const Item& item, Slot& slot, Outcome& outcome);
  Words& TrialOf(const Slot& slot) { return trials_[static_cast<std::size_t>(&slot - slots_.data())]; }
  bool EvaluateSlotAgain(std::uint32_t slot_number);
  enum class Charged : std::uint8_t { kDone, kDenied, kFull };
  Charged Charge(std::uint32_t slot_number);
  void GiveBackAll();
  void GiveBack(std::uint32_t slot_number);

  States& states_;
  Plan& plan_;
  const Nanos now_;
  const ShardLocks& locks_;
  absl::InlinedVector<Slot, kInlineRules> slots_;
  absl::InlinedVector<std::uint32_t, kInlineRules> slot_of_item_;
  // By slot, only when a list is named more than once: its words as the items so far would leave them.
  std::vector<Words> trials_;
};

}  // namespace weir::storage::memory
