// How decisions fare: how many were allowed and denied, for how many the store failed, and how long they took; of what
// is in force, and apart from it of a candidate that holds for a share of the subjects. Counted per thread, merged when
// read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "analytics/latency_histogram.h"
#include "base/clock.h"
#include "base/thread_slot.h"
#include "engine/engine.h"

namespace weir::analytics {

// Since the start, or between two readings.
struct DecisionFigures {
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  std::uint64_t errors = 0;  // of both: the store failed or was full, and a policy decided
  LatencyHistogram latency;  // of one in kMeasured decisions

  std::uint64_t decisions() const { return allowed + denied; }
  void Add(const DecisionFigures& other);
  void Subtract(const DecisionFigures& earlier);
};

// Thread-safe. About 600 KB.
class DecisionMeter final : public engine::Observer {
 public:
  // Of so many decisions of a thread that come close together one is timed; of those that come alone each.
  static constexpr std::uint64_t kMeasured = 16;
  static constexpr Nanos kAlone = kMillisecond;

  // `clock`: the engine's; outlives it.
  explicit DecisionMeter(const Clock& clock) : clock_(clock) {}

  // Decisions under the revision of this number are those of the candidate; 0: there is none.
  void Watch(std::uint64_t candidate) { candidate_.store(candidate, std::memory_order_relaxed); }

  enum class Arm : std::uint8_t { kInForce, kCandidate };
  DecisionFigures Read(Arm arm) const;

  // Peeks are no decisions.
  std::uint32_t interest() const noexcept override { return engine::kAllDecisions; }
  void OnDecision(const engine::DecisionEvent& event) noexcept override;

 private:
  using Count = std::atomic<std::uint64_t>;
  struct Tallies {
    Count allowed{0}, denied{0}, errors{0};
    std::array<Count, LatencyHistogram::kBuckets> latency{};
  };
  struct alignas(64) Slot {
    std::array<Tallies, 2> arms;
    Count decisions{0};
    std::atomic<Nanos> measured{0};  // the time of the decision that was timed last
  };
  // An owned slot has one writer, for which a plain add does. Relaxed: a count orders nothing.
  static void Raise(Count& count, bool shared) noexcept {
    if (shared) [[unlikely]] {
      count.fetch_add(1, std::memory_order_relaxed);
    } else {
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }

  const Clock& clock_;
  std::atomic<std::uint64_t> candidate_{0};
  std::array<Slot, kSlotCount> slots_;
};

}  // namespace weir::analytics
