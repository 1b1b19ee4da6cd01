#include "base/address.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weir {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kGroups = 8;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A decimal number without sign, blanks or leading zeros: "010" is 8 to some readers and 10 to others, so it is
// nothing.
std::optional<unsigned> ParseDecimal(std::string_view text, unsigned max) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (!IsDigit(c)) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= max ? std::optional(value) : std::nullopt;
}

// In one pass, for it is read with each request. Numbers as ParseDecimal has them.
bool ParseV4Bytes(std::string_view text, std::uint8_t* out) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return false;
    if (at == end || !IsDigit(*at)) return false;
    auto value = static_cast<unsigned>(*at++ - '0');
    const bool may_go_on = value != 0;
    for (; at != end && IsDigit(*at); ++at) {
      value = value * 10 + static_cast<unsigned>(*at - '0');
      if (!may_go_on || value > 255) return false;
    }
    out[part] = static_cast<std::uint8_t>(value);
  }
  return at == end;
}

std::optional<Address> ParseV4(std::string_view text) {
  Address address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
  if (!ParseV4Bytes(text, address.bytes.data() + kMappedPrefix.size())) return std::nullopt;
  return address;
}

// One side of a "::" (or the whole): groups of up to four hex digits, the last of which may be dotted IPv4 when
// `may_end_in_v4`. Returns how many of the eight groups were written, or nullopt.
std::optional<std::size_t> ParseGroups(std::string_view text, bool may_end_in_v4, std::uint8_t* out) {
  std::size_t count = 0;
  if (text.empty()) return count;
  while (true) {
    const std::size_t end = std::min(text.find(':'), text.size());
    const std::string_view group = text.substr(0, end);
    if (group.find('.') != std::string_view::npos) {
      if (!may_end_in_v4 || end != text.size() || count + 2 > kGroups) return std::nullopt;
      if (!ParseV4Bytes(group, out + 2 * count)) return std::nullopt;
      return count + 2;
    }
    if (group.empty() || group.size() > 4 || count == kGroups) return std::nullopt;
    unsigned value = 0;
    for (const char c : group) {
      const int digit = HexValue(c);
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<unsigned>(digit);
    }
    out[2 * count] = static_cast<std::uint8_t>(value >> 8);
    out[2 * count + 1] = static_cast<std::uint8_t>(value & 0xff);
    ++count;
    if (end == text.size()) return count;
    text.remove_prefix(end + 1);
    if (text.empty()) return std::nullopt;  // a trailing ':'
  }
}

std::optional<Address> ParseV6(std::string_view text) {
  Address address;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (ParseGroups(text, true, address.bytes.data()) != kGroups) return std::nullopt;
    return address;
  }
  const auto head = ParseGroups(text.substr(0, gap), false, address.bytes.data());
  std::array<std::uint8_t, 16> tail_bytes{};
  const auto tail = ParseGroups(text.substr(gap + 2), true, tail_bytes.data());
  if (!head || !tail || *head + *tail >= kGroups) return std::nullopt;  // "::" stands for at least one group
  std::copy_n(tail_bytes.begin(), 2 * *tail, address.bytes.end() - static_cast<std::ptrdiff_t>(2 * *tail));
  return address;
}

// An address alone: no port, no brackets.
std::optional<Address> ParseBare(std::string_view text) {
  if (text.size() > 45) return std::nullopt;
  return text.find(':') == std::string_view::npos ? ParseV4(text) : ParseV6(text);
}

// Keeps the first `bits` of the 16 bytes.
Address Mask(Address address, unsigned bits) {
  if (bits >= 128) return address;
  const unsigned whole = bits / 8;
  address.bytes[whole] = static_cast<std::uint8_t>(address.bytes[whole] & (0xff00u >> (bits % 8)));
  std::fill(address.bytes.begin() + whole + 1, address.bytes.end(), std::uint8_t{0});
  return address;
}

struct Run {
  std::size_t start = kGroups;
  std::size_t length = 0;
};

// RFC 5952 4.2: the longest run of at least two zero groups is shortened, the first of equal ones.
Run LongestZeroRun(const std::array<unsigned, kGroups>& groups) {
  Run best;
  for (std::size_t i = 0; i < kGroups;) {
    std::size_t end = i;
    while (end < kGroups && groups[end] == 0) ++end;
    if (end - i >= 2 && end - i > best.length) best = {.start = i, .length = end - i};
    i = std::max(end, i + 1);
  }
  return best;
}

std::string_view FormatV4(const Address& address, std::array<char, 46>& buffer) {
  char* out = buffer.data();
  for (std::size_t i = 12; i < 16; ++i) {
    if (i > 12) *out++ = '.';
    out = std::to_chars(out, buffer.data() + buffer.size(), static_cast<unsigned>(address.bytes[i])).ptr;
  }
  return {buffer.data(), static_cast<std::size_t>(out - buffer.data())};
}

}  // namespace

bool Address::is_v4() const { return std::memcmp(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0; }

std::optional<Address> ParseAddress(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (const auto plain = ParseV4(text)) return plain;  // what most are
  if (text[0] == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && (rest[0] != ':' || !ParseDecimal(rest.substr(1), 65535))) return std::nullopt;
    return ParseV6(text.substr(1, std::min<std::size_t>(close - 1, 46)));
  }
  const std::size_t colon = text.find(':');
  const bool is_v4_with_port = colon != std::string_view::npos && text.find('.') < colon;
  if (!is_v4_with_port) return ParseBare(text);
  if (!ParseDecimal(text.substr(colon + 1), 65535)) return std::nullopt;
  return ParseV4(text.substr(0, colon));
}

std::string_view FormatAddress(const Address& address, std::array<char, 46>& buffer) {
  if (address.is_v4()) return FormatV4(address, buffer);
  std::array<unsigned, kGroups> groups{};
  for (std::size_t i = 0; i < kGroups; ++i) groups[i] = address.bytes[2 * i] * 256u + address.bytes[2 * i + 1];
  const Run zeros = LongestZeroRun(groups);
  char* out = buffer.data();
  for (std::size_t i = 0; i < kGroups;) {
    if (i == zeros.start) {
      *out++ = ':';
      *out++ = ':';
      i += zeros.length;
      continue;
    }
    if (i > 0 && i != zeros.start + zeros.length) *out++ = ':';
    out = std::to_chars(out, buffer.data() + buffer.size(), groups[i], 16).ptr;
    ++i;
  }
  return {buffer.data(), static_cast<std::size_t>(out - buffer.data())};
}

Address Truncate(const Address& address, unsigned v4_bits, unsigned v6_bits) {
  return Mask(address, address.is_v4() ? 96 + std::min(v4_bits, 32u) : std::min(v6_bits, 128u));
}

std::optional<Address> EmbeddedIpv4(const Address& address, unsigned prefix) {
  const bool known = prefix == 96 || (prefix >= 32 && prefix <= 64 && prefix % 8 == 0);
  // The ninth byte is reserved, and 0 in all lengths below 96.
  if (!known || address.is_v4() || (prefix < 96 && address.bytes[8] != 0)) return std::nullopt;
  Address embedded;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), embedded.bytes.begin());
  std::size_t from = prefix / 8;
  for (std::size_t to = 12; to < 16; ++to, ++from) {
    if (from == 8 && prefix < 96) ++from;
    embedded.bytes[to] = address.bytes[from];
  }
  return embedded;
}

bool IsNat64Prefix(const Network& network) {
  if (network.address.is_v4() || network.bits > 96) return false;
  return network.bits == 96 || (network.bits >= 32 && network.bits <= 64 && network.bits % 8 == 0);
}

bool Network::Contains(const Address& other) const {
  if (bits < 96 && other.is_v4()) return false;
  return Mask(other, bits) == Mask(address, bits);
}

std::optional<Network> ParseNetwork(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const auto address = ParseBare(host);
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Network{.address = *address, .bits = 128};
  const unsigned width = host.find(':') == std::string_view::npos ? 32 : 128;
  const auto bits = ParseDecimal(text.substr(slash + 1), width);
  if (!bits) return std::nullopt;
  const Network network{.address = *address, .bits = static_cast<std::uint8_t>(*bits + 128 - width)};
  if (Mask(*address, network.bits) != *address) return std::nullopt;
  return network;
}

}  // namespace weir
