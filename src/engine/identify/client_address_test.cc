#include "engine/identify/client_address.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "weir/config.h"

namespace weir::engine {
namespace {

using Headers = std::vector<Attribute>;

class ClientAddressTest : public testing::Test {
 protected:
  ClientAddressTest() { Start("x_forwarded_for"); }
  void Start(std::string source) {
    EnterpriseRateLimitConfig config;
    config.ip_rules.client_address = std::move(source);
    config.ip_rules.nat64_prefixes = {"2001:db8:64::/48"};
    config.global.free_tier = RateLimitRule::Strict();
    config.global.pro_tier = config.global.enterprise_tier = config.global.free_tier;
    config.ip_rules.trusted_proxies = {"10.0.0.0/8", "2001:db8:ffff::/48"};
    auto snapshot = config::Snapshot::Compile(config, nullptr, 0);
    EXPECT_TRUE(snapshot) << snapshot.error().message;
    snapshot_ = *snapshot;
  }
  std::string Client(std::string_view peer, const Headers& headers) {
    const auto address = ClientAddress(*snapshot_, {.peer_ip = peer, .headers = headers});
    if (!address) return "none";
    std::array<char, 46> text;
    return std::string(FormatAddress(*address, text));
  }
  std::shared_ptr<const config::Snapshot> snapshot_;
};

TEST_F(ClientAddressTest, AnUntrustedPeerIsTheClientWhateverItClaims) {
  EXPECT_EQ(Client("192.0.2.1", {}), "192.0.2.1");
  EXPECT_EQ(Client("192.0.2.1:4711", {{"X-Forwarded-For", "198.51.100.1"}}), "192.0.2.1");
  EXPECT_EQ(Client("[2001:db8::1]:80", {{"Forwarded", "for=198.51.100.1"}}), "2001:db8::1");
  EXPECT_EQ(Client("", {{"X-Forwarded-For", "198.51.100.1"}}), "none");
  EXPECT_EQ(Client("unix:", {}), "none");
  EXPECT_EQ(Client("::ffff:192.0.2.1", {}), "192.0.2.1");
}

TEST_F(ClientAddressTest, XForwardedForFromTheRight) {
  struct Case {
    Headers headers;
    std::string_view client;
  };
  const std::vector<Case> cases = {
      {{}, "10.0.0.1"},
      {{{"X-Forwarded-For", "198.51.100.1"}}, "198.51.100.1"},
      {{{"x-forwarded-for", "198.51.100.1, 198.51.100.2"}}, "198.51.100.2"},
      {{{"X-Forwarded-For", "198.51.100.1, 10.0.0.9"}}, "198.51.100.1"},
      {{{"X-Forwarded-For", "198.51.100.1,10.0.0.9 ,\t10.0.0.8"}}, "198.51.100.1"},
      // all trusted: the left-most
      {{{"X-Forwarded-For", "10.0.0.7, 10.0.0.8"}}, "10.0.0.7"},
      // repeated lines are one list
      {{{"X-Forwarded-For", "198.51.100.1"}, {"Accept", "*/*"}, {"X-Forwarded-For", "10.0.0.8"}}, "198.51.100.1"},
      {{{"X-Forwarded-For", "10.0.0.8"}, {"X-Forwarded-For", "198.51.100.1"}}, "198.51.100.1"},
      // ports, brackets, mapped
      {{{"X-Forwarded-For", "198.51.100.1:1234"}}, "198.51.100.1"},
      {{{"X-Forwarded-For", "[2001:db8::7]:443"}}, "2001:db8::7"},
      {{{"X-Forwarded-For", "2001:db8::7"}}, "2001:db8::7"},
      {{{"X-Forwarded-For", "\"[2001:db8::7]\""}}, "2001:db8::7"},
      {{{"X-Forwarded-For", "::ffff:198.51.100.1"}}, "198.51.100.1"},
      {{{"X-Forwarded-For", "198.51.100.1, ::ffff:10.0.0.3"}}, "198.51.100.1"},
      // empty elements say nothing
      {{{"X-Forwarded-For", "198.51.100.1, , "}}, "198.51.100.1"},
      {{{"X-Forwarded-For", ""}}, "10.0.0.1"},
      {{{"X-Forwarded-For", ",,,"}}, "10.0.0.1"},
      // what is no address ends the walk at the last trusted hop
      {{{"X-Forwarded-For", "198.51.100.1, unknown"}}, "10.0.0.1"},
      {{{"X-Forwarded-For", "198.51.100.1, _hidden, 10.0.0.5"}}, "10.0.0.5"},
      {{{"X-Forwarded-For", "198.51.100.1, 10.0.0.5.6"}}, "10.0.0.1"},
      // Forwarded does not count beside it
      {{{"Forwarded", "for=203.0.113.5"}, {"X-Forwarded-For", "198.51.100.1"}}, "198.51.100.1"},
  };
  for (const Case& c : cases) {
    std::string shown;
    for (const Attribute& h : c.headers) shown += std::string(h.name) + ": " + std::string(h.value) + " | ";
    EXPECT_EQ(Client("10.0.0.1", c.headers), c.client) << shown;
  }
}

TEST_F(ClientAddressTest, OnlyTheHeaderThatIsNamedIsRead) {
  const Headers all = {{"X-Forwarded-For", "198.51.100.1"},
                       {"Forwarded", "for=198.51.100.2"},
                       {"CF-Connecting-IP", "198.51.100.3"},
                       {"X-Real-IP", "198.51.100.4"}};
  EXPECT_EQ(Client("10.0.0.1", all), "198.51.100.1");
  EXPECT_EQ(Client("10.0.0.1", {{"Forwarded", "for=198.51.100.2"}}), "10.0.0.1");
  Start("forwarded");
  EXPECT_EQ(Client("10.0.0.1", all), "198.51.100.2");
  EXPECT_EQ(Client("10.0.0.1", {{"X-Forwarded-For", "198.51.100.1"}}), "10.0.0.1");
  Start("header:cf-connecting-ip");
  EXPECT_EQ(Client("10.0.0.1", all), "198.51.100.3");
  EXPECT_EQ(Client("10.0.0.1", {{"CF-Connecting-IP", "203.0.113.1, 198.51.100.3"}, {"CF-Connecting-IP", "10.0.0.2"}}),
            "198.51.100.3")
      << "repeated lines are one list, read from the right";
  EXPECT_EQ(Client("10.0.0.1", {{"CF-Connecting-IP", "[2001:db8::7]:443"}}), "2001:db8::7");
  EXPECT_EQ(Client("10.0.0.1", {{"X-Forwarded-For", "198.51.100.1"}}), "10.0.0.1");
  EXPECT_EQ(Client("192.0.2.9", all), "192.0.2.9") << "the peer is not trusted";
}

TEST_F(ClientAddressTest, AddressesThatStandForIpv4OnesAreThose) {
  EXPECT_EQ(Client("64:ff9b::c633:6407", {}), "198.51.100.7");
  EXPECT_EQ(Client("[64:ff9b::198.51.100.7]:443", {}), "198.51.100.7");
  EXPECT_EQ(Client("::ffff:c633:6407", {}), "198.51.100.7");
  EXPECT_EQ(Client("64:ff9b:1::c633:6407", {}), "64:ff9b:1::c633:6407") << "another prefix";
  // RFC 6052, 2.4: 192.0.2.33 behind a /48.
  EXPECT_EQ(Client("2001:db8:64:c000:2:2100::", {}), "192.0.2.33");
  EXPECT_EQ(Client("2001:db8:64:c000:102:2100::", {}), "2001:db8:64:c000:102:2100::") << "reserved bits are set";
  // A trusted proxy behind NAT64, and a client that it names so.
  EXPECT_EQ(Client("64:ff9b::a00:1", {{"X-Forwarded-For", "64:ff9b::c633:6407"}}), "198.51.100.7");
}

TEST_F(ClientAddressTest, ForwardedFromTheRight) {
  Start("forwarded");
  struct Case {
    Headers headers;
    std::string_view client;
  };
  const std::vector<Case> cases = {
      {{{"Forwarded", "for=198.51.100.1"}}, "198.51.100.1"},
      {{{"Forwarded", "For=198.51.100.1;proto=https;by=10.0.0.1"}}, "198.51.100.1"},
      {{{"Forwarded", "proto=https ; for=\"198.51.100.1:99\""}}, "198.51.100.1"},
      {{{"Forwarded", "for=\"[2001:db8::7]:4711\""}}, "2001:db8::7"},
      {{{"Forwarded", "for=[2001:db8::7]:4711"}}, "2001:db8::7"},
      {{{"Forwarded", "for=198.51.100.1, for=198.51.100.2"}}, "198.51.100.2"},
      {{{"Forwarded", "for=198.51.100.1, for=10.0.0.2"}}, "198.51.100.1"},
      {{{"Forwarded", "for=198.51.100.1"}, {"Forwarded", "for=10.0.0.2"}}, "198.51.100.1"},
      {{{"Forwarded", "for=198.51.100.1;"}}, "198.51.100.1"},
      // not understood: the last trusted hop
      {{{"Forwarded", "for=unknown"}}, "10.0.0.1"},
      {{{"Forwarded", "for=_secret, for=10.0.0.4"}}, "10.0.0.4"},
      {{{"Forwarded", "proto=https"}}, "10.0.0.1"},
      {{{"Forwarded", "for"}}, "10.0.0.1"},
      {{{"Forwarded", "for=198.51.100.1;for=198.51.100.2"}}, "10.0.0.1"},
      {{{"Forwarded", "198.51.100.1"}}, "10.0.0.1"},
      {{{"Forwarded", "for=\"198.51.100.1"}}, "10.0.0.1"},
      // what a client wrote to the left cannot swallow what the proxy appended
      {{{"Forwarded", "for=\"198.51.100.9, for=198.51.100.1"}}, "198.51.100.1"},
      // nor can a quoted string with a comma, whose content a client chose, pass for an element
      {{{"Forwarded", "for=198.51.100.1;host=\"a, for=203.0.113.6\""}}, "10.0.0.1"},
      {{{"Forwarded", "for=198.51.100.1;host=\"a, for=203.0.113.6;x=\""}}, "10.0.0.1"},
      {{{"Forwarded", R"(for=198.51.100.1;host="a, for=203.0.113.6;x=\"b\"")"}}, "10.0.0.1"},
      {{{"Forwarded", R"(for=198.51.100.1;host="a, for=203.0.113.6;x=\"")"}}, "10.0.0.1"},
  };
  for (const Case& c : cases) {
    std::string shown;
    for (const Attribute& h : c.headers) shown += std::string(h.name) + ": " + std::string(h.value) + " | ";
    EXPECT_EQ(Client("10.0.0.1", c.headers), c.client) << shown;
  }
}

TEST_F(ClientAddressTest, TheWalkIsBounded) {
  std::string hops = "198.51.100.1";
  for (int i = 0; i < 200; ++i) hops += ", 10.1.0." + std::to_string(i);
  // 64 hops are believed, from 10.1.0.199 on.
  EXPECT_EQ(Client("10.0.0.1", {{"X-Forwarded-For", hops}}), "10.1.0.136");
}

TEST_F(ClientAddressTest, LeftmostIsTextAsItStands) {
  const Headers headers = {{"x-forwarded-for", "  nonsense , 10.0.0.1"}};
  EXPECT_EQ(LeftmostForwardedFor({.headers = headers}), "nonsense");
  EXPECT_FALSE(LeftmostForwardedFor({}));
}

}  // namespace
}  // namespace weir::engine
