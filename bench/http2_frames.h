// What the load generator and the least server need of HTTP/2's frames (RFC 9113, 4 and 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::bench {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr std::size_t kFrameHead = 9;
inline constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindow = 8
};

inline void AppendNumber32(std::uint32_t number, std::string& out) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(number >> shift);
}
inline std::uint32_t Number32(const char* at) {
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8U | static_cast<std::uint8_t>(at[i]);
  return number;
}

inline void AppendFrame(FrameType type, std::uint8_t flags, std::uint32_t stream, std::string_view body,
                        std::string& out) {
  AppendNumber32(static_cast<std::uint32_t>(body.size()) << 8U | type, out);
  out += static_cast<char>(flags);
  AppendNumber32(stream, out);
  out += body;
}

// Of the frame whose head begins at `head`.
inline std::size_t BodySize(const char* head) { return Number32(head) >> 8U; }
inline std::uint8_t TypeOf(const char* head) { return static_cast<std::uint8_t>(head[3]); }
inline std::uint8_t FlagsOf(const char* head) { return static_cast<std::uint8_t>(head[4]); }
inline std::uint32_t StreamOf(const char* head) { return Number32(head + 5); }

}  // namespace weir::bench
