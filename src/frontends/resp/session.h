// Redis clients as clients of weir: RESP2 and RESP3.
//   CL.THROTTLE key max_burst count period [quantity]   as redis-cell answers it
//   THROTTLE key burst count period [quantity]          as throttlecrab answers it
//   WEIR.CHECK field value ...                          against the configured rules; also WEIR.PEEK, RESERVE, COMMIT,
//                                                       CANCEL, REFUND, RESET, EXPLAIN
// and of Redis' own commands those with which clients introduce themselves.
//
// All commands of one read are asked of the engine together and answered with one write, in order.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "frontends/resp/parser.h"
#include "net/session.h"

namespace weir::resp {

struct RespOptions {
  engine::Engine* engine = nullptr;  // outlives every session
  std::string password;              // empty: no AUTH needed
  ParserLimits limits;
};

std::unique_ptr<net::Session> MakeRespSession(net::Connection& connection, RespOptions options);

}  // namespace weir::resp
