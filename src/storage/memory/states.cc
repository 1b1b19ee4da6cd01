#include "storage/memory/states.h"

#include <optional>
#include <utility>

namespace weir::storage::memory {
namespace {

using algorithms::Ask;
using algorithms::Of;
namespace gcra = algorithms::gcra;

// A word that has expired is written as 0: the cell is free.
Word Kept(Word word, Nanos now) { return word > now ? word : 0; }

}  // namespace

void States::WantLocks(const Item& item, ShardLocks& locks) const {
  if (ShapeOf(item.limit->kind) == Shape::kList) locks.Want(item.key);
  if (item.previous != nullptr && ShapeOf(item.previous->kind) == Shape::kList) locks.Want(item.previous_key);
}

Applied States::NoRoom() {
  const bool refuse = policy_ == FullPolicy::kDenyNew;
  counters_.Add(refuse ? Count::kRefused : Count::kUntracked);
  return refuse ? Applied::kFull : Applied::kDone;
}

// ---- words ----------------------------------------------------------------------------------------------------------

Applied States::ApplyWord(const Item& item, Op op, Nanos now, Keep keep, Outcome& outcome) {
  const std::uint64_t owner = FingerprintOf(item.key);
  const Ask ask{op, item.cost, now, item.token};
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    Word word = found.word;
    Fill(outcome, [&] { return gcra::Apply(*item.limit, ask, word); });
    if (keep == Keep::kOnlyIfDenied && outcome.verdict == Verdict::kAllowed) return Applied::kDone;
    const Word next = Kept(word, now);
    if (next == found.word) return Applied::kDone;
    if (found.cell != nullptr) {
      if (cells_.Swap(found.cell, owner, found.word, next)) return Applied::kDone;
      counters_.Add(Count::kCollisions);
      continue;
    }
    switch (cells_.Insert(owner, next, now, policy_)) {
      case CellTable::Inserted::kDone:
        return Applied::kDone;
      case CellTable::Inserted::kFull:
        return NoRoom();
      case CellTable::Inserted::kExists:
        break;
    }
  }
}

// ---- lists ----------------------------------------------------------------------------------------------------------

const Words& States::WordsOf(const Item& item) {
  static const Words kEmpty;
  const ListState* state = lists_.ShardOf(item.key).Find(item.key, item.limit->kind);
  return state == nullptr ? kEmpty : state->words;
}

bool States::MakeRoomFor(const Item& item, Nanos now, const ShardLocks& locks) {
  const auto victims = policy_ == FullPolicy::kEvict ? ListTable::Victims::kAlsoLive : ListTable::Victims::kExpired;
  if (lists_.MakeRoom(item.key, now, victims, locks)) return true;
  // Everything that could be dropped is in use at this moment: one too many for a moment is better than a wrong answer.
  return policy_ == FullPolicy::kEvict;
}

bool States::ReserveList(const Item& item, Op op, Nanos now, const ShardLocks& locks) {
  const ListState* state = lists_.ShardOf(item.key).Find(item.key, item.limit->kind);
  if (state == nullptr) return lists_.budget().HasRoomForState() || MakeRoomFor(item, now, locks);
  if (state->words.size() < state->words.capacity() || lists_.budget().HasRoomForBytes()) return true;
  Words after = state->words;
  Of(item.limit->kind).apply_list(*item.limit, {op, item.cost, now, item.token}, after);
  return after.size() <= state->words.size() || MakeRoomFor(item, now, locks);
}

Applied States::ApplyList(const Item& item, Op op, Nanos now, const ShardLocks& locks, Keep keep, Room room,
                          Outcome& outcome) {
  const algorithms::Algorithm& algorithm = Of(item.limit->kind);
  const Ask ask{op, item.cost, now, item.token};
  ListShard& shard = lists_.ShardOf(item.key);
  ListBudget& budget = lists_.budget();
  ListState* state = shard.Find(item.key, item.limit->kind);
  if (state == nullptr) {
    ListState fresh{item.key, item.limit->kind, 0, {}};
    Fill(outcome, [&] { return algorithm.apply_list(*item.limit, ask, fresh.words); });
    if (keep == Keep::kOnlyIfDenied && outcome.verdict == Verdict::kAllowed) return Applied::kDone;
    fresh.expires = algorithm.expires_list(*item.limit, fresh.words);
    if (fresh.expires <= now) return Applied::kDone;
    if (room == Room::kAsk && !ReserveList(item, op, now, locks)) return NoRoom();
    const std::uint64_t reclaimed = shard.Reclaim(now, reclaim_with_each_, budget);
    if (reclaimed != 0) counters_.Add(Count::kReclaimed, static_cast<std::int64_t>(reclaimed));
    shard.Insert(std::move(fresh), budget);
    return Applied::kDone;
  }
  if (keep == Keep::kOnlyIfDenied) {
    const Ask peek{Op::kPeek, item.cost, now, item.token};
    Fill(outcome, [&] { return algorithm.apply_list(*item.limit, peek, state->words); });
    if (outcome.verdict == Verdict::kAllowed) return Applied::kDone;
  }
  if (room == Room::kAsk && state->words.size() == state->words.capacity() && !budget.HasRoomForBytes()) {
    Words after = state->words;
    Fill(outcome, [&] { return algorithm.apply_list(*item.limit, ask, after); });
    if (!ReserveList(item, op, now, locks)) return NoRoom();
    // Making room moves states, and drops this very one if it has expired.
    state = shard.Find(item.key, item.limit->kind);
    if (state == nullptr) return ApplyList(item, op, now, locks, keep, Room::kReserved, outcome);
  }
  const std::uint64_t bytes_before = ListShard::BytesOf(*state);
  Fill(outcome, [&] { return algorithm.apply_list(*item.limit, ask, state->words); });
  state->expires = algorithm.expires_list(*item.limit, state->words);
  if (state->words.capacity() > 64 && state->words.size() * 4 < state->words.capacity()) state->words.shrink_to_fit();
  ListShard::Account(*state, bytes_before, budget);
  if (state->expires <= now) shard.Erase(state, budget);
  return Applied::kDone;
}

// ---- carrying over --------------------------------------------------------------------------------------------------

bool States::IsAbsent(const Limit& limit, const Key& key, Nanos now) {
  if (ShapeOf(limit.kind) == Shape::kWord) return cells_.Find(FingerprintOf(key)).word <= now;
  const ListState* state = lists_.ShardOf(key).Find(key, limit.kind);
  return state == nullptr || state->expires <= now;
}

// What a move to `item` would bring: nullopt when none is due.
std::optional<std::uint64_t> States::Carried(const Item& item, Nanos now) {
  if (ShapeOf(item.limit->kind) == Shape::kNone || !IsAbsent(*item.limit, item.key, now)) return std::nullopt;
  switch (ShapeOf(item.previous->kind)) {
    case Shape::kWord: {
      const Word word = cells_.Find(FingerprintOf(item.previous_key)).word;
      if (word <= now) return std::nullopt;
      return gcra::Used(*item.previous, word, now);
    }
    case Shape::kList: {
      const ListState* source = lists_.ShardOf(item.previous_key).Find(item.previous_key, item.previous->kind);
      if (source == nullptr || source->expires <= now) return std::nullopt;
      return Of(item.previous->kind).used_list(*item.previous, source->words, now);
    }
    case Shape::kNone:
      break;
  }
  return std::nullopt;
}

void States::Peek(const Item& item, std::uint64_t cost, Nanos now, Outcome& outcome) {
  const Shape shape = ShapeOf(item.limit->kind);
  if (shape == Shape::kNone) {
    outcome = UnlimitedOutcome();
    return;
  }
  const Ask ask{Op::kPeek, cost, now, item.token};
  const std::optional<std::uint64_t> carried = item.previous == nullptr ? std::nullopt : Carried(item, now);
  const Ask assign{Op::kAssign, carried.value_or(0), now, item.token};
  if (shape == Shape::kWord) {
    Word word = 0;
    if (carried) {
      gcra::Apply(*item.limit, assign, word);
    } else {
      word = cells_.Find(FingerprintOf(item.key)).word;
    }
    Fill(outcome, [&] { return gcra::Apply(*item.limit, ask, word); });
    return;
  }
  Words words;
  if (carried) Of(item.limit->kind).apply_list(*item.limit, assign, words);
  // kPeek changes nothing, so a state may be lent to it.
  Words& looked_at = carried ? words : const_cast<Words&>(WordsOf(item));
  Fill(outcome, [&] { return Of(item.limit->kind).apply_list(*item.limit, ask, looked_at); });
}

void States::CarryOver(const Item& item, Nanos now, const ShardLocks& locks) {
  if (!Carried(item, now)) return;
  const bool to_word = ShapeOf(item.limit->kind) == Shape::kWord;
  const bool from_word = ShapeOf(item.previous->kind) == Shape::kWord;
  if (!to_word) return MoveToList(item, now, locks);
  return from_word ? MoveWordToWord(item, now) : MoveListToWord(item, now);
}

// The shard of the new state is held: nobody sees what is between taking and putting.
void States::MoveToList(const Item& item, Nanos now, const ShardLocks& locks) {
  if (!ReserveList(item, Op::kAssign, now, locks)) return;
  const std::optional<std::uint64_t> used = TakeSource(item, now);
  if (!used) return;
  ListShard& shard = lists_.ShardOf(item.key);
  if (ListState* expired = shard.Find(item.key, item.limit->kind)) shard.Erase(expired, lists_.budget());
  Item assign = item;
  assign.cost = *used;
  Outcome unused;
  ApplyList(assign, Op::kAssign, now, locks, Keep::kAlways, Room::kReserved, unused);
}

// Removes the old state and says what was used there; nullopt when it is gone already.
std::optional<std::uint64_t> States::TakeSource(const Item& item, Nanos now) {
  if (ShapeOf(item.previous->kind) == Shape::kList) {
    ListShard& shard = lists_.ShardOf(item.previous_key);
    ListState* source = shard.Find(item.previous_key, item.previous->kind);
    if (source == nullptr) return std::nullopt;
    const std::uint64_t used = Of(item.previous->kind).used_list(*item.previous, source->words, now);
    shard.Erase(source, lists_.budget());
    return used;
  }
  const std::uint64_t owner = FingerprintOf(item.previous_key);
  while (true) {
    const CellTable::Found source = cells_.Find(owner);
    if (source.word <= now) return std::nullopt;
    if (cells_.Swap(source.cell, owner, source.word, 0)) return gcra::Used(*item.previous, source.word, now);
    counters_.Add(Count::kCollisions);
  }
}

// The shard of the old state is held, so no other thread moves it meanwhile.
void States::MoveListToWord(const Item& item, Nanos now) {
  while (const std::optional<std::uint64_t> used = Carried(item, now)) {
    const Put put = PutCarriedWord(item, *used, now);
    if (put == Put::kLost) continue;
    if (put == Put::kDone) TakeSource(item, now);
    return;
  }
}

// Without any lock. The new state is put in place first and the old one removed second: whoever comes between sees the
// new one, and what was used is counted at every moment. Who removes the old state owns the move; what happened to it
// since it was copied is made up for.
void States::MoveWordToWord(const Item& item, Nanos now) {
  const std::uint64_t old_owner = FingerprintOf(item.previous_key);
  std::uint64_t used = 0;
  Put put = Put::kLost;
  while (put == Put::kLost) {
    const std::optional<std::uint64_t> carried = Carried(item, now);
    if (!carried) return;
    used = *carried;
    put = PutCarriedWord(item, used, now);
  }
  if (put == Put::kFull) return;
  while (true) {
    const CellTable::Found source = cells_.Find(old_owner);
    // Gone: somebody else moved or reset it, and what was copied is theirs to count.
    const std::uint64_t present = source.word <= now ? 0 : gcra::Used(*item.previous, source.word, now);
    Item correction = item;
    correction.cost = present > used ? present - used : used - present;
    Outcome unused;
    if (present != used) ApplyWord(correction, present > used ? Op::kCharge : Op::kRefund, now, Keep::kAlways, unused);
    used = present;
    if (source.word <= now || cells_.Swap(source.cell, old_owner, source.word, 0)) return;
    counters_.Add(Count::kCollisions);
  }
}

States::Put States::PutCarriedWord(const Item& item, std::uint64_t used, Nanos now) {
  const std::uint64_t owner = FingerprintOf(item.key);
  Word word = 0;
  gcra::Apply(*item.limit, {Op::kAssign, used, now, item.token}, word);
  word = Kept(word, now);
  const CellTable::Found found = cells_.Find(owner);
  if (found.word > now) return Put::kLost;
  if (found.cell != nullptr) return cells_.Swap(found.cell, owner, found.word, word) ? Put::kDone : Put::kLost;
  if (word == 0) return Put::kDone;
  switch (cells_.Insert(owner, word, now, policy_)) {
    case CellTable::Inserted::kExists:
      return Put::kLost;
    case CellTable::Inserted::kFull:
      return Put::kFull;
    case CellTable::Inserted::kDone:
      break;
  }
  return Put::kDone;
}

}  // namespace weir::storage::memory
