#include "frontends/rls/http2/wire.h"

#include <gtest/gtest.h>

namespace weir::rls {
namespace {

TEST(Wire, TimeoutsOfEveryUnit) {
  EXPECT_EQ(ParseTimeout("2H"), 2 * kHour);
  EXPECT_EQ(ParseTimeout("3M"), 3 * kMinute);
  EXPECT_EQ(ParseTimeout("4S"), 4 * kSecond);
  EXPECT_EQ(ParseTimeout("250m"), 250 * kMillisecond);
  EXPECT_EQ(ParseTimeout("7u"), 7 * kMicrosecond);
  EXPECT_EQ(ParseTimeout("99999999n"), 99'999'999);
  EXPECT_EQ(ParseTimeout("0S"), 0);
  EXPECT_EQ(ParseTimeout("00000001S"), kSecond);
}

TEST(Wire, TheLongestTimeoutsDoNotOverflow) {
  EXPECT_EQ(ParseTimeout("99999999H"), 36'500 * kDay);
  EXPECT_EQ(ParseTimeout("99999999M"), 36'500 * kDay);
  EXPECT_EQ(ParseTimeout("99999999S"), 99'999'999 * kSecond);
}

TEST(Wire, MalformedTimeouts) {
  for (const char* text : {"", "S", "5", "5s", "5 S", "-1S", "+1S", "1.5S", "123456789S", "1SS", "S1", "\xFFS"}) {
    EXPECT_EQ(ParseTimeout(text), std::nullopt) << text;
  }
}

TEST(Wire, ContentTypes) {
  for (const char* text : {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8",
                           "application/grpc ; a=b", "Application/gRPC", "application/grpc+proto; a=b"}) {
    EXPECT_TRUE(IsGrpcContentType(text)) << text;
  }
  for (const char* text : {"", "application/json", "application/grpc-web", "application/grpc-web+proto",
                           "application/grpc+json", "application/grpc+", "application/grpcx", "text/plain"}) {
    EXPECT_FALSE(IsGrpcContentType(text)) << text;
  }
}

std::string Encoded(std::string_view text) {
  std::string out;
  AppendPercentEncoded(text, &out);
  return out;
}

TEST(Wire, StatusMessagesAreVisibleAscii) {
  EXPECT_EQ(Encoded("no such domain: \"a b\""), "no such domain: \"a b\"");
  EXPECT_EQ(Encoded("100%\r\n\t\xC3\xA9\x7F"), "100%25%0D%0A%09%C3%A9%7F");
  EXPECT_EQ(Encoded(std::string_view("\0", 1)), "%00");
}

TEST(Wire, CodesHaveNumbersAndNames) {
  EXPECT_EQ(CodeText(Code::kOk), "0");
  EXPECT_EQ(CodeText(Code::kUnauthenticated), "16");
  EXPECT_EQ(CodeName(Code::kResourceExhausted), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(CodeName(static_cast<Code>(200)), "UNKNOWN");
}

}  // namespace
}  // namespace weir::rls
