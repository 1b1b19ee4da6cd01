// IP addresses as values, and sets of networks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// 16 bytes in network order; IPv4 is held as ::ffff:a.b.c.d, so that a mapped address is the IPv4 address, by bits.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  bool is_v4() const;
  friend bool operator==(const Address&, const Address&) = default;
};

// "192.0.2.1", "2001:db8::1", with or without port and brackets ("[::1]:80", "192.0.2.1:80"), zone ids refused.
// nullopt for anything else ("unknown", "_hidden", ""). Allocates nothing.
std::optional<Address> ParseAddress(std::string_view text);

// Canonical text (RFC 5952), into a buffer of the caller: at least 46 bytes. Returns the part that was written.
std::string_view FormatAddress(const Address& address, std::array<char, 46>& buffer);

// Keeps the leading bits: `v4_bits` (0..32) of an IPv4 address, `v6_bits` (0..128) of another; zeroes the rest.
Address Truncate(const Address& address, unsigned v4_bits, unsigned v6_bits);

// The IPv4 address within an address of a NAT64 network of `prefix` bits (RFC 6052: 32, 40, 48, 56, 64 or 96). nullopt
// for another length, for an IPv4 address, and when the bits that must be zero are not.
std::optional<Address> EmbeddedIpv4(const Address& address, unsigned prefix);

// A network: "10.0.0.0/8", "2001:db8::/32", or a single address.
struct Network {
  Address address;
  std::uint8_t bits = 128;  // of the 16 bytes: an IPv4 /8 is 104
  // An IPv4 address is only in IPv4 networks: "::/0" is all of IPv6 and none of IPv4, as firewalls read it.
  bool Contains(const Address& other) const;
  friend bool operator==(const Network&, const Network&) = default;
};
// Whether it can be a NAT64 prefix: of IPv6, in one of the lengths of EmbeddedIpv4.
bool IsNat64Prefix(const Network& network);
// nullopt when malformed, or when bits beyond the prefix are set ("10.1.0.0/8").
std::optional<Network> ParseNetwork(std::string_view text);

}  // namespace weir
