// Where a listener listens, as text and as a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir::net {

struct ListenAddress {
  enum class Kind : std::uint8_t { kOff, kTcp, kUnix };
  Kind kind = Kind::kOff;
  std::string host;        // kTcp: a canonical IP address, without brackets
  bool ipv6 = false;       // kTcp
  std::uint16_t port = 0;  // kTcp; 0 = pick a free one
  std::string path;        // kUnix; a leading '@' is the abstract namespace
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

// "127.0.0.1:8080", "[::1]:0", "localhost:80", "*:80" (all IPv4 addresses), "[::]:80" (all addresses, both families),
// "unix:/run/weir.sock", "unix:@name", "off". Names other than localhost are not resolved. kInvalidArgument says what
// is wrong with which address.
Result<ListenAddress> ParseListenAddress(std::string_view text);

// The text again: "[::1]:8080".
std::string ToString(const ListenAddress& address);

}  // namespace weir::net
