#include "server/grpc_front_end.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "frontends/rls/reflection/reflection.h"

namespace weir::server {

GrpcFrontEnd::GrpcFrontEnd(engine::Engine& engine, const ServerConfig& config, std::function<bool()> ready)
    : engine_(engine) {
  const auto serve = [this](auto service) {
    auto* const served = service.get();
    services_.push_back(std::move(service));
    return served;
  };
  envoy_ = serve(std::make_unique<rls::RlsService>(engine));
  kuadrant_ = serve(std::make_unique<rls::KuadrantService>(engine));
  quota_ = serve(std::make_unique<rls::RlqsService>(engine));
  // "ratelimit" is what the reference server of Envoy's contract calls itself.
  std::vector<std::string> names = {"ratelimit"};
  for (const auto& service : services_) names.emplace_back(service->name());
  health_ = serve(std::make_unique<rls::HealthService>(std::move(names), std::move(ready)));

  std::vector<const rls::Service*> served;
  served.reserve(services_.size());
  for (const auto& service : services_) served.push_back(service.get());
  for (auto& reflection : rls::MakeReflectionServices(served)) services_.push_back(std::move(reflection));

  for (const auto& service : services_) options_.services.push_back(service.get());
  counters_ = std::make_unique<rls::CallCounters>(options_.services);
  options_.counters = counters_.get();
  options_.max_message_bytes = config.max_request_bytes;
  options_.max_queued_bytes = std::max(options_.max_queued_bytes, std::size_t{4} * config.max_request_bytes);
  options_.message_timeout_ms = config.idle_timeout_ms;

  watching_ = std::jthread([this](const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!ending_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return stop.stop_requested(); })) Refresh();
  });
}

void GrpcFrontEnd::Refresh() {
  health_->Refresh();
  quota_->Tick();
  engine_.Tick();
}

void GrpcFrontEnd::StopWatching() {
  watching_.request_stop();
  if (watching_.joinable()) watching_.join();
}

}  // namespace weir::server
