#include "cli/admin/server.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <optional>

#include "base/test_directory.h"
#include "cli/admin/events.h"
#include "io/https/test_http_server.h"

namespace weir::cli::admin {
namespace {

namespace json = boost::json;

// Set for one test, as it was afterwards.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

AdminServer ServerAt(const io::TestHttpServer& server, std::string reason = "") {
  return {{.url = "http://" + server.address(), .token = "tok"}, std::move(reason), 20 * kSecond};
}

TEST(AdminServer, SaysWhoAndWhy) {
  io::TestHttpServer http([](const io::SeenRequest&) { return io::TestAnswer(200, "{\"a\":1}", "ETag: \"3\"\r\n"); });
  AdminServer server = ServerAt(http, "because");
  const auto got = server.Get("/users/alice", {{"label", "a:b c"}});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->etag, "\"3\"");
  ASSERT_TRUE(server.Send("PUT", "/users/alice", "{}", {{"If-Match", "\"3\""}}));
  const auto seen = http.seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].target, "/admin/v1/users/alice?label=a%3Ab%20c");
  EXPECT_EQ(seen[0].headers.at("authorization"), "Bearer tok");
  EXPECT_EQ(seen[0].headers.count("weir-reason"), 0U);
  EXPECT_EQ(seen[1].headers.at("weir-reason"), "because");
  EXPECT_EQ(seen[1].headers.at("if-match"), "\"3\"");
  EXPECT_EQ(seen[1].headers.at("content-type"), "application/json");
}

TEST(AdminServer, WhatGotNoAnswerMayHaveBeenDone) {
  io::TestHttpServer http([](const io::SeenRequest&) { return std::string(); });
  AdminServer server({.url = "http://" + http.address(), .token = "tok"}, "", 50 * kMillisecond);
  const auto read = server.Get("/users"), written = server.Send("POST", "/bulk", "{}");
  ASSERT_FALSE(read || written);
  EXPECT_EQ(written.error().exit_code, kUnreachable);
  EXPECT_EQ(read.error().text.find("not known"), std::string::npos);
  EXPECT_NE(written.error().text.find("not known"), std::string::npos);
}

TEST(AdminServer, PagesBecomeOneList) {
  io::TestHttpServer http([](const io::SeenRequest& request) {
    const bool first = request.target.find("cursor") == std::string::npos;
    return io::TestAnswer(200, first ? R"({"items":[1,2],"next":"c 2","in_force":7})" : R"({"items":[3]})");
  });
  AdminServer server = ServerAt(http);
  EXPECT_EQ(json::serialize(*server.GetAll("/revisions", {}, 10)), R"({"items":[1,2,3],"in_force":7})");
  EXPECT_EQ(json::serialize(*server.GetAll("/revisions", {}, 2)), R"({"items":[1,2],"in_force":7,"truncated":true})");
  EXPECT_NE(http.seen()[1].target.find("cursor=c%202"), std::string::npos);
}

TEST(AdminServer, ProblemsSayWhatToDo) {
  const Complaint conflict =
      ComplaintOf(412, R"({"title":"Precondition Failed","code":"changed_meanwhile","detail":"it changed"})");
  EXPECT_EQ(conflict.exit_code, kRefused);
  EXPECT_NE(conflict.text.find("look at it again"), std::string::npos);
  const Complaint faulty = ComplaintOf(
      422,
      R"({"title":"T","code":"invalid_body","detail":"D","errors":[{"path":"rule.x","message":"M","line":3,"hint":"H"}]})");
  EXPECT_EQ(faulty.text, "T: D\n  rule.x: M (line 3); H");
  const Complaint down = ComplaintOf(503, R"({"title":"T","detail":"D","request_id":"req_1"})");
  EXPECT_EQ(down.exit_code, kUnreachable);
  EXPECT_NE(down.text.find("req_1"), std::string::npos);
  EXPECT_NE(ComplaintOf(404, "<html>").text.find("management listener"), std::string::npos);
  // What a server says cannot steer the terminal.
  EXPECT_EQ(ComplaintOf(400, "{\"title\":\"\\u001b[2J\",\"detail\":\"x\"}").text.find('\x1b'), std::string::npos);
}

TEST(AdminServer, WhichOneItIs) {
  const TestDirectory directory;
  const Variable home("XDG_CONFIG_HOME", directory.path());
  const Variable url("WEIR_ADMIN_URL", ""), token("WEIR_ADMIN_TOKEN", "");
  EXPECT_FALSE(FindServer(""));  // no token
  Contexts contexts{.current = "a"};
  contexts.servers["a"] = {.url = "https://a", .token = "of-a"};
  contexts.servers["b"] = {.url = "https://b", .token = "of-b"};
  ASSERT_TRUE(SaveContexts(ContextsPath(), contexts));
  EXPECT_EQ(FindServer("")->url, "https://a");
  EXPECT_EQ(FindServer("b")->token, "of-b");
  EXPECT_FALSE(FindServer("c"));
  {
    const Variable other("WEIR_ADMIN_URL", "https://c");
    EXPECT_FALSE(FindServer(""));  // a's token is not sent to c
    const Variable its("WEIR_ADMIN_TOKEN", "of-c");
    EXPECT_EQ(FindServer("")->token, "of-c");
    EXPECT_EQ(FindServer("b")->token, "of-b");  // nor c's to b
  }
}

TEST(Url, InItsNormalForm) {
  const auto normal = [](const char* text, bool plaintext = false) {
    const auto url = NormalUrl(text, plaintext);
    return url ? *url : "error";
  };
  EXPECT_EQ(normal("127.0.0.1:8089"), "http://127.0.0.1:8089");
  EXPECT_EQ(normal("localhost:8089/"), "http://localhost:8089");
  EXPECT_EQ(normal("[::1]:8089"), "http://[::1]:8089");
  EXPECT_EQ(normal("weir.example"), "https://weir.example");
  EXPECT_EQ(normal("https://weir.example/admin/v1/"), "https://weir.example");
  EXPECT_EQ(normal("unix:/run/weir.sock"), "unix:/run/weir.sock");
  EXPECT_EQ(normal("http://weir.example"), "error");
  EXPECT_EQ(normal("http://weir.example", true), "http://weir.example");
  for (const char* bad :
       {"", "unix:x", "ftp://x", "https://", "https://u:p@x", "https://x?y", "http://127.0.0.1.evil"}) {
    EXPECT_EQ(normal(bad), "error") << bad;
  }
}

TEST(Events, InAnyPieces) {
  const std::string text = "data: one\n\n: remark\n\nevent: x\ndata: two\ndata: more\n\ndata: cut";
  for (std::size_t size = 1; size < 8; ++size) {
    std::vector<std::string> seen;
    EventReader reader([&](std::string_view data) {
      seen.emplace_back(data);
      return true;
    });
    for (std::size_t at = 0; at < text.size(); at += size)
      ASSERT_TRUE(reader.Take(std::string_view(text).substr(at, size)));
    EXPECT_EQ(seen, (std::vector<std::string>{"one", "two\nmore"}));
    EXPECT_EQ(reader.rest(), "data: cut");
  }
  EventReader endless([](std::string_view) { return true; });
  EXPECT_FALSE(endless.Take(std::string(EventReader::kMostBytes + 1, 'x')));
}

}  // namespace
}  // namespace weir::cli::admin
