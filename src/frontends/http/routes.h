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

// What a listener serves, as bits (HttpOptions::serve). Health and the list of paths always are.
using ServeSet = std::uint32_t;
inline constexpr ServeSet kServeCheck = 1U << 0U, kServeBatch = 1U << 1U, kServePeek = 1U << 2U,
                          kServeReserve = 1U << 3U,  // and commit, cancel and extend
    kServeRefund = 1U << 4U, kServeReset = 1U << 5U, kServeFeedback = 1U << 6U, kServeAuth = 1U << 7U,
                          kServeMetrics = 1U << 8U;
inline constexpr ServeSet kServeAll = (1U << 9U) - 1;
inline constexpr ServeSet kServeByDefault = kServeAll & ~kServeReset;

enum class Methods : std::uint8_t { kPost, kGet, kAny };  // kGet: and HEAD

struct Route {
  std::string_view path;
  Endpoint endpoint;
  Methods methods;
  ServeSet serve;         // the bit that it needs; 0: none
  std::string_view name;  // of that bit, as the configuration has it
};

// nullptr: there is no such path.
const Route* FindRoute(std::string_view path);
bool Allows(Methods methods, std::string_view method);
// "POST"; for the Allow header.
std::string_view AllowedMethods(Methods methods);

}  // namespace weir::http
