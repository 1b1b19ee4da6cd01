#include "analytics/decision_meter.h"

#include <algorithm>

namespace weir::analytics {
namespace {

bool IsError(Reason reason) {
  return reason == Reason::kStoreAllowed || reason == Reason::kStoreDenied || reason == Reason::kStoreLocal ||
         reason == Reason::kStoreFull;
}

}  // namespace

void DecisionFigures::Add(const DecisionFigures& other) {
  allowed += other.allowed;
  denied += other.denied;
  errors += other.errors;
  latency.Add(other.latency);
}

void DecisionFigures::Subtract(const DecisionFigures& earlier) {
  allowed -= std::min(allowed, earlier.allowed);
  denied -= std::min(denied, earlier.denied);
  errors -= std::min(errors, earlier.errors);
  latency.Subtract(earlier.latency);
}

void DecisionMeter::OnDecision(const engine::DecisionEvent& event) noexcept {
  const std::size_t number = ThreadSlot();
  const bool shared = number == kSharedSlot;
  Slot& slot = slots_[number];
  const std::uint64_t candidate = candidate_.load(std::memory_order_relaxed);
  const bool tried = candidate != 0 && event.revision != nullptr && event.revision->number == candidate;
  Tallies& tallies = slot.arms[tried ? 1 : 0];
  const Decision& decision = event.call.decision;
  Raise(decision.allowed ? tallies.allowed : tallies.denied, shared);
  if (decision.reason != Reason::kOk && IsError(decision.reason)) [[unlikely]] {
    Raise(tallies.errors, shared);
  }
  Raise(slot.decisions, shared);
  const bool due = slot.decisions.load(std::memory_order_relaxed) % kMeasured == 0;
  if (!due && event.now - slot.measured.load(std::memory_order_relaxed) < kAlone) return;
  slot.measured.store(event.now, std::memory_order_relaxed);
  Raise(tallies.latency[LatencyHistogram::BucketOf(clock_.Now() - event.now)], shared);
}

DecisionFigures DecisionMeter::Read(Arm arm) const {
  DecisionFigures figures;
  for (const Slot& slot : slots_) {
    const Tallies& tallies = slot.arms[static_cast<std::size_t>(arm)];
    figures.allowed += tallies.allowed.load(std::memory_order_relaxed);
    figures.denied += tallies.denied.load(std::memory_order_relaxed);
    figures.errors += tallies.errors.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
      figures.latency.Add(i, tallies.latency[i].load(std::memory_order_relaxed));
    }
  }
  return figures;
}

}  // namespace weir::analytics
