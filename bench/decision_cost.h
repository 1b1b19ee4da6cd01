// What a whole decision costs in process.
#pragma once

#include <cstddef>

namespace weir::bench {

// Two rules by algorithm, on one thread and on more threads than there are cores, and the memory that a subject takes.
// Lowest of `rounds`, each of `seconds` a cell.
void PrintDecisionCost(std::size_t subjects, double seconds, int rounds);
// What observers add to a decision.
void PrintObserverCost(int rounds);

}  // namespace weir::bench
