// How far a server's clock is from this machine's, from samples of what it says: of the last few, the one with the
// shortest round trip is believed, for half of that trip is the most it can be wrong. Kept against the monotonic clock,
// so that a jump of the callers' clock is noticed at the next sample and not averaged in. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace weir::io {

struct ClockSample {
  Nanos sent = 0;      // monotonic clock, when the time was asked
  Nanos received = 0;  // monotonic clock, when it was answered; < sent is ignored
  Nanos server = 0;    // what it answered
  Nanos caller = 0;    // the callers' clock, by which plans come (DecisionClock), at `received`
};

class ClockOffset {
 public:
  void Add(const ClockSample& sample);
  // To be added to the callers' clock to get the store's. 0 before the first sample.
  Nanos offset() const { return offset_; }
  // The round trip of the sample behind it: the offset is at most half of this wrong. 0 before the first sample.
  Nanos round_trip() const { return round_trip_; }

 private:
  static constexpr std::size_t kKept = 16;
  struct Kept {
    Nanos round_trip = 0;
    Nanos server_less_monotonic = 0;
  };
  std::array<Kept, kKept> kept_{};
  std::size_t count_ = 0;  // samples ever
  Nanos offset_ = 0;
  Nanos round_trip_ = 0;
};

}  // namespace weir::io
