// The daemon's metrics in Prometheus' text format. The hot path counts per thread; this gathers when asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "frontends/rls/http2/counters.h"
#include "library/internals.h"
#include "net/login_guard.h"
#include "net/server.h"

namespace weir::server {

class GrpcFrontEnd;

struct MetricsSources {
  engine::Engine* engine = nullptr;   // never null
  library::Internals internals;       // of the engine's limiter
  const net::Server* data = nullptr;  // may be nullptr while starting
  const GrpcFrontEnd* grpc = nullptr;
  std::vector<std::pair<std::string, const net::LoginGuard*>> guards = {};  // by listener
  std::uint64_t reloads_ok = 0, reloads_failed = 0;
  Nanos started = 0;
};

// Thread-safe as long as `sources` is not changed meanwhile.
std::string RenderMetrics(const MetricsSources& sources);

// The page as those who ask get it. It is asked for on loops that serve requests, and rendering costs a thousand times
// what a decision does: so only so often a second, and a large page (hundreds of rules) once, and not while somebody
// renders it anyway. Those who ask more often get the latest one; a page whose rendering began before that of the
// latest one is given to nobody. Throws what `render` throws. Thread-safe.
class MetricsPage {
 public:
  static constexpr std::size_t kLarge = 64 << 10;  // bytes
  static constexpr int kMostSmall = 50;            // a second

  // `now`: any clock that does not go backwards.
  MetricsPage(std::function<std::string()> render, std::function<Nanos()> now)
      : render_(std::move(render)), now_(std::move(now)) {}
  std::shared_ptr<const std::string> Get();

 private:
  const std::function<std::string()> render_;
  const std::function<Nanos()> now_;
  std::mutex mutex_;   // guards what follows
  int rendering_ = 0;  // how many are at it
  std::uint64_t tickets_ = 0;
  std::shared_ptr<const std::string> text_;
  std::uint64_t newest_ = 0;  // the ticket of text_, taken before it was rendered
  Nanos second_ = 0;          // its beginning
  int rendered_ = 0;          // in it
};

}  // namespace weir::server
