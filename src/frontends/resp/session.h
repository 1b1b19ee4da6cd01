// Redis clients as clients of weir: RESP2 and RESP3.
//   CL.THROTTLE key max_burst count period [quantity]   as redis-cell answers it
//   THROTTLE key burst count period [quantity]          as throttlecrab answers it
//   WEIR.CHECK field value ...                          against the configured rules; also WEIR.PEEK, RESERVE, COMMIT,
//                                                       CANCEL, REFUND, RESET, EXPLAIN
//   MULTI ... EXEC, DISCARD                             as client libraries wrap their pipelines; WATCH, UNWATCH do
//   nothing
// and of Redis' own commands those with which clients introduce themselves.
//
// All commands of one read are asked of the engine together and answered with one write, in order.
//
// What is queued after MULTI is read at once: a command that is unknown, not served or malformed is answered with its
// error then, and EXEC runs none of them (EXECABORT), so nothing is charged.
#pragma once

#include <memory>
#include <string>

#include "base/crypto/secret.h"
#include "engine/engine.h"
#include "frontends/resp/commands.h"
#include "frontends/resp/parser.h"
#include "net/login_guard.h"
#include "net/session.h"

namespace weir::resp {

struct RespOptions {
  engine::Engine* engine = nullptr;  // outlives every session
  SecretSet passwords;               // empty: no AUTH needed; else one of them
  ServeSet serve = kServeByDefault;  // another command of weir's is answered with NOPERM
  net::LoginGuard* guard = nullptr;  // failed AUTHs are told to it, and wait as it says; may be nullptr; outlives them
  ParserLimits limits;
};

std::unique_ptr<net::Session> MakeRespSession(net::Connection& connection, RespOptions options);

}  // namespace weir::resp
