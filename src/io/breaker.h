// A circuit breaker: after enough failures in a row a dead store is not asked any more, so that it adds no latency; one
// probe at a time finds out when it is back. Pure: time is an argument, and so is chance.
//
//   closed --failures in a row, or Trip()--> open --AllowProbe()--> half-open --success--> closed
//                                             ^----------------------failure----|  (each next wait longer, up to a cap)
// Not thread-safe.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir::io {

struct BreakerOptions {
  std::uint32_t failures_to_open = 8;   // in a row; at least 1
  Nanos open_min = 100 * kMillisecond;  // first wait before a probe
  Nanos open_max = 5 * kSecond;         // longest
};

enum class BreakerState : std::uint8_t { kClosed, kOpen, kHalfOpen };

class Breaker {
 public:
  // Starts open and due for a probe: a store is up when it has answered, not before.
  explicit Breaker(const BreakerOptions& options);

  BreakerState state() const { return state_; }
  // Times it went from closed to open.
  std::uint64_t opened() const { return opened_; }

  // What came of a plan. Ignored unless closed: stragglers of a dead time say nothing new. `jitter` is uniform in [0,
  // 1).
  void OnSuccess();
  void OnFailure(Nanos now, double jitter);
  // Opens at once: no connection is left.
  void Trip(Nanos now, double jitter);

  // Open and the wait is over: becomes half-open, and the caller sends one probe. False otherwise.
  bool AllowProbe(Nanos now);
  // A sign of life (a new connection): the next AllowProbe() need not wait.
  void Hasten(Nanos now);
  // What came of the probe. Ignored unless half-open.
  void OnProbe(bool alive, Nanos now, double jitter);
  // When AllowProbe() may be asked next; meaningful when open.
  Nanos probe_at() const { return probe_at_; }

 private:
  void Open(Nanos now, double jitter);

  const BreakerOptions options_;
  BreakerState state_ = BreakerState::kOpen;
  std::uint32_t failures_ = 0;  // in a row, while closed
  Nanos wait_;                  // before the next probe
  Nanos probe_at_;
  std::uint64_t opened_ = 0;
};

}  // namespace weir::io
