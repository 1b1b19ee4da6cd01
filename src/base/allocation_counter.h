// For tests: how often this thread has asked for memory, and what happens when there is none. Works in test programs
// that link allocation_counter_test.cc.
#pragma once

#include <cstdint>

namespace weir {

std::uint64_t AllocationsOfThisThread();
// The allocation of this thread that comes after `more` others throws std::bad_alloc. Negative: none does.
void FailAllocationAfter(std::int64_t more);

}  // namespace weir
