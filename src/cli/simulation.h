// Replays an access log against a configuration, with the log's own times.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/manual_clock.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"
#include "weir/result.h"

namespace weir::cli {

struct SimulationReport {
  std::uint64_t lines = 0;                  // all that were read
  std::uint64_t unreadable = 0;             // not access log lines
  std::uint64_t first_unreadable_line = 0;  // 1-based; 0 = none
  std::string first_unreadable_why;
  // A rule found nobody to count in a line, and so did not limit it; any number in one line.
  std::uint64_t unidentified = 0;
  // Lines whose first field is no IP address (a host name, as Apache's HostnameLookups writes): rules by address do not
  // hold for them.
  std::uint64_t not_addresses = 0;
  std::uint64_t first_not_address_line = 0;  // 1-based; 0 = none
  std::string first_not_address;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  std::uint64_t shadow_denied = 0;  // a shadow rule would have denied
  Nanos first = 0, last = 0;        // times of the log
  struct ByRule {
    std::uint64_t denied = 0;
    std::uint64_t shadow_denied = 0;
    std::uint64_t clients = 0;  // distinct addresses it denied
  };
  std::map<std::string, ByRule, std::less<>> by_rule;
  struct Client {
    std::string address;
    std::uint64_t requests = 0, denied = 0;
    Nanos first_denied = 0, last_denied = 0;
    std::string rule;  // the one that denied it first
  };
  std::vector<Client> top_denied;  // by denials, most first
  struct Slice {
    Nanos start = 0;
    std::uint64_t allowed = 0, denied = 0;
  };
  std::vector<Slice> slices;  // equal lengths over the log's whole time, oldest first
  std::uint64_t clients = 0;
  std::uint64_t clients_untracked = 0;  // seen after the table of clients was full
};

struct SimulationOptions {
  std::uint32_t top = 10;
  // Told after every 65,536 lines with the bytes read so far; may be empty.
  std::function<void(std::uint64_t bytes, std::uint64_t lines)> progress;
};

// Reads `log` to its end. The state is kept in memory whatever the document's storage says. Lines that are not in order
// of time are decided at the latest time seen so far. Bounded: a line of 64 KiB, a million clients by name.
// kInvalidArgument when the configuration is invalid.
Result<SimulationReport> Simulate(EnterpriseRateLimitConfig config, std::istream& log,
                                  const SimulationOptions& options);

}  // namespace weir::cli
