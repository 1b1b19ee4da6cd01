#include "server/management_plane/management_plane.h"

#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/log.h"
#include "management/auth/secret_token.h"
#include "storage/memory/memory_store.h"

namespace weir::server {
namespace {

namespace rest = management::rest;

constexpr std::size_t kWorkers = 4;
constexpr std::size_t kHeavyWorkers = 2;
constexpr std::size_t kMostWaiting = 1024;
constexpr std::size_t kMostHeavyWaiting = 32;
constexpr std::uint32_t kMostConnections = 512;
constexpr std::uint32_t kMostBody = 16U << 20U;
constexpr std::uint64_t kMostBuffered = 256U << 20U;
constexpr std::string_view kSourceKind = "sources";

std::optional<std::uint32_t> ModeOf(const ListenerConfig& listener) {
  std::uint32_t mode = 0;
  if (!listener.mode) return std::nullopt;
  std::from_chars(listener.mode->data(), listener.mode->data() + listener.mode->size(), mode, 8);
  return mode;
}

// For as many counters as one replay can make.
std::unique_ptr<storage::Store> MakeReplayStore() {
  auto store = storage::memory::MemoryStore::Create({.max_entries = 100'000});
  return store ? std::move(*store) : nullptr;
}

}  // namespace

bool IsReachableByOthers(const std::string& address) {
  if (address.starts_with("unix:")) return false;
  return !address.starts_with("127.") && !address.starts_with("[::1]:") && !address.starts_with("localhost:");
}

Result<std::unique_ptr<ManagementPlane>> ManagementPlane::Create(ManagementOptions options) {
  std::unique_ptr<ManagementPlane> plane(new ManagementPlane(std::move(options)));
  if (plane->options_.state) {
    if (auto on = plane->TurnOn(); !on) return std::unexpected(on.error());
  } else {
    log::Warn("management is off; health and metrics are served", {{"why", plane->options_.off_reason}});
  }
  plane->PrepareSessions();
  plane->AddJobs();
  plane->jobs_.Start();
  return plane;
}

void ManagementPlane::Stop() {
  jobs_.Stop();
  server_.reset();
  workers_.reset();
  heavy_.reset();
}

ManagementPlane::~ManagementPlane() {
  Stop();
  api_.reset();
  rollouts_.reset();
  live_.reset();
}

Result<> ManagementPlane::MakeTokens() {
  const char* const given = std::getenv("WEIR_BOOTSTRAP_TOKEN");
  const bool chosen = given != nullptr && *given != '\0';
  auto made = options_.state->tokens->Bootstrap(chosen ? std::optional<std::string_view>(given) : std::nullopt,
                                                options_.clock->Wall());
  if (!made) {
    return Fail(made.error().code, (chosen ? "WEIR_BOOTSTRAP_TOKEN: " : "the first token: ") + made.error().message);
  }
  if (*made) first_token_ = (*made)->secret;
  return {};
}

Result<> ManagementPlane::TurnOn() {
  State& state = *options_.state;
  if (auto made = MakeTokens(); !made) return made;
  if (auto good = CheckHost(options_.admin_auth); !good) return good;
  Configure(options_.admin_auth);
  live_ = std::make_unique<rest::LiveConfig>(rest::LiveConfigOptions{.store = state.store.get(),
                                                                     .engine = options_.engine,
                                                                     .policy_in_store = options_.document == nullptr,
                                                                     .apply_policy = options_.apply_policy,
                                                                     .set_candidate = options_.set_candidate});
  if (options_.document != nullptr) {
    NoteDocument();
    if (auto set = live_->SetDocument(std::move(options_.document)); !set) return set;
  }
  if (auto started = live_->Start(); !started) return started;
  auto cursor_key = state.database->SecretOf("cursors", 32);
  if (!cursor_key) return std::unexpected(cursor_key.error());
  documents_ = std::make_unique<management::Documents>(*state.database);
  rollouts_ = std::make_unique<rest::Rollouts>(rest::RolloutsOptions{.clock = options_.clock,
                                                                     .trial = {.store = state.store.get(),
                                                                               .live = live_.get(),
                                                                               .engine = options_.engine,
                                                                               .recorder = options_.recorder,
                                                                               .make_store = &MakeReplayStore},
                                                                     .meter = options_.meter,
                                                                     .documents = documents_.get(),
                                                                     .audit = state.audit.get()});
  // Before anything is served: whoever took part in a rollout does so again from the first request on.
  if (auto loaded = rollouts_->Load(); !loaded) return loaded;
  stats_ = std::make_unique<rest::StatsSampler>(*options_.engine, *options_.clock, options_.meter);
  api_ = std::make_unique<rest::Api>(
      rest::ApiOptions{.clock = options_.clock,
                       .engine = options_.engine,
                       .store = state.store.get(),
                       .live = live_.get(),
                       .auth = state.auth.get(),
                       .tokens = state.tokens.get(),
                       .accounts = state.accounts.get(),
                       .sessions = state.sessions.get(),
                       .external = state.external.get(),
                       .audit = state.audit.get(),
                       .stats = stats_.get(),
                       .guard = &guard_,
                       .cursor_key = std::move(*cursor_key),
                       .hosts = &hosts_,
                       .instance = {.node = state.node, .version = state.version, .started = options_.clock->Wall()},
                       .policy_file = options_.policy_file,
                       .make_store = &MakeReplayStore,
                       .rolled_back = [this] { NoteDocument(); },
                       .recorder = options_.recorder,
                       .documents = documents_.get(),
                       .rollouts = rollouts_.get()});
  return {};
}

// A policy that is a file's is not kept here; that it changed is: every change has its place in the history. After a
// rollback too, which leaves the file as it is.
void ManagementPlane::NoteDocument() {
  if (options_.policy_file.empty()) return;
  const auto snapshot = options_.engine->snapshot();
  const std::string text = ToJson(snapshot->document());
  const management::SecretHash digest = management::HashSecret(text);
  boost::json::object value{{"path", options_.policy_file}, {"sha256", Hex(management::View(digest))}};
  config::Draft draft{.origin = {.author = "weir", .method = "file", .reason = "", .source = options_.policy_file},
                      .writes = {{.id = {.kind = std::string(kSourceKind), .key = "file"},
                                  .body = config::RecordBody{.value = boost::json::serialize(value)}}}};
  if (const auto noted = options_.state->store->Append(std::move(draft)); !noted) {
    log::Warn("the file's policy is in force and not noted as a revision", {{"why", noted.error().message}});
  }
}

void ManagementPlane::DocumentChanged(std::shared_ptr<const EnterpriseRateLimitConfig> document) {
  if (!on()) return;
  NoteDocument();
  if (const auto set = live_->SetDocument(std::move(document)); !set) {
    log::Error("entities of the store are not in force", {{"why", set.error().message}});
  }
}

Result<> ManagementPlane::CheckHost(const AdminAuthConfig& admin_auth) {
  return management::ExternalIdentity::Check(admin_auth);
}

// What CheckHost() has found good.
void ManagementPlane::Configure(const AdminAuthConfig& admin_auth) {
  State& state = *options_.state;
  if (const auto done = state.external->Configure(admin_auth, *state.auth, state.sessions.get()); !done) {
    log::Error("sessions of people who may not administer any more have ended, and come back at a restart",
               {{"why", done.error().message}});
  }
}

Result<> ManagementPlane::HostChanged(const AdminAuthConfig& admin_auth) {
  if (!on()) return {};
  // Nobody may administer by settings that are refused.
  if (auto good = CheckHost(admin_auth); !good) return good;
  if (live_->policy_in_store()) {
    if (auto applied = live_->Reapply(); !applied) return applied;
  }
  Configure(admin_auth);
  return {};
}

void ManagementPlane::PrepareSessions() {
  sessions_.clock = options_.clock;
  sessions_.max_body_bytes = kMostBody;
  sessions_.ready = options_.ready;
  sessions_.metrics = options_.metrics;
  sessions_.leaving = options_.leaving;
  sessions_.off_reason = "management is off: " + options_.off_reason;
  if (!on()) return;
  workers_ = std::make_unique<rest::Workers>(kWorkers, kMostWaiting);
  heavy_ = std::make_unique<rest::Workers>(kHeavyWorkers, kMostHeavyWaiting);
  sessions_.handle = [this](rest::ApiRequest request) { return api_->Handle(std::move(request)); };
  sessions_.is_heavy = [this](const rest::ApiRequest& request) { return api_->IsHeavy(request); };
  sessions_.work = [this](bool heavy, std::function<void()> task) {
    return (heavy ? *heavy_ : *workers_).Submit(std::move(task));
  };
  sessions_.event = [this](const rest::ApiRequest& request) {
    const bool may = api_->May(request, management::Verb::kRead, management::Resource::kStats);
    return may ? stats_->Event() : nullptr;
  };
}

void ManagementPlane::AddJobs() {
  if (!on()) return;
  State& state = *options_.state;
  stats_->Sample();
  jobs_.Add("recorder", kSecond / 10, [this] { options_.recorder->Drain(); });
  jobs_.Add("rollouts", kSecond, [this] { rollouts_->Tick(); });
  jobs_.Add("statistics", kSecond, [this] { stats_->Sample(); });
  // What expires leaves in revisions of its own, which the engine then follows.
  jobs_.Add("expiry", kSecond, [&state] {
    while (true) {
      const auto removed = state.store->ApplyExpiry();
      if (!removed) log::Warn("expired records are not removed yet", {{"why", removed.error().message}});
      if (!removed || !*removed) return;
    }
  });
  jobs_.Add("tokens", kMinute, [&state] {
    if (const auto done = state.tokens->FlushLastUsed(); !done) {
      log::Warn("when tokens were used was not written", {{"why", done.error().message}});
    }
  });
  jobs_.Add("sessions", kMinute, [this, &state] {
    if (const auto done = state.sessions->Tick(options_.clock->Wall()); !done) {
      log::Warn("ended sessions are not removed yet", {{"why", done.error().message}});
    }
  });
  jobs_.Add("audit", kMinute, [this, &state] {
    if (const auto done = state.audit->Tick(options_.clock->Wall()); !done) {
      log::Error("the audit log needs attention", {{"why", done.error().message}});
    }
  });
}

Result<> ManagementPlane::Listen(const ListenerConfig& config, std::uint32_t max_headers, std::uint32_t idle_timeout_ms,
                                 std::vector<int> inherited) {
  if (config.address == "off" || config.address.empty()) return {};
  if (on() && IsReachableByOthers(config.address) && !config.tls && !config.allow_plaintext) {
    return Fail(ErrorCode::kFailedPrecondition,
                "server.admin listens on " + config.address +
                    " without TLS: tokens would cross the network as they are. Set server.admin.tls, listen on "
                    "127.0.0.1, or set server.admin.allow_plaintext");
  }
  hosts_ = {.check = !config.address.starts_with("unix:"), .names = config.hosts};
  sessions_.max_headers = max_headers;
  net::ListenerOptions listener{
      .name = "admin",
      .address = config.address,
      .inherited_fds = std::move(inherited),
      .tls = nullptr,
      .sessions = [this](net::Connection& c) { return rest::MakeManagementSession(c, sessions_); },
      .mode = ModeOf(config)};
  if (config.tls) {
    listener.tls = std::make_unique<net::TlsOptions>(
        net::TlsOptions{config.tls->certificate_file, config.tls->key_file, config.tls->client_ca_file, {"http/1.1"}});
  }
  std::vector<net::ListenerOptions> listeners;
  listeners.push_back(std::move(listener));
  auto server = net::Server::Start({.threads = 1,
                                    .max_connections = kMostConnections,
                                    .max_input_bytes = kMostBody + 65'536,
                                    .max_output_bytes = 4 * kMostBody,
                                    .max_buffered_bytes = kMostBuffered,
                                    .idle_timeout_ms = idle_timeout_ms},
                                   std::move(listeners));
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  return {};
}

std::string ManagementPlane::address() const { return server_ == nullptr ? "" : server_->addresses().front(); }

Result<> ManagementPlane::ReloadTls() { return server_ == nullptr ? Result<>() : server_->ReloadTls(); }

std::uint64_t ManagementPlane::Drain(std::uint32_t timeout_ms) {
  return server_ == nullptr ? 0 : server_->Drain(timeout_ms);
}

}  // namespace weir::server
