// The data plane: the listeners that decide, on event loops of their own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "frontends/http/session.h"
#include "frontends/resp/session.h"
#include "net/login_guard.h"
#include "net/server.h"
#include "server/data_plane/grpc_front_end.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::server {

// Called on event loops.
struct DataPlaneHooks {
  std::function<bool(std::string* why)> ready;
  std::function<std::shared_ptr<const std::string>()> metrics;
  std::function<bool()> leaving;
};

class DataPlane {
 public:
  // `engine` outlives its use; this outlives what the engine's store still has to answer: destroy it after the engine.
  DataPlane(engine::Engine& engine, const ServerConfig& config, DataPlaneHooks hooks);
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  // Binds and serves. `inherited`: the sockets of a listener that systemd passed.
  Result<> Start(const std::function<std::vector<int>(std::string_view listener)>& inherited);
  // Stops at once.
  void Stop();

  bool has_listeners() const;
  std::string AddressOf(std::string_view listener) const;  // empty: off
  // For loops that serve before Start() has returned. nullptr: nothing is served.
  const net::Server* server() const { return serving_.load(std::memory_order_acquire); }
  GrpcFrontEnd& grpc() { return *grpc_; }
  const GrpcFrontEnd& grpc() const { return *grpc_; }
  std::vector<std::pair<std::string, const net::LoginGuard*>> guards() const;
  Result<> ReloadTls() { return server_ == nullptr ? Result<>() : server_->ReloadTls(); }
  // How many connections were cut.
  std::uint64_t Drain(std::uint32_t timeout_ms) { return server_ == nullptr ? 0 : server_->Drain(timeout_ms); }

 private:
  const ServerConfig config_;
  net::LoginGuard http_guard_{"http"}, resp_guard_{"resp"}, grpc_guard_{"grpc"};
  http::HttpOptions http_;
  resp::RespOptions resp_;
  std::unique_ptr<GrpcFrontEnd> grpc_;
  std::vector<std::string> names_;
  std::unique_ptr<net::Server> server_;
  std::atomic<const net::Server*> serving_{nullptr};
};

// A port that is taken: which flag chooses another one.
Error WithAdvice(Error error, const ServerConfig& config);

}  // namespace weir::server
