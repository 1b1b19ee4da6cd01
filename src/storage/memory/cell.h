// A subject's bucket in 16 bytes: its fingerprint, and one word of state. Changed only by swapping all 16 bytes at
// once, so that a cell that was given to another subject in the meantime can never be charged by mistake.
#pragma once

#include <cstdint>

#include "algorithms/algorithm.h"
#include "base/hash.h"

#ifndef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16
#error "weir's memory store needs a 16-byte compare-and-swap: build with -mcx16"
#endif

namespace weir::storage::memory {

using algorithms::Word;

struct alignas(16) Cell {
  std::uint64_t owner = 0;  // fingerprint of the subject; kNobody or kDead
  // 0 or <= now: the same as fresh, and any insertion may take the cell over. For every word algorithm the word is a
  // time at which it has expired. Negative: being inserted (cell_table.cc); no algorithm writes such a word.
  Word word = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};

inline constexpr std::uint64_t kNobody = 0;  // never used since the table was made
inline constexpr std::uint64_t kDead = 1;    // used once, now free

inline constexpr bool IsPending(Word word) { return word < 0; }

// 64 bits name a subject: among 100 million the chance that any two share them is 1 in 3,700.
inline std::uint64_t FingerprintOf(const Key& key) { return key.hi > kDead ? key.hi : key.hi + 2; }

// Reads owner and word as they stood together: false when the cell was changing hands just then.
inline bool Load(const Cell* cell, Cell& value) {
  // Acquire on each load keeps the three in order; the owner on both sides of the word makes the pair one.
  value.owner = __atomic_load_n(&cell->owner, __ATOMIC_ACQUIRE);
  value.word = __atomic_load_n(&cell->word, __ATOMIC_ACQUIRE);
  return __atomic_load_n(&cell->owner, __ATOMIC_ACQUIRE) == value.owner;
}

// Sequentially consistent: insertion relies on its place in the total order (cell_table.cc).
inline bool CompareAndSwap(Cell* cell, const Cell& expected, const Cell& desired) {
  __extension__ typedef unsigned __int128 __attribute__((may_alias)) Both;
  const auto both = [](const Cell& value) {
    return static_cast<Both>(static_cast<std::uint64_t>(value.word)) << 64 | value.owner;
  };
  return __sync_bool_compare_and_swap(reinterpret_cast<Both*>(cell), both(expected), both(desired));
}

}  // namespace weir::storage::memory
