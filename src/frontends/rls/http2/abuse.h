// Bounds on what a client can make the session do for nothing. Pure counting; not thread-safe.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace weir::rls {

// How many of the latest streams were cancelled by their client (rapid reset, CVE-2023-44487).
class CancelWindow {
 public:
  static constexpr std::size_t kStreams = 1'000;

  // A stream begins; returns its number.
  std::uint64_t Open() {
    const std::size_t slot = opened_ % kStreams;
    if (cancelled_[slot]) --count_;
    cancelled_[slot] = false;
    return opened_++;
  }
  // Its client cancelled it. Returns how many of the latest kStreams are cancelled now.
  std::uint32_t Cancel(std::uint64_t number) {
    const std::size_t slot = number % kStreams;
    if (opened_ - number <= kStreams && !cancelled_[slot]) {
      cancelled_[slot] = true;
      ++count_;
    }
    return count_;
  }

 private:
  std::bitset<kStreams> cancelled_;
  std::uint64_t opened_ = 0;
  std::uint32_t count_ = 0;
};

// The latest `most` streams that were added.
class StreamSet {
 public:
  explicit StreamSet(std::size_t most) : most_(std::max<std::size_t>(most, 1)) {}

  void Add(std::int32_t stream) {
    if (streams_.size() < most_) return streams_.push_back(stream);
    streams_[oldest_] = stream;
    oldest_ = (oldest_ + 1) % most_;
  }
  bool Has(std::int32_t stream) const { return std::find(streams_.begin(), streams_.end(), stream) != streams_.end(); }

 private:
  const std::size_t most_;
  std::size_t oldest_ = 0;  // once there are `most_`
  std::vector<std::int32_t> streams_;
};

// Frames that ask for work but carry nothing of a request (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, DATA
// that is empty or all padding or for a call that is decided, HEADERS that begin none, unknown types): so many at once
// and so many a second, and some with each message that is answered. A client's keepalive and flow control stay far
// below.
class FrameBudget {
 public:
  static constexpr std::uint32_t kBurst = 2'000;
  static constexpr std::uint32_t kPerSecond = 200;
  static constexpr std::uint32_t kPerMessage = 10;

  explicit FrameBudget(Nanos now) : filled_at_(now) {}

  // False: there is none left. Reads the clock only when the frames at hand are used up.
  bool Spend(const Clock& clock) {
    if (left_ == 0) Refill(clock.Now());
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  void Earn() { left_ = left_ + kPerMessage < kBurst ? left_ + kPerMessage : kBurst; }

 private:
  void Refill(Nanos now) {
    if (now < filled_at_) filled_at_ = now;  // a clock that was set
    const Nanos passed = now - filled_at_;
    const Nanos frames = passed >= Nanos{kBurst / kPerSecond} * kSecond ? Nanos{kBurst} : passed * kPerSecond / kSecond;
    if (frames == 0) return;
    left_ = static_cast<std::uint32_t>(frames);
    filled_at_ = now;
  }

  std::uint32_t left_ = kBurst;
  Nanos filled_at_;
};

}  // namespace weir::rls
