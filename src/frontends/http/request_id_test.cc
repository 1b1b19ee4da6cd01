// request_id over HTTP: in a body, in a header that the document names, and at /v1/auth.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/http/forward_auth.h"
#include "frontends/http/session.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::http {
namespace {

class HttpRequestId : public testing::Test {
 protected:
  HttpRequestId() { Begin("X-Request-Id"); }

  static EnterpriseRateLimitConfig Config(std::string_view header) {
    ParsedConfig parsed = ParseConfig(
        "global: {free_tier: {max_requests: 10, window_seconds: 60, algorithm: token_bucket}}\n"
        "ip_rules: {trusted_proxies: [192.0.2.1/32]}\n"
        "server: {request_id_header: '" +
        std::string(header) + "'}\n");
    EXPECT_TRUE(parsed.ok());
    return parsed.config;
  }
  void Begin(std::string_view header) {
    session_.reset();
    engine::EngineOptions options;
    options.clock = &clock_;
    engine_ =
        engine::Engine::Create(Config(header), storage::memory::MemoryStore::Create({}).value(), std::move(options))
            .value();
    http_.engine = engine_.get();
    http_.serve = kServeAll;
    session_ = MakeHttpSession(connection_, http_);
    connection_.Attach(session_.get());
  }

  std::string Send(std::string_view text) {
    connection_.Receive(text);
    return connection_.TakeOutput();
  }
  std::string Post(std::string_view path, std::string_view body, std::string_view headers = {}) {
    return Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  std::string Auth(std::string_view headers) {
    return Send("GET /v1/auth HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\nX-Original-URI: /\r\n" +
                std::string(headers) + "\r\n");
  }
  // What this address has left.
  std::string Left(std::string_view ip) {
    const std::string answer = Post("/v1/peek", R"({"cost":0,"ip":")" + std::string(ip) + "\"}");
    const std::size_t at = answer.find("\"remaining\":") + 12;
    return answer.substr(at, answer.find(',', at) - at);
  }

  ManualClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  HttpOptions http_;
  net::FakeConnection connection_{"192.0.2.1"};
  std::unique_ptr<net::Session> session_;
};

TEST_F(HttpRequestId, IsReadFromTheBody) {
  constexpr std::string_view kBody = R"({"ip":"203.0.113.1","request_id":"a"})";
  const std::string first = Post("/v1/check", kBody);
  EXPECT_TRUE(first.contains("\"remaining\":9,")) << first;
  EXPECT_FALSE(first.contains("repeated"));
  const std::string again = Post("/v1/check", kBody);
  EXPECT_TRUE(again.contains("\"remaining\":9,") && again.contains("\"repeated\":true")) << again;
  const std::string batch = Post("/v1/check/batch", "[" + std::string(kBody) + R"(,{"ip":"203.0.113.1"}])");
  EXPECT_TRUE(batch.contains("\"repeated\":true") && batch.contains("\"remaining\":8,")) << batch;
  EXPECT_FALSE(Post("/v1/peek", kBody).contains("repeated"));

  const std::string reserved = Post("/v1/reserve", kBody), reserved_again = Post("/v1/reserve", kBody);
  const auto reservation = [](const std::string& answer) {
    const std::size_t at = answer.find("\"reservation\":\"");
    return at == std::string::npos ? "" : answer.substr(at, answer.find('"', at + 15) - at);
  };
  EXPECT_NE(reservation(reserved), "");
  EXPECT_EQ(reservation(reserved), reservation(reserved_again));
  EXPECT_EQ(Left("203.0.113.1"), "7");
}

TEST_F(HttpRequestId, IsBounded) {
  const auto check = [this](const std::string& id) {
    return Post("/v1/check", R"({"ip":"203.0.113.1","request_id":)" + id + "}");
  };
  for (const std::string& wrong :
       {std::string("\"\""), "\"" + std::string(129, 'a') + "\"", std::string("\"a b\""), std::string("\"\\u00e9\""),
        std::string("\"a\\n\""), std::string("7"), std::string("[]")}) {
    const std::string answer = check(wrong);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << wrong;
    EXPECT_TRUE(answer.contains("$.request_id: must be")) << answer;
  }
  EXPECT_TRUE(check("\"" + std::string(128, 'a') + "\"").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(check("null").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(Post("/v1/check", R"({"request_id":"a","request_id":"a"})").contains("appears twice"));
  for (const std::string_view path : {"/v1/refund", "/v1/reset"}) {
    const std::string answer = Post(path, R"({"ip":"203.0.113.1","request_id":"a"})");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << path;
    EXPECT_TRUE(answer.contains("only checks and reservations")) << answer;
  }
}

TEST_F(HttpRequestId, IsReadFromTheHeaderThatTheDocumentNames) {
  EXPECT_FALSE(Auth("X-Request-Id: a\r\n").contains("repeated"));
  EXPECT_TRUE(Auth("x-request-id: a\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(Left("203.0.113.1"), "9");
  Auth("X-Request-Id: b\r\n");
  EXPECT_EQ(Left("203.0.113.1"), "8");
  constexpr std::string_view kBody = R"({"ip":"203.0.113.2"})";
  EXPECT_FALSE(Post("/v1/check", kBody, "X-Request-Id: a\r\n").contains("repeated")) << "another subject";
  EXPECT_TRUE(Post("/v1/check", kBody, "X-Request-Id: a\r\n").contains("repeated"));
  EXPECT_FALSE(Post("/v1/reserve", kBody, "X-Request-Id: a\r\n").contains("repeated"));
  EXPECT_TRUE(Post("/v1/reserve", kBody, "X-Request-Id: a\r\n").contains("repeated"));
  EXPECT_FALSE(
      Post("/v1/check", R"({"ip":"203.0.113.2","request_id":"c"})", "X-Request-Id: a\r\n").contains("repeated"))
      << "the body's own goes before";
}

// Who can write the header could pass for ever.
TEST_F(HttpRequestId, NoHeaderIsReadUnlessItIsNamed) {
  Begin("");
  for (const std::string_view name : {"X-Request-Id", "Idempotency-Key", "X-Weir-Request-Id"}) {
    Auth(std::string(name) + ": a\r\n");
    Auth(std::string(name) + ": a\r\n");
  }
  EXPECT_EQ(Left("203.0.113.1"), "4");
}

TEST_F(HttpRequestId, TheNameChangesWithTheDocument) {
  Auth("X-Request-Id: a\r\n");
  ASSERT_TRUE(engine_->Apply(Config("Idempotency-Key")));
  Auth("X-Request-Id: a\r\n");
  EXPECT_EQ(Left("203.0.113.1"), "8");
  Auth("Idempotency-Key: a\r\n");
  EXPECT_EQ(Left("203.0.113.1"), "8") << "the same ask, whatever header names it";
}

TEST_F(HttpRequestId, AHeaderThatIsNoIdOrComesTwiceIsRefused) {
  const std::string longer(129, 'a');
  for (const std::string& wrong :
       std::vector<std::string>{"X-Request-Id: a\r\nX-Request-Id: b\r\n", "X-Request-Id: a b\r\n", "X-Request-Id:\r\n",
                                "X-Request-Id: " + longer + "\r\n"}) {
    const std::string denied = Auth(wrong);
    EXPECT_TRUE(denied.starts_with("HTTP/1.1 400") && denied.contains("X-Weir-Allowed: 0")) << denied;
    EXPECT_TRUE(Post("/v1/check", R"({"ip":"203.0.113.1"})", wrong).starts_with("HTTP/1.1 400"));
  }
  EXPECT_EQ(Left("203.0.113.1"), "10");
}

}  // namespace
}  // namespace weir::http
