// The subjects that ask often, each with its lease. Bounded: one that is new pushes out one that holds nothing, or is
// not counted.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/hash.h"
#include "storage/hybrid/lease.h"
#include "storage/hybrid/options.h"
#include "storage/store.h"

namespace weir::storage::hybrid {

// One counter state as this instance sees it. Used under its shard's lock.
struct Subject {
  Subject(const Limit& limit, Nanos life) : lease(limit, life) {}

  Lease lease;
  std::string rule, subject;  // once it is hot: what the store calls it
  // How often it is asked: in the period that began at `period`, and in the one before.
  Nanos period = 0;
  std::uint64_t asks = 0, asks_before = 0;
  std::uint64_t units = 0, units_before = 0;
  Nanos no_take_before = 0;   // the last take failed
  bool taking = false;        // one is under way
  bool forget_grant = false;  // its state was reset meanwhile: what is granted is nobody's
  std::uint32_t lent = 0;     // plans under way that may put back what they have spent
  std::uint64_t epoch = 0;    // its state was reset so often: what was spent before is not put back

  // Its state is reset, or goes to another key: nothing that is under way comes back.
  void Forget() {
    forget_grant = taking;
    ++epoch;
  }
  bool IsInUse() const { return taking || lent > 0 || lease.Held() > 0; }
  void CountAsk(Nanos now, Nanos life);
  // Of an ask that was admitted, and counted.
  void CountUnits(std::uint64_t cost);
  bool IsHot(const HybridOptions& options) const { return std::max(asks, asks_before) >= options.hot_after; }
  // How much is worth holding; 0: nothing. See "How much" in 0057.
  std::uint64_t Worth(const HybridOptions& options) const;
};

class SubjectTable {
 public:
  static constexpr std::size_t kShards = 64;

  explicit SubjectTable(const HybridOptions& options)
      : most_(std::max<std::uint64_t>(1, options.max_subjects / kShards)) {}

  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.lo; }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<Key, Subject, KeyHash> subjects;
    std::size_t hand = 0;  // the bucket that is looked at next for one that may go
  };

  static std::size_t IndexOf(const Key& key) { return (key.lo >> 40) % kShards; }
  Shard& shard(std::size_t index) { return shards_[index]; }

  // Under the shard's lock. nullptr: there is none.
  Subject* Find(const Key& key);
  // Makes it when there is room; nullptr: there is none.
  Subject* Get(const Key& key, const Limit& limit, Nanos now, const HybridOptions& options);
  void Erase(const Key& key) { shards_[IndexOf(key)].subjects.erase(key); }

  struct Sums {
    std::uint64_t subjects = 0, leases = 0, units = 0;
  };
  Sums Sum();

 private:
  static bool MakeRoom(Shard& shard, Nanos now, Nanos life);

  const std::uint64_t most_;  // in a shard
  std::array<Shard, kShards> shards_;
};

// Locks the shards of some keys, in order.
class ShardLocks {
 public:
  explicit ShardLocks(SubjectTable& table) : table_(table) {}
  ~ShardLocks() { Release(); }
  ShardLocks(const ShardLocks&) = delete;
  ShardLocks& operator=(const ShardLocks&) = delete;

  void Want(const Key& key) { wanted_ |= std::uint64_t{1} << SubjectTable::IndexOf(key); }
  void Acquire();
  void Release();

 private:
  SubjectTable& table_;
  std::uint64_t wanted_ = 0;  // bit by shard
  std::uint64_t held_ = 0;
};

}  // namespace weir::storage::hybrid
