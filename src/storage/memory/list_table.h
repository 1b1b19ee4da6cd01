// The table of list states (windows, logs, slots): sharded, each shard behind its own mutex, so that rules of
// other kinds pay nothing for them. Bounded by a count and by bytes over all shards.
//
// Within a shard the states lie densely in a deque, found through an index of their numbers: no pause ever moves them
// all, and a reclaimer can walk them by number. The index holds a part of each key's hash too, so that a state is read
// only when it is the one looked for: reading another is a cache miss for nothing.
#pragma once

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "algorithms/algorithm.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/prefetch.h"
#include "storage/memory/counters.h"
#include "storage/memory/lane_table.h"

namespace weir::storage::memory {

using algorithms::Kind;
using algorithms::Words;

struct ListState {
  Key key;
  Kind kind{};
  std::uint32_t denied = 0;  // when it last denied, in seconds since the epoch; 0: never
  std::uint32_t lane = 0;    // its number (lane_table.h) while a part of what is charged is counted there; 0: none
  Nanos expires = 0;         // after each change: Algorithm::expires_list
  Words words;
};

// Of two states under one key: whether `a` is the one to keep. It ends later; or they end together, and it counts more.
inline bool SaysMore(const ListState& a, const ListState& b) {
  if (a.expires != b.expires) return a.expires > b.expires;
  return algorithms::CountIn(a.kind, a.words) > algorithms::CountIn(b.kind, b.words);
}

// What all shards together may hold, and hold. Thread-safe.
class ListBudget {
 public:
  ListBudget(std::uint64_t max_states, std::uint64_t max_bytes) : max_states_(max_states), max_bytes_(max_bytes) {}
  // Relaxed everywhere: a bound that is a moment late is a bound still.
  void Add(std::int64_t states, std::int64_t bytes) {
    states_.fetch_add(states, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  std::uint64_t states() const { return static_cast<std::uint64_t>(states_.load(std::memory_order_relaxed)); }
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(bytes_.load(std::memory_order_relaxed)); }
  std::uint64_t max_states() const { return max_states_; }
  bool HasRoomForState() const { return states() < max_states_ && HasRoomForBytes(); }
  bool HasRoomForBytes() const { return bytes() < max_bytes_; }
  bool IsNearlyFull() const { return states() >= max_states_ / 8 * 7 || bytes() >= max_bytes_ / 8 * 7; }

 private:
  const std::uint64_t max_states_, max_bytes_;
  std::atomic<std::int64_t> states_{0}, bytes_{0};
};

// One shard, on cache lines of its own. Not thread-safe: hold mutex(). Pointers to states are good until the next
// Insert, Erase, Reclaim or Evict.
class alignas(64) ListShard {
 public:
  // Before first use.
  void SetSecret(std::uint64_t secret) { secret_ = secret; }
  void SetLanes(LaneTable* lanes) { lanes_ = lanes; }
  std::mutex& mutex() { return mutex_; }

  // Without the mutex: starts fetching the part of the index in which `key` is found.
  void PrefetchIndex(const Key& key) const {
    const Slot* const index = index_hint_.load(std::memory_order_relaxed);
    Prefetch(index + (Hash(key) & mask_hint_.load(std::memory_order_relaxed)));
  }
  // Then, with it: its state, if there is one.
  void PrefetchState(const Key& key) const;

  // nullptr when there is none, or one of another kind. Its lane, if it had one, is closed.
  ListState* Find(const Key& key, Kind kind);
  // `key` must not be there with this kind; one of another kind is replaced. Not bounded: ask the budget first.
  ListState* Insert(ListState state, ListBudget& budget);
  void Erase(ListState* state, ListBudget& budget);
  // After `state` was changed in place: `bytes_before` is BytesOf() it before.
  static void Account(const ListState& state, std::uint64_t bytes_before, ListBudget& budget);
  static std::uint64_t BytesOf(const ListState& state);

  // Drops expired states among the next `max_states`, going round. Returns how many.
  std::uint64_t Reclaim(Nanos now, std::uint64_t max_states, ListBudget& budget);
  // The same from where it left off to the last state, at most until `seen` has reached `max_seen`; both counts are
  // added to. True: the last was reached, the next call begins anew.
  bool ReclaimToEnd(Nanos now, std::uint64_t max_seen, ListBudget& budget, std::uint64_t& seen, std::uint64_t& dropped);
  // Drops a live state of the next few, but never `spared`'s: of those that never denied, the first to expire,
  // for a spent limit must not be forgotten while its subject still asks. kAlsoSpent: failing that, the one whose
  // latest denial is the oldest. False when there is none to drop.
  enum class Spent : std::uint8_t { kKeep, kAlsoSpent };
  bool Evict(const Key& spared, Spent spent, ListBudget& budget);

  std::size_t size() const { return states_.size(); }
  // Without the mutex; may be a moment out of date.
  bool LooksEmpty() const { return size_hint_.load(std::memory_order_relaxed) == 0; }
  // Its lane is closed.
  const ListState& at(std::size_t index) {
    CloseLane(states_[index]);
    return states_[index];
  }

 private:
  // Empty when number is 0.
  struct Slot {
    std::uint32_t number = 0;  // in states_, + 1
    std::uint32_t tag = 0;     // upper half of the key's hash, whose lower half chooses the slot
  };

  std::uint64_t Hash(const Key& key) const {
    const std::uint64_t mixed = (key.lo ^ secret_) * 0xd6e8feb86659fd93;
    return mixed ^ mixed >> 32;  // a product's lower bits know nothing of the upper ones
  }
  void CloseLane(ListState& state);
  std::size_t SlotOf(const Key& key) const;  // where it is in index_, or the empty slot where it would be
  Slot SlotFor(std::size_t index) const;     // of the state there
  void ClearSlot(std::size_t slot);
  void Rebuild(std::size_t slots);

  std::mutex mutex_;
  LaneTable* lanes_ = nullptr;
  std::deque<ListState> states_;
  std::vector<Slot> index_;  // power of two; linear probing
  std::atomic<std::size_t> size_hint_{0};
  // Of index_, for PrefetchIndex(): as the two are read one by one, they may not belong together.
  std::atomic<const Slot*> index_hint_{nullptr};
  std::atomic<std::size_t> mask_hint_{0};
  std::size_t sweep_cursor_ = 0;  // of ReclaimToEnd
  std::size_t cursor_ = 0;        // of Reclaim and Evict
  std::uint64_t secret_ = 0;      // so that no client can choose subjects that share a slot
};

class ShardLocks;

class ListTable {
 public:
#ifdef WEIR_TSAN
  // A plan may hold them all, and ThreadSanitizer's detector of deadlocks has room for 64 locks of a thread.
  static constexpr std::size_t kMostShards = 32;
#else
  // So many that a thread which is preempted while it holds a lock seldom blocks another.
  static constexpr std::size_t kMostShards = 4096;
#endif
  static constexpr std::size_t kLeastShards = std::min<std::size_t>(256, kMostShards);

  enum class Victims : std::uint8_t { kExpired, kAlsoLive };

  ListTable(std::uint64_t max_states, std::uint64_t max_bytes, std::uint64_t max_lanes, std::uint64_t secret,
            Counters& counters);

  std::size_t shards() const { return shards_.size(); }
  std::size_t ShardIndex(const Key& key) const {
    return static_cast<std::size_t>(((key.hi ^ secret_) * 0x9e3779b97f4a7c15) >> 48) & (shards_.size() - 1);
  }
  ListShard& ShardAt(std::size_t index) { return shards_[index]; }
  ListShard& ShardOf(const Key& key) { return shards_[ShardIndex(key)]; }
  ListBudget& budget() { return budget_; }
  const ListBudget& budget() const { return budget_; }
  LaneTable& lanes() { return *lanes_; }
  const LaneTable& lanes() const { return *lanes_; }

  // The table is full and `key`, whose shard is held, needs room: drops at least one expired state, near by first;
  // failing that, with kAlsoLive, a live one other than that of `key`. False when nothing was found. Looks at a bounded
  // number of states, so some expired ones may be missed; Sweep() gets them.
  bool MakeRoom(const Key& key, Nanos now, Victims victims, const ShardLocks& held);

  // Drops expired states among about `max_states`, a shard at a time; skips shards in use. Looks at no more than
  // `max_shards`, for most may be empty. Thread-safe.
  std::uint64_t Sweep(Nanos now, std::uint64_t max_states, std::size_t max_shards = kMostShards);
  // How many states the present round of sweeping has to look at: as many as were held at once since it began.
  std::uint64_t StatesOfRound() {
    const std::uint64_t now = budget_.states();
    if (now > round_states_.load(std::memory_order_relaxed)) round_states_.store(now, std::memory_order_relaxed);
    return round_states_.load(std::memory_order_relaxed);
  }

 private:
  template <typename Try>
  bool TryOthers(const Key& key, const ShardLocks& held, const Try& attempt);

  const std::unique_ptr<LaneTable> lanes_;
  std::vector<ListShard> shards_;  // a power of two of them
  ListBudget budget_;
  const std::uint64_t secret_;
  Counters& counters_;
  std::atomic<std::size_t> sweep_shard_{0};     // counts up; modulo shards()
  std::atomic<std::uint64_t> round_states_{0};  // StatesOfRound()
};

// Holds the shards of several keys, locked in ascending order, so that two plans never wait for each other in a circle.
class ShardLocks {
 public:
  explicit ShardLocks(ListTable& table) : table_(table) {}
  ~ShardLocks() { Release(); }
  ShardLocks(const ShardLocks&) = delete;
  ShardLocks& operator=(const ShardLocks&) = delete;

  void Want(const Key& key);
  // After the last Want().
  void Acquire();
  bool Holds(std::size_t shard) const;

 private:
  void Release();
  ListTable& table_;
  absl::InlinedVector<std::uint16_t, 16> shards_;
  bool held_ = false;
};

}  // namespace weir::storage::memory
