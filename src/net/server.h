// Event loops, one thread each, and the listeners they share with SO_REUSEPORT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/session.h"
#include "weir/result.h"

namespace weir::net {

struct TlsOptions {
  std::string certificate_file;
  std::string key_file;
  std::string client_ca_file;     // empty: no client certificates
  std::vector<std::string> alpn;  // protocols offered, in order of preference
};

struct ListenerOptions {
  std::string name;                // "http", for logs and metrics
  std::string address;             // "127.0.0.1:8080", "[::1]:0", "unix:/path"
  std::vector<int> inherited_fds;  // socket activation: used instead of binding, when not empty
  std::unique_ptr<TlsOptions> tls;
  SessionFactory sessions;
};

struct ServerOptions {
  std::uint32_t threads = 0;                           // 0 = one a core
  std::uint32_t max_connections = 10'000;              // over all listeners; more are closed at once and counted
  std::uint32_t max_input_bytes = (1 << 20) + 65'536;  // unconsumed input of one connection
  std::uint32_t max_output_bytes = 16 << 20;           // unsent output of one connection; a reader this slow is closed
  std::uint32_t idle_timeout_ms = 60'000;              // without a byte in either direction; 0 = none
};

struct ServerStats {
  std::uint64_t accepted = 0, refused = 0, open = 0, idle_closed = 0, overflow_closed = 0, bytes_in = 0, bytes_out = 0;
};

class Server {
 public:
  // Binds everything first: an address in use is an error here (kAlreadyExists, with the address), and nothing serves.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, std::vector<ListenerOptions> listeners);
  // Stops at once.
  ~Server();

  // "127.0.0.1:41234" for each listener, in order: the port that was picked for port 0.
  const std::vector<std::string>& addresses() const;
  // Stops accepting, tells every session to drain, and returns when all connections are gone or `timeout_ms` passed
  // (then closes the rest; returns how many those were).
  std::uint64_t Drain(std::uint32_t timeout_ms);
  ServerStats Stats() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::net
