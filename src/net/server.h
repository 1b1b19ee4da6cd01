// Event loops, one thread each, and the listeners they share with SO_REUSEPORT.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
  std::optional<std::uint32_t> mode;  // of a Unix socket's file: 0660; none: by the umask
  // Places that only this listener's connections may take when ServerOptions::max_connections are open.
  std::uint32_t reserve = 0;
};

struct ServerOptions {
  std::uint32_t threads = 0;                           // 0 = one a core
  std::uint32_t max_connections = 10'000;              // over all listeners; more are closed at once and counted
  std::uint32_t max_input_bytes = (1 << 20) + 65'536;  // unconsumed input of one connection
  std::uint32_t max_output_bytes = 16 << 20;           // unsent output of one connection; a reader this slow is closed
  std::uint64_t max_buffered_bytes = 1 << 30;          // in all connections' buffers and sessions; 0 = no bound
  // Without a byte in either direction, with a request that does not become complete, or with an answer that its peer
  // does not take; 0 = none.
  std::uint32_t idle_timeout_ms = 60'000;
};

struct ServerStats {
  std::uint64_t accepted = 0, refused = 0, open = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t idle_closed = 0;      // silent, or with a request that did not become complete
  std::uint64_t slow_closed = 0;      // its peer did not take what was answered
  std::uint64_t overflow_closed = 0;  // a buffer of its own was full
  std::uint64_t crowded_closed = 0;   // all connections together were full, and it would have held more
  std::uint64_t room_refused = 0;     // the same for an answer that was about to be made; its connection lives on
  std::uint64_t buffered_bytes = 0;   // now, in all connections' buffers and sessions
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
  // Reads certificates and keys of all TLS listeners again, for connections to come. A listener whose files cannot be
  // used goes on with what it has; the error names each.
  Result<> ReloadTls();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::net
