#include "config/snapshot/network_map.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

namespace weir::config {

NetworkMap::Bits NetworkMap::BitsOf(const Address& address) {
  std::array<std::uint64_t, 2> words;
  std::memcpy(words.data(), address.bytes.data(), sizeof words);
  if constexpr (std::endian::native == std::endian::little) {
    for (std::uint64_t& word : words) word = __builtin_bswap64(word);
  }
  return {.high = words[0], .low = words[1]};
}

NetworkMap::Bits NetworkMap::MaskOf(unsigned prefix) {
  const auto leading = [](unsigned bits) { return bits == 0 ? 0 : ~std::uint64_t{0} << (64 - bits); };
  return {.high = leading(std::min(prefix, 64u)), .low = leading(prefix > 64 ? prefix - 64 : 0)};
}

// By bits alone: "::/0" is above the IPv4 networks in the tree, though it does not hold their addresses.
bool NetworkMap::Covers(const Node& node, const Bits& bits) {
  return ((node.start.high ^ bits.high) & node.mask.high) == 0 && ((node.start.low ^ bits.low) & node.mask.low) == 0;
}

// As Network::Contains.
bool NetworkMap::Holds(const Node& node, const Bits& bits, bool is_v4) {
  return Covers(node, bits) && !(is_v4 && node.prefix < 96);
}

NetworkMap::NetworkMap(std::vector<Entry> entries) {
  const auto order = [](const Entry& entry) {
    return std::tuple(BitsOf(entry.network.address), entry.network.bits, entry.value);
  };
  std::ranges::sort(entries, {}, order);
  for (const Entry& entry : entries) {
    const Bits start = BitsOf(entry.network.address);
    if (!nodes_.empty() && starts_.back() == start && nodes_.back().prefix == entry.network.bits) {
      if (values_.back() == entry.value) continue;
    } else {
      // Whatever holds this network began before it and has not ended: the last node or one that holds that.
      std::uint32_t parent = nodes_.empty() ? kNone : static_cast<std::uint32_t>(nodes_.size() - 1);
      while (parent != kNone && !Covers(nodes_[parent], start)) parent = nodes_[parent].parent;
      nodes_.push_back({.start = start,
                        .mask = MaskOf(entry.network.bits),
                        .prefix = entry.network.bits,
                        .parent = parent,
                        .first_value = static_cast<std::uint32_t>(values_.size()),
                        .value_count = 0});
      starts_.push_back(start);
    }
    values_.push_back(entry.value);
    ++nodes_.back().value_count;
  }
}

std::uint32_t NetworkMap::LastBefore(const Bits& bits) const {
  const auto after = std::ranges::upper_bound(starts_, bits);
  return after == starts_.begin() ? kNone : static_cast<std::uint32_t>(after - starts_.begin() - 1);
}

std::uint32_t NetworkMap::FirstThatHolds(std::uint32_t node, const Bits& bits, bool is_v4) const {
  while (node != kNone && !Holds(nodes_[node], bits, is_v4)) node = nodes_[node].parent;
  return node;
}

bool NetworkMap::Contains(const Address& address) const {
  if (nodes_.empty()) return false;
  const Bits bits = BitsOf(address);
  return FirstThatHolds(LastBefore(bits), bits, address.is_v4()) != kNone;
}

std::size_t NetworkMap::Find(const Address& address, std::span<std::span<const std::uint32_t>, kMaxDepth> spans) const {
  const Bits bits = BitsOf(address);
  const bool is_v4 = address.is_v4();
  std::size_t count = 0;
  std::uint32_t node = FirstThatHolds(LastBefore(bits), bits, is_v4);
  while (node != kNone) {
    spans[count++] = std::span(values_).subspan(nodes_[node].first_value, nodes_[node].value_count);
    node = FirstThatHolds(nodes_[node].parent, bits, is_v4);
  }
  return count;
}

}  // namespace weir::config
