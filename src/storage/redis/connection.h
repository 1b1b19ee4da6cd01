// One connection to Redis on top of io/stream_client.h: greets (AUTH, SELECT), pipelines, watches deadlines. Lives on
// one I/O thread: every call happens there.
//
// Invariants:
//  1. Each exchange that was sent is told exactly once: OnReply or OnFailure.
//  2. Replies go to exchanges in the order they were sent. One that timed out keeps its place, so that its late reply
//     is dropped and the next reply meets the right exchange.
//  3. A reply overdue by `stall` closes the connection: what is behind it will not be answered either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "io/tls_client.h"
#include "storage/redis/resp.h"
#include "storage/redis/url.h"

namespace boost::asio {
class io_context;
}

namespace weir::storage::redis {

class Connection;

enum class Failure : std::uint8_t {
  kTimeout,  // no reply in time; the command may yet be carried out
  kLost,     // the connection closed before a reply; the same
};

// A command that waits for its reply.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void OnReply(Connection& connection, Reply reply) = 0;
  virtual void OnFailure(Failure failure) = 0;
};

class ConnectionOwner {
 public:
  virtual void OnReady(Connection& connection) = 0;
  // Was ready, and is not any more (`ready`), or an attempt to connect failed.
  virtual void OnLost(Connection& connection, bool was_ready, std::string_view why) = 0;

 protected:
  ~ConnectionOwner() = default;
};

struct ConnectionOptions {
  Url url;
  Nanos connect_timeout = kSecond;  // name, TCP, TLS and greeting together
  Nanos stall = kSecond;
  Nanos backoff_min = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  std::size_t max_reply_bytes = 16 << 20;
  std::function<double()> jitter;  // uniform in [0, 1)
};

class Connection {
 public:
  virtual ~Connection() = default;

  // Starts to connect. Call once.
  virtual void Start() = 0;
  // Closes for good: what waits is told kLost.
  virtual void Stop() = 0;
  // Closes what there is, and connects again after the back-off.
  virtual void Drop(std::string_view why) = 0;
  // A command was served properly: the next reconnection begins with the shortest wait.
  virtual void Proven() = 0;

  virtual bool ready() const = 0;
  // Exchanges that wait, those that timed out included.
  virtual std::size_t waiting() const = 0;

  // Appends to what is to be written; `bytes` holds as many commands as there are exchanges. Nothing is written before
  // Flush(). Only when ready. `deadline` is on io::SteadyNow()'s clock.
  virtual void Send(std::string_view bytes, std::span<std::unique_ptr<Exchange>> exchanges, Nanos deadline) = 0;
  virtual void Flush() = 0;
};

// What the files that `url` names say. kInvalidArgument: one cannot be used.
Result<io::TlsClientPtr> MakeTls(const Url& url);

// `tls` (nullptr unless the URL says TLS), `owner` and `io` outlive the connection.
std::shared_ptr<Connection> MakeConnection(boost::asio::io_context& io, const ConnectionOptions& options,
                                           io::TlsClient* tls, ConnectionOwner& owner);

}  // namespace weir::storage::redis
