// gRPC over HTTP/2 (RFC 9113, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) as a net::Session, by
// nghttp2. With prior knowledge ("h2c") or, under TLS, by ALPN "h2".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/crypto/secret.h"
#include "frontends/rls/http2/service.h"
#include "net/login_guard.h"
#include "net/session.h"

namespace weir::rls {

class CallCounters;

struct GrpcOptions {
  std::vector<Service*> services;  // health and reflection are among them, when wanted; outlive the sessions
  // For deadlines and timeouts, so one that is never set; nullptr: MonotonicClock().
  const Clock* clock = nullptr;
  std::uint32_t max_message_bytes = 1 << 20;  // a message, also decompressed
  std::uint32_t max_header_bytes = 16 << 10;  // of one request, unpacked; 4 times as much ends the connection
  std::uint32_t max_concurrent_streams = 1'000;
  // Streams that the client cancels before they are asked or answered, of the latest 1,000 (rapid reset). One that
  // waits for a store is not among them: clients with short deadlines cancel those in good faith.
  std::uint32_t max_resets = 200;
  // Answers that a slow reader leaves with us. A stream's answer may be as long as its message, and has to fit in.
  std::size_t max_queued_bytes = 4 << 20;
  // For a request to arrive: a unary call's message, from its headers on; each message of a stream, once it has begun;
  // a frame, likewise. And for some byte of the answers that wait to be taken. 0 = none. A stream without a message may
  // last.
  std::uint32_t message_timeout_ms = 60'000;
  CallCounters* counters = nullptr;  // optional; outlives the sessions
  // Secrets of which a call has to bring one, but for services that are open to all; empty: none. Failures are told to
  // `guard`, which outlives the sessions, at the time of `clock`.
  SecretSet tokens;
  net::LoginGuard* guard = nullptr;
};

// `options` and `connection` must outlive the session.
std::unique_ptr<net::Session> MakeGrpcSession(net::Connection& connection, const GrpcOptions& options);

}  // namespace weir::rls
