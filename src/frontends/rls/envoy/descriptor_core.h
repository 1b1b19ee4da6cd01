// What the services that answer for descriptors share: the engine, the settings in force, the counts for metrics.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "engine/engine.h"
#include "frontends/rls/envoy/settings.h"

namespace weir::rls {

// What was answered to calls since the start.
struct ServiceCounts {
  std::uint64_t ok = 0;
  std::uint64_t over_limit = 0;
  std::uint64_t errors = 0;  // a status other than OK
};

// Thread-safe.
class DescriptorCore {
 public:
  explicit DescriptorCore(engine::Engine& the_engine);

  engine::Engine& engine() { return engine_; }
  // No other core of this process ever has the same.
  std::uint64_t id() const { return id_; }
  // Of the configuration in force, or of the one before while it changes.
  std::shared_ptr<const Settings> CurrentSettings();
  // Adds what became of a batch.
  void Count(const ServiceCounts& counts) noexcept;
  ServiceCounts counts() const;

 private:
  engine::Engine& engine_;
  const std::uint64_t id_;
  std::mutex mutex_;
  std::shared_ptr<const Settings> settings_;  // guarded by mutex_
  std::atomic<std::uint64_t> ok_{0}, over_limit_{0}, errors_{0};
};

}  // namespace weir::rls
