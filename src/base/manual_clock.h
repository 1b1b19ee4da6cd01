// The clock of tests, benchmarks and simulations: the installed one.
#pragma once

#include "base/clock.h"
#include "weir/testing.h"
