// Where configurations come from and what is remembered of them. A file, a database or a stream of another control
// plane is a Source; what keeps the accepted changes is a History. Engine::Apply takes what they give.
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

// One accepted change.
struct Revision {
  std::uint64_t number = 0;  // ascending, but not without gaps; 0: not counted by anybody
  std::uint64_t parent = 0;  // the one that it was made of; 0: none
  std::string author = {};   // who
  std::string reason = {};   // why
  std::string source = {};   // from where: a path, "api", "xds:CONTROL_PLANE"
  Nanos time = 0;            // when, since the Unix epoch
  friend bool operator==(const Revision&, const Revision&) = default;
};

// A policy and what is known of where it came from.
struct RevisedPolicy {
  Revision revision;
  EnterpriseRateLimitConfig policy;
};

// Ends when it is destroyed: afterwards nothing is told any more, nor being told.
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

// Thread-safe. What was appended stays as it is.
class History {
 public:
  virtual ~History() = default;
  // Its number, which is larger than all before. kFailedPrecondition: `parent` is not the latest any more.
  virtual Result<std::uint64_t> Append(RevisedPolicy revised) = 0;
  virtual Result<RevisedPolicy> Get(std::uint64_t number) = 0;  // kNotFound
  // The latest first, those below `before` (0: all), at most `most`.
  virtual Result<std::vector<Revision>> List(std::uint64_t before, std::size_t most) = 0;
};

}  // namespace weir::config
