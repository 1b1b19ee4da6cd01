// grpc.health.v1.Health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): what Kubernetes and load
// balancers ask.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "frontends/rls/http2/service.h"

namespace weir::rls {

class HealthService final : public Service {
 public:
  enum class Serving : std::uint8_t { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

  // `names` are known beside "", the server as a whole; all of them are as healthy as `ready` says. `ready` is called
  // on any thread, and must be quick.
  HealthService(std::vector<std::string> names, std::function<bool()> ready);
  ~HealthService() override;

  // Tells everybody who watches, if `ready` has changed its mind. Thread-safe.
  void Refresh();

  std::string_view name() const override { return "grpc.health.v1.Health"; }
  bool open_to_all() const override { return true; }
  const std::vector<Method>& methods() const override { return methods_; }
  bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override;
  std::span<const std::string> file_descriptors() const override { return descriptors_; }

 private:
  class Watch;
  // Found by Refresh() on any thread; `watch` is touched on the connection's loop only, and nullptr once it is gone.
  struct Watcher {
    std::shared_ptr<net::Connection> connection;
    Watch* watch;
  };

  bool Knows(std::string_view name) const;
  Serving StatusOf(bool known) const;

  const std::vector<std::string> names_;
  const std::function<bool()> ready_;
  const std::vector<std::string> descriptors_;
  std::vector<Method> methods_;
  std::mutex mutex_;
  bool told_ready_ = false;
  std::unordered_set<std::shared_ptr<Watcher>> watchers_;
};

}  // namespace weir::rls
