// The gRPC port's services, and what its sessions need.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "frontends/rls/envoy/rls_service.h"
#include "frontends/rls/health/health.h"
#include "frontends/rls/http2/counters.h"
#include "frontends/rls/http2/session.h"
#include "frontends/rls/kuadrant/kuadrant_service.h"
#include "frontends/rls/rlqs/rlqs_service.h"
#include "weir/config.h"

namespace weir::server {

class GrpcFrontEnd {
 public:
  // `guard`: told of calls without a token; may be nullptr. `ready` is called on any thread. `engine` outlives its use;
  // this outlives the sessions, and what the engine's store still has to answer them: destroy it after the engine.
  // Limits go by the engine's clock; what has to end after some time (calls, assignments) goes by one that nobody sets.
  GrpcFrontEnd(engine::Engine& engine, const ServerConfig& config, std::function<bool()> ready,
               net::LoginGuard* guard = nullptr);
  GrpcFrontEnd(const GrpcFrontEnd&) = delete;
  GrpcFrontEnd& operator=(const GrpcFrontEnd&) = delete;

  const rls::GrpcOptions& options() const { return options_; }
  const rls::CallCounters& counters() const { return *counters_; }
  const rls::RlsService& envoy() const { return *envoy_; }
  const rls::KuadrantService& kuadrant() const { return *kuadrant_; }
  const rls::RlqsService& quota() const { return *quota_; }
  // Readiness and limits may have changed: those who watch the server's health, and data planes that have quota
  // assignments, are told. Happens by itself, too, once a second.
  // Also gives back in time what calls hold when nobody asks.
  void Refresh();
  // No Refresh() happens by itself from here on.
  void StopWatching();

 private:
  engine::Engine& engine_;
  std::vector<std::unique_ptr<rls::Service>> services_;
  // In services_.
  rls::HealthService* health_ = nullptr;
  rls::RlsService* envoy_ = nullptr;
  rls::KuadrantService* kuadrant_ = nullptr;
  rls::RlqsService* quota_ = nullptr;
  rls::GrpcOptions options_;
  std::unique_ptr<rls::CallCounters> counters_;
  std::mutex mutex_;
  std::condition_variable_any ending_;
  std::jthread watching_;  // the last: ends before what it uses
};

}  // namespace weir::server
