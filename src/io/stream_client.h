// One outgoing connection that keeps itself up: resolves, connects, does TLS, lets its protocol greet, carries bytes
// both ways, and after a loss connects again with growing waits. The protocol is a class derived from this one. Lives
// on one I/O thread: every call happens there.
//
// Invariants:
//  1. OnOpen() and OnClosed() alternate; OnBytes() comes in between only. An attempt that fails has an OnClosed()
//  alone.
//  2. Nothing is written before Flush(); what is appended while a write is under way goes with the next, by itself.
//  3. name, TCP, TLS and greeting together take at most `connect_timeout`.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "io/endpoint.h"
#include "io/tls_client.h"
#include "weir/result.h"

namespace weir::io {

struct StreamOptions {
  Endpoint endpoint;
  Nanos connect_timeout = kSecond;
  Nanos backoff_min = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  std::function<double()> jitter;  // uniform in [0, 1)
};

class StreamClient : public std::enable_shared_from_this<StreamClient> {
 public:
  // `tls` (nullptr unless the endpoint says TLS) and `io` outlive it. Held by a shared_ptr from the start.
  StreamClient(boost::asio::io_context& io, StreamOptions options, TlsClient* tls);
  virtual ~StreamClient();
  StreamClient(const StreamClient&) = delete;
  StreamClient& operator=(const StreamClient&) = delete;

  // Starts to connect. Call once.
  void StartStream();
  // Closes for good: no further OnClosed().
  void StopStream();
  // Closes what there is, and connects again after the back-off.
  void DropStream(std::string_view why);
  // The server served properly: the next reconnection begins with the shortest wait.
  void ResetBackoff();
  // The greeting is done: connect_timeout does not end this connection any more.
  void SetReady();
  bool is_ready() const;
  bool is_dropped() const;

  // Where to append what goes out at the next FlushStream(). Only between OnOpen() and OnClosed().
  std::string& stream_output();
  void FlushStream();

 protected:
  // Connected, TLS included: greet, then SetReady().
  virtual void OnOpen() = 0;
  // What came. An error drops the connection with its message.
  virtual Result<> OnBytes(std::string_view bytes) = 0;
  // The connection, or an attempt to connect, ended. `was_ready`: SetReady() was called on it. Not after StopStream().
  virtual void OnClosed(bool was_ready, std::string_view why) = 0;

 private:
  class Wire;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::io
