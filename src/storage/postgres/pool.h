// All connections to one database: on one I/O thread of their own, with the circuit breaker over them and the server's
// clock watched. A connection is given one thing at a time: while it waits, what comes next gathers and travels
// together.
//
// Not serving (before the first answer, with no connection, with the breaker open) means: ask nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "io/breaker.h"
#include "io/postgres/connection.h"
#include "storage/postgres/counters.h"
#include "storage/postgres/postgres_store.h"
#include "storage/postgres/schema.h"
#include "weir/result.h"

namespace weir::storage::postgres {

// Who has plans for the connections. Called on the I/O thread.
class PlanSource {
 public:
  // Sends the next batch over a connection that is free. False: there is nothing to send.
  virtual bool Feed(io::postgres::Connection& connection) = 0;
  // Not serving any more: what waits will not be sent.
  virtual void OnDown() = 0;
  // The moment of ArmDeadline() has come.
  virtual void OnDeadline() = 0;

 protected:
  ~PlanSource() = default;
};

// Something else than plans. Its answer is told on the I/O thread.
struct Request {
  std::vector<io::postgres::Statement> statements{};  // their texts live until the answer
  std::unique_ptr<io::postgres::Exchange> exchange{};
  Nanos timeout = kSecond;  // once it is sent
};

class Pool {
 public:
  // What is given outlives the pool.
  static std::unique_ptr<Pool> Create(const PostgresStoreOptions& options, const Statements& statements,
                                      Counters& counters, PlanSource& source);
  // As Close().
  ~Pool();

  // Starts the thread and waits for the first connection or its failure, at most 2 * connect_timeout. Call once, before
  // all else.
  void Start();

  // Tells what waits that it is lost, and ends the thread: nothing is told any more after the return. Not from the I/O
  // thread. A second call returns when the first has.
  void Close();

  // ---- any thread ----
  bool serving() const;
  io::BreakerState breaker_state() const;
  std::uint32_t ready_count() const;  // connections
  Nanos clock_offset() const;         // 0 with ClockSource::kCaller
  Nanos clock_round_trip() const;
  // Runs it on the I/O thread. False: closed, and it never will.
  [[nodiscard]] bool Post(std::function<void()> task);
  // Sends it over the next free connection. Its exchange is told kLost when there is none. False: closed.
  [[nodiscard]] bool Ask(std::unique_ptr<Request> request);

  // ---- the I/O thread ----
  // Gives work to the connections that are free.
  void Pump();
  // The source is told at `at` (io::SteadyNow()'s clock), or at an earlier moment that it asked for.
  void ArmDeadline(Nanos at);
  // What a plan tells about the server.
  void Succeeded(io::postgres::Connection& connection);
  void Failed(std::string_view why);

 private:
  struct Parts;
  explicit Pool(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::postgres
