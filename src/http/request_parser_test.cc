#include "http/request_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {
namespace {

using Status = RequestParser::Status;

ParserLimits SmallLimits() {
  return {.max_request_line = 64, .max_header_bytes = 256, .max_header_count = 4, .max_body_bytes = 32};
}

// Everything that a parse of a stream tells, as one text, whatever its cuts.
std::string Describe(std::string_view stream, std::size_t cut, const ParserLimits& limits) {
  RequestParser parser(limits);
  std::string told;
  std::string input;
  std::size_t fed = 0;
  while (true) {
    // Exactly-sized and moved each time: views into an old input would be noticed.
    const std::vector<char> exact(input.begin(), input.end());
    const Status status = parser.Parse({exact.data(), exact.size()});
    if (status == Status::kError) return told + "error " + std::to_string(parser.error().status);
    if (status == Status::kComplete) {
      const RequestHead& head = parser.head();
      told += std::string(head.method) + " " + std::string(head.target) + " 1." + std::to_string(head.minor_version);
      told += head.keep_alive ? " keep" : " close";
      for (const Attribute& header : head.headers) {
        told += " " + std::string(header.name) + "=" + std::string(header.value);
      }
      told += " [" + std::string(parser.body()) + "]; ";
      input.erase(0, parser.size());
      parser.Reset();
      continue;
    }
    if (fed == stream.size()) return told + (parser.started() ? "more" : "");
    const std::size_t take = std::min(cut, stream.size() - fed);
    input.append(stream.substr(fed, take));
    fed += take;
  }
}

std::string Describe(std::string_view stream, const ParserLimits& limits = {}) {
  return Describe(stream, std::max<std::size_t>(stream.size(), 1), limits);
}

struct Case {
  std::string_view name;
  std::string stream;
  std::string told;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"get", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep Host=a []; "},
      {"nothing", "", ""},
      {"old", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close []; "},
      {"old that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
       "GET / 1.0 keep Connection=Keep-Alive []; "},
      {"close", "GET / HTTP/1.1\r\nHost:a\r\nConnection: x, Close\r\n\r\n",
       "GET / 1.1 close Host=a Connection=x, Close []; "},
      {"a later minor version", "GET / HTTP/1.7\r\nHost: a\r\n\r\n", "GET / 1.7 keep Host=a []; "},
      {"body", "POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
       "POST /v1/check 1.1 keep Host=a Content-Length=2 [{}]; "},
      {"empty body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
       "POST / 1.1 keep Host=a Content-Length=0 []; "},
      {"pipelined",
       "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /c HTTP/1.1\r\n",
       "GET /a 1.1 keep Host=a []; POST /b 1.1 keep Host=a Content-Length=1 [x]; more"},
      {"white space around a value", "GET / HTTP/1.1\r\nHost: \t a b \t\r\n\r\n", "GET / 1.1 keep Host=a b []; "},
      {"empty value", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 keep Host= []; "},
      {"absolute form", "GET HTTP://h:1/p?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /p?q 1.1 keep Host=a []; "},
      {"absolute form without a path", "GET http://h HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep Host=a []; "},
      {"one empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET / 1.1 keep Host=a []; GET / 1.1 keep Host=a []; "},
      {"chunks",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
       "Chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
       "POST / 1.1 keep Host=a Transfer-Encoding=Chunked [abc0123456789]; "},
      {"chunk with leading zeros",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n00\r\n\r\n",
       "POST / 1.1 keep Host=a Transfer-Encoding=chunked [abc]; "},
      {"trailers",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nContent-Length: "
       "9\r\n\r\n",
       "POST / 1.1 keep Host=a Transfer-Encoding=chunked [a]; "},
      {"no chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "POST / 1.1 keep Host=a Transfer-Encoding=chunked []; "},
      {"half a head", "GET / HTTP/1.1\r\nHo", "more"},
      {"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "more"},

      // What another hop could read otherwise.
      {"length and chunked",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "error 400"},
      {"chunked and length",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "error 400"},
      {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "error 400"},
      {"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
       "error 400"},
      {"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", "error 400"},
      {"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "error 400"},
      {"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", "error 400"},
      {"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", "error 400"},
      {"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "error 400"},
      {"length with a space", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n", "error 400"},
      {"huge length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", "error 400"},
      {"two codings",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "error 400"},
      {"coding list", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "error 501"},
      {"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "error 501"},
      {"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "error 501"},
      {"vertical tab before chunked",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b"
       "chunked\r\n\r\n",
       "error 400"},
      {"coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "error 400"},
      {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "error 400"},
      {"tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "error 400"},
      {"folded line", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "error 400"},
      {"space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "error 400"},
      {"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", "error 400"},
      {"no name", "GET / HTTP/1.1\r\n: a\r\n\r\n", "error 400"},
      {"a name beyond tokens", "GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", "error 400"},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", "error 400"},
      {"bare LF among headers", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "error 400"},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "error 400"},
      {"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", "error 400"},
      {"bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"NUL in a value", std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29), "error 400"},
      {"no host", "GET / HTTP/1.1\r\n\r\n", "error 400"},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "error 400"},
      {"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},

      // Request lines.
      {"no version", "GET /\r\n\r\n", "error 400"},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "error 400"},
      {"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"beyond ASCII in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"no target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"authority form", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"no host in the target", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"method beyond tokens", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n", "error 400"},
      {"version with more digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "error 400"},
      {"HTTP/2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "error 505"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "error 505"},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 12), "error 400"},
      {"unknown expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", "error 417"},

      // Chunks.
      {"no chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "error 400"},
      {"chunk size with a sign",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", "error 400"},
      {"chunk size with 0x", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
       "error 400"},
      {"chunk size with a space",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", "error 400"},
      {"chunk size too long",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000003\r\nabc\r\n", "error 400"},
      {"chunk line ends bare", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
       "error 400"},
      {"bare CR in an extension",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n", "error 400"},
      {"chunk longer than told",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "error 400"},
      {"chunk ends with LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n ",
       "error 400"},
      {"bad trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX y\r\n\r\n", "error 400"},
  };
  return cases;
}

TEST(RequestParser, ReadsWhatIsRightAndRefusesWhatIsNot) {
  for (const Case& c : Cases()) EXPECT_EQ(Describe(c.stream), c.told) << c.name;
}

TEST(RequestParser, DoesNotDependOnHowTheStreamIsCut) {
  for (const Case& c : Cases()) {
    for (const std::size_t cut : {1UL, 2UL, 3UL, 7UL, 16UL}) {
      EXPECT_EQ(Describe(c.stream, cut, {}), c.told) << c.name << " in pieces of " << cut;
    }
  }
}

TEST(RequestParser, HoldsToItsLimits) {
  const std::string host = "Host: a\r\n";
  const auto with_target = [&](std::size_t size) {
    return "GET /" + std::string(size - 1 - sizeof("GET  HTTP/1.1") + 1, 'x') + " HTTP/1.1\r\n" + host + "\r\n";
  };
  const auto post = [&](const std::string& rest) { return "POST / HTTP/1.1\r\n" + host + rest; };
  const std::vector<Case> cases = {
      {"longest line", with_target(63), ""},
      {"longer line", with_target(64), "error 414"},
      {"endless line", std::string(65, 'x'), "error 414"},
      {"most headers", "GET / HTTP/1.1\r\n" + host + "a:\r\nb:\r\nc:\r\n\r\n", ""},
      {"more headers", "GET / HTTP/1.1\r\n" + host + "a:\r\nb:\r\nc:\r\nd:\r\n\r\n", "error 431"},
      {"large head", "GET / HTTP/1.1\r\n" + host + "a: " + std::string(240, 'x') + "\r\n\r\n", "error 431"},
      {"endless head", "GET / HTTP/1.1\r\n" + host + "a: " + std::string(300, 'x'), "error 431"},
      {"largest body", post("Content-Length: 32\r\n\r\n" + std::string(32, 'x')), ""},
      {"larger body", post("Content-Length: 33\r\n\r\n"), "error 413"},
      {"largest chunks",
       post("Transfer-Encoding: chunked\r\n\r\n10\r\n" + std::string(16, 'x') + "\r\n10\r\n" + std::string(16, 'x') +
            "\r\n0\r\n\r\n"),
       ""},
      {"larger chunks", post("Transfer-Encoding: chunked\r\n\r\n10\r\n" + std::string(16, 'x') + "\r\n11\r\n"),
       "error 413"},
      {"huge chunk", post("Transfer-Encoding: chunked\r\n\r\n7fffffffffffff\r\n"), "error 413"},
      {"endless chunk line", post("Transfer-Encoding: chunked\r\n\r\n1;" + std::string(300, 'x')), "error 400"},
      {"endless trailers",
       post("Transfer-Encoding: chunked\r\n\r\n0\r\n" + std::string(40, 'x') + ":\r\n" + std::string(40, 'y') +
            ":\r\n"),
       "error 431"},
  };
  for (const Case& c : cases) {
    const std::string told = Describe(c.stream, SmallLimits());
    if (c.told.empty()) {
      EXPECT_EQ(told.find("error"), std::string::npos) << c.name << ": " << told;
    } else {
      EXPECT_EQ(told, c.told) << c.name;
    }
    for (std::size_t cut = 1; cut < 5; ++cut) EXPECT_EQ(Describe(c.stream, cut, SmallLimits()), told) << c.name;
  }
}

TEST(RequestParser, BoundsTheFramingOfChunks) {
  ParserLimits limits;
  limits.max_body_bytes = 100'000;
  std::string stream = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 50'000; ++i) stream += "1\r\nx\r\n";
  EXPECT_EQ(Describe(stream, limits), "error 413");
}

TEST(RequestParser, TellsWhenToSayContinue) {
  RequestParser parser({});
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
  EXPECT_EQ(parser.Parse(head), Status::kIncomplete);
  EXPECT_FALSE(parser.expects_continue());
  EXPECT_EQ(parser.Parse(head + "\r\n"), Status::kIncomplete);
  EXPECT_TRUE(parser.expects_continue());
  const std::string whole = head + "\r\n{}";
  EXPECT_EQ(parser.Parse(whole), Status::kComplete);
  EXPECT_EQ(parser.body(), "{}");
}

TEST(RequestParser, NeverAsksForABodyThatItRefuses) {
  RequestParser parser(SmallLimits());
  EXPECT_EQ(parser.Parse("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 33\r\n\r\n"),
            Status::kError);
  EXPECT_FALSE(parser.expects_continue());
  EXPECT_EQ(parser.error().status, 413);
}

TEST(RequestParser, StaysBrokenAfterAnError) {
  RequestParser parser({});
  EXPECT_EQ(parser.Parse("x\n"), Status::kError);
  EXPECT_EQ(parser.Parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Status::kError);
}

}  // namespace
}  // namespace weir::http
