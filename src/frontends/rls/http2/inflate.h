// Compressed messages (https://github.com/grpc/grpc/blob/master/doc/compression.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::rls {

enum class Encoding : std::uint8_t { kIdentity, kGzip, kDeflate, kUnknown };
// The value of grpc-encoding.
Encoding EncodingOf(std::string_view name);
// What grpc-accept-encoding says.
inline constexpr std::string_view kAcceptedEncodings = "identity,deflate,gzip";

enum class InflateResult : std::uint8_t { kOk, kTooLarge, kBroken };
// Replaces `out`, which never grows beyond `most_bytes`: what would is kTooLarge, and no more of it is unpacked.
InflateResult Inflate(std::string_view packed, std::size_t most_bytes, std::string* out);

}  // namespace weir::rls
