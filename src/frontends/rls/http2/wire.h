// The small texts of gRPC's protocol: timeouts, content types, status messages.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "frontends/rls/http2/service.h"

namespace weir::rls {

// A message is preceded by a byte that tells whether it is compressed (0 or 1) and its size in 4 bytes, big-endian.
inline constexpr std::size_t kPrefixBytes = 5;
// `prefix` has at least kPrefixBytes.
inline std::size_t MessageSize(std::string_view prefix) {
  const auto byte = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(prefix[i])}; };
  return byte(1) << 24U | byte(2) << 16U | byte(3) << 8U | byte(4);
}

// grpc-timeout: at most 8 digits and one of H, M, S, m, u, n. Absent when it is not. At most 100 years.
std::optional<Nanos> ParseTimeout(std::string_view text);

// "application/grpc", also with "+proto" or parameters behind it; any other message format is not for us.
bool IsGrpcContentType(std::string_view text);

// grpc-message: bytes outside of 0x20..0x7E, and '%', as %XX.
void AppendPercentEncoded(std::string_view text, std::string* out);

// "14", without a terminating zero; lives for ever.
std::string_view CodeText(Code code);
// "UNAVAILABLE", for logs and metrics.
std::string_view CodeName(Code code);

}  // namespace weir::rls
