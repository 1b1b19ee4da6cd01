#include "storage/memory/states.h"

#include <utility>

namespace weir::storage::memory {
namespace {

using algorithms::Ask;
using algorithms::Of;

}  // namespace

Applied States::NoRoom() {
  const bool refuse = policy_ == FullPolicy::kDenyNew;
  counters_.Add(refuse ? Count::kRefused : Count::kUntracked);
  return refuse ? Applied::kFull : Applied::kUntracked;
}

// ---- words ----------------------------------------------------------------------------------------------------------

Applied States::ApplyWord(const Item& item, Op op, Nanos now, Keep keep, Outcome& outcome) {
  const std::uint64_t owner = FingerprintOf(item.key);
  const Ask ask = AskOf(item, op, now);
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    Word word = found.word;
    Fill(outcome, [&] { return words::Apply(*item.limit, ask, word); });
    if (outcome.verdict == Verdict::kLater && cells_.crowded()) [[unlikely]] {
      cells_.NoteDenied(found.cell, now);
    }
    if (keep == Keep::kOnlyIfDenied && outcome.verdict == Verdict::kAllowed) return Applied::kDone;
    // 0 frees the cell.
    const Word next = words::Kept(*item.limit, word, now);
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

void States::GiveBack(const Item& item, Word charged, Nanos now) {
  const std::uint64_t owner = FingerprintOf(item.key);
  const Nanos amount = words::AmountOf(*item.limit, item.cost);
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    if (found.cell == nullptr) return;
    const Word word = words::Withdrawn(*item.limit, found.word, charged, now, amount);
    const Word next = words::Kept(*item.limit, word, now);
    if (next == found.word || cells_.Swap(found.cell, owner, found.word, next)) return;
    counters_.Add(Count::kCollisions);
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
  Of(item.limit->kind).apply_list(*item.limit, AskOf(item, op, now), after);
  return after.size() <= state->words.size() || MakeRoomFor(item, now, locks);
}

Applied States::ApplyList(const Item& item, Op op, Nanos now, const ShardLocks& locks, Keep keep, Room room,
                          Outcome& outcome) {
  const algorithms::Algorithm& algorithm = Of(item.limit->kind);
  const Ask ask = AskOf(item, op, now);
  ListShard& shard = lists_.ShardOf(item.key);
  ListBudget& budget = lists_.budget();
  ListState* state = shard.Find(item.key, item.limit->kind);
  if (state == nullptr) {
    ListState fresh{.key = item.key, .kind = item.limit->kind, .words = {}};
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
  if (outcome.verdict == Verdict::kLater) state->denied = static_cast<std::uint32_t>(now / kSecond);
  if (state->words.capacity() > 64 && state->words.size() * 4 < state->words.capacity()) state->words.shrink_to_fit();
  ListShard::Account(*state, bytes_before, budget);
  if (state->expires <= now) shard.Erase(state, budget);
  return Applied::kDone;
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

// A subject that asks once in a sub-window gains nothing by a lane, so it gets one with the second request.
void States::OpenLane(const Item& item, Nanos now, const Outcome& outcome) {
  if (!sub_window::Holds(*item.limit)) return;
  const bool denied = outcome.verdict == Verdict::kLater;
  if (outcome.verdict != Verdict::kAllowed && !denied) return;
  ListState* const state = lists_.ShardOf(item.key).Find(item.key, item.limit->kind);
  if (state == nullptr) return;
  if (!denied && (state->words.size() < 3 || static_cast<std::uint64_t>(state->words.back()) <= item.cost)) return;
  const auto frame = sub_window::FrameOf(*item.limit, state->words, now);
  if (!frame) return;
  NotedDenial denial;
  if (denied) {
    denial.asked = NotedDenial::Asked(item.limit->capacity, item.cost);
    denial.fits_at = now + outcome.retry_after_ns;
  }
  if (state->denied == static_cast<std::uint32_t>(now / kSecond)) denial.second = NotedDenial::SecondOf(now);
  state->lane = lists_.lanes().Open(item.key, *frame, denial);
}

void States::GiveBackList(const Item& item, Nanos now) {
  ShardLocks locks(lists_);
  locks.Want(item.key);
  locks.Acquire();
  const algorithms::PastCharge charge{.cost = item.cost, .at = now};
  Item refund = item;
  refund.charge = &charge;
  Outcome unused;
  (void)ApplyList(refund, Op::kRefund, now, locks, Keep::kAlways, Room::kReserved, unused);
}

}  // namespace weir::storage::memory
