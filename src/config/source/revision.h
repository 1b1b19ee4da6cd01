// Where configurations come from. A file, a database or a stream of another control plane is a Source; what keeps the
// accepted changes is a ConfigStore (config_store.h). Engine::Apply takes what they give.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

// kCandidate, kShadow, kRollingOut: proposed, and not (or not for all) what holds. kInForce: it holds, or held until a
// later revision changed the same again; also a candidate that was promoted. kRolledBack: a later rollback undid it; of
// a candidate: it was withdrawn.
enum class RevisionState : std::uint8_t { kCandidate, kShadow, kRollingOut, kInForce, kRolledBack };

// One accepted change.
struct Revision {
  std::uint64_t number = 0;  // ascending, but not without gaps; 0: not counted by anybody
  std::uint64_t parent = 0;  // the one that it was made of; 0: none
  std::string author = {};   // who
  std::string reason = {};   // why
  std::string source = {};   // from where: a path, "api", "xds:CONTROL_PLANE"
  Nanos time = 0;            // when, since the Unix epoch
  std::string method = {};   // how the author was authenticated, or what acted: "token", "oidc", "file", "expiry"
  RevisionState state = RevisionState::kInForce;
  std::uint64_t rollback_to = 0;   // the revision that this one went back to; 0: it is no rollback
  std::uint64_t promotes = 0;      // the candidate that this one brought into force; 0: none
  std::uint64_t promoted_as = 0;   // of a candidate in force: the revision that did so
  std::uint64_t change_count = 0;  // how many records it changed (of a candidate: would change)
  friend bool operator==(const Revision&, const Revision&) = default;
};

// A policy and what is known of where it came from.
struct RevisedPolicy {
  Revision revision;
  EnterpriseRateLimitConfig policy;
};

// Ends when it is destroyed: afterwards nothing is told any more, nor being told. Not to be destroyed by its listener.
class Subscription {
 public:
  virtual ~Subscription() = default;
};

// Thread-safe.
class Source {
 public:
  virtual ~Source() = default;
  // What is to be in force now, parsed and validated. May take its time (a file, a network).
  virtual Result<RevisedPolicy> Current() = 0;
  // Tells each later one, in their order, on a thread of the source; one that cannot be read is told as an error, once.
  // What came so fast that nobody listened is left out, but for the last.
  using Listener = std::function<void(Result<RevisedPolicy>)>;
  virtual std::unique_ptr<Subscription> Subscribe(Listener listener) = 0;
};

}  // namespace weir::config
