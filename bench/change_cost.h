// What a change of the configuration costs while users are many.
#pragma once

namespace weir::bench {

// Prints a Markdown table.
void PrintChangeCost();

}  // namespace weir::bench
