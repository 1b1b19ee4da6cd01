// One connection to PostgreSQL in pipeline mode that keeps itself up: connects on a thread of its own (names, TLS and
// login block), then serves on the I/O thread, and after a loss connects again with growing waits. Every call happens
// on the I/O thread.
//
// Invariants:
//  1. Each exchange that was sent is told exactly once: OnRows, OnRefused or OnFailure.
//  2. A request is its statements and one sync: they are one transaction, unless they begin and end one themselves, and
//     after the first that fails the rest is not carried out. Requests are answered in the order they were sent. One
//     that timed out keeps its place, so that its late answer is dropped and the next one meets the right exchange.
//  3. An answer overdue by `stall` closes the connection: what is behind it will not be answered either.
//  4. Statements are unnamed, and no setting of the session is changed: whoever serves the next transaction (PgBouncer
//     in transaction mode) makes no difference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "io/postgres/session.h"
#include "io/postgres/values.h"
#include "weir/result.h"

namespace boost::asio {
class io_context;
}

namespace weir::io::postgres {

class Connection;

enum class Failure : std::uint8_t {
  kTimeout,  // no answer in time; what was asked may yet be carried out
  kLost,     // the connection closed before an answer; the same
};

// A request that waits for its answer.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // One for each statement.
  virtual void OnRows(Connection& connection, std::span<const Rows> answers) = 0;
  // The first error; nothing of the request is left behind, but a transaction that it began must be rolled back.
  virtual void OnRefused(Connection& connection, const ServerError& error) = 0;
  // With kTimeout the connection may still be there, and be busy with it.
  virtual void OnFailure(Failure failure) = 0;
};

class ConnectionOwner {
 public:
  virtual void OnReady(Connection& connection) = 0;
  // Was ready, and is not any more (`was_ready`), or an attempt to connect failed.
  virtual void OnLost(Connection& connection, bool was_ready, std::string_view why) = 0;
  // Ready, and an answer has come after which nothing waits; maybe a late one, of which no exchange is told.
  virtual void OnIdle(Connection& connection) = 0;

 protected:
  ~ConnectionOwner() = default;
};

struct ConnectionOptions {
  SessionOptions session;
  // What is done first with each new connection, on its own thread. A failure ends it.
  std::function<Result<>(Session& session)> prepare;
  Nanos stall = kSecond;
  Nanos backoff_min = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  std::function<double()> jitter;  // uniform in [0, 1)
};

class Connection {
 public:
  virtual ~Connection() = default;

  // Starts to connect. Call once.
  virtual void Start() = 0;
  // Closes for good: what waits is told kLost. Waits for an attempt to connect, which ends at once unless it is looking
  // up a name.
  virtual void Stop() = 0;
  // Closes what there is, and connects again after the back-off.
  virtual void Drop(std::string_view why) = 0;
  // A request was served properly: the next reconnection begins with the shortest wait.
  virtual void Proven() = 0;

  virtual bool ready() const = 0;
  // Exchanges that wait, those that timed out included.
  virtual std::size_t waiting() const = 0;

  // Only when ready. `deadline` is on SteadyNow()'s clock.
  virtual void Send(std::span<const Statement> statements, std::unique_ptr<Exchange> exchange, Nanos deadline) = 0;
};

// `owner` and `io` outlive the connection.
std::shared_ptr<Connection> MakeConnection(boost::asio::io_context& io, ConnectionOptions options,
                                           ConnectionOwner& owner);

}  // namespace weir::io::postgres
