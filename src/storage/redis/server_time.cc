#include "storage/redis/server_time.h"

#include <array>
#include <charconv>

namespace weir::storage::redis {

std::optional<Nanos> ParseServerTime(const Reply& reply) {
  if (reply.type != ReplyType::kArray || reply.elements.size() != 2) return std::nullopt;
  std::array<std::int64_t, 2> parts{};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string& text = reply.elements[i].text;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), parts[i]);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || parts[i] < 0) return std::nullopt;
  }
  if (parts[0] > INT64_MAX / kSecond - 1 || parts[1] >= 1'000'000) return std::nullopt;
  return parts[0] * kSecond + parts[1] * kMicrosecond;
}

}  // namespace weir::storage::redis
