#include "server/data_plane/data_plane.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace weir::server {
namespace {

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

}  // namespace

DataPlane::DataPlane(engine::Engine& engine, const ServerConfig& config, DataPlaneHooks hooks) : config_(config) {
  http_.engine = &engine;
  http_.max_body_bytes = config_.max_request_bytes;
  http_.max_headers = config_.max_header_count;
  http_.metrics = std::move(hooks.metrics);
  http_.ready = hooks.ready;
  http_.leaving = std::move(hooks.leaving);
  http_.serve = HttpServes(config_.http);
  http_.tokens = SecretSet(config_.http.tokens);
  http_.guard = &http_guard_;
  resp_.engine = &engine;
  resp_.passwords = Passwords(config_);
  resp_.serve = RespServes(config_.resp);
  resp_.guard = &resp_guard_;
  // So that a command that is too long is told so, before the connection's own bound cuts it.
  const auto at_most = [this](std::uint32_t& bound) { bound = std::min(bound, config_.max_request_bytes); };
  at_most(resp_.limits.max_command_bytes);
  at_most(resp_.limits.max_bulk_bytes);
  at_most(resp_.limits.max_inline_bytes);
  grpc_ = std::make_unique<GrpcFrontEnd>(
      engine, config_,
      [ready = std::move(hooks.ready)] {
        std::string why;
        return ready(&why);
      },
      &grpc_guard_);
}

bool DataPlane::has_listeners() const {
  const auto is_on = [](const ListenerConfig& listener) {
    return listener.address != "off" && !listener.address.empty();
  };
  return is_on(config_.http) || is_on(config_.resp) || is_on(config_.grpc);
}

Result<> DataPlane::Start(const std::function<std::vector<int>(std::string_view listener)>& inherited) {
  std::vector<net::ListenerOptions> listeners;
  const auto add = [&](const char* name, const ListenerConfig& config, net::SessionFactory sessions,
                       std::vector<std::string> alpn = {}) {
    if (config.address == "off" || config.address.empty()) return;
    net::ListenerOptions listener{.name = name,
                                  .address = config.address,
                                  .inherited_fds = inherited(name),
                                  .tls = nullptr,
                                  .sessions = std::move(sessions),
                                  .mode = ModeOf(config)};
    if (config.tls) {
      listener.tls = std::make_unique<net::TlsOptions>(net::TlsOptions{
          config.tls->certificate_file, config.tls->key_file, config.tls->client_ca_file, std::move(alpn)});
    }
    names_.emplace_back(name);
    listeners.push_back(std::move(listener));
  };
  add("http", config_.http, [this](net::Connection& c) { return http::MakeHttpSession(c, http_); });
  add("resp", config_.resp, [this](net::Connection& c) { return resp::MakeRespSession(c, resp_); });
  add("grpc", config_.grpc, [this](net::Connection& c) { return rls::MakeGrpcSession(c, grpc_->options()); }, {"h2"});
  if (listeners.empty()) return {};
  auto server = net::Server::Start({.threads = config_.threads,
                                    .max_connections = config_.max_connections,
                                    .max_input_bytes = config_.max_request_bytes + 65'536,
                                    .max_output_bytes = MostOutput(config_.max_request_bytes),
                                    .max_buffered_bytes = config_.max_buffered_bytes,
                                    .idle_timeout_ms = config_.idle_timeout_ms},
                                   std::move(listeners));
  if (!server) return std::unexpected(server.error());
  server_ = std::move(*server);
  serving_.store(server_.get(), std::memory_order_release);
  return {};
}

void DataPlane::Stop() {
  serving_.store(nullptr, std::memory_order_release);
  server_.reset();
  grpc_->StopWatching();
}

std::string DataPlane::AddressOf(std::string_view listener) const {
  const auto found = std::ranges::find(names_, listener);
  if (found == names_.end() || server_ == nullptr) return "";
  return server_->addresses()[static_cast<std::size_t>(found - names_.begin())];
}

std::vector<std::pair<std::string, const net::LoginGuard*>> DataPlane::guards() const {
  return {{"http", &http_guard_}, {"resp", &resp_guard_}, {"grpc", &grpc_guard_}};
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

}  // namespace weir::server
