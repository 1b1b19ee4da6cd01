// The machine's clocks beside the installed one. Time is an argument everywhere below the engine; only the engine and
// the servers hold a Clock.
#pragma once

#include "weir/clock.h"

namespace weir {

// The machine's time since some point before (CLOCK_MONOTONIC): nobody sets it, so it is the one for deadlines and for
// whatever else happens after so much time. Its values say nothing to another process. Lives as long as the process.
const Clock& MonotonicClock();

// The same, and goes on while the machine sleeps (CLOCK_BOOTTIME).
const Clock& BootClock();

}  // namespace weir
