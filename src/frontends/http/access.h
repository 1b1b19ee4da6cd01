// Which requests a listener of the HTTP API refuses before it reads what they ask.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "frontends/http/answer.h"
#include "frontends/http/routes.h"
#include "frontends/http/session.h"
#include "http/request_parser.h"

namespace weir::http {

struct AccessQuestion {
  const RequestHead& head;
  std::string_view peer;  // the address that failed logins are counted for
  Nanos now = 0;
};

// The answer to a request that is refused: its path or method does not exist or is not served here, or the client has
// no token, or is another site's page. nullopt: the request may be read. `route`: of its path; nullptr: there is none.
std::optional<Plain> RefuseRequest(const Route* route, const AccessQuestion& question, const HttpOptions& options);

}  // namespace weir::http
