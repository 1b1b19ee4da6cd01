// The Redis URL as the store knows it; what it may say and how it is read: base/redis_url.h.
#pragma once

#include <string_view>

#include "base/redis_url.h"

namespace weir::storage::redis {

using Url = RedisUrl;
using Transport = RedisUrl::Transport;
using Verify = RedisUrl::Verify;

inline Result<Url> ParseUrl(std::string_view text) {
  auto url = ParseRedisUrl(text);
  if (!url) return Fail(ErrorCode::kInvalidArgument, "redis url: " + url.error().message);
  return url;
}

}  // namespace weir::storage::redis
