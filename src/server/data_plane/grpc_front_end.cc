#include "server/data_plane/grpc_front_end.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "frontends/rls/reflection/reflection.h"

namespace weir::server {

namespace {

bool Serves(const ListenerConfig& listener, Served what) {
  return !listener.serve || std::ranges::find(*listener.serve, what) != listener.serve->end();
}

}  // namespace

GrpcFrontEnd::GrpcFrontEnd(engine::Engine& engine, const ServerConfig& config, std::function<bool()> ready,
                           net::LoginGuard* guard)
    : engine_(engine) {
  // All there are, for their counts; of those only some may be served.
  const auto add = [this](auto service, bool served) {
    auto* const added = service.get();
    if (served) options_.services.push_back(added);
    services_.push_back(std::move(service));
    return added;
  };
  envoy_ = add(std::make_unique<rls::RlsService>(engine), Serves(config.grpc, Served::kEnvoy));
  kuadrant_ = add(std::make_unique<rls::KuadrantService>(engine), Serves(config.grpc, Served::kKuadrant));
  quota_ = add(std::make_unique<rls::RlqsService>(engine), Serves(config.grpc, Served::kQuota));
  // "ratelimit" is what the reference server of Envoy's contract calls itself.
  std::vector<std::string> names = {"ratelimit"};
  for (const rls::Service* service : options_.services) names.emplace_back(service->name());
  health_ = add(std::make_unique<rls::HealthService>(std::move(names), std::move(ready)), true);

  if (Serves(config.grpc, Served::kReflection)) {
    const std::vector<const rls::Service*> served(options_.services.begin(), options_.services.end());
    for (auto& reflection : rls::MakeReflectionServices(served)) add(std::move(reflection), true);
  }
  options_.tokens = SecretSet(config.grpc.tokens);
  options_.guard = guard;
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
