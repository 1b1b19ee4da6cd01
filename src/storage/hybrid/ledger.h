// What this instance has admitted by itself and not told the shared store yet. Bounded.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "storage/store.h"

namespace weir::storage::hybrid {

// Charges of about one time, told as one.
struct Piece {
  Nanos first = 0, last = 0;
  std::uint64_t units = 0;
  int tries = 0;  // answers that were lost: the store may have it already
};

// A piece that the store has heard: charges from `first` to `last` are there as one of `at`.
struct Told {
  Nanos first = 0, last = 0;
  Nanos at = 0;
};

// What was given back of charges that had been told before. Named, so that the store gives back no more than these
// charges still occupy there.
struct GivenUp {
  bool named = false;
  algorithms::PastCharge charge;  // named: as one, made when the first of them was
  std::uint64_t units = 0;
};

// One subject's part of an exchange, and what has been learnt.
struct Account {
  Key key;
  Limit limit;
  std::string rule, subject;
  std::optional<Limit> previous;  // of a rule that has changed: the store moves what it has under the old name
  Key previous_key;
  std::string previous_rule;
  std::vector<Piece> pieces;  // oldest first
  std::vector<GivenUp> refunds;
  std::vector<Told> told;  // the last few, oldest first
  bool asked = true;       // since the last exchange

  // As an item of a plan that asks the shared store. It points to this account.
  Item MakeItem(std::uint64_t cost) const;
  std::uint64_t Units() const;
  void Charge(std::uint64_t units, Nanos now, Nanos width);
  // Of the piece that has the charge, if it has not been told; the rest is to be told. One that names no charge: of
  // what has not been told first.
  void Refund(std::uint64_t units, const algorithms::PastCharge* charge, Nanos interval);
  void Add(const GivenUp& refund, Nanos width);
};

// Thread-safe.
class Ledger {
 public:
  // `interval`: between two exchanges.
  Ledger(std::uint64_t most, Nanos interval) : most_(most / kShards == 0 ? 1 : most / kShards), interval_(interval) {}

  // The shared store has told what is used of it. False: there is no room, and nothing is known of it here.
  bool Open(const Item& item);
  // Whether all have an account: then what is counted here includes what the others had told by the last exchange, and
  // Charge() and Refund() find it. They are asked for now.
  bool Touch(std::span<const Item> items);
  void Charge(const Item& item, std::uint64_t units, Nanos now);
  // `units`: what was really given back here.
  void Refund(const Item& item, std::uint64_t units);
  void Forget(const Key& key);

  // Hands out what there is to tell and whom to ask about, and begins anew. Those that nobody has asked for since the
  // last time and that owe nothing are closed: what they know grows old.
  // They come in a circle that begins one further each time, or with the key of BeginWith().
  std::vector<Account> Take();
  void BeginWith(const Key& key) { begin_.store(IndexOf(key), std::memory_order_relaxed); }
  // The store has charged the piece as of `at`, by its own clock: so a refund of what is in it has to be named.
  void Note(const Key& key, const Piece& piece, Nanos at);
  // What could not be told.
  void PutBack(const Account& account);
  std::uint64_t Owed(const Key& key);

  static constexpr std::size_t kShards = 64;
  static std::size_t IndexOf(const Key& key) { return (key.lo >> 40) % kShards; }

  struct Sums {
    std::uint64_t subjects = 0, units = 0;
  };
  Sums Sum();

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.lo; }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<Key, Account, KeyHash> accounts;
  };
  Shard& ShardOf(const Key& key) { return shards_[IndexOf(key)]; }

  const std::uint64_t most_;  // in a shard
  const Nanos interval_;
  std::atomic<std::size_t> begin_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace weir::storage::hybrid
