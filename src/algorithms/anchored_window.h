// One window with a start and a count: what fixed_window and the one-window form of sliding_window do. Pure.
//
// State (2 words): [start, count]. Empty = fresh; a state of another size, or with count <= 0, counts as fresh.
//   start  the instant (ns) at which the window opened
//   count  units used in it, 1..2^53 (saturating)
// With `now` clamped, the state is live when
//   rolling:  window > 0 and start > now - window    (a new window opens when now - start >= window, and for every
//             request, also of a clock that goes back, when window is 0)
//   calendar: start >= CalendarBounds(now).start  (time_zone.h)
// so a clock that goes back never closes a window early. A state that is not live reads as fresh. A live window ends at
//   rolling:  start + window        calendar: CalendarBounds(start).end
// and a fresh one that opens now has start' = now (calendar: CalendarBounds(now).start), count = 0.
// kCheck of cost > 0:
//   cost > capacity           -> kNever
//   count + cost <= capacity  -> kAllowed; write [start', count + cost]
//   else                      -> kLater, retry_after = end - now
//   A denial writes nothing; with limit.count_denied it too writes [start', min(2^53, count + cost)].
// kCharge writes [start', min(2^53, count + cost)]. kRefund subtracts (of a charge that it names only when start <= the
// charge's `at`: what an earlier window counted is gone), and an empty window (count <= cost) becomes fresh (empty
// state). kAssign writes [now's start', min(2^53, cost)], cost 0: fresh. kReset: fresh. cost 0 writes nothing. used =
// count after the decision, remaining = max(0, capacity - used), limit = capacity, reset_after = end - now when the
// count after it is > 0, else 0. Expires: end. A remote store needs only one comparison of instants: send WindowStart()
// and LiveFrom() (a stored start below it is not live); compute the end here from the start that comes back
// (WindowEnd).
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::anchored_window {

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);

// The earliest start of a window that is still open at `now` (clamped): calendar: bounds.start; rolling: now - window +
// 1; window 0: later than any.
Nanos LiveFrom(const Limit& limit, Nanos now);
// Where the window that opened at `start` ends.
Nanos WindowEnd(const Limit& limit, Nanos start);
// The start a window has that opens at `now` (clamped).
Nanos WindowStart(const Limit& limit, Nanos now);

}  // namespace weir::algorithms::anchored_window
