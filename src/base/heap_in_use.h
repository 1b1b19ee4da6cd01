// How much of the heap is in use, for tests of what is kept. Tests only.
#pragma once

#include <malloc.h>

#include <cstddef>

// Of a sanitizer's own allocator, of which mallinfo2() knows nothing (sanitizer/allocator_interface.h, which g++ does
// not bring). Not there in other programs.
extern "C" [[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier)

namespace weir {

// Bytes, of the whole program.
inline std::size_t HeapInUse() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace weir
