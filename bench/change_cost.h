// What a change of the configuration costs while users are many, and what observers cost a decision.
#pragma once

namespace weir::bench {

// Prints two Markdown tables.
void PrintChangeCost();

}  // namespace weir::bench
