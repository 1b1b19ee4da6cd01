#include "storage/redis/server_time.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace weir::storage::redis {
namespace {

Reply TimeReply(std::string seconds, std::string micros) {
  Reply reply;
  reply.type = ReplyType::kArray;
  for (std::string* text : {&seconds, &micros}) {
    reply.elements.emplace_back().type = ReplyType::kString;
    reply.elements.back().text = std::move(*text);
  }
  return reply;
}

TEST(ServerTime, IsSecondsAndMicroseconds) {
  EXPECT_EQ(ParseServerTime(TimeReply("1800000000", "000042")), 1'800'000'000 * kSecond + 42 * kMicrosecond);
  for (const auto& [seconds, micros] : {std::pair{"", "0"},
                                        {"1", ""},
                                        {"-1", "0"},
                                        {"1", "-1"},
                                        {"1x", "0"},
                                        {"1", "1000000"},
                                        {"9223372036854775807", "0"},
                                        {"99999999999999999999", "0"}}) {
    EXPECT_EQ(ParseServerTime(TimeReply(seconds, micros)), std::nullopt) << seconds << " " << micros;
  }
  EXPECT_EQ(ParseServerTime(Reply{}), std::nullopt);
}

}  // namespace
}  // namespace weir::storage::redis
