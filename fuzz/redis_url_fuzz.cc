// The Redis URL: whatever is written there, it is parsed or refused, and the password is not repeated.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/redis_url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weir::Describe;
  using weir::ParseRedisUrl;
  const auto url = ParseRedisUrl(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!url) return 0;
  const bool local = url->transport == weir::RedisUrl::Transport::kUnix;
  if (local ? url->path.size() < 2 : url->host.empty() || url->port == 0) std::abort();
  // What describes it can be read again, and leads to the same place.
  if (local) return 0;
  const auto again = ParseRedisUrl(Describe(*url));
  if (!again || again->host != url->host || again->port != url->port || again->database != url->database) std::abort();
  return 0;
}
