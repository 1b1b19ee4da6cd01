// The question that a proxy asks about a request it holds: nginx auth_request, Traefik ForwardAuth, Caddy forward_auth,
// HAProxy. What the original request was is told by headers; how to read them and how to answer, by the query.
//
//   deny=429|403|401|200   the status of a denial (429). nginx knows only 401 and 403 as denials and turns 429 into
//                          500. 200: the proxy looks at X-Weir-Allowed.
//   uri_header, method_header            default: X-Original-URI and X-Original-Method (nginx, HAProxy), or
//                                        X-Forwarded-Uri and X-Forwarded-Method (Traefik, Caddy)
//   user_header, tenant_header, tier_header, api_key_header, country_header   which header names the user, ...; empty:
//                                        none. Default: what the document says (server.forward_auth.identity_headers)
//   api_key=bearer                       the token of `Authorization: Bearer` is the api key
//   domain, tenant, tier, cost           fixed values
//
// A parameter that is unknown or comes twice is an error: of two, one may be the visitor's.
//
// The URI is taken as it is; base/path.h says how it is read.
//
// A client may send any header. A proxy overwrites those of its own family, but lets the other family's through: when
// both are present and the query names neither, one of them is the client's, and so it is when one appears twice. That
// is answered as a denial, never as an error: some proxies let a request pass when the question fails.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "weir/config.h"
#include "weir/request.h"

namespace weir::http {

// The proxy's own request.
struct AuthInput {
  std::string_view method, target;
  std::span<const Attribute> headers;
  const IdentityHeaders& identity;
  std::string_view request_id_header = {};  // empty: none
};

struct AuthQuestion {
  Request request;  // headers and peer_ip are not set
  int deny_status = 429;
};

enum class AuthReading : std::uint8_t {
  kRead,
  kBadQuery,  // the proxy asks wrongly: 400
  kForged,    // the client wrote what only the proxy may: denied
};

// The request_id in the header of that name; empty: there is no such header. False: there are two, or it is none;
// `error` says so.
bool FindRequestId(std::span<const Attribute> headers, std::string_view name, std::string_view* id, std::string* error);

// What is decoded from the query lives in `arena`, the rest in `input`. `error`: what is wrong. After kForged
// question->deny_status is set.
AuthReading ReadAuthQuestion(const AuthInput& input, Arena& arena, AuthQuestion* question, std::string* error);

}  // namespace weir::http
