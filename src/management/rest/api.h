// The management API: authenticates, authorises, validates, audits, appends a revision, brings it into force, answers.
// Without sockets; every call may wait for a disk, and is made on a worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analytics/recorder.h"
#include "base/clock.h"
#include "config/source/config_store.h"
#include "engine/engine.h"
#include "management/audit/audit_log.h"
#include "management/auth/authenticator.h"
#include "management/auth/documents.h"
#include "management/auth/external_identity.h"
#include "management/auth/permissions.h"
#include "management/auth/token_store.h"
#include "management/rest/cursor.h"
#include "management/rest/idempotency.h"
#include "management/rest/live_config.h"
#include "management/rest/message.h"
#include "management/rest/route.h"
#include "management/rest/stats.h"
#include "net/login_guard.h"

namespace weir::management::rest {

class Rollouts;

// Which names the listener answers to, against DNS rebinding.
struct HostRules {
  bool check = true;                 // false: a Unix socket, where a browser cannot come
  std::vector<std::string> names{};  // beside localhost and addresses
};

struct InstanceInfo {
  std::string node, version;
  Nanos started = 0;
};

struct ApiOptions {
  const Clock* clock = nullptr;  // all outlive the Api
  engine::Engine* engine = nullptr;
  config::ConfigStore* store = nullptr;
  LiveConfig* live = nullptr;
  Authenticator* auth = nullptr;
  TokenStore* tokens = nullptr;
  Accounts* accounts = nullptr;  // nullptr: there are none
  Sessions* sessions = nullptr;
  ExternalIdentity* external = nullptr;  // nullptr: nobody is known elsewhere
  audit::AuditLog* audit = nullptr;
  StatsSampler* stats = nullptr;
  net::LoginGuard* guard = nullptr;
  std::string cursor_key;  // at least 32 bytes
  const HostRules* hosts = nullptr;
  InstanceInfo instance;
  std::string policy_file;                                           // the source of the policy; empty: the store is
  std::function<std::unique_ptr<storage::Store>()> make_store = {};  // an empty one in memory, for replays
  std::function<void()> rolled_back = {};                            // after a rollback is in force
  const analytics::Recorder* recorder = nullptr;                     // nullptr: nothing is recorded
  Documents* documents = nullptr;
  Rollouts* rollouts = nullptr;
};

// One request on its way through a handler.
struct Context {
  const ApiRequest& request;
  const Route& route;
  const Principal& principal;
  std::vector<std::string> parameters;
  std::vector<std::pair<std::string, std::string>> query;
  Nanos now = 0;
  audit::Object object = {};
  std::string before = {}, after = {};  // for the audit log
  std::string reason = {};
  bool audited = false;
  // What a handler answers with that could not do it now (an approval is asked for): goes before its error.
  std::optional<ApiResponse> deferred = {};
  std::shared_ptr<const config::Snapshot> in_force = {};  // when the request came
  // Told beside it once, and kept nowhere: the secret of a new key.
  std::string secret = {};

  const std::string* Query(std::string_view name) const;
  // For what belongs to a tenant (empty: to none): nothing, or why not.
  std::optional<Problem> Authorise(std::string_view tenant) const;
};

class Api {
 public:
  explicit Api(ApiOptions options);

  // Never throws. `request.request_id` is given here.
  ApiResponse Handle(ApiRequest request);
  bool IsHeavy(const ApiRequest& request) const;
  // Whether these credentials may read that; for streams, and for metrics with a token.
  bool May(const ApiRequest& request, Verb verb, Resource resource) const;

  const RouteTable& routes() const { return routes_; }
  const ApiOptions& options() const { return options_; }
  const CursorSigner& cursors() const { return cursors_; }

  // ---- for handlers ----
  // Writes down that the principal does this, before it is done. An error: it must not be done. `status`: of the
  // answer to be; 0: the route's.
  std::optional<Problem> AuditChange(Context& context, int status = 0);
  // Audits, appends and brings into force. Where a second person has to approve it, it is kept as a candidate, and
  // `deferred` says so: the error is not told.
  std::expected<config::Appended, Problem> Append(Context& context, config::Draft draft);
  // Audits, and keeps as a candidate.
  std::expected<config::Appended, Problem> Propose(Context& context, config::Draft draft);
  // Audits, and asks a second person. Never succeeds: see Append().
  Problem AskForApproval(Context& context, config::Draft draft);
  config::Origin OriginOf(const Context& context) const;
  // The page's size and position. A cursor is of this very query, and nobody can read it: it may name what was passed
  // over because it is another tenant's.
  struct Page {
    std::size_t limit = 100;
    std::string position;
  };
  std::expected<Page, Problem> PageOf(const Context& context) const;
  std::string NextCursor(const Context& context, std::string_view position) const;

 private:
  ApiResponse Dispatch(ApiRequest& request);
  Answer Run(Context& context);
  Answer RunOnce(Context& context);
  Answer Do(Context& context);
  std::expected<Principal, Problem> Authenticate(const ApiRequest& request, Nanos now);
  std::optional<Problem> RefuseForeign(const ApiRequest& request) const;
  std::optional<Problem> RefuseBody(const ApiRequest& request, const Route& route) const;
  void AuditOutcome(Context& context, int status, const std::string& why);
  std::string QueryName(const Context& context) const;

  const ApiOptions options_;
  const RouteTable routes_;
  const CursorSigner cursors_;
  const std::string position_key_;  // seals what cursors hold
  IdempotencyTable idempotency_;
};

// The table, without an Api: what OpenAPI is made of.
std::vector<Route> AllRoutes();

// For handlers.
Presented PresentedBy(const ApiRequest& request);
Problem ToProblem(const Refusal& refusal);
ApiResponse JsonResponse(int status, std::string body);

}  // namespace weir::management::rest
