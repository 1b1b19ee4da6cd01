// Both tables seen as one: what an op does to the state of one item. Plans are put together from these (plan_runner.h).
//
// Words are changed by compare-and-swap and need no lock. For list states, and to carry over, the caller holds the
// shards of the item's keys (WantLocks).
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>

#include "algorithms/algorithm.h"
#include "algorithms/carry_over.h"
#include "algorithms/sub_window.h"
#include "algorithms/word.h"
#include "base/clock.h"
#include "storage/memory/cell_table.h"
#include "storage/memory/counters.h"
#include "storage/memory/list_table.h"
#include "storage/store.h"

namespace weir::storage::memory {

using algorithms::Shape;
using algorithms::ShapeOf;
namespace words = algorithms::words;
namespace sub_window = algorithms::sub_window;

inline Outcome UnlimitedOutcome(const Item& item, Op op) {
  Outcome outcome;
  outcome.limit = UINT64_MAX;
  outcome.remaining = UINT64_MAX;
  if (op == Op::kTake) outcome.granted = std::min(item.cost, algorithms::kMaxCount);
  return outcome;
}

// Puts what `make()` returns into `to` without a copy on the way.
template <typename Make>
void Fill(Outcome& to, const Make& make) {
  new (&to) Outcome(make());
}

// There was no room for a new state, and nothing was written: kFull, the policy is to deny; kUntracked, to go on
// without a count.
enum class Applied : std::uint8_t { kDone, kFull, kUntracked };

// What to write after an op: its result, or nothing when it was allowed (used to record a denial).
enum class Keep : std::uint8_t { kAlways, kOnlyIfDenied };
// Whether a new list state has to ask for room, or has it by ReserveList().
enum class Room : std::uint8_t { kAsk, kReserved };

// Thread-safe but for the locks above. `now` is clamped (ClampNow) everywhere.
class States {
 public:
  // `reclaim_with_each`: how many list states each newcomer looks at, to drop those that have expired.
  States(CellTable& cells, ListTable& lists, Counters& counters, FullPolicy policy, std::uint64_t reclaim_with_each)
      : cells_(cells), lists_(lists), counters_(counters), policy_(policy), reclaim_with_each_(reclaim_with_each) {}

  // Without any lock: false when nothing is to be carried over to this item.
  bool MayCarryOver(const Item& item, Nanos now) const;
  void WantLocks(const Item& item, bool to_carry_over, ShardLocks& locks) const;

  // What kPeek answers for `cost`, also when the state is still to be carried over. Writes nothing. `copy`: nullptr, or
  // where to hand out what it was decided on (Plan::copies).
  void Peek(const Item& item, std::uint64_t cost, Nanos now, Outcome& outcome, StateCopy* copy = nullptr);
  // Does `op` to the item's state, whatever its shape. The outcome is filled in also when it is full: as for a new
  // state.
  Applied Apply(const Item& item, Op op, Nanos now, const ShardLocks& locks, Keep keep, Outcome& outcome) {
    switch (ShapeOf(item.limit->kind)) {
      case Shape::kWord:
        return ApplyWord(item, op, now, keep, outcome);
      case Shape::kList:
        return ApplyList(item, op, now, locks, keep, Room::kAsk, outcome);
      case Shape::kNone:
        break;
    }
    outcome = UnlimitedOutcome(item, op);
    return Applied::kDone;
  }
  Applied ApplyWord(const Item& item, Op op, Nanos now, Keep keep, Outcome& outcome);
  Applied ApplyList(const Item& item, Op op, Nanos now, const ShardLocks& locks, Keep keep, Room room,
                    Outcome& outcome);

  // Called after kCheck of the item, while its shard is still held: gives its state a lane if that is worth while.
  void OpenLane(const Item& item, Nanos now, const Outcome& outcome);
  // Takes back a kCheck of an item that was charged in a lane, which is closed by now. Takes the lock.
  void GiveBackList(const Item& item, Nanos now);

  // Takes back a kCheck of a word item that left its word `charged`: of what the word has become since.
  void GiveBack(const Item& item, Word charged, Nanos now);

  // Moves what is under previous_key here, if that is due (storage/store.h, b).
  void CarryOver(const Item& item, Nanos now, const ShardLocks& locks);

  // Called before a list item is charged: makes room for what the charge adds, if anything. False: there is no room.
  bool ReserveList(const Item& item, Op op, Nanos now, const ShardLocks& locks);
  // The words of a list item; empty when absent.
  const Words& WordsOf(const Item& item);

  // Called when there is no place for a new state: counts that, and returns kFull or kUntracked by the policy.
  Applied NoRoom();

  CellTable& cells() { return cells_; }
  LaneTable& lanes() { return lists_.lanes(); }
  // Little room is left for list states, so each has to note when it denied: eviction goes by that.
  bool ListsAreCrowded() const { return lists_.budget().IsNearlyFull(); }
  FullPolicy policy() const { return policy_; }
  Counters& counters() { return counters_; }

 private:
  std::optional<algorithms::Previous> PreviousOf(const Item& item, Nanos now);
  bool TakePrevious(const Item& item, Nanos now, Word& word, Words& words);
  bool RemovePrevious(const Item& item, const algorithms::Previous& previous);
  void MoveToList(const Item& item, Nanos now, const ShardLocks& locks);
  void MoveToWord(const Item& item, Nanos now);
  bool MoveWordBy(const Item& item, const algorithms::Carried& by, Nanos now, Word& here);
  bool MakeRoomFor(const Item& item, Nanos now, const ShardLocks& locks);

  CellTable& cells_;
  ListTable& lists_;
  Counters& counters_;
  const FullPolicy policy_;
  const std::uint64_t reclaim_with_each_;
};

}  // namespace weir::storage::memory
