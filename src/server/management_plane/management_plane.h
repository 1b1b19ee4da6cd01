// The management listener: an event loop, threads and bounds of its own, so that neither a flood of decisions nor one
// of administration is felt by the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analytics/decision_meter.h"
#include "analytics/recorder.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "management/rest/api.h"
#include "management/rest/live_config.h"
#include "management/rest/rollouts/rollouts.h"
#include "management/rest/session.h"
#include "management/rest/stats.h"
#include "management/rest/workers.h"
#include "net/login_guard.h"
#include "net/server.h"
#include "server/jobs/periodic.h"
#include "server/management_plane/state.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::server {

struct ManagementOptions {
  const Clock* clock = nullptr;  // outlives it, as all here
  engine::Engine* engine = nullptr;
  std::optional<State> state;  // nullopt: management is off
  std::string off_reason;
  AdminAuthConfig admin_auth = {};
  std::string policy_file;  // the source of the policy; empty: the store is
  // Of a file: what it says, for what lies below the store's entities. nullptr: the store is the source.
  std::shared_ptr<const EnterpriseRateLimitConfig> document;
  std::function<Result<>(const config::Revision&, EnterpriseRateLimitConfig)> apply_policy;
  std::function<Result<>(const config::Revision&, EnterpriseRateLimitConfig, const SubjectShare&)> set_candidate;
  // Observers of the engine; not nullptr with a state.
  analytics::Recorder* recorder = nullptr;
  analytics::DecisionMeter* meter = nullptr;
  std::function<bool(std::string* why)> ready;
  std::function<std::shared_ptr<const std::string>()> metrics;
  std::function<bool()> leaving;
};

class ManagementPlane {
 public:
  // Everything but the listener: entities of the store are in force, a first token was made and is in first_token().
  static Result<std::unique_ptr<ManagementPlane>> Create(ManagementOptions options);
  ~ManagementPlane();
  ManagementPlane(const ManagementPlane&) = delete;
  ManagementPlane& operator=(const ManagementPlane&) = delete;

  // Listens. kFailedPrecondition: the address is reached by other machines, and neither TLS nor allow_plaintext is set.
  Result<> Listen(const ListenerConfig& config, std::uint32_t max_headers, std::uint32_t idle_timeout_ms,
                  std::vector<int> inherited);
  std::string address() const;  // empty: it does not listen
  // To be printed once; empty: there is none, or it was given.
  const std::string& first_token() const { return first_token_; }
  bool on() const { return api_ != nullptr; }

  // What the file says was put into force: noted as a revision, and laid below the store's entities.
  void DocumentChanged(std::shared_ptr<const EnterpriseRateLimitConfig> document);
  // kInvalidArgument: what is wrong with these.
  static Result<> CheckHost(const AdminAuthConfig& admin_auth);
  // The operator's settings have changed: who may administer and, where the policy is the store's, what lies around it.
  Result<> HostChanged(const AdminAuthConfig& admin_auth);
  Result<> ReloadTls();
  // Stops at once: no job, no session and no worker runs any more.
  void Stop();
  // Stops accepting; returns how many connections were cut.
  std::uint64_t Drain(std::uint32_t timeout_ms);

  const net::LoginGuard& guard() const { return guard_; }
  const net::Server* server() const { return server_.get(); }

 private:
  explicit ManagementPlane(ManagementOptions options) : options_(std::move(options)) {}
  Result<> TurnOn();
  Result<> MakeTokens();
  void Configure(const AdminAuthConfig& admin_auth);
  void NoteDocument();
  void AddJobs();
  void PrepareSessions();

  ManagementOptions options_;
  net::LoginGuard guard_{"admin"};
  std::string first_token_;
  std::unique_ptr<management::rest::LiveConfig> live_;
  std::unique_ptr<management::rest::StatsSampler> stats_;
  std::unique_ptr<management::Documents> documents_;
  std::unique_ptr<management::rest::Rollouts> rollouts_;
  std::unique_ptr<management::rest::Api> api_;
  management::rest::HostRules hosts_;
  management::rest::SessionOptions sessions_;
  // Ended in this order: no jobs, no connections, no work.
  std::unique_ptr<management::rest::Workers> workers_, heavy_;
  std::unique_ptr<net::Server> server_;
  PeriodicJobs jobs_;
};

// Whether other machines may reach it: anything but loopback addresses and Unix sockets.
bool IsReachableByOthers(const std::string& address);

}  // namespace weir::server
