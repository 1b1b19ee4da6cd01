// fixed_window: a count that is forgotten whole at the window's end.
//  - rolling (calendar kNone): the window opens with the subject's first request and lasts `window`;
//  - calendar: windows are the minutes, hours, days, weeks (from Monday), months or years of limit.zone;
//  - epoch: windows of `window`, laid end to end from 1970 on, whatever the zone (envoyproxy/ratelimit counts so).
// Up to twice the limit may pass around a window's end (the end of one and the beginning of the next).
// State and arithmetic: anchored_window.h; aligned_window.h when one word is enough. Uses capacity, window, calendar,
// zone, count_denied.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::fixed_window {

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);

}  // namespace weir::algorithms::fixed_window
