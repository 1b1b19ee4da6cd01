#include "server/daemon.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>

#include "base/anchored_clock.h"
#include "base/log.h"
#include "config/source/load.h"
#include "engine/document_faults.h"
#include "frontends/http/session.h"
#include "frontends/resp/session.h"
#include "net/login_guard.h"
#include "net/server.h"
#include "server/descriptors.h"
#include "server/grpc_front_end.h"
#include "server/metrics.h"
#include "server/readiness.h"
#include "server/systemd.h"

namespace weir::server {
namespace {

Nanos SteadyNow() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// Health and metrics are to be had also when a flood has taken all places.
constexpr std::uint32_t kAdminReserve = 32;
// Besides connections: listeners, loops, files, the store's connections.
constexpr std::uint64_t kOtherDescriptors = 64;

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

void ApplyOverrides(const DaemonOptions& options, ServerConfig& server) {
  Override(server.http, options.http);
  Override(server.resp, options.resp);
  Override(server.grpc, options.grpc);
  Override(server.admin, options.admin);
}

bool Serves(const ListenerConfig& listener, Served what) {
  return listener.serve ? std::ranges::find(*listener.serve, what) != listener.serve->end() : what != Served::kReset;
}

http::ServeSet HttpServes(const ListenerConfig& listener) {
  constexpr std::pair<Served, http::ServeSet> kBits[] = {
      {Served::kCheck, http::kServeCheck},       {Served::kBatch, http::kServeBatch},
      {Served::kForwardAuth, http::kServeAuth},  {Served::kPeek, http::kServePeek},
      {Served::kReserve, http::kServeReserve},   {Served::kRefund, http::kServeRefund},
      {Served::kFeedback, http::kServeFeedback}, {Served::kReset, http::kServeReset},
      {Served::kMetrics, http::kServeMetrics}};
  http::ServeSet set = 0;
  for (const auto& [what, bit] : kBits) set |= Serves(listener, what) ? bit : 0;
  return set;
}

resp::ServeSet RespServes(const ListenerConfig& listener) {
  constexpr std::pair<Served, resp::ServeSet> kBits[] = {
      {Served::kThrottle, resp::kServeThrottle}, {Served::kCheck, resp::kServeCheck},
      {Served::kPeek, resp::kServePeek},         {Served::kReserve, resp::kServeReserve},
      {Served::kRefund, resp::kServeRefund},     {Served::kFeedback, resp::kServeFeedback},
      {Served::kReset, resp::kServeReset}};
  resp::ServeSet set = 0;
  for (const auto& [what, bit] : kBits) set |= Serves(listener, what) ? bit : 0;
  return set;
}

SecretSet Passwords(const ServerConfig& config) {
  std::vector<std::string> passwords = config.resp.tokens;
  if (config.resp_password && !config.resp_password->empty()) passwords.push_back(*config.resp_password);
  return SecretSet(std::move(passwords));
}

// "0660"
std::optional<std::uint32_t> ModeOf(const ListenerConfig& listener) {
  std::uint32_t mode = 0;
  if (!listener.mode) return std::nullopt;
  std::from_chars(listener.mode->data(), listener.mode->data() + listener.mode->size(), mode, 8);
  return mode;
}

// More than a gRPC session lets its reader leave (GrpcFrontEnd), so that it is the session that ends it.
std::uint32_t MostOutput(std::uint32_t max_request_bytes) {
  const std::uint64_t most =
      std::max<std::uint64_t>(net::ServerOptions().max_output_bytes, std::uint64_t{5} * max_request_bytes);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(most, UINT32_MAX));
}

// A port that is taken: which flag chooses another one.
Error WithAdvice(Error error, const ServerConfig& config) {
  if (error.message.find("Address already in use") == std::string::npos) return error;
  const std::pair<const char*, const ListenerConfig&> listeners[] = {
      {"http", config.http}, {"resp", config.resp}, {"grpc", config.grpc}, {"admin", config.admin}};
  for (const auto& [name, listener] : listeners) {
    if (listener.address.empty() || error.message.find(" " + listener.address + ":") == std::string::npos) continue;
    error.message += fmt::format(
        " (is another weir running? choose another address with --{0} ADDRESS:PORT or "
        "server.{0}.address, or --{0} off)",
        name);
    break;
  }
  return error;
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
  DaemonOptions options;
  const Clock* clock = nullptr;
  ServerConfig server_config;  // in force since the start, with overrides
  std::unique_ptr<RateLimiter> limiter;
  net::LoginGuard http_guard{"http"}, resp_guard{"resp"}, grpc_guard{"grpc"};
  http::HttpOptions http, admin;
  resp::RespOptions resp;
  std::unique_ptr<GrpcFrontEnd> grpc;
  std::vector<std::string> listener_names;
  std::unique_ptr<net::Server> server;
  // The same, for the loops: they serve before `server` is assigned.
  std::atomic<const net::Server*> serving{nullptr};
  std::atomic<bool> draining{false};
  std::atomic<bool> metrics_enabled{true};
  Nanos started = 0;
  std::atomic<std::uint64_t> reloads_ok{0}, reloads_failed{0};
  std::mutex reloading;
  std::vector<std::string> files;  // by `reloading`
  mutable FactOfVersion denies_without_store;

  MetricsPage metrics{[this] { return Rendered(); }, [] { return SteadyNow(); }};

  std::string Rendered() const {
    return RenderMetrics({.engine = &limiter->engine(),
                          .internals = limiter->internals(),
                          .data = serving.load(std::memory_order_acquire),
                          .grpc = grpc.get(),
                          .guards = {{"http", &http_guard}, {"resp", &resp_guard}, {"grpc", &grpc_guard}},
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

  void PrepareFrontEnds() {
    http.engine = &limiter->engine();
    http.max_body_bytes = server_config.max_request_bytes;
    http.max_headers = server_config.max_header_count;
    http.metrics = [this] { return metrics_enabled.load() ? metrics.Get() : nullptr; };
    http.ready = [this](std::string* why) { return Ready(why); };
    http.leaving = [this] { return draining.load(std::memory_order_relaxed); };
    admin = http;
    admin.serve = http::kServeMetrics;
    http.serve = HttpServes(server_config.http);
    http.tokens = SecretSet(server_config.http.tokens);
    http.guard = &http_guard;
    resp.engine = &limiter->engine();
    resp.passwords = Passwords(server_config);
    resp.serve = RespServes(server_config.resp);
    resp.guard = &resp_guard;
    // So that a command that is too long is told so, before the connection's own bound cuts it.
    const auto at_most = [this](std::uint32_t& bound) { bound = std::min(bound, server_config.max_request_bytes); };
    at_most(resp.limits.max_command_bytes);
    at_most(resp.limits.max_bulk_bytes);
    at_most(resp.limits.max_inline_bytes);
    grpc = std::make_unique<GrpcFrontEnd>(
        limiter->engine(), server_config,
        [this] {
          std::string why;
          return Ready(&why);
        },
        &grpc_guard);
  }

  Result<std::vector<net::ListenerOptions>> Listeners() {
    std::vector<net::ListenerOptions> listeners;
    const std::vector<InheritedSocket> inherited = InheritedSockets();
    const auto add = [&](const char* name, const ListenerConfig& config, net::SessionFactory sessions,
                         std::vector<std::string> alpn = {}) {
      if (config.address == "off" || config.address.empty()) return;
      const bool listener_is_admin = std::string_view(name) == "admin";
      net::ListenerOptions listener{.name = name,
                                    .address = config.address,
                                    .inherited_fds = {},
                                    .tls = nullptr,
                                    .sessions = std::move(sessions),
                                    .mode = ModeOf(config),
                                    .reserve = listener_is_admin ? kAdminReserve : 0};
      for (const InheritedSocket& socket : inherited) {
        if (socket.name == name || (socket.name.empty() && listener.name == "http"))
          listener.inherited_fds.push_back(socket.fd);
      }
      if (config.tls) {
        listener.tls = std::make_unique<net::TlsOptions>(net::TlsOptions{
            config.tls->certificate_file, config.tls->key_file, config.tls->client_ca_file, std::move(alpn)});
      }
      listener_names.emplace_back(name);
      listeners.push_back(std::move(listener));
    };
    add("http", server_config.http, [this](net::Connection& c) { return http::MakeHttpSession(c, http); });
    add("resp", server_config.resp, [this](net::Connection& c) { return resp::MakeRespSession(c, resp); });
    add("grpc", server_config.grpc, [this](net::Connection& c) { return rls::MakeGrpcSession(c, grpc->options()); },
        {"h2"});
    add("admin", server_config.admin, [this](net::Connection& c) { return http::MakeHttpSession(c, admin); });
    if (listeners.empty()) return Fail(ErrorCode::kInvalidArgument, "every listener is off: there is nothing to serve");
    return listeners;
  }
};

Result<std::unique_ptr<Daemon>> Daemon::Start(DaemonOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->clock = options.clock != nullptr ? options.clock : &DecisionClock();
  parts->started = parts->clock->Now();
  const auto document = DocumentOf(options);
  if (!document) return std::unexpected(document.error());
  auto loaded = Load(*document);
  if (!loaded.ok()) return std::unexpected(loaded.ToError());
  const EnterpriseRateLimitConfig* const config = &loaded.config;
  parts->files = FilesWith(options.config_file, loaded.files);
  parts->server_config = config->server;
  ApplyOverrides(options, parts->server_config);
  parts->options = std::move(options);
  ConfigureLogs(parts->server_config);

  parts->metrics_enabled = config->analytics.metrics_enabled;
  auto limiter = RateLimiter::Create(*config, {.clock = parts->clock, .extractors = {}});
  if (!limiter) return std::unexpected(WhyNot(*document, loaded, limiter.error()));
  LogWarnings(loaded.faults);
  parts->limiter = std::move(*limiter);

  parts->PrepareFrontEnds();
  auto listeners = parts->Listeners();
  if (!listeners) return std::unexpected(listeners.error());
  const std::uint64_t needed = std::uint64_t{parts->server_config.max_connections} + kAdminReserve + kOtherDescriptors;
  if (const std::uint64_t most = RaiseDescriptorLimit(); most < needed) {
    log::Warn("too few file descriptors for server.max_connections: more connections wait in the kernel's queue",
              {{"descriptors", std::to_string(most)},
               {"needed", std::to_string(needed)},
               {"hint", "raise ulimit -n, or LimitNOFILE= of the unit"}});
  }
  auto server = net::Server::Start({.threads = parts->server_config.threads,
                                    .max_connections = parts->server_config.max_connections,
                                    .max_input_bytes = parts->server_config.max_request_bytes + 65'536,
                                    .max_output_bytes = MostOutput(parts->server_config.max_request_bytes),
                                    .max_buffered_bytes = parts->server_config.max_buffered_bytes,
                                    .idle_timeout_ms = parts->server_config.idle_timeout_ms},
                                   std::move(*listeners));
  if (!server) return std::unexpected(WithAdvice(server.error(), parts->server_config));
  parts->server = std::move(*server);
  parts->serving.store(parts->server.get(), std::memory_order_release);
  return std::unique_ptr<Daemon>(new Daemon(std::move(parts)));
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Daemon::~Daemon() {
  // Sessions use the engine: the loops must be gone first. What the store still answers afterwards reaches the gRPC
  // services, so these go last.
  parts_->server.reset();
  if (parts_->grpc != nullptr) parts_->grpc->StopWatching();
  parts_->limiter.reset();
}

RateLimiter& Daemon::limiter() { return *parts_->limiter; }

std::string Daemon::AddressOf(std::string_view listener) const {
  const auto& names = parts_->listener_names;
  const auto found = std::find(names.begin(), names.end(), listener);
  if (found == names.end()) return "";
  return parts_->server->addresses()[static_cast<std::size_t>(found - names.begin())];
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
  if (const auto read = parts_->server->ReloadTls(); !read) {
    log::Error("certificate refused, the old one stays in use", {{"why", read.error().message}});
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
  ApplyOverrides(parts_->options, config->server);
  if (auto applied = parts_->limiter->Apply(*config); !applied) {
    return refuse(WhyNot(*document, loaded, applied.error()));
  }
  LogWarnings(loaded.faults);
  for (const std::string& name : NeedRestart(parts_->server_config, config->server)) {
    log::Warn("setting takes effect at the next start", {{"setting", name}});
  }
  ConfigureLogs(config->server);
  parts_->metrics_enabled = config->analytics.metrics_enabled;
  ++parts_->reloads_ok;
  log::Info("configuration in force",
            {{"file", file}, {"version", std::to_string(parts_->limiter->engine().snapshot()->version())}});
  return {};
}

std::uint32_t Daemon::StartLeaving() {
  parts_->draining = true;
  parts_->grpc->Refresh();
  return parts_->limiter->engine().snapshot()->document().server.drain_delay_ms;
}

void Daemon::Drain() {
  StartLeaving();
  const std::uint64_t cut =
      parts_->server->Drain(parts_->limiter->engine().snapshot()->document().server.drain_timeout_ms);
  if (cut > 0) log::Warn("connections cut at the end of the drain", {{"count", std::to_string(cut)}});
}

}  // namespace weir::server
