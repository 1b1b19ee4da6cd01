// The HTTP front end: the API of docs/http-api.md as a net::Session, HTTP/1.1 and 1.0, keep-alive and pipelining.
//
// All questions of one read go to the engine as one batch and are answered by one write, in order. While a store that
// answers later is being asked, the connection is paused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/crypto/secret.h"
#include "frontends/http/routes.h"
#include "net/login_guard.h"
#include "net/session.h"

namespace weir::engine {
class Engine;
}

namespace weir::http {

struct HttpOptions {
  engine::Engine* engine = nullptr;  // never null; outlives the sessions
  std::uint32_t max_request_line = 8'192;
  std::uint32_t max_header_bytes = 49'152;
  std::uint32_t max_headers = 100;
  std::uint32_t max_body_bytes = 1'048'576;
  // What is served beside health: anything else is answered with 403. A listener for administration serves
  // kServeMetrics.
  ServeSet serve = kServeByDefault;
  // Which secrets a request has to bring one of, for anything but health; empty: none. Failures are told to `guard`.
  SecretSet tokens;
  net::LoginGuard* guard = nullptr;  // may be nullptr; outlives the sessions
  // The Prometheus text of /metrics; empty function, or nullptr: 404. Called on a connection's loop.
  std::function<std::shared_ptr<const std::string>()> metrics;
  // Whether to send traffic here; if not, or with a reservation, writes why. Empty function: always ready.
  std::function<bool(std::string* why)> ready;
  // The server is about to drain: requests are answered as ever, but each answer says Connection: close, so that
  // clients take their next one elsewhere. Empty function: it is not.
  std::function<bool()> leaving;
};

// `options` and `connection` must outlive the session.
std::unique_ptr<net::Session> MakeHttpSession(net::Connection& connection, const HttpOptions& options);

}  // namespace weir::http
