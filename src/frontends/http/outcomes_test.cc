// What each outcome is answered with over HTTP: status, fields, body.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/http/session.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::http {
namespace {

struct Answer {
  int status = 0;
  std::string head, body;
  // "-" when there is none.
  std::string Header(std::string_view name) const {
    const std::size_t at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string::npos) return "-";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  boost::json::value Json() const { return boost::json::parse(body); }
};

class OutcomesTest : public testing::Test {
 protected:
  void Serve(std::string_view yaml) {
    session_ = nullptr;
    ParsedConfig parsed = ParseConfig(yaml);
    for (const Fault& fault : parsed.faults) EXPECT_NE(fault.severity, Severity::kError) << Describe(fault);
    engine::EngineOptions options;
    options.clock = &clock_;
    auto engine =
        engine::Engine::Create(parsed.config, storage::memory::MemoryStore::Create({}).value(), std::move(options));
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    options_.engine = engine_.get();
    session_ = MakeHttpSession(connection_, options_);
    connection_.Attach(session_.get());
  }
  Answer Send(std::string_view bytes) {
    connection_.Receive(bytes);
    const std::string output = connection_.TakeOutput();
    const std::size_t end = output.find("\r\n\r\n");
    EXPECT_NE(end, std::string::npos) << output;
    if (end == std::string::npos) return {};
    return {std::stoi(output.substr(9, 3)), output.substr(0, end + 2), output.substr(end + 4)};
  }
  Answer Check(std::string_view body, std::string_view path = "/v1/check") {
    return Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + std::string(body));
  }
  Answer Auth(std::string_view path, std::string_view query = {}) {
    return Send("GET /v1/auth" + std::string(query) + " HTTP/1.1\r\nHost: a\r\nX-Original-URI: " + std::string(path) +
                "\r\n\r\n");
  }

  ManualClock clock_;
  HttpOptions options_;
  net::FakeConnection connection_{"192.0.2.1"};
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<net::Session> session_;
};

// Each path has a rule that is spent after one request.
constexpr std::string_view kActions = R"(
global: {free_tier: {max_requests: 1, window_seconds: 60, algorithm: fixed_window}}
endpoints:
  /deny: {rule: {on_exceeded: deny}}
  /wait: {rule: {on_exceeded: wait, max_wait_ms: 60000, algorithm: token_bucket}}
  /challenge: {rule: {on_exceeded: challenge}}
  /charge: {rule: {on_exceeded: charge}}
ip_rules:
  rules:
    - {name: far, cidrs: [198.51.100.0/24], action: challenge}
    - {name: bad, cidrs: [203.0.113.0/24], action: block}
)";

TEST_F(OutcomesTest, ACheckSaysEachOfThem) {
  Serve(kActions);
  const auto twice = [&](std::string_view path) {
    const std::string body = R"({"ip":"192.0.2.9","path":")" + std::string(path) + "\"}";
    const Answer first = Check(body);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.Json().at("action"), "allow");
    EXPECT_EQ(first.Header("X-Weir-Action"), "-");
    return Check(body);
  };
  const Answer denied = twice("/deny");
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Json().at("action"), "deny");
  EXPECT_EQ(denied.Header("X-Weir-Action"), "-");

  const Answer waits = twice("/wait");
  EXPECT_EQ(waits.status, 200);
  EXPECT_EQ(waits.Json().at("allowed"), true);
  EXPECT_EQ(waits.Json().at("action"), "wait");
  EXPECT_EQ(waits.Json().at("delay_ms"), 60000);
  EXPECT_EQ(waits.Header("X-Weir-Action"), "wait");
  EXPECT_EQ(waits.Header("X-Weir-Delay-Ms"), "60000");

  const Answer challenged = twice("/challenge");
  EXPECT_EQ(challenged.status, 403);
  EXPECT_EQ(challenged.Json().at("action"), "challenge");
  EXPECT_EQ(challenged.Json().at("status"), 403);
  EXPECT_EQ(challenged.Json().at("title"), "Forbidden");
  EXPECT_EQ(challenged.Header("X-Weir-Action"), "challenge");
  EXPECT_EQ(challenged.Header("Cache-Control"), "no-store");

  const Answer charged = twice("/charge");
  EXPECT_EQ(charged.status, 402);
  EXPECT_EQ(charged.Json().at("action"), "charge");
  EXPECT_EQ(charged.Json().at("title"), "Payment Required");
  EXPECT_EQ(charged.Header("X-Weir-Action"), "charge");

  const Answer far = Check(R"({"ip":"198.51.100.1"})");
  EXPECT_EQ(far.status, 403);
  EXPECT_EQ(far.Json().at("reason"), "challenged");
  EXPECT_EQ(Check(R"({"ip":"203.0.113.1"})").status, 429) << "a block is a denial";
}

TEST_F(OutcomesTest, WhoWantsStatus200GetsTheDecision) {
  Serve(kActions);
  constexpr std::string_view kBody = R"({"ip":"192.0.2.9","path":"/charge","status_on_denial":200})";
  Check(kBody);
  const Answer charged = Check(kBody);
  EXPECT_EQ(charged.status, 200);
  EXPECT_EQ(charged.Json().at("action"), "charge");
  EXPECT_EQ(charged.Json().at("allowed"), false);
  const Answer peeked = Check(R"({"ip":"192.0.2.9","path":"/charge"})", "/v1/peek");
  EXPECT_EQ(peeked.status, 200);
  EXPECT_EQ(peeked.Json().at("action"), "charge");
  const Answer batch = Check(R"([{"ip":"192.0.2.9","path":"/charge"}])", "/v1/check/batch");
  EXPECT_EQ(batch.Json().at("results").at(0).at("action"), "charge");
}

TEST_F(OutcomesTest, ForwardAuthSaysEachOfThem) {
  Serve(kActions);
  for (const std::string_view path : {"/deny", "/wait", "/challenge", "/charge"}) {
    EXPECT_EQ(Auth(path).status, 200);
  }
  EXPECT_EQ(Auth("/deny").status, 429);
  EXPECT_EQ(Auth("/deny").Header("X-Weir-Action"), "-");
  const Answer waits = Auth("/wait");
  EXPECT_EQ(waits.status, 200);
  EXPECT_EQ(waits.Header("X-Weir-Allowed"), "1");
  EXPECT_EQ(waits.Header("X-Weir-Action"), "wait");
  EXPECT_EQ(waits.Header("X-Weir-Delay-Ms"), "60000");
  const Answer challenged = Auth("/challenge");
  EXPECT_EQ(challenged.status, 403);
  EXPECT_EQ(challenged.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(challenged.Header("X-Weir-Status"), "-");
  EXPECT_EQ(challenged.Header("X-Weir-Action"), "challenge");
  EXPECT_EQ(Auth("/charge").status, 402);
  // nginx knows 401 and 403 as denials: what was meant is beside them.
  for (const auto& [query, status] : {std::pair{"?deny=403", 403}, {"?deny=401", 401}, {"?deny=200", 200}}) {
    const Answer charged = Auth("/charge", query);
    EXPECT_EQ(charged.status, status);
    EXPECT_EQ(charged.Header("X-Weir-Allowed"), "0");
    EXPECT_EQ(charged.Header("X-Weir-Status"), "402");
    EXPECT_EQ(charged.Header("X-Weir-Action"), "charge");
  }
}

constexpr std::string_view kDenials = R"(
global: {free_tier: {max_requests: 1, window_seconds: 60, algorithm: fixed_window}}
denial: {status: 451, body: plain, message: Not here.}
endpoints:
  /problem: {rule: {denial: {status: 503, message: Come back., headers: {X-A: "1", Location: /wait}}}}
  /plain: {rule: {denial: {body: plain}}}
  /html: {rule: {denial: {body: html, message: "<b>no</b>"}}}
  /openai: {rule: {denial: {body: openai}}}
  /jsonrpc: {rule: {denial: {body: jsonrpc, status: 200}}}
  /basic: {rule: {denial: {}, headers: {basic_body: true}}}
  /own: {rule: {denial: {status: 401, headers: {WWW-Authenticate: "Basic realm=x"}}}}
ip_rules: {rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]}
)";

TEST_F(OutcomesTest, ACheckIsDeniedAsTheRuleWants) {
  Serve(kDenials);
  const auto denied = [&](std::string_view path, std::string_view more = {}) {
    const std::string body = R"({"ip":"192.0.2.9","path":")" + std::string(path) + "\"" + std::string(more) + "}";
    EXPECT_EQ(Check(body).status, 200) << path;
    return Check(body);
  };
  const Answer problem = denied("/problem");
  EXPECT_EQ(problem.status, 503);
  EXPECT_EQ(problem.Header("X-A"), "1");
  EXPECT_EQ(problem.Header("Location"), "/wait");
  EXPECT_EQ(problem.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(problem.Json().at("detail"), "Come back.");
  EXPECT_EQ(problem.Json().at("title"), "Service Unavailable");
  EXPECT_EQ(problem.Json().at("reason"), "over_limit");

  const Answer plain = denied("/plain");
  EXPECT_EQ(plain.status, 429);
  EXPECT_EQ(plain.Header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(plain.body, "Limit of 1 in 60 seconds exceeded. Try again in 60 seconds.\n");

  const Answer html = denied("/html");
  EXPECT_EQ(html.Header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(html.body.find("<p>&lt;b&gt;no&lt;/b&gt;</p>"), std::string::npos) << html.body;

  const Answer openai = denied("/openai");
  EXPECT_EQ(openai.Header("Content-Type"), "application/json");
  EXPECT_EQ(openai.Json().at("error").at("code"), "rate_limit_exceeded");

  const Answer rpc = denied("/jsonrpc", R"(,"attributes":{"jsonrpc_id":"42"})");
  EXPECT_EQ(rpc.status, 429) << "200 would say that the request may pass";
  EXPECT_EQ(rpc.Json().at("id"), 42);
  EXPECT_EQ(rpc.Json().at("error").at("code"), -32005);

  EXPECT_TRUE(denied("/basic").Json().at("error").at("code") == "RATE_LIMIT_EXCEEDED");
  EXPECT_EQ(denied("/own").status, 401);

  const Answer blocked = Check(R"({"ip":"203.0.113.1"})");
  EXPECT_EQ(blocked.status, 451);
  EXPECT_EQ(blocked.body, "Not here.\n");

  // Whoever wants to know more gets it.
  const Answer explained = Check(R"({"ip":"192.0.2.9","path":"/plain","explain":true})");
  EXPECT_EQ(explained.Header("Content-Type"), "application/problem+json");
  EXPECT_FALSE(explained.Json().at("explain").as_array().empty());
  EXPECT_EQ(Check(R"({"ip":"192.0.2.9","path":"/plain","status_on_denial":200})").Json().at("action"), "deny");
  EXPECT_EQ(Check(R"({"ip":"192.0.2.9","path":"/problem","status_on_denial":200})").Header("X-A"), "-");
}

TEST_F(OutcomesTest, ForwardAuthDeniesAsTheRuleWants) {
  Serve(kDenials);
  const auto denied = [&](std::string_view path, std::string_view query = {}) {
    (void)Auth(path);
    return Auth(path, query);
  };
  const Answer problem = denied("/problem");
  EXPECT_EQ(problem.status, 503);
  EXPECT_EQ(problem.Header("X-A"), "1");
  EXPECT_EQ(problem.Json().at("status"), 503);
  EXPECT_EQ(problem.Json().at("detail"), "Come back.");
  const Answer nginx = denied("/problem", "?deny=403");
  EXPECT_EQ(nginx.status, 403);
  EXPECT_EQ(nginx.Header("X-Weir-Status"), "503");
  EXPECT_EQ(nginx.Header("X-A"), "1");

  EXPECT_EQ(denied("/html").Header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(denied("/plain").body, "Limit of 1 in 60 seconds exceeded. Try again in 60 seconds.\n");

  // 200 only for a proxy that looks further than at the status.
  const Answer rpc = denied("/jsonrpc");
  EXPECT_EQ(rpc.status, 429);
  EXPECT_EQ(rpc.Header("X-Weir-Status"), "200");
  EXPECT_EQ(rpc.Json().at("id"), nullptr);
  const Answer relayed = denied("/jsonrpc", "?deny=200");
  EXPECT_EQ(relayed.status, 200);
  EXPECT_EQ(relayed.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(relayed.Header("X-Weir-Status"), "-");
  EXPECT_EQ(relayed.Json().at("jsonrpc"), "2.0");

  const Answer own = denied("/own");
  EXPECT_EQ(own.status, 401);
  EXPECT_EQ(own.Header("WWW-Authenticate"), "Basic realm=x");
  EXPECT_EQ(own.head.find("WWW-Authenticate"), own.head.rfind("WWW-Authenticate"));
  EXPECT_EQ(denied("/plain", "?deny=401").Header("WWW-Authenticate"), "RateLimit");
}

// The pattern of AI gateways over HTTP: admitted by a reservation of the least, settled at what the stream has cost.
TEST_F(OutcomesTest, AStreamIsSettledWhenItEnds) {
  Serve(R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 1000, algorithm: token_bucket, identifier: user_id,
              on_exceeded: charge, denial: {body: openai}}
)");
  const auto admit = [&] { return Check(R"({"user":"ann","cost":1})", "/v1/reserve"); };
  const auto end = [&](const Answer& admitted, int cost) {
    const std::string id(admitted.Json().at("reservation").as_string());
    return Check(R"({"reservation":")" + id + R"(","actual_cost":)" + std::to_string(cost) + "}", "/v1/commit").status;
  };
  EXPECT_EQ(end(admit(), 700), 200);
  EXPECT_EQ(end(admit(), 700), 200) << "what was used is charged, also beyond the budget";
  const Answer refused = admit();
  EXPECT_EQ(refused.status, 402);
  EXPECT_EQ(refused.Json().at("error").at("code"), "insufficient_quota");
  EXPECT_EQ(refused.Header("Retry-After"), "401");
  clock_.Advance(401 * kSecond);
  EXPECT_EQ(admit().status, 200);
}

}  // namespace
}  // namespace weir::http
