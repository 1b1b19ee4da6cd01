// Replays access logs against a configuration, with the logs' own times.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/log_files.h"
#include "cli/timeline.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::cli {

struct SimulationReport {
  std::uint64_t lines = 0;                  // all that were read
  std::uint64_t blank = 0;                  // empty ones among them
  std::uint64_t unreadable = 0;             // not access log lines
  std::uint64_t first_unreadable_line = 0;  // 1-based; 0 = none
  std::string first_unreadable_why;
  // A rule found nobody to count in a line, and so did not limit it; any number in one line.
  std::uint64_t unidentified = 0;
  // Lines whose client is no IP address (a host name, as Apache's HostnameLookups writes): rules by address do not hold
  // for them.
  std::uint64_t not_addresses = 0;
  std::uint64_t first_not_address_line = 0;  // 1-based; 0 = none
  std::string first_not_address;
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  std::uint64_t waits = 0;                    // of those allowed: with a delay
  std::uint64_t challenged = 0, charged = 0;  // of those denied: could have gone on after a challenge, or a payment
  std::uint64_t shadow_denied = 0;            // a shadow rule would have denied
  Nanos first = 0, last = 0;                  // times of the log
  Nanos zone = 0;                             // of the log's first line, east of UTC: in which times are shown
  struct ByRule {
    std::uint64_t denied = 0;
    std::uint64_t shadow_denied = 0;
    std::uint64_t clients = 0;  // distinct clients it denied
  };
  std::map<std::string, ByRule, std::less<>> by_rule;
  // Whom the base rule of a request counts: an address or network ("2001:db8::"), a user, an API key. Where no rule
  // counts anybody: the address, as rules would cut it.
  struct Client {
    std::string subject;
    std::uint64_t requests = 0, denied = 0;
    Nanos first_denied = 0, last_denied = 0;
    std::string rule;  // the one that denied it first
  };
  std::vector<Client> top_denied;  // by denials, most first
  struct Path {
    std::string path;  // without its query
    std::uint64_t requests = 0, denied = 0;
  };
  std::vector<Path> top_paths;  // by denials, then by requests, most first
  std::vector<Timeline::Slice> slices;
  Nanos slice_length = 0;
  Timeline::Peak peak_second, peak_minute;
  std::uint64_t clients = 0;
  std::uint64_t clients_untracked = 0;  // requests of clients seen after the table of clients was full
  std::uint64_t paths_untracked = 0;    // requests of paths seen after the table of paths was full
};

struct SimulationOptions {
  std::uint32_t top = 10;
  // Told after every 65,536 lines; may be empty.
  std::function<void(std::uint64_t lines)> progress;
};

// Reads the lines to their end. The state is kept in memory whatever the document's storage says. Lines that are not in
// order of time are decided at the latest time seen so far. Bounded: a million clients and 100,000 paths by name.
// kInvalidArgument when the configuration is invalid.
Result<SimulationReport> Simulate(EnterpriseRateLimitConfig config, const NextLine& next,
                                  const SimulationOptions& options);

}  // namespace weir::cli
