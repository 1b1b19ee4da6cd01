// A request to the management API and its answer, without sockets: what the session reads, the router decides and the
// handlers see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "management/auth/mtls.h"

namespace weir::management::rest {

// Header fields that the API reads. Of a field that came twice, the values are joined with ", " as RFC 9110 has it; no
// field here may come twice with a useful meaning, so such a value is then refused by whoever reads it.
struct ApiHeaders {
  std::string authorization;
  std::string cookie;  // several joined by "; "
  std::string csrf;    // X-CSRF-Token
  std::string host;
  std::string origin;
  std::string sec_fetch_site;
  std::string content_type;
  std::string if_match;
  std::string if_none_match;
  std::string idempotency_key;
  std::string user_agent;
  std::string reason;  // Weir-Reason: why a change is made; into revisions and audit
};

struct ApiRequest {
  std::string method;  // as sent
  std::string target;  // "/admin/v1/users?limit=10"
  ApiHeaders headers;
  std::string body;
  std::string peer;                              // "192.0.2.1"; empty: a Unix socket
  std::vector<SubjectAltName> certificate = {};  // names of the client's, which TLS has verified
  std::string request_id;
};

struct ApiResponse {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // The answer goes on as server-sent events (stats/stream) after `body`.
  bool stream = false;
};

// What a handler has to say of one fault of a body.
struct BodyFault {
  std::string path = {};  // "rule.max_requests"
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message = {};
  std::string hint = {};
};

}  // namespace weir::management::rest
