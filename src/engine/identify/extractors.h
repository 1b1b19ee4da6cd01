// Custom identifiers: how each extractor of a configuration finds its value in a request.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/clock.h"
#include "engine/identify/extraction_cache.h"
#include "engine/identify/jwt.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::engine {

// Compiled once a configuration; thread-safe.
//
//   header:NAME, query:NAME, cookie:NAME   the values of that name (request_fields.h); present but empty is a value
//   attribute:NAME   the first of exactly that name
//   path:REGEX    RE2, anywhere in the path in its normal form (base/path.h); the first group, or without groups the
//                 whole match
//   jwt:CLAIM     of the bearer token (jwt.h)
//   lua:SCRIPT    (lua_script.h)
//   basic:ip      the basic limiter's key of an address (weir/config.h)
//   NAME          a registered C++ function; an empty view is none
//
// A script that fails is not the same as one that finds nothing: what a client sends must not be able to switch its
// rule off. Extract() then says kFailed, and identify.h counts all such requests as one subject. A client cannot choose
// its subject either by sending what servers read in different ways: a second value is counted as well, and what has
// more of them is kAmbiguous, again one subject. So are two different bearer tokens.
class Extractors {
 public:
  using Registered = std::vector<std::pair<std::string, Extractor>>;

  // One for each of `specs`, in order. kInvalidArgument names the first that is wrong and why.
  static Result<Extractors> Create(std::span<const std::string> specs, const JwtConfig& jwt,
                                   const Registered& registered);
  ~Extractors();
  Extractors(Extractors&&) noexcept;
  Extractors& operator=(Extractors&&) noexcept;

  // The value for specs[index], in the request, the arena or static. `cache_duration` > 0: an answer for the same input
  // is reused for so long on this thread (a verified token's not beyond its `exp`); extractors that are as quick as the
  // cache ignore it, and so do requests with two values. Allocates nothing for header, query, cookie and attribute.
  Extracted Extract(std::uint32_t index, const Request& request, Nanos now, Nanos cache_duration, Arena& arena) const;

  const JwtReader& jwt() const { return jwt_; }
  // Runs that ended kFailed, since Create.
  std::uint64_t failures() const;

 private:
  struct One;
  struct Failures;
  explicit Extractors(JwtReader jwt);
  Extracted Run(const One& one, const Request& request, Nanos now, Arena& arena, Nanos& until) const;

  JwtReader jwt_;
  std::vector<One> all_;
  std::unique_ptr<Failures> failures_;
};

}  // namespace weir::engine
