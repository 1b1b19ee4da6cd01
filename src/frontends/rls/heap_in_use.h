// How much of the heap is in use, for tests of what is kept. Tests only.
#pragma once

#include <malloc.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_HEAP_OF_A_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WEIR_HEAP_OF_A_SANITIZER
#endif
#endif
#ifdef WEIR_HEAP_OF_A_SANITIZER
#include <sanitizer/allocator_interface.h>
#endif

namespace weir::rls {

// Bytes, of the whole program. Sanitizers bring an allocator of their own, of which mallinfo2() knows nothing.
inline std::size_t HeapInUse() {
#ifdef WEIR_HEAP_OF_A_SANITIZER
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

}  // namespace weir::rls
