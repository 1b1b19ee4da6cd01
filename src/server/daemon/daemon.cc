#include "server/daemon/daemon.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>

#include "analytics/decision_meter.h"
#include "analytics/recorder.h"
#include "base/anchored_clock.h"
#include "base/log.h"
#include "config/source/load.h"
#include "config/source/loader.h"
#include "config/validate/validate.h"
#include "engine/document_faults.h"
#include "server/daemon/descriptors.h"
#include "server/daemon/systemd.h"
#include "server/data_plane/data_plane.h"
#include "server/management_plane/management_plane.h"
#include "server/management_plane/metrics.h"
#include "server/management_plane/readiness.h"
#include "server/management_plane/state.h"

namespace weir::server {
namespace {

Nanos SteadyNow() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// Besides connections that decide: some of management, listeners, loops, files, the store's connections.
constexpr std::uint64_t kOtherDescriptors = 96;

log::Level LevelOf(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warn") return log::Level::kWarn;
  if (name == "error") return log::Level::kError;
  return log::Level::kInfo;
}

void ConfigureLogs(const ServerConfig& config) {
  log::Configure(LevelOf(config.log_level), config.log_format == "json" ? log::Format::kJson : log::Format::kText);
}

struct Document {
  std::string text, file;
  std::vector<std::string> envoy_files;
};

Result<Document> DocumentOf(const DaemonOptions& options) {
  if (!options.config_file.empty()) {
    auto text = config::ReadTextFile(options.config_file);
    if (!text) return std::unexpected(text.error());
    return Document{std::move(*text), options.config_file, options.envoy_files};
  }
  if (options.envoy_files.empty()) return Document{std::string(SampleConfig()), "the built-in sample", {}};
  return Document{ToYaml(config::EnvoyOnlyDocument()), "", options.envoy_files};
}

config::LoadedDocument Load(const Document& document) {
  return config::LoadDocument(document.text, document.file, document.envoy_files);
}

// Why a document that could be read could not be compiled: all that is wrong with it, where that can be told.
Error WhyNot(const Document& document, config::LoadedDocument& loaded, const Error& error) {
  engine::AddCompileFaults(document.text, document.file, loaded);
  return loaded.ok() ? error : loaded.ToError();
}

void LogWarnings(const std::vector<config::FileFault>& faults) {
  for (const config::FileFault& one : faults) {
    if (one.fault.severity == Severity::kWarning) log::Warn("configuration", {{"warning", config::Describe(one)}});
  }
}

std::vector<std::string> FilesWith(const std::string& config_file, const std::vector<std::string>& named) {
  std::vector<std::string> files;
  if (!config_file.empty()) files.push_back(config_file);
  files.insert(files.end(), named.begin(), named.end());
  return files;
}

void Override(ListenerConfig& listener, const std::optional<std::string>& address) {
  if (address) listener.address = *address;
}

// Addresses of the command line are no secret: they are told as they were given.
Result<> CheckAddresses(const DaemonOptions& options) {
  for (const auto& [flag, address] : {std::pair{"--http", &options.http}, std::pair{"--resp", &options.resp},
                                      std::pair{"--grpc", &options.grpc}, std::pair{"--admin", &options.admin}}) {
    if (!*address || config::IsListenAddress(**address)) continue;
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: '{}' is not an address to listen on (write it as 127.0.0.1:8080, [::1]:8080, "
                            "unix:/path or off)",
                            flag, **address));
  }
  return {};
}

void ApplyOverrides(const DaemonOptions& options, ServerConfig& server) {
  Override(server.http, options.http);
  Override(server.resp, options.resp);
  Override(server.grpc, options.grpc);
  Override(server.admin, options.admin);
}

// What the store has; where it has nothing yet, `first` becomes its first revision.
Result<EnterpriseRateLimitConfig> PolicyOfStore(config::ConfigStore& store, const EnterpriseRateLimitConfig& first,
                                                const std::string& source) {
  // Entities may be there already, of a time when the policy was a file's.
  bool is_there = false;
  const auto looked = store.Scan(config::PolicyKinds(), [&](const config::StoredRecord& record) {
    is_there = record.id.kind != config::kOverrides;
    return !is_there;
  });
  if (!looked) return std::unexpected(looked.error());
  if (!is_there) {
    const auto head = store.Head();
    if (!head) return std::unexpected(head.error());
    const auto entities = head->number == 0 ? config::Entities::kReplace : config::Entities::kKeep;
    auto writes = config::WritesToBecome(store, first, entities);
    if (!writes) return std::unexpected(writes.error());
    const config::Origin origin{.author = "weir", .method = "start", .reason = "first start", .source = source};
    if (const auto made = store.Append({.origin = origin, .writes = std::move(*writes)}); !made) {
      return std::unexpected(made.error());
    }
  }
  auto policy = config::Loader(store).Policy();
  if (!policy) return std::unexpected(policy.error());
  if (!policy->ok()) return std::unexpected(policy->ToError());
  return std::move(policy->policy);
}

// The settings that only a restart changes, as far as they differ.
std::vector<std::string> NeedRestart(const ServerConfig& now, const ServerConfig& then) {
  std::vector<std::string> names;
  const auto compare = [&](bool same, const char* name) {
    if (!same) names.emplace_back(name);
  };
  compare(now.http == then.http, "server.http");
  compare(now.resp == then.resp, "server.resp");
  compare(now.grpc == then.grpc, "server.grpc");
  compare(now.admin == then.admin, "server.admin");
  compare(now.threads == then.threads, "server.threads");
  compare(now.max_connections == then.max_connections, "server.max_connections");
  compare(now.max_buffered_bytes == then.max_buffered_bytes, "server.max_buffered_bytes");
  compare(now.max_request_bytes == then.max_request_bytes, "server.max_request_bytes");
  compare(now.max_header_count == then.max_header_count, "server.max_header_count");
  compare(now.idle_timeout_ms == then.idle_timeout_ms, "server.idle_timeout_ms");
  compare(now.resp_password == then.resp_password, "server.resp_password");
  return names;
}

}  // namespace

struct Daemon::Parts {
  // What a file says of the host that weir runs on, where the policy is the state directory's.
  struct HostSettings {
    ServerConfig server;
    StorageConfig storage;
    JwtConfig jwt;
  };
  // Not kept with the policy: it holds secrets, and the file goes on to say it.
  static HostSettings TakeHostSettings(EnterpriseRateLimitConfig& config) {
    return {.server = std::exchange(config.server, {}),
            .storage = std::exchange(config.storage, {}),
            .jwt = std::exchange(config.jwt, {})};
  }

  DaemonOptions options;
  const Clock* clock = nullptr;
  ServerConfig server_config;  // in force since the start, with overrides
  StateDirectory state_directory;
  mutable std::mutex host_mutex;
  std::optional<HostSettings> host;  // by host_mutex; nullopt: the document in force says it itself
  // Observe the limiter, and so outlive it; nullptr: management is off, and nobody asks.
  std::unique_ptr<analytics::DecisionMeter> meter;
  std::unique_ptr<analytics::Recorder> recorder;
  std::unique_ptr<RateLimiter> limiter;
  std::unique_ptr<DataPlane> data;
  std::unique_ptr<ManagementPlane> management;
  std::atomic<bool> draining{false};
  std::atomic<bool> metrics_enabled{true};
  Nanos started = 0;
  std::atomic<std::uint64_t> reloads_ok{0}, reloads_failed{0};
  std::mutex reloading;
  std::vector<std::string> files;  // by `reloading`
  mutable FactOfVersion denies_without_store;

  MetricsPage metrics{[this] { return Rendered(); }, [] { return SteadyNow(); }};

  std::string Rendered() const {
    auto guards = data->guards();
    if (management != nullptr) guards.emplace_back("admin", &management->guard());
    return RenderMetrics({.engine = &limiter->engine(),
                          .internals = limiter->internals(),
                          .data = data->server(),
                          .grpc = &data->grpc(),
                          .guards = std::move(guards),
                          .reloads_ok = reloads_ok.load(),
                          .reloads_failed = reloads_failed.load(),
                          .started = started});
  }

  // docs/decisions/0014-ready-when-degraded.md
  bool Ready(std::string* why) const {
    if (draining.load()) {
      *why = "draining";
      return false;
    }
    const storage::Store& store = limiter->engine().store();
    if (store.GetHealth() != storage::Health::kDown) return true;
    *why = fmt::format("degraded: store {} is down, and rules decide by their on_store_failure", store.Name());
    const auto snapshot = limiter->engine().snapshot();
    if (const auto& set = snapshot->document().server.ready_when_degraded) return *set;
    return !denies_without_store.Get(snapshot->version(), [&] { return DeniesWithoutStore(*snapshot); });
  }

  // What is put into force of a document: with the flags, and with counts that outlive the process.
  void Complete(EnterpriseRateLimitConfig& config) const {
    {
      const std::scoped_lock lock(host_mutex);
      if (host) {
        config.server = host->server;
        config.storage = host->storage;
        config.jwt = host->jwt;
      }
    }
    ApplyOverrides(options, config.server);
    PersistCounts(state_directory, config.storage);
  }

  // Puts a file's document into force, or what it says of the host. `config` then is as it came into force.
  Result<> ApplyDocument(EnterpriseRateLimitConfig& config) {
    if (auto good = ManagementPlane::CheckHost(config.server.admin_auth); !good) return good;
    auto document = std::make_shared<const EnterpriseRateLimitConfig>(config);
    Complete(config);
    if (auto applied = limiter->engine().Apply(config); !applied) return applied;
    management->DocumentChanged(std::move(document));
    return management->HostChanged(config.server.admin_auth);
  }
  Result<> ApplyHost(EnterpriseRateLimitConfig& config) {
    const auto set = [this](std::optional<HostSettings> settings) {
      const std::scoped_lock lock(host_mutex);
      std::swap(host, settings);
      return settings;
    };
    auto before = set(TakeHostSettings(config));
    auto changed = management->HostChanged(host->server.admin_auth);
    if (!changed) set(std::move(before));
    Complete(config);
    return changed;
  }

  Result<> StartPlanes(std::optional<State> state, std::string off_reason,
                       std::shared_ptr<const EnterpriseRateLimitConfig> document);
};

Result<> Daemon::Parts::StartPlanes(std::optional<State> state, std::string off_reason,
                                    std::shared_ptr<const EnterpriseRateLimitConfig> document) {
  const auto ready = [this](std::string* why) { return Ready(why); };
  const auto page = [this] { return metrics_enabled.load() ? metrics.Get() : nullptr; };
  const auto leaving = [this] { return draining.load(std::memory_order_relaxed); };
  data = std::make_unique<DataPlane>(limiter->engine(), server_config,
                                     DataPlaneHooks{.ready = ready, .metrics = page, .leaving = leaving});
  const bool admin_is_off = server_config.admin.address == "off" || server_config.admin.address.empty();
  if (admin_is_off && !data->has_listeners()) {
    return Fail(ErrorCode::kInvalidArgument, "every listener is off: there is nothing to serve");
  }
  auto made = ManagementPlane::Create(
      {.clock = clock,
       .engine = &limiter->engine(),
       .state = std::move(state),
       .off_reason = std::move(off_reason),
       .admin_auth = server_config.admin_auth,
       .policy_file = document == nullptr           ? ""
                      : options.config_file.empty() ? options.envoy_files.front()
                                                    : options.config_file,
       .document = std::move(document),
       .apply_policy =
           [this](const config::Revision& revision, EnterpriseRateLimitConfig policy) {
             Complete(policy);
             return limiter->engine().Apply(revision, std::move(policy));
           },
       .set_candidate =
           [this](const config::Revision& revision, EnterpriseRateLimitConfig policy, const SubjectShare& share) {
             Complete(policy);
             return limiter->engine().SetCandidate(revision, std::move(policy), share);
           },
       .recorder = recorder.get(),
       .meter = meter.get(),
       .ready = ready,
       .metrics = page,
       .leaving = leaving});
  if (!made) return std::unexpected(made.error());
  management = std::move(*made);
  const std::vector<InheritedSocket> sockets = InheritedSockets();
  const auto inherited = [&](std::string_view listener) {
    std::vector<int> fds;
    for (const InheritedSocket& socket : sockets) {
      if (socket.name == listener || (socket.name.empty() && listener == "http")) fds.push_back(socket.fd);
    }
    return fds;
  };
  if (auto listening = management->Listen(server_config.admin, server_config.max_header_count,
                                          server_config.idle_timeout_ms, inherited("admin"));
      !listening) {
    return std::unexpected(WithAdvice(listening.error(), server_config));
  }
  if (auto serving = data->Start(inherited); !serving) {
    return std::unexpected(WithAdvice(serving.error(), server_config));
  }
  return {};
}

Result<std::unique_ptr<Daemon>> Daemon::Start(DaemonOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->clock = options.clock != nullptr ? options.clock : &DecisionClock();
  parts->started = parts->clock->Now();
  if (auto valid = CheckAddresses(options); !valid) return std::unexpected(valid.error());
  const auto document = DocumentOf(options);
  if (!document) return std::unexpected(document.error());
  auto loaded = Load(*document);
  if (!loaded.ok()) return std::unexpected(loaded.ToError());
  const bool from_file = !options.config_file.empty() || !options.envoy_files.empty();

  parts->options = std::move(options);
  parts->state_directory = FindStateDirectory(parts->options.state_dir, loaded.config.server);
  std::optional<State> state;
  std::string off_reason = parts->state_directory.why_none;
  if (!parts->state_directory.path.empty()) {
    auto opened = OpenState(parts->state_directory.path, *parts->clock);
    if (opened) {
      state = std::move(*opened);
    } else {
      off_reason = opened.error().message;
      parts->state_directory.path.clear();
    }
  }
  // Without a file, the policy is the state directory's; there the built-in sample is the first. So it is where the
  // file says so, and then the file is the first.
  const bool in_state = !from_file || loaded.config.server.policy == PolicySource::kState;
  if (in_state && from_file && !state) {
    return Fail(ErrorCode::kFailedPrecondition,
                "server.policy: state needs a state directory, and there is none: " + off_reason);
  }
  if (in_state && state) {
    if (from_file) parts->host = Parts::TakeHostSettings(loaded.config);
    auto kept = PolicyOfStore(*state->store, loaded.config, from_file ? document->file : "the built-in sample");
    if (!kept) return std::unexpected(kept.error());
    loaded.config = std::move(*kept);
  }
  std::shared_ptr<const EnterpriseRateLimitConfig> file_document;
  if (!in_state) file_document = std::make_shared<const EnterpriseRateLimitConfig>(loaded.config);
  EnterpriseRateLimitConfig& config = loaded.config;
  parts->Complete(config);
  parts->files = FilesWith(parts->options.config_file, loaded.files);
  parts->server_config = config.server;
  ConfigureLogs(parts->server_config);

  parts->metrics_enabled = config.analytics.metrics_enabled;
  std::vector<engine::Observer*> observers;
  if (state) {
    parts->meter = std::make_unique<analytics::DecisionMeter>(*parts->clock);
    parts->recorder = std::make_unique<analytics::Recorder>(analytics::RecorderOptions{.clock = parts->clock});
    observers = {parts->meter.get(), parts->recorder.get()};
  }
  auto limiter =
      RateLimiter::Create(config, {.clock = parts->clock, .extractors = {}, .observers = std::move(observers)});
  if (!limiter) return std::unexpected(WhyNot(*document, loaded, limiter.error()));
  LogWarnings(loaded.faults);
  parts->limiter = std::move(*limiter);

  const std::uint64_t needed = std::uint64_t{parts->server_config.max_connections} + kOtherDescriptors;
  if (const std::uint64_t most = RaiseDescriptorLimit(); most < needed) {
    log::Warn("too few file descriptors for server.max_connections: more connections wait in the kernel's queue",
              {{"descriptors", std::to_string(most)},
               {"needed", std::to_string(needed)},
               {"hint", "raise ulimit -n, or LimitNOFILE= of the unit"}});
  }
  if (auto started = parts->StartPlanes(std::move(state), std::move(off_reason), std::move(file_document)); !started) {
    return std::unexpected(started.error());
  }
  return std::unique_ptr<Daemon>(new Daemon(std::move(parts)));
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Daemon::~Daemon() {
  // Sessions and jobs use the engine: they must be gone first. What the store still answers afterwards reaches the gRPC
  // services, so these go last.
  // Either plane's metrics look at the other: both are stopped before either ends.
  parts_->management->Stop();
  parts_->data->Stop();
  parts_->management.reset();
  parts_->limiter.reset();
}

RateLimiter& Daemon::limiter() { return *parts_->limiter; }

const std::string& Daemon::FirstToken() const { return parts_->management->first_token(); }

std::string Daemon::AddressOf(std::string_view listener) const {
  return listener == "admin" ? parts_->management->address() : parts_->data->AddressOf(listener);
}

std::string Daemon::Listening() const {
  std::string text;
  for (const char* name : {"http", "resp", "grpc", "admin"}) {
    const std::string address = AddressOf(name);
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, address.empty() ? "off" : address);
  }
  return text;
}

std::vector<std::string> Daemon::Files() const {
  const std::scoped_lock lock(parts_->reloading);
  return parts_->files;
}

std::vector<std::string> Daemon::FilesOf(const DaemonOptions& options) {
  const auto document = DocumentOf(options);
  if (!document) return FilesWith(options.config_file, options.envoy_files);
  return FilesWith(options.config_file,
                   config::LoadDocument(document->text, document->file, document->envoy_files).files);
}

Result<> Daemon::Reload() {
  const std::scoped_lock lock(parts_->reloading);
  if (parts_->files.empty())
    return Fail(ErrorCode::kFailedPrecondition, "started without a configuration file: nothing to reload");
  const std::string file = parts_->files.front();
  // Certificates are renewed also while the document has a fault.
  for (const auto& read : {parts_->data->ReloadTls(), parts_->management->ReloadTls()}) {
    if (!read) log::Error("certificate refused, the old one stays in use", {{"why", read.error().message}});
  }
  const auto refuse = [&](const Error& error) -> Result<> {
    ++parts_->reloads_failed;
    log::Error("configuration refused, the old one stays in force", {{"file", file}, {"why", error.message}});
    return std::unexpected(error);
  };
  const auto document = DocumentOf(parts_->options);
  if (!document) return refuse(document.error());
  auto loaded = Load(*document);
  EnterpriseRateLimitConfig* const config = &loaded.config;
  // A document that cannot be read names nothing: what the last one named is watched on.
  std::vector<std::string> files = FilesWith(parts_->options.config_file, loaded.files);
  if (loaded.ok() || files.size() >= parts_->files.size()) parts_->files = std::move(files);
  if (!loaded.ok()) return refuse(loaded.ToError());
  const bool in_state = config->server.policy == PolicySource::kState;
  if (in_state != parts_->host.has_value()) {
    return refuse(Error{ErrorCode::kFailedPrecondition, "server.policy changes with a restart only"});
  }
  const auto applied = in_state ? parts_->ApplyHost(*config) : parts_->ApplyDocument(*config);
  // Not what RateLimiter::Apply() says, which would validate once more what was read from text.
  if (!applied) return refuse(WhyNot(*document, loaded, applied.error()));
  LogWarnings(loaded.faults);
  for (const std::string& name : NeedRestart(parts_->server_config, config->server)) {
    log::Warn("setting takes effect at the next start", {{"setting", name}});
  }
  ConfigureLogs(config->server);
  // As it is in force: with the policy in the state directory, the file does not say it.
  parts_->metrics_enabled = parts_->limiter->engine().snapshot()->document().analytics.metrics_enabled;
  ++parts_->reloads_ok;
  log::Info("configuration in force",
            {{"file", file}, {"version", std::to_string(parts_->limiter->engine().snapshot()->version())}});
  return {};
}

std::uint32_t Daemon::StartLeaving() {
  parts_->draining = true;
  parts_->data->grpc().Refresh();
  return parts_->limiter->engine().snapshot()->document().server.drain_delay_ms;
}

void Daemon::Drain() {
  StartLeaving();
  const std::uint32_t timeout_ms = parts_->limiter->engine().snapshot()->document().server.drain_timeout_ms;
  const std::uint64_t cut = parts_->data->Drain(timeout_ms) + parts_->management->Drain(timeout_ms);
  if (cut > 0) log::Warn("connections cut at the end of the drain", {{"count", std::to_string(cut)}});
}

}  // namespace weir::server
