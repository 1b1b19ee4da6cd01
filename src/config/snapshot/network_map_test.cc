#include "config/snapshot/network_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace weir::config {
namespace {

// Few distinct bits, so that networks nest and addresses hit.
Address NearAddress(std::mt19937& random) {
  Address address;
  if (random() % 2 == 0) address.bytes[10] = address.bytes[11] = 0xff;
  for (int flips = 0; flips < 3; ++flips)
    address.bytes[12 + random() % 4] ^= static_cast<std::uint8_t>(1u << random() % 8);
  if (random() % 4 == 0) address.bytes[random() % 16] ^= static_cast<std::uint8_t>(1u << random() % 8);
  return address;
}

Network NearNetwork(std::mt19937& random) {
  const auto bits = static_cast<std::uint8_t>(random() % 4 == 0 ? random() % 129 : 96 + random() % 33);
  Network network{.address = NearAddress(random), .bits = bits};
  for (unsigned bit = bits; bit < 128; ++bit) {
    network.address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
  }
  return network;
}

TEST(NetworkMap, AgreesWithALinearScan) {
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    std::vector<NetworkMap::Entry> entries;
    for (auto n = random() % 40; n > 0; --n)
      entries.push_back({NearNetwork(random), static_cast<std::uint32_t>(random() % 10)});
    if (round % 3 == 0) entries.push_back({*ParseNetwork("::/0"), 10});
    if (round % 5 == 0) entries.push_back({*ParseNetwork("0.0.0.0/0"), 11});
    const NetworkMap map(entries);
    for (int i = 0; i < 100; ++i) {
      const Address address = NearAddress(random);
      std::multiset<std::uint32_t> expected;
      std::set<std::pair<unsigned, std::uint32_t>> seen;
      for (const auto& entry : entries) {
        if (entry.network.Contains(address) && seen.emplace(entry.network.bits, entry.value).second)
          expected.insert(entry.value);
      }
      std::array<std::span<const std::uint32_t>, NetworkMap::kMaxDepth> spans;
      const std::size_t count = map.Find(address, spans);
      std::multiset<std::uint32_t> found;
      for (std::size_t k = 0; k < count; ++k) {
        ASSERT_TRUE(std::ranges::is_sorted(spans[k]));
        found.insert(spans[k].begin(), spans[k].end());
      }
      ASSERT_EQ(found, expected);
      ASSERT_EQ(map.Contains(address), !expected.empty());
    }
  }
}

TEST(NetworkMap, HoldsEveryPrefixLengthOfOneAddress) {
  const Address address = *ParseAddress("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
  std::vector<NetworkMap::Entry> entries;
  for (unsigned bits = 0; bits <= 128; ++bits) {
    entries.push_back({{.address = Truncate(address, 0, bits), .bits = static_cast<std::uint8_t>(bits)}, bits});
  }
  const NetworkMap map(std::move(entries));
  std::array<std::span<const std::uint32_t>, NetworkMap::kMaxDepth> spans;
  ASSERT_EQ(map.Find(address, spans), 129u);
  EXPECT_EQ(spans.front().front(), 128u);
  EXPECT_EQ(spans.back().front(), 0u);
}

TEST(NetworkMap, EmptyHoldsNothing) {
  EXPECT_FALSE(NetworkMap().Contains(Address{}));
  EXPECT_FALSE(NetworkMap(std::vector<NetworkMap::Entry>{}).Contains(Address{}));
}

}  // namespace
}  // namespace weir::config
