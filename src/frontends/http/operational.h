// The paths of the HTTP API that ask no question of the engine: its own summary, health, metrics.
#pragma once

#include "frontends/http/answer.h"
#include "frontends/http/routes.h"
#include "frontends/http/session.h"

namespace weir::http {

// `endpoint`: kRoot, kLive, kReady or kMetrics. `draining`: the connection's server is stopping, which is not ready.
Plain AnswerOperational(Endpoint endpoint, bool draining, const HttpOptions& options);

}  // namespace weir::http
