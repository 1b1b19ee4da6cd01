// Waits that grow: doubled each time up to a cap, and spread, so that many instances do not knock at the same moment.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace weir::io {

// Before every time that is asked for, with room to subtract.
inline constexpr Nanos kLongAgo = INT64_MIN / 2;

// Between half of `wait` and all of it. `jitter` is uniform in [0, 1).
inline Nanos Jittered(Nanos wait, double jitter) {
  const Nanos half = wait / 2;
  return half + static_cast<Nanos>(static_cast<double>(wait - half) * jitter);
}

inline Nanos Doubled(Nanos wait, Nanos most) { return wait > most / 2 ? most : wait * 2; }

// Not thread-safe.
class Backoff {
 public:
  Backoff(Nanos least, Nanos most) : least_(std::max<Nanos>(least, 1)), most_(std::max(most, least_)), wait_(least_) {}
  Nanos Next(double jitter) {
    const Nanos wait = Jittered(wait_, jitter);
    wait_ = Doubled(wait_, most_);
    return wait;
  }
  void Reset() { wait_ = least_; }

 private:
  const Nanos least_, most_;
  Nanos wait_;
};

}  // namespace weir::io
