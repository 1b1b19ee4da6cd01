#include "cli/access_log.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::cli {
namespace {

TEST(AccessLog, ReadsTheCombinedFormat) {
  const auto entry = ParseAccessLogLine(
      R"(192.0.2.7 - alice [10/Oct/2026:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326 "https://ref/" "Mozilla/5.0 \"x\"")");
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->address, "192.0.2.7");
  EXPECT_EQ(entry->user, "alice");
  EXPECT_EQ(entry->time, 1791665736 * kSecond);  // 2026-10-10T20:55:36Z
  EXPECT_EQ(entry->method, "GET");
  EXPECT_EQ(entry->target, "/a?b=c");
  EXPECT_EQ(entry->status, 200u);
  EXPECT_EQ(entry->referer, "https://ref/");
  EXPECT_EQ(entry->user_agent, R"(Mozilla/5.0 \"x\")");
}

TEST(AccessLog, ReadsTheCommonFormatAndDashes) {
  const auto entry = ParseAccessLogLine("2001:db8::1 - - [01/Jan/1970:00:00:01 +0000] \"POST / HTTP/2.0\" 429 -\r\n");
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->address, "2001:db8::1");
  EXPECT_EQ(entry->user, "");
  EXPECT_EQ(entry->time, kSecond);
  EXPECT_EQ(entry->user_agent, "");
}

TEST(AccessLog, KeepsARequestThatWasNeverUnderstood) {
  const auto entry = ParseAccessLogLine(R"(10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "-" 400 0 "-" "-")");
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->method, "");
  EXPECT_EQ(entry->target, "");
}

TEST(AccessLog, AUserMayHoldSpaces) {
  const auto entry = ParseAccessLogLine(R"(10.0.0.1 - a b [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 0)");
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->user, "a b");
}

TEST(AccessLog, SaysWhatIsMissingAndWhere) {
  struct Case {
    std::string line, message;
  };
  const Case cases[] = {
      {"", "expected an address and a space at byte 1"},
      {"10.0.0.1", "expected an address and a space at byte 1"},
      {"10.0.0.1 - ", "expected the user and a '[' before the time at byte 12"},
      {"10.0.0.1 - - [10/Okt/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 0",
       "expected a time like 10/Oct/2026:13:55:36 +0000 before this at byte 42"},
      {"10.0.0.1 - - [31/Feb/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 0",
       "expected a time like 10/Oct/2026:13:55:36 +0000 before this at byte 42"},
      {"10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] GET / 200 0", "expected the quoted request line at byte 43"},
      {"10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1", "expected the quoted request line at byte 44"},
      {"10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" OK 0",
       "expected a status code before this at byte 62"},
  };
  for (const Case& c : cases) {
    const auto entry = ParseAccessLogLine(c.line);
    ASSERT_FALSE(entry) << c.line;
    EXPECT_EQ(entry.error().message, c.message) << c.line;
  }
}

TEST(AccessLog, SurvivesEveryTruncation) {
  const std::string line =
      R"(192.0.2.7 - alice [10/Oct/2026:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "https://ref/" "M\"")";
  for (std::size_t size = 0; size < line.size(); ++size) {
    const auto entry = ParseAccessLogLine(std::string_view(line).substr(0, size));
    if (entry) {
      EXPECT_EQ(entry->address, "192.0.2.7");
    }
  }
}

}  // namespace
}  // namespace weir::cli
