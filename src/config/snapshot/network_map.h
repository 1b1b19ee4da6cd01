// Which networks hold an address: exemptions, trusted proxies, ip rules.
//
// Networks never overlap in part, they nest; so they are kept sorted, each with the next wider one that holds it. A
// look-up is one binary search and a walk outwards: O(log n + depth), where depth is at most 128.
//
// Thread-safe once built.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"

namespace weir::config {

class NetworkMap {
 public:
  struct Entry {
    Network network;
    std::uint32_t value = 0;
  };
  NetworkMap() = default;
  explicit NetworkMap(std::vector<Entry> entries);

  bool Contains(const Address& address) const;
  bool empty() const { return nodes_.empty(); }

  // The most networks of different length that can hold one address.
  static constexpr std::size_t kMaxDepth = 129;
  // The values of every network that holds the address, one span a network, each ascending and without duplicates;
  // the narrowest network first. `spans` has room for kMaxDepth. Returns how many were written.
  std::size_t Find(const Address& address, std::span<std::span<const std::uint32_t>, kMaxDepth> spans) const;

 private:
  struct Bits {  // the 16 bytes, in the order of their value
    std::uint64_t high = 0, low = 0;
    friend auto operator<=>(const Bits&, const Bits&) = default;
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    Bits start, mask;
    std::uint8_t prefix = 0;  // bits
    std::uint32_t parent = kNone;
    std::uint32_t first_value = 0;
    std::uint32_t value_count = 0;
  };
  static Bits BitsOf(const Address& address);
  static Bits MaskOf(unsigned prefix);
  static bool Covers(const Node& node, const Bits& bits);
  static bool Holds(const Node& node, const Bits& bits, bool is_v4);
  // `node` or the first one outwards that holds the address, or kNone.
  std::uint32_t FirstThatHolds(std::uint32_t node, const Bits& bits, bool is_v4) const;
  // The last node that begins at or before the address, or kNone.
  std::uint32_t LastBefore(const Bits& bits) const;

  std::vector<Bits> starts_;  // of nodes_: what the binary search reads
  std::vector<Node> nodes_;   // by (first address, prefix length)
  std::vector<std::uint32_t> values_;
};

}  // namespace weir::config
