// Carrying over (storage/store.h, b). The thread that moves a state holds the shards of both keys, also for words, so
// that no state is moved twice at once or round in a circle; requests that only charge one of the two words go on
// meanwhile.
#include <utility>

#include "storage/memory/states.h"

namespace weir::storage::memory {
namespace {

using algorithms::Of;
using algorithms::Previous;

bool IsCarriedOver(const Item& item) {
  return item.previous != nullptr && item.previous_key != item.key && ShapeOf(item.limit->kind) != Shape::kNone &&
         ShapeOf(item.previous->kind) != Shape::kNone;
}

}  // namespace

bool States::MayCarryOver(const Item& item, Nanos now) const {
  if (!IsCarriedOver(item)) return false;
  if (ShapeOf(item.previous->kind) == Shape::kList) return true;
  // If it is empty, the thread that emptied it has added it to the new state before.
  return cells_.Find(FingerprintOf(item.previous_key)).word > now;
}

void States::WantLocks(const Item& item, bool to_carry_over, ShardLocks& locks) const {
  const bool both = to_carry_over && IsCarriedOver(item);
  if (both || ShapeOf(item.limit->kind) == Shape::kList) locks.Want(item.key);
  if (both) locks.Want(item.previous_key);
}

// What a move to `item` would bring: nullopt when none is due. Good until the shard of the old state changes.
std::optional<Previous> States::PreviousOf(const Item& item, Nanos now) {
  if (!IsCarriedOver(item)) return std::nullopt;
  if (ShapeOf(item.previous->kind) == Shape::kWord) {
    const Word word = cells_.Find(FingerprintOf(item.previous_key)).word;
    if (word <= now) return std::nullopt;
    return Previous{.limit = *item.previous, .word = word};
  }
  const ListState* state = lists_.ShardOf(item.previous_key).Find(item.previous_key, item.previous->kind);
  if (state == nullptr || state->expires <= now) return std::nullopt;
  return Previous{.limit = *item.previous, .words = &state->words};
}

void States::Peek(const Item& item, std::uint64_t cost, Nanos now, Outcome& outcome, StateCopy* copy) {
  if (copy != nullptr) *copy = {};
  const Shape shape = ShapeOf(item.limit->kind);
  if (shape == Shape::kNone) {
    outcome = UnlimitedOutcome(item, Op::kPeek);
    return;
  }
  const algorithms::Ask ask{Op::kPeek, cost, now, item.token};
  const std::optional<Previous> previous = item.previous == nullptr ? std::nullopt : PreviousOf(item, now);
  if (shape == Shape::kWord) {
    Word word = cells_.Find(FingerprintOf(item.key)).word;
    if (previous) algorithms::CarryOver(*item.limit, *previous, now, word);
    Fill(outcome, [&] { return words::Apply(*item.limit, ask, word); });
    return;
  }
  const Words& stored = WordsOf(item);
  Words words;
  if (previous) {
    words = stored;
    algorithms::CarryOver(*item.limit, *previous, now, item.token, words);
  }
  // kPeek changes nothing, so a state may be lent to it.
  Words& looked_at = previous ? words : const_cast<Words&>(stored);
  Fill(outcome, [&] { return Of(item.limit->kind).apply_list(*item.limit, ask, looked_at); });
  if (copy == nullptr || item.limit->kind != Kind::kAdaptive) return;
  copy->now = now;
  if (Of(item.limit->kind).expires_list(*item.limit, looked_at) > now) copy->words = looked_at;
}

void States::CarryOver(const Item& item, Nanos now, const ShardLocks& locks) {
  if (!PreviousOf(item, now)) return;
  return ShapeOf(item.limit->kind) == Shape::kWord ? MoveToWord(item, now) : MoveToList(item, now, locks);
}

// No other thread sees the moment between taking and putting: it would need the shard of the new state.
void States::MoveToList(const Item& item, Nanos now, const ShardLocks& locks) {
  ListShard& shard = lists_.ShardOf(item.key);
  ListBudget& budget = lists_.budget();
  // A state that moves as it is takes no more room than it had.
  const bool has_room =
      algorithms::CarriesOver(*item.previous, *item.limit) ||
      (shard.Find(item.key, item.limit->kind) == nullptr ? budget.HasRoomForState() : budget.HasRoomForBytes());
  if (!has_room && !MakeRoomFor(item, now, locks)) return;
  Word word = 0;
  Words words;
  if (!TakePrevious(item, now, word, words)) return;
  const Previous previous{.limit = *item.previous, .word = word, .words = &words};
  ListState* state = shard.Find(item.key, item.limit->kind);
  if (state == nullptr) state = shard.Insert({.key = item.key, .kind = item.limit->kind, .words = {}}, budget);
  const std::uint64_t bytes_before = ListShard::BytesOf(*state);
  algorithms::CarryOver(*item.limit, previous, now, item.token, state->words);
  state->expires = Of(item.limit->kind).expires_list(*item.limit, state->words);
  ListShard::Account(*state, bytes_before, budget);
  if (state->expires <= now) shard.Erase(state, budget);
}

// Removes the old state and hands it out, in the one or the other shape; false when it is gone already.
bool States::TakePrevious(const Item& item, Nanos now, Word& word, Words& words) {
  if (ShapeOf(item.previous->kind) == Shape::kList) {
    ListShard& shard = lists_.ShardOf(item.previous_key);
    ListState* state = shard.Find(item.previous_key, item.previous->kind);
    if (state == nullptr) return false;
    const std::uint64_t bytes_before = ListShard::BytesOf(*state);
    words.swap(state->words);
    ListShard::Account(*state, bytes_before, lists_.budget());
    shard.Erase(state, lists_.budget());
    return true;
  }
  const std::uint64_t owner = FingerprintOf(item.previous_key);
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    if (found.word <= now) return false;
    word = found.word;
    if (cells_.Swap(found.cell, owner, found.word, 0)) return true;
    counters_.Add(Count::kCollisions);
  }
}

// Added here first and removed there second, so that what was used is counted at every moment. What is charged there in
// between is made up for.
void States::MoveToWord(const Item& item, Nanos now) {
  Nanos moved = 0;
  Word here = 0;
  while (true) {
    const std::optional<Previous> previous = PreviousOf(item, now);
    const algorithms::Carried there =
        previous ? algorithms::CarriedTo(*item.limit, *previous, now) : algorithms::Carried{};
    if (!MoveWordBy(item, {.amount = there.amount - moved, .end = there.end}, now, here)) return;
    moved = there.amount;
    if (!previous || RemovePrevious(item, *previous)) return;
    counters_.Add(Count::kCollisions);
  }
}

// False: it has been charged since.
bool States::RemovePrevious(const Item& item, const Previous& previous) {
  if (previous.words != nullptr) {
    ListShard& shard = lists_.ShardOf(item.previous_key);
    shard.Erase(shard.Find(item.previous_key, item.previous->kind), lists_.budget());
    return true;
  }
  const std::uint64_t owner = FingerprintOf(item.previous_key);
  const CellTable::Found found = cells_.Find(owner);
  return found.word == previous.word && cells_.Swap(found.cell, owner, found.word, 0);
}

// A negative amount takes back of an earlier move, which left `here`. Also drops a state that has expired, as
// everything that is touched. False: there is no room for a new state.
bool States::MoveWordBy(const Item& item, const algorithms::Carried& by, Nanos now, Word& here) {
  const Limit& limit = *item.limit;
  const std::uint64_t owner = FingerprintOf(item.key);
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    const Word moved = by.amount >= 0 ? words::Joined(limit, found.word, now, by.amount, by.end)
                                      : words::Withdrawn(limit, found.word, here, now, -by.amount);
    const Word word = words::Kept(limit, moved, now);
    here = word;
    if (word == found.word) break;
    if (found.cell != nullptr) {
      if (cells_.Swap(found.cell, owner, found.word, word)) break;
    } else {
      const CellTable::Inserted inserted = cells_.Insert(owner, word, now, policy_);
      if (inserted == CellTable::Inserted::kDone) break;
      if (inserted == CellTable::Inserted::kFull) return false;
    }
    counters_.Add(Count::kCollisions);
  }
  return true;
}

}  // namespace weir::storage::memory
