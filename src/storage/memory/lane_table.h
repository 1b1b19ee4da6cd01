// Lanes: what a sliding window with several sub-windows needs to be charged without its lock while one sub-window
// lasts.
//
// The state itself is a list in the list table, behind a lock. Within one sub-window only one number of it changes
// (algorithms/sub_window.h). So a subject that asks again and again is given a lane: a cache line with the frame, which
// stands still, and the count of what was charged since, which is changed by compare-and-swap. Whoever holds the
// state's lock may close the lane and then has its count, to be added to the list; ListShard does so before it hands a
// state out. So a lane is only ever a part of a list state, and all that is not the common case (a new sub-window, a
// refund, a snapshot, carrying over) finds plain lists.
//
// A lane is found by its key, at its home line or the fifteen behind it. Subjects that find no place there go on
// without one. The part of the table that is used doubles as it fills up, so that few lanes do not touch much memory.
// Nothing is moved then: a lane that is no longer where it is looked for is closed like any other when its state is
// asked, and opened anew at its present place.
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

// A lane as it stood at one moment.
struct LaneView {
  Cell* cell = nullptr;
  Cell head;
  algorithms::sub_window::Frame frame;
  // The denial that the state answered before the lane was opened: good until anything is charged.
  std::uint64_t denied = 0;  // Denied() of it; 0: none
  Nanos fits_at = 0;

  std::int64_t count() const { return static_cast<std::int64_t>(static_cast<std::uint64_t>(head.word) & UINT32_MAX); }
  bool IsOpeningOf(const LaneView& other) const {
    return cell == other.cell && (head.word ^ other.head.word) >> 32 == 0;
  }
  // Of a cost that is not above the capacity, both below 2^32.
  static std::uint64_t Denied(std::uint64_t capacity, std::uint64_t cost) { return capacity << 32 | cost; }
};

// Thread-safe.
class LaneTable {
 public:
  static constexpr std::uint64_t kBytesALane = 64;

  // `most`: of lanes; 0: there never is one.
  static std::unique_ptr<LaneTable> Create(std::uint64_t most, std::uint64_t secret);
  ~LaneTable();
  LaneTable(const LaneTable&) = delete;
  LaneTable& operator=(const LaneTable&) = delete;

  // Whether there ever was one: who has no such rules pays for nothing else.
  bool used() const { return used_.load(std::memory_order_relaxed) != 0; }
  // Memory of the part that is used.
  std::uint64_t bytes() const {
    return used() ? (count_.load(std::memory_order_relaxed) + kProbeLanes) * sizeof(Lane) : 0;
  }

  void Prefetch(const Key& key) const { weir::Prefetch(lanes_ + Home(key)); }
  // Without any lock. False: there is none, or it is being changed.
  bool Read(const Key& key, LaneView& view) const;
  // Sets the count if the lane still is as it was seen; `view` then says so too.
  bool Swap(LaneView& view, std::int64_t count) {
    const Cell next{view.head.owner, view.head.word - view.count() + count};
    if (!CompareAndSwap(view.cell, view.head, next)) return false;
    view.head = next;
    return true;
  }

  // The state's lock is held for both. The number of the lane, which the state has to remember; 0: there is no place.
  std::uint32_t Open(const Key& key, const algorithms::sub_window::Frame& frame, std::uint64_t denied, Nanos fits_at);
  // What was charged since; nothing can be charged any more.
  std::int64_t Close(std::uint32_t number);

 private:
  static constexpr std::size_t kProbeLanes = 16;
  // Owners that are none.
  static constexpr std::uint64_t kNever = 0, kFree = 1, kBusy = 2;

  // `head` changes as a cell does. Its word: how often this lane was opened (upper half, so that one opening is never
  // taken for another) and the count (lower half). The rest is written while kBusy, by one thread.
  struct alignas(64) Lane {
    Cell head;
    std::atomic<std::uint64_t> key_lo;
    std::atomic<std::uint64_t> index_and_span;     // 44 bits and sub_windows
    std::atomic<std::uint64_t> precision_and_age;  // 44 bits and index - newest
    std::atomic<std::uint64_t> counts;             // rest, oldest
    std::atomic<std::uint64_t> denied;
    std::atomic<Nanos> fits_at;
  };
  static_assert(sizeof(Lane) == kBytesALane);

  // Of a table of 2 MiB, one huge page.
  static constexpr std::uint64_t kFirstLanes = 32'768 - kProbeLanes;

  LaneTable(Lane* lanes, std::uint64_t most, std::size_t mapped, std::uint64_t secret)
      : lanes_(lanes),
        most_(most),
        mapped_(mapped),
        xor_(secret * 0x9e3779b97f4a7c15),
        count_(std::min(most, kFirstLanes)) {}

  static std::uint64_t OwnerOf(const Key& key) { return key.hi > kBusy ? key.hi : key.hi + 3; }
  // By the bits that the keys of one subject share: their lanes are neighbours.
  std::uint64_t Home(const Key& key) const {
    __extension__ typedef unsigned __int128 Uint128;
    const std::uint64_t mixed = ((key.hi >> (64 - kSubjectBits)) ^ xor_) * 0xd6e8feb86659fd93;
    // Relaxed: one that is a moment old is as good.
    return static_cast<std::uint64_t>(static_cast<Uint128>(mixed) * count_.load(std::memory_order_relaxed) >> 64);
  }
  void CountUsed();

  Lane* const lanes_;  // and kProbeLanes more than most_, so that probing need not wrap
  const std::uint64_t most_;
  const std::size_t mapped_;
  const std::uint64_t xor_;
  std::atomic<std::uint64_t> count_;    // homes are among so many
  std::atomic<std::uint64_t> used_{0};  // lanes that were ever opened
};

}  // namespace weir::storage::memory
