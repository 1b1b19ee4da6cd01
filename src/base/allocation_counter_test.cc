#include "base/allocation_counter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>

namespace weir {
namespace {

thread_local std::uint64_t t_allocations = 0;
thread_local std::int64_t t_fails_after = -1;

void* Allocate(std::size_t size, std::size_t alignment) {
  ++t_allocations;
  if (t_fails_after >= 0 && t_fails_after-- == 0) throw std::bad_alloc();
  // aligned_alloc wants a multiple of the alignment.
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(size == 0 ? 1 : size)
                           : std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Not inlined: the compiler would see free() meet memory of operator new and warn.
[[gnu::noinline]] void Release(void* memory) { std::free(memory); }

}  // namespace

std::uint64_t AllocationsOfThisThread() { return t_allocations; }
void FailAllocationAfter(std::int64_t more) { t_fails_after = more; }

TEST(AllocationCounter, Counts) {
  const std::uint64_t before = AllocationsOfThisThread();
  const auto text = std::make_unique<std::string>(100, 'x');
  EXPECT_EQ(AllocationsOfThisThread(), before + 2);
}

TEST(AllocationCounter, FailsOnceWhereItIsTold) {
  FailAllocationAfter(1);
  const auto first = std::make_unique<std::string>();
  EXPECT_THROW(std::make_unique<std::string>(), std::bad_alloc);
  EXPECT_NO_THROW(std::make_unique<std::string>());
}

}  // namespace weir

// The array forms of the library end in these; the nothrow form does too, but not under AddressSanitizer.
void* operator new(std::size_t size) { return weir::Allocate(size, 1); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return weir::Allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return weir::Allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { weir::Release(memory); }
void operator delete(void* memory, std::size_t) noexcept { weir::Release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { weir::Release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { weir::Release(memory); }
