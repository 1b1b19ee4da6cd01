#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>
#include <string>
#include <vector>

namespace weir {
namespace {

std::string Text(const Address& address) {
  std::array<char, 46> buffer;
  return std::string(FormatAddress(address, buffer));
}

// The C library's reading of a bare address, as an oracle.
std::optional<Address> LibcParse(const std::string& text) {
  Address address;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  if (in_addr v4; inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    address.bytes[10] = address.bytes[11] = 0xff;
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&v4), 4, address.bytes.begin() + 12);
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::string LibcFormat(const Address& address) {
  char buffer[INET6_ADDRSTRLEN];
  if (address.is_v4()) return inet_ntop(AF_INET, address.bytes.data() + 12, buffer, sizeof buffer);
  return inet_ntop(AF_INET6, address.bytes.data(), buffer, sizeof buffer);
}

bool ContainsSlowly(const Network& network, const Address& address) {
  if (network.bits < 96 && address.is_v4()) return false;
  for (unsigned bit = 0; bit < network.bits; ++bit) {
    const unsigned shift = 7 - bit % 8;
    if (((network.address.bytes[bit / 8] ^ address.bytes[bit / 8]) >> shift & 1) != 0) return false;
  }
  return true;
}

// Addresses whose groups are often zero, so that every way of shortening occurs.
Address Sparse(std::mt19937& random) {
  Address address;
  for (std::size_t i = 0; i < 16; i += 2) {
    const unsigned kind = random() % 4;
    const unsigned group = kind < 2 ? 0 : kind == 2 ? random() % 256 : random() % 65536;
    address.bytes[i] = static_cast<std::uint8_t>(group >> 8);
    address.bytes[i + 1] = static_cast<std::uint8_t>(group);
  }
  if (random() % 4 == 0) {
    address.bytes = {};
    address.bytes[10] = address.bytes[11] = 0xff;
    for (std::size_t i = 12; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(random());
  }
  return address;
}

TEST(ParseAddress, ReadsEveryForm) {
  EXPECT_EQ(Text(*ParseAddress("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(Text(*ParseAddress("192.0.2.1:80")), "192.0.2.1");
  EXPECT_EQ(Text(*ParseAddress("2001:db8::1")), "2001:db8::1");
  EXPECT_EQ(Text(*ParseAddress("[2001:DB8::1]")), "2001:db8::1");
  EXPECT_EQ(Text(*ParseAddress("[2001:db8::1]:65535")), "2001:db8::1");
  EXPECT_EQ(Text(*ParseAddress("::")), "::");
  EXPECT_EQ(Text(*ParseAddress("1::")), "1::");
  EXPECT_EQ(Text(*ParseAddress("0:0:1:0:0:0:0:0")), "0:0:1::");
  EXPECT_EQ(Text(*ParseAddress("1:0:0:2:0:0:0:3")), "1:0:0:2::3");
  EXPECT_EQ(Text(*ParseAddress("1:0:2:3:4:5:6:7")), "1:0:2:3:4:5:6:7");
}

TEST(ParseAddress, MappedAddressIsIpv4HoweverItIsWritten) {
  const Address plain = *ParseAddress("192.0.2.1");
  EXPECT_TRUE(plain.is_v4());
  for (const char* text :
       {"::ffff:192.0.2.1", "::ffff:c000:201", "[::FFFF:192.0.2.1]:80", "0:0:0:0:0:ffff:c000:0201"}) {
    ASSERT_TRUE(ParseAddress(text)) << text;
    EXPECT_EQ(*ParseAddress(text), plain) << text;
    EXPECT_EQ(Text(*ParseAddress(text)), "192.0.2.1");
  }
  EXPECT_FALSE(ParseAddress("::192.0.2.1")->is_v4());
}

TEST(ParseAddress, RefusesWhatIsNotAnAddress) {
  for (const char* text : {"",
                           " ",
                           "unknown",
                           "_hidden",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "01.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.4:",
                           "1.2.3.4:65536",
                           "1.2.3.4:080",
                           "1.2.3.4:x",
                           "0x1.2.3.4",
                           "1..2.3",
                           "fe80::1%eth0",
                           "[fe80::1%25eth0]",
                           "[::1",
                           "::1]",
                           "[::1]80",
                           "[::1]:",
                           "[::1]:70000",
                           "[192.0.2.1]",
                           ":::",
                           ":1",
                           "1:",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7::8",
                           "::1.2.3",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "+1.2.3.4",
                           "[]",
                           "[]:80",
                           ":",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::ffff:1.2.3.04"}) {
    EXPECT_FALSE(ParseAddress(text)) << text;
  }
  EXPECT_FALSE(ParseAddress(std::string(100'000, ':')));
  EXPECT_FALSE(ParseAddress("[" + std::string(100'000, '1')));
}

TEST(ParseAddress, RoundTripsAndAgreesWithLibc) {
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    const Address address = Sparse(random);
    const std::string text = Text(address);
    ASSERT_EQ(ParseAddress(text), address) << text;
    ASSERT_EQ(LibcParse(text), address) << text;
    ASSERT_EQ(ParseAddress("[" + LibcFormat(address) + "]:1").has_value(), !address.is_v4());
    ASSERT_EQ(ParseAddress(LibcFormat(address)), address);
    // libc writes the deprecated IPv4-compatible addresses dotted; RFC 5952 does not ask for that.
    if (LibcFormat(address).find('.') == std::string::npos || address.is_v4()) {
      ASSERT_EQ(text, LibcFormat(address));
    }
  }
}

TEST(ParseAddress, AgreesWithLibcOnMutatedText) {
  std::mt19937 random(2);
  const std::string alphabet = "0123456789abcdefF.:: g";
  for (int i = 0; i < 200'000; ++i) {
    std::string text = Text(Sparse(random));
    for (auto edits = random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % (text.size() + 1);
      if (random() % 2 == 0 && at < text.size()) {
        text.erase(at, 1);
      } else {
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
      }
    }
    const bool has_port = text.find('.') < text.find(':') && text.find(':') != std::string::npos;
    if (has_port) continue;  // ours, not libc's
    ASSERT_EQ(ParseAddress(text), LibcParse(text)) << text;
  }
}

TEST(Truncate, KeepsLeadingBits) {
  EXPECT_EQ(Text(Truncate(*ParseAddress("192.0.2.129"), 32, 64)), "192.0.2.129");
  EXPECT_EQ(Text(Truncate(*ParseAddress("192.0.2.129"), 24, 64)), "192.0.2.0");
  EXPECT_EQ(Text(Truncate(*ParseAddress("192.0.2.129"), 25, 64)), "192.0.2.128");
  EXPECT_EQ(Text(Truncate(*ParseAddress("192.0.2.129"), 0, 64)), "0.0.0.0");
  EXPECT_EQ(Text(Truncate(*ParseAddress("2001:db8:1:2:3:4:5:6"), 32, 64)), "2001:db8:1:2::");
  EXPECT_EQ(Text(Truncate(*ParseAddress("2001:db8:1:2:3:4:5:6"), 32, 0)), "::");
  EXPECT_EQ(Text(Truncate(*ParseAddress("2001:db8:1:2:3:4:5:6"), 32, 1000)), "2001:db8:1:2:3:4:5:6");
  EXPECT_EQ(Text(Truncate(*ParseAddress("192.0.2.129"), 1000, 0)), "192.0.2.129");
}

TEST(Network, ParsesPrefixes) {
  EXPECT_EQ(ParseNetwork("10.0.0.0/8")->bits, 104);
  EXPECT_EQ(ParseNetwork("0.0.0.0/0")->bits, 96);
  EXPECT_EQ(ParseNetwork("192.0.2.1")->bits, 128);
  EXPECT_EQ(ParseNetwork("2001:db8::/32")->bits, 32);
  EXPECT_EQ(ParseNetwork("::/0")->bits, 0);
  EXPECT_EQ(*ParseNetwork("::ffff:10.0.0.0/104"), *ParseNetwork("10.0.0.0/8"));
  for (const char* text :
       {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.1.0.0/8", "::1/127", "::/129",
        "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0:80/8", "[::1]", "[::]/0", "10.0.0/8", "x/8"}) {
    EXPECT_FALSE(ParseNetwork(text)) << text;
  }
}

TEST(Network, Ipv6NetworksDoNotHoldIpv4) {
  EXPECT_FALSE(ParseNetwork("::/0")->Contains(*ParseAddress("192.0.2.1")));
  EXPECT_TRUE(ParseNetwork("::/0")->Contains(*ParseAddress("2001:db8::1")));
  EXPECT_TRUE(ParseNetwork("0.0.0.0/0")->Contains(*ParseAddress("::ffff:192.0.2.1")));
  EXPECT_FALSE(ParseNetwork("0.0.0.0/0")->Contains(*ParseAddress("2001:db8::1")));
}

TEST(Network, ContainsAgreesBitByBit) {
  EXPECT_TRUE(rc::check("contains", [] {
    std::mt19937 random(*rc::gen::arbitrary<unsigned>());
    const auto bits = static_cast<std::uint8_t>(*rc::gen::inRange(0, 129));
    const Network network{.address = Truncate(Sparse(random), bits < 96 ? 0 : bits - 96u, bits), .bits = bits};
    Address address = random() % 2 == 0 ? Sparse(random) : network.address;
    if (random() % 2 == 0) address.bytes[random() % 16] ^= static_cast<std::uint8_t>(1u << random() % 8);
    RC_ASSERT(network.Contains(address) == ContainsSlowly(network, address));
  }));
}

}  // namespace
}  // namespace weir
