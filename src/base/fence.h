// A pair of fences of which one side pays for both: where one thread in a million must see what the others have just
// written, and the others must not wait for it (membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED).
#pragma once

#include <atomic>

namespace weir {

// Whether the two below work here; asks the kernel at the first call. False on an old kernel, where a sandbox forbids
// the call, and under ThreadSanitizer, which does not know it: both sides then need a sequentially consistent fence.
// Thread-safe.
bool HasAsymmetricFences() noexcept;

// Costs nothing: the compiler alone keeps the order.
inline void LightFence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

// Every other thread of the process passes a full fence at some point between call and return. So of a LightFence and a
// HeavyFence one comes first, as if both were sequentially consistent. Takes microseconds. Only after
// HasAsymmetricFences() has returned true. False: the kernel refused after all (a sandbox that was entered since, no
// memory), and nothing is ordered.
[[nodiscard]] bool HeavyFence() noexcept;

}  // namespace weir
