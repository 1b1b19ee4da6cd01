#include "io/https/http_client.h"

#include <gtest/gtest.h>

#include "base/test_directory.h"
#include "io/https/test_http_server.h"
#include "net/test_certificates.h"

namespace weir::io {
namespace {

std::string UrlOf(const TestHttpServer& server, std::string_view path = "/") {
  return "http://" + server.address() + std::string(path);
}

HttpOptions Plain() {
  HttpOptions options;
  options.plaintext = true;
  return options;
}

TEST(HttpClient, SendsWhatItIsGivenAndReadsTheAnswer) {
  TestHttpServer server([](const SeenRequest& request) {
    return TestAnswer(request.method == "DELETE" ? 404 : 200, "hello", "ETag: \"7\"\r\nX-Two:  a b \r\n");
  });
  HttpClient client(Plain());
  auto reply = client.Send({.method = "PUT",
                            .url = UrlOf(server, "/a%2Fb?c=d"),
                            .headers = {{"Content-Type", "application/json"}, {"X-Mine", "1"}},
                            .body = "{}"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "hello");
  EXPECT_EQ(reply->Header("etag"), "\"7\"");
  EXPECT_EQ(reply->Header("x-two"), "a b");
  EXPECT_EQ(reply->Header("none"), "");
  reply = client.Send({.method = "DELETE", .url = UrlOf(server)});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 404);  // an answer, no error
  ASSERT_TRUE(client.Send({.method = "POST", .url = UrlOf(server)}));
  ASSERT_TRUE(client.Send({.url = UrlOf(server)}));
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[0].method, "PUT");
  EXPECT_EQ(seen[0].target, "/a%2Fb?c=d");
  EXPECT_EQ(seen[0].body, "{}");
  EXPECT_EQ(seen[0].headers.at("x-mine"), "1");
  EXPECT_EQ(seen[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(seen[1].method, "DELETE");
  EXPECT_EQ(seen[2].method, "POST");
  EXPECT_EQ(seen[2].headers.count("content-type"), 0U);
  EXPECT_EQ(seen[3].method, "GET");
  EXPECT_EQ(seen[3].headers.count("expect"), 0U);
}

TEST(HttpClient, AnswersAreBounded) {
  TestHttpServer server([](const SeenRequest& request) {
    if (request.target == "/headers") return TestAnswer(200, "", "X-Long: " + std::string(5'000, 'h') + "\r\n");
    return TestAnswer(200, std::string(request.target == "/much" ? 101 : 100, 'x'));
  });
  HttpOptions options = Plain();
  options.most_bytes = 100;
  options.most_header_bytes = 1'000;
  HttpClient client(options);
  EXPECT_EQ(client.Send({.url = UrlOf(server)})->body.size(), 100U);
  for (const char* path : {"/much", "/headers"}) {
    const auto reply = client.Send({.url = UrlOf(server, path)});
    ASSERT_FALSE(reply) << path;
    EXPECT_EQ(reply.error().code, ErrorCode::kResourceExhausted);
  }
  EXPECT_TRUE(client.Send({.url = UrlOf(server)}));  // the client is none the worse
}

TEST(HttpClient, ARedirectIsAnAnswer) {
  TestHttpServer server([](const SeenRequest&) { return TestAnswer(302, "", "Location: /elsewhere\r\n"); });
  HttpClient client(Plain());
  const auto reply = client.Send({.url = UrlOf(server)});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 302);
  EXPECT_EQ(server.seen().size(), 1U);
}

TEST(HttpClient, SilenceEndsInTime) {
  TestHttpServer server([](const SeenRequest&) { return std::string(); });
  HttpOptions options = Plain();
  options.timeout = 50 * kMillisecond;
  HttpClient client(options);
  EXPECT_EQ(client.Send({.url = UrlOf(server)}).error().code, ErrorCode::kDeadlineExceeded);
}

TEST(HttpClient, NobodyThere) {
  std::string address;
  {
    address = TestHttpServer([](const SeenRequest&) { return std::string(); }).address();
  }
  HttpClient client(Plain());
  const auto reply = client.Send({.url = "http://" + address + "/path?token=secret"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(reply.error().message.find("secret"), std::string::npos) << reply.error().message;
}

TEST(HttpClient, WhatIsNotHttpIsTold) {
  TestHttpServer server([](const SeenRequest&) { return std::string("SSH-2.0-x\r\nConnection: close\r\n\r\n"); });
  HttpClient client(Plain());
  EXPECT_FALSE(client.Send({.url = UrlOf(server)}));
}

TEST(HttpClient, MalformedRequestsAreNotSent) {
  HttpClient client(Plain());
  const std::string good = "http://127.0.0.1:1/";
  for (HttpRequest request :
       {HttpRequest{.url = ""}, HttpRequest{.url = "file:///etc/passwd"}, HttpRequest{.url = "http://"},
        HttpRequest{.url = "http://u:p@127.0.0.1/"}, HttpRequest{.url = "http://127.0.0.1/\r\nX: y"},
        HttpRequest{.url = "http://127.0.0.1/a b"}, HttpRequest{.url = "gopher://127.0.0.1/"},
        HttpRequest{.method = "GET /x HTTP/1.1\r\nA:", .url = good},
        HttpRequest{.url = good, .headers = {{"A", "b\r\nC: d"}}},
        HttpRequest{.url = good, .headers = {{"A b", "c"}}}}) {
    const auto reply = client.Send(std::move(request));
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::kInvalidArgument) << reply.error().message;
  }
  HttpClient strict({});
  EXPECT_EQ(strict.Send({.url = good}).error().code, ErrorCode::kInvalidArgument);  // http:// was not allowed
}

TEST(HttpClient, CertificatesAreVerified) {
  const TestDirectory directory;
  const net::TestCertificate authority(directory / "ca", "ca", net::TestCertificate::Role::kAuthority);
  const net::TestCertificate other(directory / "other", "other", net::TestCertificate::Role::kAuthority);
  const net::TestCertificate leaf(directory / "leaf", "leaf", net::TestCertificate::Role::kServer, &authority);
  TestHttpServer server(
      [](const SeenRequest&) { return TestAnswer(200, "ok"); }, "0.0.0.0:0",
      std::make_unique<net::TlsOptions>(net::TlsOptions{
          .certificate_file = leaf.certificate_file, .key_file = leaf.key_file, .client_ca_file = "", .alpn = {}}));
  const std::string port = server.address().substr(server.address().rfind(':'));
  const auto ask = [&](const std::string& ca, const std::string& host) {
    HttpOptions options;
    options.ca_file = ca;
    return HttpClient(options).Send({.url = "https://" + host + port + "/"});
  };
  ASSERT_TRUE(ask(authority.certificate_file, "127.0.0.1"));
  for (const std::string& ca : {std::string(), other.certificate_file}) {
    const auto reply = ask(ca, "127.0.0.1");
    ASSERT_FALSE(reply) << ca;
    EXPECT_EQ(reply.error().code, ErrorCode::kFailedPrecondition) << reply.error().message;
  }
  EXPECT_EQ(ask(authority.certificate_file, "127.0.0.2").error().code, ErrorCode::kFailedPrecondition);  // its name
  EXPECT_EQ(ask(directory / "none.crt", "127.0.0.1").error().code, ErrorCode::kInvalidArgument);
}

TEST(HttpClient, AUnixSocket) {
  const TestDirectory directory;
  TestHttpServer server([](const SeenRequest&) { return TestAnswer(200, "unix"); }, "unix:" + (directory / "s"));
  HttpOptions options = Plain();
  options.unix_socket = directory / "s";
  const auto reply = HttpClient(options).Send({.url = "http://localhost/admin"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->body, "unix");
  EXPECT_EQ(server.seen().front().headers.at("host"), "localhost");
}

TEST(HttpClient, AStreamGoesOnUntilTheReaderHasEnough) {
  TestHttpServer server([](const SeenRequest& request) {
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: ";
    // The first kind never ends by itself.
    answer += request.target == "/on" ? "keep-alive\r\n\r\n" : "close\r\n\r\n";
    return answer + "data: 1\n\ndata: 2\n\n";
  });
  HttpOptions options = Plain();
  options.most_bytes = 4;  // of whole answers only
  HttpClient client(options);
  std::string seen;
  auto reply = client.Stream(
      {.url = UrlOf(server, "/ends")},
      [&](std::string_view part) {
        seen += part;
        return true;
      },
      nullptr);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(seen, "data: 1\n\ndata: 2\n\n");
  reply = client.Stream({.url = UrlOf(server, "/on")}, [](std::string_view) { return false; }, nullptr);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 200);
  bool stopped = false;
  reply = client.Stream(
      {.url = UrlOf(server, "/on")}, [&](std::string_view) { return stopped = true; }, [&] { return stopped; });
  EXPECT_TRUE(reply);
}

TEST(HttpClient, PrivateAddressesCanBeOutOfReach) {
  TestHttpServer server([](const SeenRequest&) { return TestAnswer(200, "inside"); });
  HttpOptions options = Plain();
  options.reach = HttpOptions::Reach::kPublic;
  const std::string port = server.address().substr(server.address().rfind(':'));
  // By number, by name, and by another spelling of the number.
  for (const std::string host : {"127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"}) {
    const auto reply = HttpClient(options).Send({.url = "http://" + host + port + "/"});
    ASSERT_FALSE(reply) << host;
    EXPECT_EQ(reply.error().code, ErrorCode::kFailedPrecondition) << host << ": " << reply.error().message;
  }
  EXPECT_TRUE(server.seen().empty());
  EXPECT_TRUE(HttpClient(options).Send({.url = UrlOf(server), .may_be_loopback = true}));
  options.allowed = {*ParseNetwork("127.0.0.0/8")};
  EXPECT_TRUE(HttpClient(options).Send({.url = UrlOf(server)}));
}

TEST(PublicAddress, ByTheRegistries) {
  for (const char* text : {"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"}) {
    EXPECT_TRUE(IsPublic(*ParseAddress(text))) << text;
  }
  for (const char* text : {"0.0.0.0",        "10.1.2.3",        "100.64.0.1", "127.0.0.1",   "169.254.169.254",
                           "172.16.0.1",     "172.31.255.255",  "192.0.2.1",  "192.168.1.1", "198.19.0.1",
                           "224.0.0.1",      "255.255.255.255", "::",         "::1",         "fe80::1",
                           "fc00::1",        "fd12::1",         "ff02::1",    "2001:db8::1", "2002:a00:1::",
                           "64:ff9b::a00:1", "::ffff:10.0.0.1", "::7f00:1"}) {
    EXPECT_FALSE(IsPublic(*ParseAddress(text))) << text;
  }
}

}  // namespace
}  // namespace weir::io
