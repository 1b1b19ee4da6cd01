// Which paths there are.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

enum class Endpoint : std::uint8_t {
  kCheck,
  kBatch,
  kPeek,
  kReserve,
  kCommit,
  kCancel,
  kExtend,
  kRefund,
  kReset,
  kFeedback,
  kAuth,
  kRoot,
  kLive,
  kReady,
  kMetrics,
};

enum class Methods : std::uint8_t { kPost, kGet, kAny };  // kGet: and HEAD

struct Route {
  std::string_view path;
  Endpoint endpoint;
  Methods methods;
};

// nullptr: there is no such path.
const Route* FindRoute(std::string_view path);
bool Allows(Methods methods, std::string_view method);
// "POST"; for the Allow header.
std::string_view AllowedMethods(Methods methods);

}  // namespace weir::http
