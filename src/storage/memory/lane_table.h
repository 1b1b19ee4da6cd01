// Lanes: how a sliding window of several sub-windows is charged without a lock.
//
// The state of such a window is a list in the list table, behind a lock. While one sub-window lasts, requests change
// only one number of it: the newest count (algorithms/sub_window.h). So a subject that asks a second time within one
// sub-window gets a lane. A lane is one cache line with two parts. The frame (all numbers that stand still) is written
// once, when the lane is opened. The count (what was charged since then) is changed by compare-and-swap.
//
// The list stays the state. To open or to close a lane the caller holds the lock of the state's shard. ListShard closes
// the lane before it hands the state out: a swap takes the lane's owner away and yields the exact count, which is added
// to the newest entry of the list. Everything but the common case (a new sub-window, a refund, a snapshot, carrying
// over) therefore works on plain lists and knows nothing of lanes. A lane may be missing at any time.
//
// Where a lane may be: in a run of eight lines that the subject's bits of the key choose, so that the lanes of one
// subject are neighbours; else in a run of eight that the other bits choose, so that one subject under many rules finds
// places, too. A subject that finds no free place is charged under the lock. When many lanes are open at once, the part
// of the table that is used doubles. Open lanes do not move then: a lane that is not where its key is looked for is
// closed when its state is next used, and opened again in the right place.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "algorithms/sub_window.h"
#include "base/hash.h"
#include "base/prefetch.h"
#include "storage/memory/cell.h"

namespace weir::storage::memory {

// The latest denial that a list state answered, as its lane remembers it. It holds until anything is charged.
struct NotedDenial {
  std::uint64_t asked = 0;  // Asked() of it; 0: there was none
  Nanos fits_at = 0;        // when the cost fits
  std::uint8_t second = 0;  // SecondOf() of when the state noted it (ListState::denied); 0: it did not

  // For a cost that is not above the capacity, both below 2^32.
  static std::uint64_t Asked(std::uint64_t capacity, std::uint64_t cost) { return capacity << 32 | cost; }
  // Modulo 255, never 0. Two seconds that look alike are 255 s apart, which only makes one denial in 255 go unnoted.
  static std::uint8_t SecondOf(Nanos now) { return static_cast<std::uint8_t>(now / kSecond % 255 + 1); }
  friend bool operator==(const NotedDenial&, const NotedDenial&) = default;
};

// A lane as it was at one moment.
struct LaneView {
  Cell* cell = nullptr;
  Cell head;
  algorithms::sub_window::Frame frame;
  NotedDenial denial;

  // What was charged since the lane was opened.
  std::int64_t count() const { return static_cast<std::int64_t>(static_cast<std::uint64_t>(head.word) & UINT32_MAX); }
  // Whether both views are of the same lane, and it was not closed and opened again between them.
  bool IsOpeningOf(const LaneView& other) const {
    return cell == other.cell && (head.word ^ other.head.word) >> 32 == 0;
  }
};

// Thread-safe.
class LaneTable {
 public:
  static constexpr std::uint64_t kBytesALane = 64;

  // `most`: the largest number of lanes; 0 makes a table without any.
  static std::unique_ptr<LaneTable> Create(std::uint64_t most, std::uint64_t secret);
  ~LaneTable();
  LaneTable(const LaneTable&) = delete;
  LaneTable& operator=(const LaneTable&) = delete;

  // Whether a lane was ever opened. Stores without such rules do not look for lanes.
  bool used() const { return used_.load(std::memory_order_relaxed); }
  // Memory of the part that is used.
  std::uint64_t bytes() const {
    return used() ? (count_.load(std::memory_order_relaxed) + kRunLanes) * sizeof(Lane) : 0;
  }
  // Lanes that are open.
  std::uint64_t open() const { return static_cast<std::uint64_t>(open_.load(std::memory_order_relaxed)); }

  void Prefetch(const Key& key) const { weir::Prefetch(lanes_ + SubjectHome(key)); }
  // Takes no lock. False: the key has no lane, or it is being changed at this moment.
  bool Read(const Key& key, LaneView& view) const;
  // Sets the count if the lane has not changed since `view` was read, and updates `view`.
  bool Swap(LaneView& view, std::int64_t count) {
    const Cell next{view.head.owner, view.head.word - view.count() + count};
    if (!CompareAndSwap(view.cell, view.head, next)) return false;
    view.head = next;
    return true;
  }

  // Both need the lock of the state's shard. Open returns the number of the lane, which the state has to remember until
  // it closes the lane; 0: no place is free.
  std::uint32_t Open(const Key& key, const algorithms::sub_window::Frame& frame, const NotedDenial& denial);
  // Returns what was charged since the lane was opened. Afterwards nothing can be charged in it any more.
  std::int64_t Close(std::uint32_t number);

 private:
  static constexpr std::size_t kRunLanes = 8;
  // Values of `head.owner` that name no key. A search of a run ends at kNever and goes on past kFree.
  static constexpr std::uint64_t kNever = 0, kFree = 1, kBusy = 2;

  // `head` changes as a cell does. The upper half of its word says how often this lane was opened, so that one opening
  // is never taken for another; the lower half is the count. One thread writes the rest, while the owner is kBusy.
  struct alignas(64) Lane {
    Cell head;
    std::atomic<std::uint64_t> key_lo;
    std::atomic<std::uint64_t> index_and_span;     // index (44 bits), sub_windows
    std::atomic<std::uint64_t> precision_and_age;  // precision (44 bits), index - newest (12), denial.second (8)
    std::atomic<std::uint64_t> counts;             // rest, oldest
    std::atomic<std::uint64_t> denial_asked;
    std::atomic<Nanos> denial_fits_at;
  };
  static_assert(sizeof(Lane) == kBytesALane);

  // What the table begins with: 2 MiB, one huge page.
  static constexpr std::uint64_t kFirstLanes = 32'768 - kRunLanes;

  LaneTable(Lane* lanes, std::uint64_t most, std::size_t mapped, std::uint64_t secret)
      : lanes_(lanes),
        most_(most),
        mapped_(mapped),
        xor_(secret * 0x9e3779b97f4a7c15),
        count_(std::min(most, kFirstLanes)) {}

  static std::uint64_t OwnerOf(const Key& key) { return key.hi > kBusy ? key.hi : key.hi + 3; }
  // The first lane of each of the key's two runs.
  std::uint64_t SubjectHome(const Key& key) const { return HomeOf(key.hi >> (64 - kSubjectBits)); }
  std::uint64_t KeyHome(const Key& key) const { return HomeOf(key.lo); }
  std::uint64_t HomeOf(std::uint64_t bits) const {
    __extension__ typedef unsigned __int128 Uint128;
    const std::uint64_t mixed = (bits ^ xor_) * 0xd6e8feb86659fd93;
    // Relaxed: a value that is a moment old is as good.
    return static_cast<std::uint64_t>(static_cast<Uint128>(mixed) * count_.load(std::memory_order_relaxed) >> 64);
  }
  bool ReadAt(Lane& lane, const Key& key, LaneView& view) const;
  // Takes a lane of the run that begins at `home`, if one is free. `busy`: its head meanwhile.
  Lane* TakeFree(std::uint64_t home, Cell& busy);
  void CountOpened();

  Lane* const lanes_;  // most_ of them and kRunLanes more: runs do not wrap, and the last is never taken
  const std::uint64_t most_;
  const std::size_t mapped_;
  const std::uint64_t xor_;
  std::atomic<std::uint64_t> count_;  // homes lie in this many
  std::atomic<bool> used_{false};
  alignas(64) std::atomic<std::int64_t> open_{0};  // on a line that deciding threads do not read
};

}  // namespace weir::storage::memory
