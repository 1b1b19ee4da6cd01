// Live statistics of the decisions: counts since the start, and rates over the latest seconds.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "analytics/decision_meter.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace weir::management::rest {

// Thread-safe.
class StatsSampler {
 public:
  // A rate is over at most so many samples, one a second.
  static constexpr std::size_t kKept = 60;

  // `meter`: times the engine's decisions; nullptr: nobody does, and latencies are not told. All outlive it.
  StatsSampler(engine::Engine& engine, const Clock& clock, const analytics::DecisionMeter* meter = nullptr)
      : engine_(engine), clock_(clock), meter_(meter) {}

  // For a job, once a second.
  void Sample();
  // {"time", "requests_per_second", "allowed", "denied", ...}, gathered now. Slow: not for event loops.
  std::string Json();
  // The latest sample as a server-sent event; nullptr: there is none yet.
  std::shared_ptr<const std::string> Event() const;

 private:
  struct Point {
    Nanos at = 0;
    std::uint64_t allowed = 0, denied = 0;
    analytics::LatencyHistogram latency{};
  };
  analytics::LatencyHistogram Latency() const;
  std::string Write(const engine::Engine::Counts& counts, Nanos now, bool rules);

  engine::Engine& engine_;
  const Clock& clock_;
  const analytics::DecisionMeter* const meter_;
  mutable std::mutex mutex_;  // guards what follows
  std::deque<Point> points_;
  std::shared_ptr<const std::string> event_;
};

}  // namespace weir::management::rest
