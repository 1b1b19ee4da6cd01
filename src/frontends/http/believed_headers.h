// Which headers of a question say who the visitor is and what the question is called, by the configuration in force.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "engine/engine.h"
#include "frontends/http/forward_auth.h"
#include "http/request_parser.h"
#include "weir/config.h"
#include "weir/request.h"

namespace weir::http {

// A session's copy, made again when the configuration has changed. Used on one thread.
class BelievedHeaders {
 public:
  struct Names {
    std::uint64_t version = 0;
    IdentityHeaders identity;
    std::string request_id;  // empty: none

    // For a question whose body names none. False: the header holds none, or there are two; `error` says so.
    bool AddRequestId(const RequestHead& head, Arena& arena, Request* request, std::string* error) const {
      if (request_id.empty() || !request->request_id.empty()) return true;
      std::string_view id;
      if (!FindRequestId(head.headers, request_id, &id, error)) return false;
      if (!id.empty()) request->request_id = arena.Copy(id);
      return true;
    }
  };
  const Names& Of(const engine::Engine& engine) {
    if (const std::uint64_t version = engine.version(); names_ == nullptr || names_->version != version) {
      const auto snapshot = engine.snapshot();
      const ServerConfig& server = snapshot->document().server;
      names_ = std::make_unique<Names>(version, server.forward_auth.identity_headers, server.request_id_header);
    }
    return *names_;
  }

 private:
  std::unique_ptr<Names> names_;  // nullptr: not asked for yet, as most sessions never do
};

}  // namespace weir::http
