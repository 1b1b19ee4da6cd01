// A small number for the running thread, so that per-thread data of many threads fits into fixed arrays.
#pragma once

#include <cstddef>

namespace weir::engine {

inline constexpr std::size_t kOwnedSlots = 256;
// Where threads go when more than kOwnedSlots live at once, and threads that are ending.
inline constexpr std::size_t kSharedSlot = kOwnedSlots;
inline constexpr std::size_t kSlotCount = kOwnedSlots + 1;

// < kOwnedSlots: no other living thread has this number; what an earlier owner wrote is visible to the next.
// kSharedSlot: any number of threads have it at once. The answer may change once in a thread's life, from owned to
// shared, when the thread ends. Takes a lock once a thread.
std::size_t ThreadSlot() noexcept;

}  // namespace weir::engine
