#include <algorithm>
#include <array>
#include <string_view>

#include "io/https/http_exchange.h"

namespace weir::io {
namespace {

// IANA's special-purpose registries (RFC 6890 and its updates), without what is globally reachable.
constexpr std::array<std::string_view, 15> kNotPublicV4 = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4"};
// Within 2000::/3, which is all of the global unicast space: protocol assignments with Teredo, documentation, 6to4.
constexpr std::array<std::string_view, 4> kNotPublicV6 = {"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"};

template <std::size_t kSize>
bool InOneOf(const Address& address, const std::array<std::string_view, kSize>& networks) {
  return std::ranges::any_of(networks, [&](std::string_view text) { return ParseNetwork(text)->Contains(address); });
}

}  // namespace

bool IsPublic(const Address& address) {
  if (address.is_v4()) return !InOneOf(address, kNotPublicV4);
  if (ParseNetwork("64:ff9b::/96")->Contains(address)) {
    const auto embedded = EmbeddedIpv4(address, 96);
    return embedded && IsPublic(*embedded);
  }
  return ParseNetwork("2000::/3")->Contains(address) && !InOneOf(address, kNotPublicV6);
}

}  // namespace weir::io
