#include "frontends/rls/envoy/descriptor_core.h"

namespace weir::rls {
namespace {

std::atomic<std::uint64_t> cores{0};

}  // namespace

DescriptorCore::DescriptorCore(engine::Engine& the_engine) : engine_(the_engine), id_(++cores) {}

std::shared_ptr<const Settings> DescriptorCore::CurrentSettings() {
  const std::uint64_t version = engine_.version();
  const std::lock_guard lock(mutex_);
  if (settings_ == nullptr || settings_->version != version) {
    const auto snapshot = engine_.snapshot();
    settings_ = std::make_shared<const Settings>(
        snapshot->document().envoy, snapshot->version(),
        snapshot->document().envoy.dynamic_metadata ? MetadataOf(*snapshot) : DescriptorMetadata());
  }
  return settings_;
}

void DescriptorCore::Count(const ServiceCounts& counts) noexcept {
  const auto add = [](std::atomic<std::uint64_t>& to, std::uint64_t count) {
    if (count > 0) to.fetch_add(count, std::memory_order_relaxed);
  };
  add(ok_, counts.ok);
  add(over_limit_, counts.over_limit);
  add(errors_, counts.errors);
}

ServiceCounts DescriptorCore::counts() const {
  return {.ok = ok_.load(std::memory_order_relaxed),
          .over_limit = over_limit_.load(std::memory_order_relaxed),
          .errors = errors_.load(std::memory_order_relaxed)};
}

}  // namespace weir::rls
