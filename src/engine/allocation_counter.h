// For tests: how often this thread has asked for memory. Counts in test programs that link allocation_counter_test.cc.
#pragma once

#include <cstdint>

namespace weir::engine {

std::uint64_t AllocationsOfThisThread();

}  // namespace weir::engine
