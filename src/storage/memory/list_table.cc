#include "storage/memory/list_table.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace weir::storage::memory {
namespace {

constexpr std::size_t kSmallestIndex = 8;
// How many states of a shard are looked at for one that can go, and how many of other shards altogether.
constexpr std::uint64_t kSample = 16;
constexpr std::uint64_t kOthers = 64;
constexpr std::uint64_t kStatesAShard = 64;

}  // namespace

std::uint64_t ListShard::BytesOf(const ListState& state) {
  // There are about two slots of the index for each state, and an allocation takes 16 bytes besides.
  constexpr std::uint64_t kOverhead = sizeof(ListState) + 2 * sizeof(Slot) + 16;
  return kOverhead + state.words.capacity() * sizeof(algorithms::Word);
}

void ListShard::Account(const ListState& state, std::uint64_t bytes_before, ListBudget& budget) {
  const std::uint64_t bytes = BytesOf(state);
  if (bytes != bytes_before) budget.Add(0, static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(bytes_before));
}

std::size_t ListShard::SlotOf(const Key& key) const {
  const std::size_t mask = index_.size() - 1;
  const std::uint64_t hash = Hash(key);
  std::size_t at = hash & mask;
  for (; index_[at].number != 0; at = (at + 1) & mask) {
    if (index_[at].tag == hash >> 32 && states_[index_[at].number - 1].key == key) break;
  }
  return at;
}

ListState* ListShard::Find(const Key& key, Kind kind) {
  if (index_.empty()) return nullptr;
  const std::uint32_t number = index_[SlotOf(key)].number;
  if (number == 0) return nullptr;
  ListState* state = &states_[number - 1];
  if (state->kind != kind) return nullptr;
  CloseLane(*state);
  return state;
}

void ListShard::CloseLane(ListState& state) {
  if (state.lane == 0) return;
  const std::int64_t count = lanes_->Close(state.lane);
  state.lane = 0;
  if (count == 0) return;
  // A lane charges only while its sub-window is the newest of the state; otherwise it only denies (word_plan.cc).
  state.words.front() += count;
  state.words.back() += count;
}

void ListShard::PrefetchState(const Key& key) const {
  if (index_.empty()) return;
  // By the tag alone: to read the state is what has to wait.
  const std::uint64_t hash = Hash(key);
  const std::size_t mask = index_.size() - 1;
  std::size_t at = hash & mask;
  while (index_[at].number != 0 && index_[at].tag != hash >> 32) at = (at + 1) & mask;
  if (index_[at].number != 0) Prefetch(&states_[index_[at].number - 1]);
}

ListState* ListShard::Insert(ListState state, ListBudget& budget) {
  // At most three quarters full, so that probing stays short.
  if ((states_.size() + 1) * 4 > index_.size() * 3) Rebuild(std::max(kSmallestIndex, index_.size() * 2));
  std::size_t slot = SlotOf(state.key);
  if (index_[slot].number != 0) {
    Erase(&states_[index_[slot].number - 1], budget);
    slot = SlotOf(state.key);
  }
  states_.push_back(std::move(state));
  index_[slot] = SlotFor(states_.size() - 1);
  size_hint_.store(states_.size(), std::memory_order_relaxed);
  budget.Add(1, static_cast<std::int64_t>(BytesOf(states_.back())));
  return &states_.back();
}

void ListShard::Erase(ListState* state, ListBudget& budget) {
  CloseLane(*state);
  budget.Add(-1, -static_cast<std::int64_t>(BytesOf(*state)));
  const std::size_t slot = SlotOf(state->key);
  const std::uint32_t number = index_[slot].number;
  ClearSlot(slot);
  if (number != states_.size()) {
    index_[SlotOf(states_.back().key)].number = number;
    *state = std::move(states_.back());
  }
  states_.pop_back();
  size_hint_.store(states_.size(), std::memory_order_relaxed);
  if (index_.size() > kSmallestIndex && states_.size() * 8 < index_.size()) Rebuild(index_.size() / 2);
}

ListShard::Slot ListShard::SlotFor(std::size_t index) const {
  return {static_cast<std::uint32_t>(index + 1), static_cast<std::uint32_t>(Hash(states_[index].key) >> 32)};
}

// Moves later entries of the probe sequence back, so that no marker need stay behind.
void ListShard::ClearSlot(std::size_t slot) {
  const std::size_t mask = index_.size() - 1;
  std::size_t hole = slot;
  for (std::size_t next = (hole + 1) & mask; index_[next].number != 0; next = (next + 1) & mask) {
    const std::size_t home = Hash(states_[index_[next].number - 1].key) & mask;
    if (((next - home) & mask) < ((next - hole) & mask)) continue;
    index_[hole] = index_[next];
    hole = next;
  }
  index_[hole] = {};
}

void ListShard::Rebuild(std::size_t slots) {
  index_.assign(slots, {});
  index_hint_.store(index_.data(), std::memory_order_relaxed);
  mask_hint_.store(slots - 1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < states_.size(); ++i) index_[SlotOf(states_[i].key)] = SlotFor(i);
}

std::uint64_t ListShard::Reclaim(Nanos now, std::uint64_t max_states, ListBudget& budget) {
  std::uint64_t dropped = 0;
  for (std::uint64_t i = 0; i < max_states && !states_.empty(); ++i) {
    if (cursor_ >= states_.size()) cursor_ = 0;
    ListState* state = &states_[cursor_];
    if (state->expires <= now) {
      Erase(state, budget);  // the last one moves here: look at it next
      ++dropped;
    } else {
      ++cursor_;
    }
  }
  return dropped;
}

bool ListShard::ReclaimToEnd(Nanos now, std::uint64_t max_seen, ListBudget& budget, std::uint64_t& seen,
                             std::uint64_t& dropped) {
  for (; seen < max_seen && sweep_cursor_ < states_.size(); ++seen) {
    ListState* state = &states_[sweep_cursor_];
    if (state->expires <= now) {
      Erase(state, budget);  // the last one moves here: look at it next
      ++dropped;
    } else {
      ++sweep_cursor_;
    }
  }
  if (sweep_cursor_ < states_.size()) return false;
  sweep_cursor_ = 0;
  return true;
}

bool ListShard::Evict(const Key& spared, Spent spent, ListBudget& budget) {
  ListState* victim = nullptr;
  for (std::uint64_t i = 0; i < kSample && i < states_.size(); ++i) {
    ListState* state = &states_[cursor_++ % states_.size()];
    if (state->key == spared) continue;
    if (state->denied != 0 && spent == Spent::kKeep) continue;
    const auto age = [](const ListState& one) { return std::pair(one.denied, one.expires); };
    if (victim == nullptr || age(*state) < age(*victim)) victim = state;
  }
  if (victim == nullptr) return false;
  Erase(victim, budget);
  return true;
}

ListTable::ListTable(std::uint64_t max_states, std::uint64_t max_bytes, std::uint64_t max_lanes, std::uint64_t secret,
                     Counters& counters)
    : lanes_(LaneTable::Create(max_lanes, secret)),
      shards_(std::bit_floor(std::clamp<std::uint64_t>(max_states / kStatesAShard, kLeastShards, kMostShards))),
      budget_(max_states, max_bytes),
      secret_(secret),
      counters_(counters) {
  for (ListShard& shard : shards_) {
    shard.SetSecret(secret);
    shard.SetLanes(lanes_.get());
  }
}

bool ListTable::MakeRoom(const Key& key, Nanos now, Victims victims, const ShardLocks& held) {
  const auto reclaim = [&](ListShard& shard) {
    const std::uint64_t dropped = shard.Reclaim(now, kSample, budget_);
    if (dropped != 0) counters_.Add(Count::kReclaimed, static_cast<std::int64_t>(dropped));
    return dropped != 0;
  };
  if (reclaim(ShardOf(key)) || TryOthers(key, held, reclaim)) return true;
  if (victims == Victims::kExpired) return false;
  for (const auto spent : {ListShard::Spent::kKeep, ListShard::Spent::kAlsoSpent}) {
    const auto evict = [&](ListShard& shard) {
      if (!shard.Evict(key, spent, budget_)) return false;
      counters_.Add(Count::kEvicted);
      return true;
    };
    if (evict(ShardOf(key)) || TryOthers(key, held, evict)) return true;
  }
  return false;
}

// Tries the next shards that hold anything and are not in use, until one gives way or enough were looked at.
template <typename Try>
bool ListTable::TryOthers(const Key& key, const ShardLocks& held, const Try& attempt) {
  const std::size_t own = ShardIndex(key);
  std::uint64_t looked_at = 0;
  for (std::size_t i = 1; i < shards_.size() && looked_at < kOthers; ++i) {
    const std::size_t index = (own + i) % shards_.size();
    // A mutex must not be tried by the thread that holds it.
    if (shards_[index].LooksEmpty() || held.Holds(index)) continue;
    const std::unique_lock lock(shards_[index].mutex(), std::try_to_lock);
    if (!lock.owns_lock()) continue;
    looked_at += std::min<std::uint64_t>(shards_[index].size(), kSample);
    if (attempt(shards_[index])) return true;
  }
  return false;
}

std::uint64_t ListTable::Sweep(Nanos now, std::uint64_t max_states, std::size_t max_shards) {
  max_shards = std::min(max_shards, shards_.size());
  std::uint64_t dropped = 0;
  std::uint64_t seen = 0;
  for (std::size_t visited = 0; seen < max_states && visited < max_shards; ++visited) {
    // Relaxed: threads that sweep the same shard at once find it locked, or half done already.
    std::size_t index = sweep_shard_.load(std::memory_order_relaxed);
    ListShard& shard = shards_[index % shards_.size()];
    bool done = shard.LooksEmpty();
    if (!done) {
      const std::unique_lock lock(shard.mutex(), std::try_to_lock);
      // One in use is left for the next round: its users reclaim as they come.
      done = !lock.owns_lock() || shard.ReclaimToEnd(now, max_states, budget_, seen, dropped);
    }
    if (!done || !sweep_shard_.compare_exchange_strong(index, index + 1, std::memory_order_relaxed)) continue;
    if ((index + 1) % shards_.size() == 0) round_states_.store(budget_.states(), std::memory_order_relaxed);
  }
  if (dropped != 0) counters_.Add(Count::kReclaimed, static_cast<std::int64_t>(dropped));
  return dropped;
}

void ShardLocks::Want(const Key& key) { shards_.push_back(static_cast<std::uint16_t>(table_.ShardIndex(key))); }

void ShardLocks::Acquire() {
  std::sort(shards_.begin(), shards_.end());
  shards_.erase(std::unique(shards_.begin(), shards_.end()), shards_.end());
  for (const std::uint16_t shard : shards_) table_.ShardAt(shard).mutex().lock();
  held_ = true;
}

bool ShardLocks::Holds(std::size_t shard) const {
  return held_ && std::binary_search(shards_.begin(), shards_.end(), static_cast<std::uint16_t>(shard));
}

void ShardLocks::Release() {
  if (!held_) return;
  for (const std::uint16_t shard : shards_) table_.ShardAt(shard).mutex().unlock();
  held_ = false;
}

}  // namespace weir::storage::memory
