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

TEST(AccessLog, ReadsAVirtualHostInFront) {
  const auto entry = ParseAccessLogLine(
      R"(shop.example:443 192.0.2.7 - alice [10/Oct/2026:13:55:36 +0200] "GET /a HTTP/1.1" 200 5 "-" "curl")");
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->host, "shop.example");
  EXPECT_EQ(entry->address, "192.0.2.7");
  EXPECT_EQ(entry->user, "alice");
  EXPECT_EQ(entry->zone, 2 * kHour);
  EXPECT_EQ(entry->user_agent, "curl");
  // A host that is an address, and an identity that looks like one.
  const auto by_address =
      ParseAccessLogLine(R"(192.0.2.80:80 192.0.2.7 - bob [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5)");
  ASSERT_TRUE(by_address) << by_address.error().message;
  EXPECT_EQ(by_address->address, "192.0.2.7");
  const auto identity =
      ParseAccessLogLine(R"(192.0.2.7 203.0.113.9 bob [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5)");
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->address, "192.0.2.7");
  EXPECT_EQ(identity->host, "");
  // Nothing is read twice, whatever the line repeats.
  std::string hostile;
  for (int i = 0; i < 8000; ++i) hostile += "1.2.3.4 ";
  EXPECT_FALSE(ParseAccessLogLine(hostile));
}

TEST(AccessLogReader, ReadsJsonOfSeveralServers) {
  AccessLogReader reader;
  struct Case {
    const char* line;
    const char* target;
  };
  const Case cases[] = {
      // nginx
      {R"({"time_iso8601":"2026-10-10T13:55:36+00:00","remote_addr":"192.0.2.7","remote_user":"alice","request":"GET /n?x=1 HTTP/1.1","status":"200","http_user_agent":"curl","http_host":"shop.example"})",
       "/n?x=1"},
      // Caddy
      {R"({"level":"info","ts":1791640536.0,"request":{"remote_ip":"10.0.0.1","client_ip":"192.0.2.7","method":"GET","host":"shop.example","uri":"/c","headers":{"User-Agent":["curl"]}},"user_id":"alice","status":200})",
       "/c"},
      // Traefik
      {R"({"ClientAddr":"192.0.2.7:4711","ClientHost":"192.0.2.7","ClientUsername":"alice","DownstreamStatus":200,"RequestHost":"shop.example","RequestMethod":"GET","RequestPath":"/t","StartUTC":"2026-10-10T13:55:36.000000001Z","request_User-Agent":"curl","time":"x"})",
       "/t"},
      // Envoy
      {R"({"start_time":"2026-10-10T13:55:36.120Z","downstream_remote_address":"192.0.2.7:4711","method":"GET","path":"/e","authority":"shop.example","user_agent":"curl","response_code":200,"user":"alice"})",
       "/e"},
  };
  for (const Case& one : cases) {
    const auto entry = reader.Read(one.line);
    ASSERT_TRUE(entry) << one.target << ": " << entry.error().message;
    EXPECT_EQ(entry->address, "192.0.2.7");
    EXPECT_EQ(entry->user, "alice") << one.target;
    EXPECT_EQ(entry->time / kSecond, 1791640536) << one.target;
    EXPECT_EQ(entry->method, "GET");
    EXPECT_EQ(entry->target, one.target);
    EXPECT_EQ(entry->host, "shop.example");
    EXPECT_EQ(entry->status, 200U);
    EXPECT_EQ(entry->user_agent, "curl");
  }
  // The other form in between.
  EXPECT_TRUE(reader.Read(R"(10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 0)"));
}

TEST(AccessLogReader, SaysWhatAnObjectLacks) {
  AccessLogReader reader;
  const std::pair<const char*, const char*> cases[] = {
      {"{", "not a JSON object"},
      {"{}", "the JSON object has no client address"},
      {R"({"remote_addr":"192.0.2.7"})", "the JSON object has no time"},
      {R"({"remote_addr":"192.0.2.7","ts":-5})", "the JSON object has no time"},
      {R"({"remote_addr":"192.0.2.7","ts":1e300})", "the JSON object has no time"},
      {R"({"remote_addr":["x"],"ts":{"a":1}})", "the JSON object has no time"},
  };
  for (const auto& [line, why] : cases) {
    const auto entry = reader.Read(line);
    ASSERT_FALSE(entry) << line;
    EXPECT_TRUE(entry.error().message.starts_with(why)) << entry.error().message;
  }
  EXPECT_FALSE(reader.Read(std::string(60'000, '[')));
  EXPECT_FALSE(reader.Read("{\"a\":" + std::string(60'000, '[')));
}

}  // namespace
}  // namespace weir::cli
