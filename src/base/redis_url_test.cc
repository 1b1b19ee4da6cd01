#include "base/redis_url.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using Transport = RedisUrl::Transport;
using Verify = RedisUrl::Verify;

RedisUrl Parsed(std::string_view text) {
  const auto url = ParseRedisUrl(text);
  EXPECT_TRUE(url.has_value()) << text << ": " << (url ? "" : url.error().message);
  return url.value_or(RedisUrl{});
}

TEST(RedisUrl, HostAloneHasDefaults) {
  const RedisUrl url = Parsed("redis://cache.example");
  EXPECT_EQ(url, (RedisUrl{.host = "cache.example"}));
  EXPECT_EQ(url.port, 6379);
}

TEST(RedisUrl, EveryPart) {
  EXPECT_EQ(Parsed("redis://weir:s%40crt@127.0.0.1:7000/3"),
            (RedisUrl{.host = "127.0.0.1", .port = 7000, .user = "weir", .password = "s@crt", .database = 3}));
  EXPECT_EQ(Parsed("redis://:only-password@h/"), (RedisUrl{.host = "h", .password = "only-password"}));
  EXPECT_EQ(Parsed("redis://u:p:with:colons@h").password, "p:with:colons");
  EXPECT_EQ(Parsed("redis://u:a%2Fb%3Fc%23d%25@h").password, "a/b?c#d%");
}

TEST(RedisUrl, AddressesInBrackets) {
  EXPECT_EQ(Parsed("redis://[::1]:7001/1"), (RedisUrl{.host = "::1", .port = 7001, .database = 1}));
  EXPECT_EQ(Parsed("redis://[fe80::1]").host, "fe80::1");
}

TEST(RedisUrl, Tls) {
  EXPECT_EQ(Parsed("rediss://h?ca=/etc/ca.pem&cert=/c.pem&key=/k.pem&sni=redis.internal&verify=none"),
            (RedisUrl{.transport = Transport::kTls,
                      .host = "h",
                      .ca_file = "/etc/ca.pem",
                      .certificate_file = "/c.pem",
                      .key_file = "/k.pem",
                      .server_name = "redis.internal",
                      .verify = Verify::kNone}));
  EXPECT_EQ(Parsed("rediss://h").verify, Verify::kPeer);
}

TEST(RedisUrl, UnixSocket) {
  EXPECT_EQ(Parsed("unix:///run/redis/redis.sock?db=2"),
            (RedisUrl{.transport = Transport::kUnix, .path = "/run/redis/redis.sock", .database = 2}));
  EXPECT_EQ(Parsed("unix://u:p@/run/a%20b.sock"),
            (RedisUrl{.transport = Transport::kUnix, .path = "/run/a b.sock", .user = "u", .password = "p"}));
}

TEST(RedisUrl, RefusesWhatItDoesNotUnderstand) {
  for (const std::string_view text : {"",
                                      "redis",
                                      "redis://",
                                      "http://h",
                                      "redis:///3",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:70000",
                                      "redis://h:99999",
                                      "rediss://h:131071",
                                      "redis://h:x",
                                      "redis://h:",
                                      "redis://h/x",
                                      "redis://h/1/2",
                                      "redis://h/99999999",
                                      "redis://user@h",
                                      "redis://user:@h",
                                      "redis://%zz:p@h",
                                      "redis://u:p%00@h",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://[[]:1",
                                      "redis://[host]",
                                      "redis://h]",
                                      "redis://a b",
                                      "redis://h?db=1",
                                      "redis://h#1",
                                      "redis://u:p@ss@h",
                                      "redis:h",
                                      "REDIS://h",
                                      "redis://h%2Fx",
                                      "unix://h:1/x",
                                      "redis://h?ca=/x",
                                      "rediss://h?verify=maybe",
                                      "rediss://h?cert=/only",
                                      "rediss://h?nonsense=1",
                                      "rediss://h?ca",
                                      "rediss://h?ca=",
                                      "unix://",
                                      "unix:///",
                                      "unix://relative/path",
                                      "unix:///x?db=-1",
                                      "unix:///x?ca=/y"}) {
    const auto url = ParseRedisUrl(text);
    ASSERT_FALSE(url.has_value()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseRedisUrl("unix:///" + std::string(200, 'x')).has_value());
  EXPECT_FALSE(ParseRedisUrl("redis://" + std::string(5000, 'x')).has_value());
}

TEST(RedisUrl, NeitherMessagesNorDescriptionsShowThePassword) {
  EXPECT_EQ(Describe(Parsed("redis://weir:hunter2@[::1]:7000/3")), "redis://[::1]:7000/3");
  EXPECT_EQ(Describe(Parsed("rediss://:hunter2@h")), "rediss://h:6379/0");
  EXPECT_EQ(Describe(Parsed("unix://:hunter2@/run/r.sock")), "unix:///run/r.sock");
  for (const char* text :
       {"redis://weir:hunter2@h:bad", "redis://weir:hunter2#@h", "redis://weir:p?hunter2=x@h", "rediss://h?hunter2=1",
        "rediss://h?verify=hunter2", "redis://h/hunter2", "hunter2", "hunter2://h", "redis://[hunter2]",
        "redis://weir:%zzhunter2@h", "unix://hunter2", "unix://u:hunter2@h/x", "redis://hunter2@h",
        "redis://weir:hunter2@@h", "redis://hunter2%00@h"}) {
    const auto url = ParseRedisUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().message.find("hunter2"), std::string::npos) << text << ": " << url.error().message;
  }
}

}  // namespace
}  // namespace weir
