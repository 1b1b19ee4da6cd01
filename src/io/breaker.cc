#include "io/breaker.h"

#include <algorithm>

#include "io/backoff.h"

namespace weir::io {

Breaker::Breaker(const BreakerOptions& options) : options_(options), wait_(options.open_min), probe_at_(kLongAgo) {}

void Breaker::OnSuccess() {
  if (state_ == BreakerState::kClosed) failures_ = 0;
}

void Breaker::OnFailure(Nanos now, double jitter) {
  if (state_ != BreakerState::kClosed) return;
  if (++failures_ >= options_.failures_to_open) Trip(now, jitter);
}

void Breaker::Trip(Nanos now, double jitter) {
  if (state_ == BreakerState::kClosed) {
    ++opened_;
    wait_ = options_.open_min;
  }
  Open(now, jitter);
}

bool Breaker::AllowProbe(Nanos now) {
  if (state_ != BreakerState::kOpen || now < probe_at_) return false;
  state_ = BreakerState::kHalfOpen;
  return true;
}

void Breaker::Hasten(Nanos now) { probe_at_ = std::min(probe_at_, now); }

void Breaker::OnProbe(bool alive, Nanos now, double jitter) {
  if (state_ != BreakerState::kHalfOpen) return;
  if (!alive) return Open(now, jitter);
  state_ = BreakerState::kClosed;
  failures_ = 0;
  wait_ = options_.open_min;
}

void Breaker::Open(Nanos now, double jitter) {
  state_ = BreakerState::kOpen;
  probe_at_ = now + Jittered(wait_, jitter);
  wait_ = Doubled(wait_, options_.open_max);
}

}  // namespace weir::io
