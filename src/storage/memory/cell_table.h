// The table of word states: a fixed array of 16-byte cells, four a cache line, in which a subject is found by its
// fingerprint within a bounded number of lines. Lock-free; never moves, never grows.
//
// Where a state may be: in the home line, which its subject's states under all rules have in common (base/hash.h), so
// that a plan of several rules usually reads one line; then in two windows of four neighbouring lines each, chosen by
// the whole fingerprint and secrets of this table, so that no client can choose subjects that share all places. (A
// client can find subjects that share a home line. Those are then looked for in the windows, which costs a few more
// lines.) At the fullest 94% sit in the home line when a subject has one state, 85% when it has two.
//
// Invariants:
//  1. At most one cell has a given owner and a word that is not pending: one subject, one state.
//  2. A line that still has a kNobody cell was never passed over by an insertion, and a cell never becomes kNobody
//     again: a search may stop there.
//  3. Every change of a cell swaps its 16 bytes, from a value that was read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/prefetch.h"
#include "storage/memory/cell.h"
#include "storage/memory/counters.h"
#include "weir/result.h"

namespace weir::storage::memory {

// What to do with a new subject when all places it may take hold live states.
enum class FullPolicy : std::uint8_t {
  kDenyNew,   // say so: PlanStatus::kFull
  kAllowNew,  // decide as for a fresh state, and keep no count of it
  kEvict,     // drop a state that is in the way: of those that have denied nothing lately, the first to expire;
              // failing that, the one whose latest denial is the oldest
};

// Thread-safe.
class CellTable {
 public:
  // Room for `max_entries` live states: at the very last of them 1 in 100,000 finds all its places taken, when subjects
  // have one or two states each; 1 in 7,000 in the worst case, four each.
  // kInvalidArgument for 0 or more than 2^36; kResourceExhausted when the memory cannot be had.
  static Result<std::unique_ptr<CellTable>> Create(std::uint64_t max_entries, std::uint64_t secret, Counters& counters);
  ~CellTable();
  CellTable(const CellTable&) = delete;
  CellTable& operator=(const CellTable&) = delete;

  // Memory that a table for so many takes: 28 bytes each, in whole lines.
  static std::uint64_t BytesFor(std::uint64_t max_entries);

  // Starts fetching the line where `owner` most probably is.
  void Prefetch(std::uint64_t owner) const { weir::Prefetch(LineAt(HomeLine(owner))); }

  struct Found {
    Cell* cell = nullptr;  // nullptr: absent
    Word word = 0;         // as read; 0 when absent
  };
  Found Find(std::uint64_t owner) const {
    Cell& cell = HomeCell(owner);
    Cell value;
    if (Load(&cell, value) && value.owner == owner && !IsPending(value.word)) [[likely]] {
      return {&cell, value.word};
    }
    return FindFurther(owner);
  }

  // Sets the word of `owner` in `cell` if it still is `from`. `to` >= 0; 0 frees the cell.
  bool Swap(Cell* cell, std::uint64_t owner, Word from, Word to) {
    if (!CompareAndSwap(cell, {owner, from}, {owner, to})) return false;
    if ((from == 0) != (to == 0)) counters_.Add(Count::kEntries, from == 0 ? 1 : -1);
    return true;
  }

  enum class Inserted : std::uint8_t { kDone, kExists, kFull };
  // Adds a subject that Find() did not find, with `word` > 0. kExists: another thread was faster; look again. kFull:
  // only with policies other than kEvict; nothing was changed.
  Inserted Insert(std::uint64_t owner, Word word, Nanos now, FullPolicy policy);

  // Once new subjects have trouble finding a place, the table remembers when each cell last denied (one byte a cell, to
  // the second; the memory is only touched then), so that a spent limit is not forgotten while its subject still asks.
  // From then on the store calls NoteDenied() for each denial by the state in `cell`; nullptr: there is no such state.
  bool crowded() const { return crowded_.load(std::memory_order_relaxed); }
  void NoteDenied(const Cell* cell, Nanos now) {
    if (cell == nullptr) return;
    std::atomic<std::uint8_t>& mark = MarkOf(cell);
    // A hot denied subject mostly reads. Relaxed: a mark is a hint.
    if (mark.load(std::memory_order_relaxed) != MarkAt(now)) mark.store(MarkAt(now), std::memory_order_relaxed);
  }

  // Frees expired cells among the next `max_cells`, going round the table. Returns how many.
  std::uint64_t Sweep(Nanos now, std::uint64_t max_cells);

  std::uint64_t cells() const { return lines_ * kCellsPerLine; }
  std::uint64_t bytes() const { return lines_ * sizeof(Line); }
  // For snapshots: the live state in cell `index` at `now`; owner kNobody when there is none.
  Cell Read(std::uint64_t index, Nanos now) const;

 private:
  static constexpr std::size_t kCellsPerLine = 4;
  static constexpr std::size_t kWindowLines = 4;
  static constexpr std::size_t kProbeLines = 1 + 2 * kWindowLines;
  struct alignas(64) Line {
    Cell cells[kCellsPerLine];
  };
  struct Place {
    Cell* cell = nullptr;
    Cell seen;
  };

  static std::uint64_t HighProduct(std::uint64_t a, std::uint64_t b) {
    __extension__ typedef unsigned __int128 Uint128;
    return static_cast<std::uint64_t>(static_cast<Uint128>(a) * b >> 64);
  }

  CellTable(Line* lines, std::uint64_t count, std::size_t mapped, std::uint64_t secret, Counters& counters);

  // Marks: seconds, modulo 255, + 1; 0: never.
  static std::uint8_t MarkAt(Nanos now) { return static_cast<std::uint8_t>(now / kSecond % 255 + 1); }
  std::atomic<std::uint8_t>& MarkOf(const Cell* cell) const {
    return marks_[static_cast<std::size_t>(cell - lines_base_->cells)];
  }
  unsigned RankOf(const Cell* cell, Nanos now) const;

  // The cell of the home line that `owner` has, or any when none or several have it. Without a branch that depends on
  // what is in the line: such a branch is guessed wrong most of the time, and a wrong guess is noticed only when the
  // line has come; meanwhile the processor would not begin to fetch the next request's.
  Cell& HomeCell(std::uint64_t owner) const {
    Cell* const cells = LineAt(HomeLine(owner))->cells;
    std::size_t at = 0;
    // Acquire, as of every owner that is read before a word (cell.h).
    for (std::size_t i = 1; i < kCellsPerLine; ++i) {
      at |= i & -static_cast<std::size_t>(__atomic_load_n(&cells[i].owner, __ATOMIC_ACQUIRE) == owner);
    }
    return cells[at];
  }
  Found FindFurther(std::uint64_t owner) const;
  std::uint64_t HomeLine(std::uint64_t owner) const {
    return HighProduct(((owner >> (64 - kSubjectBits)) ^ home_xor_) * home_mul_, lines_);
  }
  std::uint64_t FirstLine(std::uint64_t owner) const { return HighProduct((owner ^ first_xor_) * first_mul_, lines_); }
  std::uint64_t SecondLine(std::uint64_t owner) const;
  // The line to look at in step 0..kProbeLines-1.
  std::uint64_t LineOfStep(std::uint64_t owner, std::size_t step) const;
  Line* LineAt(std::uint64_t index) const { return lines_base_ + index; }
  template <typename Visit>
  void Probe(std::uint64_t owner, const Visit& visit) const;

  enum class Choice : std::uint8_t { kChosen, kExists, kFull };
  Choice Choose(std::uint64_t owner, Nanos now, FullPolicy policy, Place& place) const;
  enum class Rivals : std::uint8_t { kNone, kExists, kYield };
  Rivals ConfrontRivals(std::uint64_t owner, const Cell* mine) const;
  void CountTaken(const Cell& seen, Nanos now);
  void CountWithdrawn(const Cell& seen, Nanos now);

  Line* const lines_base_;
  std::atomic<std::uint8_t>* const marks_;  // of each cell, behind the lines in the same mapping
  const std::uint64_t lines_;
  const std::size_t mapped_;
  const std::uint64_t home_xor_, home_mul_, first_xor_, first_mul_, second_xor_, second_mul_;
  Counters& counters_;
  mutable std::atomic<bool> crowded_{false};  // for ever, once it was
  std::atomic<std::uint64_t> sweep_cursor_{0};
};

}  // namespace weir::storage::memory
