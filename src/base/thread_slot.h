// A small number for the running thread, so that per-thread data of many threads fits into fixed arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

inline constexpr std::size_t kOwnedSlots = 256;
// Where threads go when more than kOwnedSlots live at once, and threads that are ending.
inline constexpr std::size_t kSharedSlot = kOwnedSlots;
inline constexpr std::size_t kSlotCount = kOwnedSlots + 1;

// < kOwnedSlots: no other living thread has this number; what an earlier owner wrote is visible to the next.
// kSharedSlot: any number of threads have it at once. The answer may change once in a thread's life, from owned to
// shared, when the thread ends. Takes a lock once a thread.
inline std::size_t ThreadSlot() noexcept;

namespace internal {
// Plain data, so that reading it needs no initialisation guard and stays legal while the thread ends.
inline constinit thread_local std::size_t my_slot = SIZE_MAX;  // SIZE_MAX: not asked for yet
std::size_t RegisterThread() noexcept;
}  // namespace internal

inline std::size_t ThreadSlot() noexcept {
  return internal::my_slot == SIZE_MAX ? internal::RegisterThread() : internal::my_slot;
}

}  // namespace weir
