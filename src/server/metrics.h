// The daemon's metrics in Prometheus' text format. The hot path counts per thread; this gathers when asked.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"
#include "frontends/rls/counters.h"
#include "net/server.h"

namespace weir::server {

class GrpcFrontEnd;

struct MetricsSources {
  engine::Engine* engine = nullptr;   // outlives the registry
  const net::Server* data = nullptr;  // may be nullptr while starting
  const GrpcFrontEnd* grpc = nullptr;
  std::uint64_t reloads_ok = 0, reloads_failed = 0;
  Nanos started = 0;
};

// Thread-safe as long as `sources` is not changed meanwhile.
std::string RenderMetrics(const MetricsSources& sources);

}  // namespace weir::server
