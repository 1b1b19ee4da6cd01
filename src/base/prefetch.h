// Starts fetching the cache line at `address`, which need not be valid: nothing is read.
#pragma once

namespace weir {

inline void Prefetch(const void* address) {
#if defined(__x86_64__)
  // GCC 12 takes a function that does nothing but __builtin_prefetch for one without effect, and drops its calls.
  __asm__ volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address);
#endif
}

}  // namespace weir
