// How long things took: counts in buckets that grow with the latency, four for each doubling, so that a quantile is at
// most 25 % too high.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace weir::analytics {

// Plain numbers. From 1 ns to 137 s; what takes longer counts as that.
class LatencyHistogram {
 public:
  static constexpr std::size_t kBuckets = 144;

  static constexpr std::size_t BucketOf(Nanos latency) noexcept {
    if (latency < 4) return latency < 1 ? 0 : static_cast<std::size_t>(latency);
    const auto value = static_cast<std::uint64_t>(latency);
    const auto octave = static_cast<std::size_t>(std::bit_width(value)) - 3;
    return std::min(4 * octave + static_cast<std::size_t>(value >> octave), kBuckets - 1);
  }
  // The longest latency of that bucket.
  static constexpr Nanos LongestOf(std::size_t bucket) noexcept {
    if (bucket < 4) return static_cast<Nanos>(bucket);
    const std::size_t octave = bucket / 4 - 1;
    return (static_cast<Nanos>(bucket % 4 + 5) << octave) - 1;
  }

  void Add(std::size_t bucket, std::uint64_t count) noexcept { counts_[bucket] += count; }
  void Add(const LatencyHistogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  }
  // `other`: an earlier reading of the same.
  void Subtract(const LatencyHistogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] -= std::min(counts_[i], other.counts_[i]);
  }
  std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t one : counts_) sum += one;
    return sum;
  }
  // `share`: 0.99 for the 99th percentile. 0: there is nothing in it.
  Nanos Quantile(double share) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(all - 1)) + 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= rank) return LongestOf(i);
    }
    return LongestOf(kBuckets - 1);
  }

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};

}  // namespace weir::analytics
