// All connections to one server: on one I/O thread of their own, with the circuit breaker over them, the script kept
// loaded and the server's clock watched.
//
// Invariants:
//  1. Each exchange that was submitted is told exactly once, on the I/O thread: OnReply or OnFailure.
//  2. Requests of one submission go over one connection, in order; all that waits leaves with one write a connection.
//  3. Not serving (before the first answer, with no connection, with the breaker open) means: ask nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "io/breaker.h"
#include "storage/redis/connection.h"
#include "storage/redis/counters.h"
#include "storage/redis/redis_store.h"
#include "weir/result.h"

namespace weir::storage::redis {

struct Submission {
  std::string bytes;  // as many commands as there are exchanges
  std::vector<std::unique_ptr<Exchange>> exchanges;
  Nanos deadline = 0;  // on io::SteadyNow()'s clock
};

class Pool {
 public:
  // Starts the thread and waits for the first connection or its failure, at most options.connect_timeout. `options` are
  // valid; `counters` outlives the pool. Fails only for a URL or TLS files that cannot be used.
  static Result<std::unique_ptr<Pool>> Create(const RedisStoreOptions& options, Counters& counters);
  // As Close().
  ~Pool();

  // Tells what waits that it is lost, and ends the thread: nothing is told any more after the return. Not from the I/O
  // thread. A second call returns when the first has.
  void Close();

  // ---- any thread ----
  bool serving() const;
  io::BreakerState breaker_state() const;
  std::uint32_t ready_count() const;  // connections
  Nanos clock_offset() const;         // 0 with ClockSource::kCaller
  Nanos clock_round_trip() const;
  // An exchange that cannot be sent is told kLost on the I/O thread. False: closed, and no exchange is told anything.
  [[nodiscard]] bool Submit(std::unique_ptr<Submission> submission);

  // ---- the I/O thread: from exchanges ----
  // What a plan tells about the server.
  void Succeeded(Connection& connection);
  void Failed(std::string_view why);
  // What is sent on this connection after it finds the script there; many plans that miss it share one load.
  void LoadScript(Connection& connection);

 private:
  struct Parts;
  explicit Pool(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::redis
