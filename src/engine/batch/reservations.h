// What was charged and may still change: reservations until they are committed or cancelled, and concurrency slots
// until they are released.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"
#include "base/clock.h"
#include "base/hash.h"
#include "weir/config.h"

namespace weir::engine {

// One counter that was charged, told so that it can be found again after the configuration has changed.
struct Charge {
  std::string generation;  // of its rule
  Key key;
  algorithms::Limit limit;
  std::string subject;
  algorithms::PastCharge charged;  // how much, and when by the store's clock: so the store finds it again
  Nanos since = 0;                 // when, by the engine's clock
  CountedUnit::Kind counts = CountedUnit::Kind::kCost;
  // What the reservation had charged this counter before; and whether nothing came after this.
  std::uint64_t before = 0;
  bool last = true;
  bool local = false;   // in the fallback store, because the store was away
  bool shadow = false;  // of a rule in shadow
};

struct Reservation {
  std::vector<Charge> charges;
  Nanos since = 0;
  Nanos until = 0;  // when it is to be cancelled; 0: never
};

// A number that nobody can guess; never 0. Names reservations and concurrency slots.
std::uint64_t RandomId();

// Thread-safe; a lock for each 1/16 of the ids. Bounded: at most `most` at once. One lives for an hour and is then
// forgotten: what it charged stays charged. One that says until when is named by TakeEnded() then, for somebody to
// cancel it.
class Reservations {
 public:
  static constexpr std::size_t kMost = std::size_t{1} << 18;
  static constexpr Nanos kLife = kHour;
  // The latest `until`, from `since` on: before it would be forgotten.
  static constexpr Nanos kLongestHold = kLife - kMinute;
  // Charges of one reservation, over all its extensions.
  static constexpr std::size_t kMostCharges = 1024;

  explicit Reservations(std::size_t most = kMost) : most_(most) {}

  // Room for one more, before anything is charged: false when there is none. Each true is followed by Put or GiveUp.
  bool TakeRoom(Nanos now);
  void GiveUp() { open_.fetch_sub(1, std::memory_order_relaxed); }
  void Put(std::uint64_t id, Reservation reservation);

  // nullopt: no such one, settled already, or expired.
  std::optional<Reservation> Take(std::uint64_t id, Nanos now);
  // After a settlement that the store could not take: as if it had not been tried.
  // One that has ended is named again a second after `now`.
  void PutBack(std::uint64_t id, Reservation reservation, Nanos now);

  // Whether TakeEnded() would find something: one relaxed read. True a little too often.
  bool AnyEnded(Nanos now) const { return next_end_.load(std::memory_order_relaxed) <= now; }
  // Those whose `until` has come, each named once; they stay until they are taken. At most `most`: the rest at the next
  // call.
  std::vector<std::uint64_t> TakeEnded(Nanos now, std::size_t most);

  std::size_t open() const { return open_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::uint64_t, Reservation> held;
    std::deque<std::pair<Nanos, std::uint64_t>> by_age;  // also of settled ones, until they reach the front
    std::vector<std::pair<Nanos, std::uint64_t>> ends;   // a heap, the next one in front; also of settled ones
  };
  Shard& ShardOf(std::uint64_t id) { return shards_[id % shards_.size()]; }
  void Insert(Shard& shard, std::uint64_t id, Reservation reservation);
  static void AddEnd(Shard& shard, Nanos until, std::uint64_t id);
  void LowerNextEnd(Nanos until);
  std::size_t DropExpired(Shard& shard, Nanos now);

  const std::size_t most_;
  std::atomic<std::size_t> open_{0};
  std::atomic<Nanos> next_end_{INT64_MAX};  // not later than any end of any shard
  std::array<Shard, 16> shards_;
};

}  // namespace weir::engine
