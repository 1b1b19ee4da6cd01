#include "io/clock_offset.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace weir::io {

void ClockOffset::Add(const ClockSample& sample) {
  if (sample.received < sample.sent) return;
  const Nanos round_trip = sample.received - sample.sent;
  const Kept fresh{round_trip, sample.server - (sample.sent + round_trip / 2)};

  // The server's clock was set, or a replica with another clock took over: what the old samples say is over.
  const Nanos tolerance = (round_trip + round_trip_) / 2 + 50 * kMillisecond;
  const Kept& last = kept_[(count_ + kKept - 1) % kKept];
  if (count_ > 0 &&
      std::abs(fresh.server_less_monotonic - last.server_less_monotonic) > tolerance + last.round_trip / 2) {
    count_ = 0;
  }
  kept_[count_++ % kKept] = fresh;

  const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, kKept));
  const auto best =
      std::min_element(kept_.begin(), end, [](const Kept& a, const Kept& b) { return a.round_trip < b.round_trip; });
  round_trip_ = best->round_trip;
  offset_ = best->server_less_monotonic + sample.received - sample.caller;
}

}  // namespace weir::io
