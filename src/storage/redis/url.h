// The Redis URL as the store knows it; what it may say and how it is read: base/redis_url.h.
#pragma once

#include <string_view>

#include "base/redis_url.h"
#include "io/endpoint.h"

namespace weir::storage::redis {

using Url = RedisUrl;
using Transport = RedisUrl::Transport;
using Verify = RedisUrl::Verify;

inline Result<Url> ParseUrl(std::string_view text) {
  auto url = ParseRedisUrl(text);
  if (!url) return Fail(ErrorCode::kInvalidArgument, "redis url: " + url.error().message);
  return url;
}

inline io::Endpoint EndpointOf(const Url& url) {
  using To = io::Endpoint::Transport;
  return {.transport = url.transport == Transport::kUnix  ? To::kUnix
                       : url.transport == Transport::kTls ? To::kTls
                                                          : To::kTcp,
          .host = url.host,
          .port = url.port,
          .path = url.path,
          .server_name = url.server_name,
          .verify_peer = url.verify == Verify::kPeer};
}

}  // namespace weir::storage::redis
