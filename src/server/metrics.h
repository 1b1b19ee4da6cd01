// The daemon's metrics in Prometheus' text format. The hot path counts per thread; this gathers when asked.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"
#include "engine/engine.h"
#include "frontends/rls/counters.h"
#include "library/insides.h"
#include "net/server.h"

namespace weir::server {

class GrpcFrontEnd;

struct MetricsSources {
  engine::Engine* engine = nullptr;   // never null
  library::Insides insides;           // of the engine's limiter
  const net::Server* data = nullptr;  // may be nullptr while starting
  const GrpcFrontEnd* grpc = nullptr;
  std::uint64_t reloads_ok = 0, reloads_failed = 0;
  Nanos started = 0;
};

// Thread-safe as long as `sources` is not changed meanwhile.
std::string RenderMetrics(const MetricsSources& sources);

// The page as those who ask get it. A large page (thousands of rules) takes long to render and is asked for on loops
// that serve requests: it stands for a second, and while somebody renders it anew. Thread-safe.
class MetricsPage {
 public:
  static constexpr std::size_t kLarge = 64 << 10;  // bytes

  // `now`: any clock that does not go backwards.
  MetricsPage(std::function<std::string()> render, std::function<Nanos()> now)
      : render_(std::move(render)), now_(std::move(now)) {}
  std::shared_ptr<const std::string> Get();

 private:
  const std::function<std::string()> render_;
  const std::function<Nanos()> now_;
  std::mutex mutex_;  // guards what follows
  bool rendering_ = false;
  std::shared_ptr<const std::string> text_;
  Nanos rendered_ = 0;
};

}  // namespace weir::server
