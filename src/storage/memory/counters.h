// Counts kept by many threads at once, each mostly on a cache line of its own. Reading gathers; it is slow and slightly
// out of date.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir::storage::memory {

enum class Count : std::uint8_t { kEntries, kReclaimed, kEvicted, kRefused, kUntracked, kCollisions, kRollbacks };
inline constexpr std::size_t kCounts = 7;

// Thread-safe.
class Counters {
 public:
  void Add(Count count, std::int64_t by = 1) {
    // Relaxed: counts order nothing.
    stripes_[Stripe()].values[static_cast<std::size_t>(count)].fetch_add(by, std::memory_order_relaxed);
  }
  // Never negative, though a moment's view of several stripes may be.
  std::uint64_t Sum(Count count) const {
    std::int64_t sum = 0;
    for (const auto& stripe : stripes_) {
      sum += stripe.values[static_cast<std::size_t>(count)].load(std::memory_order_relaxed);
    }
    return sum < 0 ? 0 : static_cast<std::uint64_t>(sum);
  }

 private:
  static constexpr std::size_t kStripes = 64;
  struct alignas(64) Row {
    std::array<std::atomic<std::int64_t>, kCounts> values{};
  };
  static std::size_t Stripe() {
    static std::atomic<std::size_t> threads{0};
    static thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kStripes;
    return mine;
  }
  std::array<Row, kStripes> stripes_;
};

}  // namespace weir::storage::memory
