// Slow and exact: what each algorithm should answer, from the whole history of what was admitted, in 128-bit integers.
// Written from the definitions, with none of the algorithms' shortcuts. Tests only; monotonic time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "algorithms/limit.h"

namespace weir::algorithms::testing {

__extension__ typedef __int128 Int128;

struct Event {
  Nanos at = 0;
  std::int64_t cost = 0;
};

// A vessel that holds capacity units and leaks rate_count of them every rate_period, as a real number: level() is in
// units times rate_period, so nothing is ever rounded.
class VesselOracle {
 public:
  explicit VesselOracle(const Limit& limit) : limit_(limit) {}

  Int128 level(Nanos now) const {
    const Int128 leaked = static_cast<Int128>(now - at_) * static_cast<Int128>(limit_.rate_count);
    return leaked >= level_ ? 0 : level_ - leaked;
  }
  Int128 brim() const { return static_cast<Int128>(limit_.capacity) * limit_.rate_period; }
  // What leaks in one nanosecond.
  Int128 grain() const { return static_cast<Int128>(limit_.rate_count); }
  bool Fits(std::int64_t cost, Nanos now) const {
    return level(now) + static_cast<Int128>(cost) * limit_.rate_period <= brim();
  }
  void Pour(std::int64_t cost, Nanos now) {
    level_ = level(now) + static_cast<Int128>(cost) * limit_.rate_period;
    at_ = now;
  }
  // Units in it, a started one whole.
  std::uint64_t used(Nanos now) const {
    return static_cast<std::uint64_t>((level(now) + limit_.rate_period - 1) / limit_.rate_period);
  }

 private:
  Limit limit_;
  Int128 level_ = 0;
  Nanos at_ = 0;
};

// Sum of the costs in (now - window, now].
inline std::int64_t InTrailingWindow(const std::vector<Event>& events, Nanos window, Nanos now) {
  std::int64_t sum = 0;
  for (const Event& event : events) {
    if (event.at > now - window && event.at <= now) sum += event.cost;
  }
  return sum;
}

// The most in any trailing window: its maximum lies at an event.
inline std::int64_t MostInAnyWindow(const std::vector<Event>& events, Nanos window) {
  std::int64_t most = 0;
  for (const Event& event : events) most = std::max(most, InTrailingWindow(events, window, event.at));
  return most;
}

// What the interpolating counter says at `now`, from its definition: whole sub-windows in full, the one in which the
// trailing window begins by the share of it that is inside, that share rounded up to 2^-20 and the product up to 1.
inline std::int64_t Interpolated(const std::vector<Event>& events, const Limit& limit, Nanos now) {
  const Nanos begin = now - limit.window;
  const Int128 one = Int128{1} << 20;
  Int128 whole = 0;
  Int128 partial = 0;
  Int128 share = 0;
  for (const Event& event : events) {
    const Nanos sub_begin = event.at - event.at % limit.precision;
    const Nanos sub_end = sub_begin + limit.precision;
    if (sub_end <= begin) continue;
    if (sub_begin > begin) {
      whole += event.cost;
      continue;
    }
    partial += event.cost;
    share = (static_cast<Int128>(sub_end - begin) * one + limit.precision - 1) / limit.precision;
  }
  return static_cast<std::int64_t>(whole + (partial * share + one - 1) / one);
}

}  // namespace weir::algorithms::testing
