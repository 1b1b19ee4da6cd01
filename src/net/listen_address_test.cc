#include "net/listen_address.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace weir::net {
namespace {

TEST(ListenAddress, ReadsEveryFormAndWritesItBack) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"127.0.0.1:8080", "127.0.0.1:8080"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"*:80", "0.0.0.0:80"},
      {"localhost:65535", "127.0.0.1:65535"},
      {"[::1]:8080", "[::1]:8080"},
      {"[2001:DB8:0::1]:1", "[2001:db8::1]:1"},
      {"[::]:80", "[::]:80"},
      {"unix:/run/weir.sock", "unix:/run/weir.sock"},
      {"unix:relative.sock", "unix:relative.sock"},
      {"unix:@abstract", "unix:@abstract"},
      {"off", "off"},
  };
  for (const auto& [text, canonical] : cases) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(ToString(*address), canonical);
    EXPECT_EQ(ParseListenAddress(canonical), *address) << text;
  }
}

TEST(ListenAddress, RefusesTheRestAndNamesIt) {
  const std::string too_long = "unix:/" + std::string(200, 'a');
  for (const std::string_view text : {"",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:+1",
                                      "127.0.0.1:80x",
                                      ":80",
                                      "::1:80",
                                      "[::1]",
                                      "[::1]:",
                                      "[::1:80",
                                      "[127.0.0.1]:80",
                                      "[fe80::1%eth0]:80",
                                      "example.com:80",
                                      "1.2.3:80",
                                      "unix:",
                                      "OFF",
                                      "127.0.0.1:99999999999999999999",
                                      too_long.c_str()}) {
    const auto address = ParseListenAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().message.find("'" + std::string(text) + "'"), std::string::npos)
        << address.error().message;
  }
  using namespace std::string_view_literals;
  EXPECT_FALSE(ParseListenAddress("unix:/a\0b"sv));
  EXPECT_FALSE(ParseListenAddress("127.0.0.1\0:80"sv));
}

}  // namespace
}  // namespace weir::net
