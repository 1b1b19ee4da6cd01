// The daemon: composes limiter, listeners and front ends, reloads, drains.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"
#include "weir/result.h"

namespace weir::server {

struct DaemonOptions {
  // Empty: what the state directory keeps, at first (and without one) the built-in sample; with envoy_files: nothing
  // outside their domains.
  std::string config_file;
  std::vector<std::string> envoy_files;  // as if the document's `envoy.files` named them
  // Addresses that replace the document's: "127.0.0.1:8080", "unix:/path", "off"; port 0 picks a free one.
  std::optional<std::string> http, resp, grpc, admin;
  std::optional<std::string> state_dir;  // replaces the document's
  const Clock* clock = nullptr;          // nullptr: the system's
};

class Daemon {
 public:
  // Loads, binds and serves; an error names the file and every fault in it, or the address that is in use.
  static Result<std::unique_ptr<Daemon>> Start(DaemonOptions options);
  ~Daemon();

  // Where it listens: "http=127.0.0.1:8080 resp=127.0.0.1:6380 grpc=off admin=127.0.0.1:8089".
  std::string Listening() const;
  // The address of one listener ("http"), empty when it is off.
  std::string AddressOf(std::string_view listener) const;
  // What it was made of, files and directories: the document and what that names. Empty: there is nothing to reload.
  std::vector<std::string> Files() const;
  // Before it starts; of a document that cannot be read, the document.
  static std::vector<std::string> FilesOf(const DaemonOptions& options);
  // Reads the files again. An invalid one changes nothing; the error is logged and returned. Settings that need a
  // restart (listeners, threads, storage) are named in a warning and left as they are.
  Result<> Reload();
  // Is not ready any more, by probes, and sends HTTP clients elsewhere, but goes on serving; to be followed by Drain().
  // Returns for how long (milliseconds; the document in force says it).
  std::uint32_t StartLeaving();
  // Stops accepting, answers what is in hand, closes, saves states.
  void Drain();

  RateLimiter& limiter();
  // The first token of the management API when this start made one, to be shown once; else empty.
  const std::string& FirstToken() const;

 private:
  struct Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Runs a daemon until SIGTERM or SIGINT: prints one line when it is ready, reloads on SIGHUP and when the file changes.
// Returns the exit code.
int RunDaemon(const DaemonOptions& options);

}  // namespace weir::server
