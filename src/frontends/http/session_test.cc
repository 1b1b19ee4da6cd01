#include "frontends/http/session.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::http {
namespace {

// 2 requests a minute for each user, one every 30 s.
EnterpriseRateLimitConfig Config() {
  RateLimitRule rule;
  rule.max_requests = 2;
  rule.window_seconds = 60;
  rule.algorithm = TokenBucket{};
  rule.identifier = EnhancedIdentifier{UserId{}};
  rule.name = "free";
  EnterpriseRateLimitConfig config;
  config.global.free_tier = rule;
  config.global.pro_tier = rule;
  config.global.enterprise_tier = rule;
  config.ip_rules.trusted_proxies = {"192.0.2.1/32"};
  IpRule block;
  block.name = "bad";
  block.cidrs = {"203.0.113.0/24"};
  block.action = IpRule::Action::kBlock;
  config.ip_rules.rules = {block};
  EndpointLimits by_address;
  by_address.rule.max_requests = 1;
  by_address.rule.window_seconds = 10;
  by_address.rule.algorithm = TokenBucket{};
  by_address.rule.identifier = EnhancedIdentifier{IpAddress{}};
  by_address.rule.name = "by address";
  config.endpoints["/by-address"] = by_address;
  config.exemptions.paths = {"/free", "/free/*"};
  config.server.forward_auth.identity_headers.user = "X-User-Id";
  config.users["vip"].rule = RateLimitRule::Unlimited();
  EndpointLimits learned;
  learned.rule.max_requests = 100;
  learned.rule.window_seconds = 60;
  learned.rule.algorithm = Adaptive{};
  learned.rule.identifier = EnhancedIdentifier{UserId{}};
  config.endpoints["/learned"] = learned;
  return config;
}

// A store that answers only when it is told to, as a remote one does.
class LateStore final : public storage::Store {
 public:
  explicit LateStore(std::unique_ptr<storage::Store> inner) : inner_(std::move(inner)) {}

  bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion* done) override {
    if (done == nullptr) return inner_->Apply(plans, now, nullptr);
    waiting_.push_back({plans, now, done});
    return false;
  }
  storage::StoreStats Stats() const override { return inner_->Stats(); }
  storage::Health GetHealth() const override { return inner_->GetHealth(); }
  std::string_view Name() const override { return "late"; }

  bool down = false;
  std::size_t waiting() const { return waiting_.size(); }
  void Answer() {
    const std::vector<Asked> asked = std::exchange(waiting_, {});
    for (const Asked& one : asked) {
      ASSERT_TRUE(inner_->Apply(one.plans, one.now, nullptr));
      for (storage::Plan& plan : one.plans) {
        if (down) plan.status = storage::PlanStatus::kUnavailable;
      }
      one.done->Done();
    }
  }

 private:
  struct Asked {
    std::span<storage::Plan> plans;
    Nanos now;
    storage::Completion* done;
  };
  std::unique_ptr<storage::Store> inner_;
  std::vector<Asked> waiting_;
};

std::unique_ptr<storage::Store> Memory() {
  auto store = storage::memory::MemoryStore::Create({.max_entries = 10'000});
  EXPECT_TRUE(store.has_value());
  return std::move(*store);
}

struct Answer {
  int status = 0;
  std::string head;  // status line and headers
  std::string body;
  // The value of a header; "-" when there is none.
  std::string Header(std::string_view name) const {
    const std::string start = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(start);
    if (at == std::string::npos) return "-";
    return head.substr(at + start.size(), head.find("\r\n", at + 2) - at - start.size());
  }
  boost::json::value Json() const { return boost::json::parse(body); }
};

class Fixture {
 public:
  enum class StoreKind : std::uint8_t { kInline, kLate };
  explicit Fixture(StoreKind kind = StoreKind::kInline, const EnterpriseRateLimitConfig& config = Config(),
                   std::string peer = "192.0.2.1")
      : connection(std::move(peer)) {
    std::unique_ptr<storage::Store> store = Memory();
    if (kind == StoreKind::kLate) {
      auto wrapped = std::make_unique<LateStore>(std::move(store));
      late = wrapped.get();
      store = std::move(wrapped);
    }
    engine::EngineOptions engine_options;
    engine_options.clock = &clock;
    auto made = engine::Engine::Create(config, std::move(store), std::move(engine_options));
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    engine = std::move(*made);
    options.engine = engine.get();
    options.metrics = [] { return std::make_shared<const std::string>("weir_up 1\n"); };
    Connect();
  }
  void Connect() {
    session = MakeHttpSession(connection, options);
    connection.Attach(session.get());
  }

  // Sends and reads one answer.
  Answer Send(std::string_view bytes) {
    connection.Receive(bytes);
    std::string output = connection.TakeOutput();
    Answer answer = TakeAnswer(&output);
    EXPECT_EQ(output, "") << "more than one answer";
    return answer;
  }
  Answer Post(std::string_view path, std::string_view body) { return Send(PostText(path, body)); }
  // What alice has left.
  std::int64_t Left() {
    return Post("/v1/peek", R"({"user":"alice","cost":0})").Json().at("remaining").to_number<std::int64_t>();
  }
  Answer Get(std::string_view target, std::string_view headers = {}) { return Send(GetText(target, headers)); }

  static std::string PostText(std::string_view path, std::string_view body) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + std::string(body);
  }
  static std::string GetText(std::string_view target, std::string_view headers = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
  }
  // The first answer of `output`, which it is cut off from.
  static Answer TakeAnswer(std::string* output, bool head_only = false) {
    Answer answer;
    const std::size_t end = output->find("\r\n\r\n");
    EXPECT_NE(end, std::string::npos) << *output;
    if (end == std::string::npos) return answer;
    answer.head = output->substr(0, end + 2);
    answer.status = std::stoi(answer.head.substr(9, 3));
    const std::string length = answer.Header("Content-Length");
    const std::size_t size = length == "-" || head_only ? 0 : std::stoul(length);
    answer.body = output->substr(end + 4, size);
    EXPECT_EQ(answer.body.size(), size);
    output->erase(0, end + 4 + size);
    return answer;
  }
  static std::vector<Answer> TakeAnswers(std::string output) {
    std::vector<Answer> answers;
    while (!output.empty() && !testing::Test::HasFailure()) answers.push_back(TakeAnswer(&output));
    return answers;
  }

  ManualClock clock;
  LateStore* late = nullptr;
  std::unique_ptr<engine::Engine> engine;
  HttpOptions options;
  net::FakeConnection connection;
  std::unique_ptr<net::Session> session;
};

constexpr std::string_view kAlice = R"({"user":"alice"})";

TEST(HttpSession, ChecksAndCounts) {
  Fixture f;
  const Answer first = f.Post("/v1/check", kAlice);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body,
            R"({"allowed":true,"action":"allow","limit":2,"remaining":1,"reset_after_ms":30000,"retry_after_ms":0,)"
            R"("rule":"global.free_tier","level":"global","reason":"ok","delay_ms":0})");
  EXPECT_EQ(first.head,
            "HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
            "RateLimit-Policy: \"free\";q=2;w=60\r\nRateLimit: \"free\";r=1;t=30\r\n"
            "Content-Type: application/json\r\nContent-Length: " +
                std::to_string(first.body.size()) + "\r\n");
  EXPECT_EQ(f.Post("/v1/check", kAlice).Json().at("remaining"), 0);
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"bob"})").Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"clara"})").Json().at("remaining"), 1) << "a name as long as alice's";
}

TEST(HttpSession, DeniesWithHeadersAndAProblem) {
  Fixture f;
  f.Post("/v1/check", kAlice);
  f.Post("/v1/check", kAlice);
  f.clock.Advance(500 * kMillisecond);
  const Answer denied = f.Post("/v1/check", kAlice);
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(denied.Header("Cache-Control"), "no-store");
  EXPECT_EQ(denied.Header("Retry-After"), "30");
  EXPECT_EQ(denied.Header("RateLimit"), "\"free\";r=0;t=30");
  EXPECT_EQ(denied.Header("RateLimit-Policy"), "\"free\";q=2;w=60");
  EXPECT_EQ(
      denied.body,
      R"({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",)"
      R"("status":429,"detail":"Limit of 2 in 60 seconds exceeded. Try again in 30 seconds.",)"
      R"("violated-policies":["free"],"allowed":false,"action":"deny","limit":2,"remaining":0,"reset_after_ms":59500,)"
      R"("retry_after_ms":29500,"rule":"global.free_tier","level":"global","reason":"over_limit","delay_ms":0})");
  // As told: not a nanosecond earlier, and then.
  f.clock.Advance(29'500 * kMillisecond - 1);
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 429);
  f.clock.Advance(1);
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 200);
}

TEST(HttpSession, ADenialCanBeAnsweredWith200) {
  Fixture f;
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/v1/check?status=200", R"({"user":"alice","cost":3})"},
           {"/v1/check", R"({"user":"alice","cost":3,"status_on_denial":200})"}}) {
    const Answer answer = f.Post(path, body);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Header("Content-Type"), "application/json");
    EXPECT_EQ(answer.Json().at("allowed"), false);
    EXPECT_EQ(answer.Json().at("reason"), "never_fits");
    EXPECT_TRUE(answer.Json().at("retry_after_ms").is_null());
  }
  EXPECT_EQ(f.Post("/v1/check?status=200", R"({"user":"alice","cost":3,"status_on_denial":429})").status, 429);
  EXPECT_EQ(f.Post("/v1/check?x=1", kAlice).status, 400);
}

TEST(HttpSession, NeverFitsHasNoRetryAfter) {
  Fixture f;
  const Answer answer = f.Post("/v1/check", R"({"user":"alice","cost":3})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("Retry-After"), "-");
}

TEST(HttpSession, NobodyToCountAndExempt) {
  Fixture f;
  const Answer nobody = f.Post("/v1/check", R"({"user":"vip"})");
  EXPECT_EQ(
      nobody.body,
      R"({"allowed":true,"action":"allow","limit":null,"remaining":null,"reset_after_ms":0,"retry_after_ms":0,"rule":null,)"
      R"("level":null,"reason":"no_limit","delay_ms":0})");
  EXPECT_EQ(nobody.Header("RateLimit"), "-");
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"alice","path":"/free"})").Json().at("reason"), "exempt");
}

TEST(HttpSession, PeeksAsACheckWouldAnswer) {
  Fixture f;
  EXPECT_EQ(f.Post("/v1/peek", kAlice).Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/peek", kAlice).Json().at("remaining"), 1);
  EXPECT_EQ(f.Left(), 2);
  const Answer denied = f.Post("/v1/peek", R"({"user":"alice","cost":3})");
  EXPECT_EQ(denied.status, 200);
  EXPECT_EQ(denied.Json().at("allowed"), false);
}

TEST(HttpSession, ReservesAndSettles) {
  Fixture f;
  const Answer reserved = f.Post("/v1/reserve", R"({"user":"alice","cost":2})");
  ASSERT_EQ(reserved.status, 200);
  const std::string id(reserved.Json().at("reservation").as_string());
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 429);
  const Answer committed = f.Post("/v1/commit", R"({"reservation":")" + id + R"(","actual_cost":1})");
  EXPECT_EQ(committed.status, 200);
  EXPECT_EQ(committed.body, R"({"committed":true})");
  EXPECT_EQ(f.Left(), 1);
  const Answer again = f.Post("/v1/commit", R"({"reservation":")" + id + R"(","actual_cost":1})");
  EXPECT_EQ(again.status, 404);
  EXPECT_EQ(again.Header("Content-Type"), "application/problem+json");

  const Answer second = f.Post("/v1/reserve", kAlice);
  const std::string other(second.Json().at("reservation").as_string());
  EXPECT_EQ(f.Post("/v1/cancel", R"({"reservation":")" + other + R"("})").body, R"({"cancelled":true})");
  EXPECT_EQ(f.Left(), 1);
  EXPECT_EQ(f.Post("/v1/reserve", R"({"user":"alice","cost":2})").status, 429);
}

TEST(HttpSession, ExtendsAReservation) {
  Fixture f;
  const Answer reserved = f.Post("/v1/reserve", kAlice);
  ASSERT_EQ(reserved.status, 200);
  const std::string id(reserved.Json().at("reservation").as_string());
  const Answer denied = f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":2})");
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Json().at("granted"), 0);
  EXPECT_EQ(f.Left(), 1);
  const Answer part = f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":2,"partial":true})");
  EXPECT_EQ(part.status, 200);
  EXPECT_EQ(part.body, R"({"granted":1})");
  EXPECT_EQ(f.Left(), 0);
  EXPECT_EQ(f.Post("/v1/cancel", R"({"reservation":")" + id + R"("})").status, 200);
  EXPECT_EQ(f.Left(), 2);
  EXPECT_EQ(f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":1})").status, 404);
  for (const std::string_view wrong : {R"({"reservation":"7"})", R"({"cost":1})", R"({"reservation":"7","cost":-1})",
                                       R"({"reservation":"7","cost":1,"partial":1})", R"([])", "{"}) {
    EXPECT_EQ(f.Post("/v1/extend", wrong).status, 400) << wrong;
  }
}

TEST(HttpSession, RefundsAndResets) {
  Fixture f;
  f.Post("/v1/check", R"({"user":"alice","cost":2})");
  EXPECT_EQ(f.Post("/v1/refund", kAlice).body, R"({"refunded":true})");
  EXPECT_EQ(f.Left(), 1);
  const Answer refused = f.Post("/v1/reset", kAlice);
  EXPECT_EQ(refused.status, 403) << "not without being asked for";
  EXPECT_NE(refused.body.find("'reset'"), std::string::npos) << refused.body;
  EXPECT_EQ(f.Left(), 1);
  f.options.serve = kServeAll;
  EXPECT_EQ(f.Post("/v1/reset", kAlice).body, R"({"reset":true})");
  EXPECT_EQ(f.Left(), 2);
}

TEST(HttpSession, AnswersOnlyWhatItServes) {
  const std::pair<std::string_view, ServeSet> paths[] = {
      {"/v1/check", kServeCheck},       {"/v1/check/batch", kServeBatch}, {"/v1/peek", kServePeek},
      {"/v1/reserve", kServeReserve},   {"/v1/commit", kServeReserve},    {"/v1/cancel", kServeReserve},
      {"/v1/refund", kServeRefund},     {"/v1/reset", kServeReset},       {"/v1/auth", kServeAuth},
      {"/v1/feedback", kServeFeedback}, {"/metrics", kServeMetrics}};
  Fixture f;
  for (const auto& [path, bit] : paths) {
    f.options.serve = kServeAll & ~bit;
    const Answer refused = bit == kServeMetrics ? f.Get(path) : f.Post(path, kAlice);
    EXPECT_EQ(refused.status, 403) << path;
    EXPECT_EQ(refused.Header("Content-Type"), "application/problem+json");
    f.options.serve = bit;
    EXPECT_NE((bit == kServeMetrics ? f.Get(path) : f.Post(path, kAlice)).status, 403) << path;
  }
  // As on the admin listener: health is always answered.
  f.options.serve = kServeMetrics;
  for (const std::string_view path : {"/livez", "/readyz", "/metrics", "/"}) EXPECT_EQ(f.Get(path).status, 200);
  for (const auto& [path, bit] : paths) {
    if (bit != kServeMetrics) EXPECT_EQ(f.Post(path, kAlice).status, 403) << path;
  }
  EXPECT_EQ(f.Post("/v1/nothing", kAlice).status, 404);
}

TEST(HttpSession, WantsATokenWhereThereAreSome) {
  Fixture f;
  net::LoginGuard guard("http");
  f.options.tokens = SecretSet({"first-token-0123456", "second-token-012345"});
  f.options.guard = &guard;
  const auto status = [&](std::string_view headers, std::string_view path = "/v1/check") {
    return f
        .Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n" + std::string(headers) +
              "\r\n" + std::string(kAlice))
        .status;
  };
  EXPECT_EQ(status("Authorization: Bearer second-token-012345\r\n"), 200);
  EXPECT_EQ(status("x-weir-token: first-token-0123456\r\n"), 200);
  EXPECT_EQ(status("Authorization: Bearer of-a-visitor\r\nX-Weir-Token: first-token-0123456\r\n", "/v1/auth"), 200);
  EXPECT_EQ(guard.failures(), 0U);
  for (const std::string_view wrong :
       {"", "Authorization: Bearer first-token-012345\r\n", "Authorization: first-token-0123456\r\n",
        "X-Weir-Token: Bearer first-token-0123456\r\n", "X-Weir-Token:\r\n", "Authorization: Bearer \r\n",
        "X-Weir-Token: x\r\nAuthorization: Bearer first-token-0123456\r\n",
        "X-Weir-Token: first-token-0123456\r\nX-Weir-Token: x\r\n"}) {
    EXPECT_EQ(status(wrong), 401) << wrong;
  }
  EXPECT_EQ(guard.failures(), 8U);
  const Answer denied = f.Post("/v1/reset", kAlice);
  EXPECT_EQ(denied.status, 401) << "before anything is told of what is served";
  EXPECT_EQ(denied.Header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(denied.body.find("first-token"), std::string::npos);
  EXPECT_EQ(f.Get("/metrics").status, 401);
  EXPECT_EQ(f.Get("/livez").status, 200);
  EXPECT_EQ(f.Get("/readyz").status, 200);
}

// A page of another site cannot make its visitor's browser ask; curl's own content type is no reason to refuse.
TEST(HttpSession, RefusesWhatPagesOfOtherSitesSend) {
  Fixture f;
  const auto post = [&](std::string_view headers, std::string_view path = "/v1/check") {
    return f.Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n" +
                  std::string(headers) + "\r\n" + std::string(kAlice));
  };
  EXPECT_EQ(post("Content-Type: application/x-www-form-urlencoded\r\n").status, 200);
  for (const std::string_view foreign :
       {"Content-Type: text/plain\r\nOrigin: http://evil.example\r\n", "Content-Type: text/plain\r\nOrigin: null\r\n",
        "Content-Type: text/plain\r\nOrigin: http://a\r\n", "Content-Type: application/json\r\nOrigin: https://b\r\n",
        "Content-Type: application/json\r\nSec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-origin\r\n"}) {
    const Answer answer = post(foreign);
    EXPECT_EQ(answer.status, 403) << foreign;
    EXPECT_EQ(answer.Header("Access-Control-Allow-Origin"), "-");
  }
  EXPECT_EQ(f.Left(), 1) << "nothing was counted";
  EXPECT_EQ(post("Content-Type: application/json\r\nOrigin: http://a\r\nSec-Fetch-Site: same-origin\r\n").status, 200);
  // What a proxy passes on is its visitor's, who may be anywhere.
  EXPECT_EQ(f.Get("/v1/auth", "Origin: https://b\r\nSec-Fetch-Site: cross-site\r\nX-Original-URI: /free\r\n").status,
            200);
}

// An answer that would not fit is refused before anything is decided.
TEST(HttpSession, TakesRoomForLargeAnswersBeforeItDecides) {
  for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
    Fixture f(kind);
    f.connection.set_room(100'000);
    std::string many = R"({"requests":[)";
    for (int i = 0; i < 100; ++i) many += std::string(i == 0 ? "" : ",") + R"({"user":"alice"})";
    many += "]}";
    const Answer refused = f.Post("/v1/check/batch", many);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.Header("Retry-After"), "1");
    EXPECT_EQ(f.session->held(), 0U);
    // Small ones are not asked for; the connection lives on.
    f.connection.set_room(0);
    f.connection.Receive(Fixture::PostText("/v1/check", kAlice));
    if (f.late != nullptr) {
      f.late->Answer();
      f.connection.RunPosted();
    }
    EXPECT_NE(f.connection.TakeOutput().find(R"("remaining":1)"), std::string::npos) << "nothing was counted";
    f.connection.Receive(Fixture::PostText("/v1/peek", R"({"user":"alice","explain":true})"));
    EXPECT_TRUE(f.connection.TakeOutput().starts_with("HTTP/1.1 503 ")) << "an explanation is asked for";
    f.connection.set_room(1'000'000);
    f.connection.Receive(Fixture::PostText("/v1/check/batch", many));
    EXPECT_LT(f.connection.room(), 1'000'000U);
    if (f.late != nullptr) {
      EXPECT_EQ(f.session->held(), 1'000'000U - f.connection.room()) << "held while the store is asked";
      f.late->Answer();
      f.connection.RunPosted();
    }
    EXPECT_TRUE(f.connection.TakeOutput().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(f.session->held(), 0U);
  }
}

TEST(HttpSession, Explains) {
  Fixture f;
  const Answer rules = f.Post("/v1/check", R"({"user":"alice","rules":true})");
  EXPECT_EQ(rules.Json().at("rules").as_array().size(), 1U);
  EXPECT_EQ(rules.Json().at("rules").at(0).at("policy"), "free");
  EXPECT_EQ(rules.Json().at("rules").at(0).at("verdict"), "allowed");
  EXPECT_EQ(rules.Json().at("rules").at(0).at("used"), 1);
  EXPECT_FALSE(rules.Json().as_object().contains("explain"));
  const Answer explained = f.Post("/v1/check", R"({"user":"al\"ice","explain":true})");
  EXPECT_FALSE(explained.Json().at("explain").as_array().empty());
  EXPECT_TRUE(explained.Json().at("explain").at(0).as_object().contains("stage"));
}

TEST(HttpSession, HearsHowUpstreamsFare) {
  Fixture f;
  const std::string_view bad = R"({"user":"alice","path":"/learned","latency_ms":20.5,"failed":true})";
  const std::string_view peek = R"({"user":"alice","path":"/learned","cost":0,"explain":true})";
  const Answer first = f.Post("/v1/feedback", bad);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.Header("Content-Type"), "application/json");
  EXPECT_EQ(first.body, R"({"heard":1})");
  for (int i = 0; i < 60; ++i) f.Post("/v1/feedback", bad);
  Answer peeked = f.Post("/v1/peek", peek);
  EXPECT_LT(peeked.Json().at("limit").to_number<int>(), 20);
  EXPECT_EQ(peeked.Json().at("rules").at(0).at("used"), 0);
  EXPECT_NE(peeked.body.find("The upstream answers in 20.5 ms, normally in 20.5 ms, and 9"), std::string::npos)
      << peeked.body;
  for (int i = 0; i < 200; ++i) {
    f.Post("/v1/feedback", R"({"user":"alice","path":"/learned","latency_ms":20.5,"failed":false})");
  }
  EXPECT_EQ(f.Post("/v1/peek", peek).Json().at("limit"), 100);
  EXPECT_EQ(f.Post("/v1/feedback", R"({"user":"alice","latency_ms":1})").body, R"({"heard":0})") << "a bucket";

  const Answer wrong = f.Post("/v1/feedback", R"({"user":"alice","latency_ms":-1})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.Json().at("detail"), "$.latency_ms: must be a number >= 0, got -1");
  EXPECT_EQ(f.Get("/v1/feedback").status, 405);
}

TEST(HttpSession, HearsFeedbackThroughAStoreThatAnswersLater) {
  EnterpriseRateLimitConfig config = Config();
  config.storage.on_store_failure = StoreFailurePolicy::kDeny;
  Fixture f(Fixture::StoreKind::kLate, config);
  const std::string feedback =
      Fixture::PostText("/v1/feedback", R"({"user":"alice","path":"/learned","latency_ms":1})");
  f.connection.Receive(feedback);
  EXPECT_EQ(f.connection.TakeOutput(), "");
  f.late->Answer();
  f.connection.RunPosted();
  f.connection.Receive(feedback);
  f.late->down = true;
  f.late->Answer();
  f.connection.RunPosted();
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].body, R"({"heard":1})");
  EXPECT_EQ(answers[1].status, 503);
  EXPECT_EQ(answers[1].Header("Retry-After"), "1");
}

TEST(HttpSession, AnswersBatchesInOrder) {
  Fixture f;
  const Answer answer =
      f.Post("/v1/check/batch", R"({"requests":[{"user":"a"},{"user":"a"},{"user":"b"},{"user":"a"}]})");
  EXPECT_EQ(answer.status, 200);
  const boost::json::array results = answer.Json().at("results").as_array();
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[0].at("remaining"), 1);
  EXPECT_EQ(results[1].at("remaining"), 0);
  EXPECT_EQ(results[2].at("remaining"), 1);
  EXPECT_EQ(results[3].at("allowed"), false);
  EXPECT_EQ(f.Post("/v1/check/batch", "[]").body, R"({"results":[]})");
  std::string many = "[{}";
  for (int i = 1; i < 1000; ++i) many += ",{\"user\":\"u" + std::to_string(i) + "\",\"headers\":{\"a\":\"b\"}}";
  EXPECT_EQ(f.Post("/v1/check/batch", many + "]").Json().at("results").as_array().size(), 1000U);
  EXPECT_EQ(f.Post("/v1/check/batch", many + ",{}]").status, 400);
}

TEST(HttpSession, WrongBodiesChangeNothing) {
  Fixture f;
  const Answer wrong = f.Post("/v1/check", R"({"user":"alice","cost":-1})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(
      wrong.body,
      R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"$.cost: must be an integer >= 0, got -1"})");
  EXPECT_EQ(f.Post("/v1/check/batch", R"([{"user":"alice"},{"usr":"alice"}])").status, 400);
  EXPECT_EQ(f.Left(), 2);
  EXPECT_FALSE(f.connection.closing());
}

TEST(HttpSession, HeadersOfARequestAreSeen) {
  EnterpriseRateLimitConfig config = Config();
  config.global.free_tier.identifier =
      EnhancedIdentifier{CustomIdentifier{.extractor = "header:x-key", .cache_duration = {}}};
  Fixture f(Fixture::StoreKind::kInline, config);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"X-Key":"a"}})").Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"x-key":"a"}})").Json().at("remaining"), 0);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"x-key":"b"}})").Json().at("remaining"), 1);
}

TEST(HttpSession, AnswersPipelinedRequestsAtOnce) {
  Fixture f;
  std::string input;
  for (int i = 0; i < 300; ++i)
    input += Fixture::PostText("/v1/check", R"({"user":"u)" + std::to_string(i / 3) + "\"}");
  input += Fixture::GetText("/livez") + Fixture::PostText("/v1/check", "{") + Fixture::PostText("/v1/check", "{}") +
           "GET /rea";
  EXPECT_EQ(f.connection.Receive(input), 8U);
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 303U);
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(answers[i].status, i % 3 == 2 ? 429 : 200) << i;
  EXPECT_EQ(answers[300].body, "ok\n");
  EXPECT_EQ(answers[301].status, 400);
  EXPECT_EQ(answers[302].status, 200);
}

TEST(HttpSession, DoesNotDependOnHowTheInputIsCut) {
  const std::string input =
      Fixture::PostText("/v1/check", kAlice) + Fixture::PostText("/v1/check", "{\"x\":1}") +
      "POST /v1/check HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n10\r\n{\"user\":\"alice\"}\r\n0\r\n\r\n" +
      Fixture::GetText("/v1/auth?deny=403", "X-User-Id: alice\r\n") + Fixture::GetText("/nothing") +
      Fixture::PostText("/v1/check/batch", "[{\"user\":\"alice\"},{\"user\":\"bob\"}]") + "BROKEN\r\n\r\n";
  Fixture whole;
  whole.connection.Receive(input);
  const std::string expected = whole.connection.TakeOutput();
  EXPECT_TRUE(whole.connection.closing());
  for (const std::size_t cut : {1UL, 2UL, 5UL, 31UL, 100UL}) {
    for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
      Fixture f(kind);
      for (std::size_t at = 0; at < input.size(); at += cut) {
        f.connection.Receive(std::string_view(input).substr(at, cut));
        if (f.late == nullptr || at % 3 == 0) continue;
        f.late->Answer();
        f.connection.RunPosted();
      }
      while (f.late != nullptr && f.late->waiting() > 0) {
        f.late->Answer();
        f.connection.RunPosted();
      }
      EXPECT_EQ(f.connection.TakeOutput(), expected) << cut;
      EXPECT_TRUE(f.connection.closing());
    }
  }
}

TEST(HttpSession, WaitsForAStoreThatAnswersLater) {
  Fixture f(Fixture::StoreKind::kLate);
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice) + Fixture::GetText("/livez") +
                       Fixture::PostText("/v1/check", kAlice));
  EXPECT_TRUE(f.connection.paused());
  EXPECT_EQ(f.connection.TakeOutput(), "");
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice));
  f.late->Answer();
  EXPECT_EQ(f.connection.TakeOutput(), "") << "answered from the store's thread";
  f.connection.RunPosted();
  EXPECT_FALSE(f.connection.unflushed());
  while (f.late->waiting() > 0) {
    f.late->Answer();
    f.connection.RunPosted();
  }
  EXPECT_FALSE(f.connection.unflushed());
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[0].Json().at("remaining"), 1);
  EXPECT_EQ(answers[1].body, "ok\n");
  EXPECT_EQ(answers[2].Json().at("remaining"), 0);
  EXPECT_EQ(answers[3].status, 429);
  EXPECT_FALSE(f.connection.paused());
}

TEST(HttpSession, AConnectionMayDieWhileTheStoreIsAsked) {
  Fixture f(Fixture::StoreKind::kLate);
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice) + Fixture::GetText("/v1/auth", "X-User-Id: alice\r\n"));
  ASSERT_EQ(f.late->waiting(), 1U);
  f.connection.Attach(nullptr);
  f.session.reset();
  f.late->Answer();
  f.connection.RunPosted();
  EXPECT_EQ(f.connection.TakeOutput(), "");
  // Counted all the same.
  f.Connect();
  f.connection.Receive(Fixture::PostText("/v1/peek", kAlice));
  f.late->Answer();
  f.connection.RunPosted();
}

TEST(HttpSession, ForwardAuth) {
  Fixture f;
  const Answer allowed = f.Get("/v1/auth", "X-User-Id: alice\r\nX-Original-URI: /x\r\n");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.body, "");
  EXPECT_EQ(allowed.Header("X-Weir-Allowed"), "1");
  EXPECT_EQ(allowed.Header("RateLimit"), "\"free\";r=1;t=30");
  f.Get("/v1/auth", "X-User-Id: alice\r\n");
  const Answer denied = f.Get("/v1/auth", "X-User-Id: alice\r\n");
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(denied.Header("Retry-After"), "30");
  EXPECT_EQ(denied.body,
            R"({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",)"
            R"("status":429,"detail":"Limit of 2 in 60 seconds exceeded. Try again in 30 seconds.",)"
            R"("violated-policies":["free"],"retry_after_ms":30000})");
  const Answer nginx = f.Get("/v1/auth?deny=403", "X-User-Id: alice\r\n");
  EXPECT_EQ(nginx.status, 403);
  EXPECT_EQ(nginx.Header("X-Weir-Status"), "429");
  EXPECT_EQ(nginx.Header("Retry-After"), "30");
  const Answer unauthorized = f.Get("/v1/auth?deny=401", "X-User-Id: alice\r\n");
  EXPECT_EQ(unauthorized.status, 401);
  EXPECT_NE(unauthorized.Header("WWW-Authenticate"), "-");
  const Answer mild = f.Get("/v1/auth?deny=200", "X-User-Id: alice\r\n");
  EXPECT_EQ(mild.status, 200);
  EXPECT_EQ(mild.Header("X-Weir-Allowed"), "0");
  EXPECT_EQ(mild.Header("X-Weir-Status"), "429");
  EXPECT_EQ(f.Get("/v1/auth?deny=500").status, 400);
}

TEST(HttpSession, ForwardAuthTakesTheAddressFromATrustedProxy) {
  Fixture f;
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 429);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 200);
  // A client cannot add to what the proxy appends.
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 10.9.9.9, 198.51.100.1\r\n").status,
            429);

  Fixture stranger(Fixture::StoreKind::kInline, Config(), "198.51.100.7");
  EXPECT_EQ(stranger.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(stranger.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 429);
}

TEST(HttpSession, ForwardAuthBelievesOnlyWhatIsConfigured) {
  EnterpriseRateLimitConfig config = Config();
  config.global.free_tier.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  config.users["admin"].exempt = true;
  config.server.forward_auth = {};
  Fixture f(Fixture::StoreKind::kInline, config);
  std::vector<int> statuses;
  for (int i = 0; i < 3; ++i) statuses.push_back(f.Get("/v1/auth", "X-User-Id: admin\r\n").status);
  EXPECT_EQ(statuses, std::vector<int>({200, 200, 429}));
  // The document may change while the connection is open.
  config.server.forward_auth.identity_headers.user = "X-User-Id";
  ASSERT_TRUE(f.engine->Apply(config));
  EXPECT_EQ(f.Get("/v1/auth", "X-User-Id: admin\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth?user_header=", "X-User-Id: admin\r\n").status, 429);
  config.server.forward_auth = {};
  ASSERT_TRUE(f.engine->Apply(config));
  EXPECT_EQ(f.Get("/v1/auth", "X-User-Id: admin\r\n").status, 429);
  EXPECT_EQ(f.Get("/v1/auth?user_header=X-User-Id", "X-User-Id: admin\r\n").status, 200);
}

// What is spent stays spent, however it is spelt.
TEST(HttpSession, ASpentIdentifierHasNoOtherSpelling) {
  EnterpriseRateLimitConfig config = Config();
  for (const char* extractor : {"cookie:sid", "query:key", "header:x-key", "path:^/users/([^/]+)"}) {
    EndpointLimits& endpoint = config.endpoints[extractor[0] == 'p' ? "/users/**" : "/" + std::string(extractor, 5)];
    endpoint.rule = config.global.free_tier;
    endpoint.rule.max_requests = 1;
    endpoint.rule.identifier = EnhancedIdentifier{CustomIdentifier{.extractor = extractor, .cache_duration = {}}};
  }
  Fixture f(Fixture::StoreKind::kInline, config);
  const auto ask = [&f](std::string_view target, std::string_view headers) {
    return f.Get("/v1/auth", "X-Original-URI: " + std::string(target) + "\r\n" + std::string(headers)).status;
  };
  EXPECT_EQ(ask("/cooki", "Cookie: sid=spent\r\n"), 200);
  for (const char* cookie :
       {"sid=spent", "sid =spent", "sid= spent", " sid = spent ", "sid\t=\tspent", "sid=\"spent\"", "sid=sp%65nt",
        "sid=spent; sid=fresh1", "sid=fresh2; sid=spent", "a=b; sid=spent", "sid=spent;",
        "sid=fresh3\r\nCookie: sid=spent", "sid=\"sp\\145nt\"", "sid=spent\xa0", "a=\"b; sid=spent"}) {
    EXPECT_EQ(ask("/cooki", "Cookie: " + std::string(cookie) + "\r\n"), 429) << cookie;
  }
  EXPECT_EQ(ask("/cooki", "Cookie: sid=other\r\n"), 200);
  EXPECT_EQ(ask("/query?key=spent", ""), 200);
  for (const char* query : {"key=spent", "k%65y=%73pent", "key=fresh1&key=spent", "key=spent&key=fresh2", "key=spent;1",
                            "a;key=spent", "key=spent#1", "key=fresh3#&key=spent", "+key=spent"}) {
    EXPECT_EQ(ask("/query?" + std::string(query), ""), 429) << query;
  }
  EXPECT_EQ(ask("/heade", "X-Key: spent\r\n"), 200);
  for (const char* header :
       {"x-key: spent", "X-Key:   spent\t", "X-Key: fresh1\r\nX-KEY: spent", "X-Key: spent\r\nX-KEY: "}) {
    EXPECT_EQ(ask("/heade", std::string(header) + "\r\n"), 429) << header;
  }
  EXPECT_EQ(ask("/users/42/a", ""), 200);
  for (const char* path : {"/users/42/b", "//users/./42", "/users/%34%32", "https://site.example/users/42?x",
                           "/users/42;x/a", "/users/42%2fa", "/x/../users/42", "/users/42#x", "/x#/../users/42"}) {
    EXPECT_EQ(ask(path, ""), 429) << path;
  }
}

TEST(HttpSession, AParameterThatComesTwiceIsAnError) {
  Fixture f;
  EXPECT_EQ(f.Get("/v1/auth?cost=1&cost=0").status, 400);
  EXPECT_EQ(f.Get("/v1/auth?deny=403&deny=403").status, 400);
  EXPECT_EQ(f.Post("/v1/check?status=200&status=429", kAlice).status, 400);
  EXPECT_EQ(f.Left(), 2);
}

// One reading of a target for all who are given one.
TEST(HttpSession, ATargetIsReadAlikeByEveryQuestion) {
  EnterpriseRateLimitConfig config = Config();
  config.global.free_tier.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  config.global.free_tier.max_requests = 1'000;
  EndpointLimits secret;
  secret.rule = config.global.free_tier;
  secret.rule.name = "secret";
  secret.rule.max_requests = 500;  // always the nearer of the two to denying
  config.endpoints["/secret"] = secret;
  Fixture f(Fixture::StoreKind::kInline, config);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/secret", "endpoints./secret.rule"},
      {"https://site.example/secret?x", "endpoints./secret.rule"},
      {"HTTPS://site.example:1/a/../secret", "endpoints./secret.rule"},
      {"https://site.example", "global.free_tier"},
      {"https://site.example?/secret", "global.free_tier"},
      {"https://site.example/free", "exempt"},
      {"secret?u=://x/free/a", "endpoints./secret.rule"},
      {"/secret?u=https://x/free/a", "endpoints./secret.rule"},
      {"/free/a", "exempt"},
      {"/free/a#b", "exempt"},
      {"/free/a?#/../../secret", "exempt"},
      {"/free/a#/../../secret", "endpoints./secret.rule"},
      {"/free/a#/../../other", "global.free_tier"},
      {"/secret#/../free/a", "endpoints./secret.rule"},
      {"https://site.example/free/a#/../../secret", "endpoints./secret.rule"},
      {"https://site.example#/free/a", "global.free_tier"},
      {"https://site.example\\\\secret/../free", "exempt"},
  };
  const auto told = [](const Answer& answer) {
    const boost::json::value body = answer.Json();
    return std::string(body.at("rule").is_null() ? body.at("reason").as_string() : body.at("rule").as_string());
  };
  for (const auto& [target, expected] : cases) {
    const std::string body = R"({"method":"GET","path":")" + target + R"("})";
    const Answer check = f.Post("/v1/check", body);
    EXPECT_EQ(told(check), expected) << target;
    EXPECT_EQ(told(f.Post("/v1/peek", body)), told(check)) << target;
    const std::string sent = target.find("\\\\") == std::string::npos ? target : "https://site.example\\secret/../free";
    const Answer auth = f.Get("/v1/auth", "X-Original-URI: " + sent + "\r\n");
    EXPECT_EQ(auth.Header("RateLimit-Policy"), check.Header("RateLimit-Policy")) << target;
    EXPECT_EQ(auth.status, check.status) << target;
  }
}

TEST(HttpSession, ForwardAuthThroughAUnixSocket) {
  EnterpriseRateLimitConfig config = Config();
  config.ip_rules.trusted_proxies = {"127.0.0.1/32"};
  Fixture f(Fixture::StoreKind::kInline, config, "");
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.1\r\n").status, 200);
  EXPECT_EQ(f.Get("/v1/auth", "X-Original-URI: /by-address\r\nX-Forwarded-For: 198.51.100.2\r\n").status, 200);
}

TEST(HttpSession, ABlockedAddressIsForbidden) {
  Fixture f;
  const std::string from = "X-Forwarded-For: 203.0.113.9\r\n";
  EXPECT_EQ(f.Get("/v1/auth", from).status, 403);
  EXPECT_EQ(f.Get("/v1/auth", from).Header("X-Weir-Status"), "-");
  EXPECT_EQ(f.Get("/v1/auth?deny=401", from).status, 401);
  EXPECT_EQ(f.Get("/v1/auth?deny=401", from).Header("X-Weir-Status"), "403");
  const Answer api = f.Post("/v1/check", R"({"ip":"203.0.113.9"})");
  EXPECT_EQ(api.status, 429);
  EXPECT_EQ(api.Json().at("reason"), "blocked");
  EXPECT_EQ(api.Json().at("violated-policies").as_array().size(), 0U);
}

TEST(HttpSession, AForgedQuestionIsDeniedAndNotAnError) {
  Fixture f;
  const std::string both = "X-Original-URI: /free\r\nX-Forwarded-Uri: /by-address\r\n";
  EXPECT_EQ(f.Get("/v1/auth", both).status, 400);
  const Answer nginx = f.Get("/v1/auth?deny=403", both);
  EXPECT_EQ(nginx.status, 403);
  EXPECT_EQ(nginx.Header("X-Weir-Status"), "400");
  const Answer mild = f.Get("/v1/auth?deny=200", both);
  EXPECT_EQ(mild.status, 200);
  EXPECT_EQ(mild.Header("X-Weir-Allowed"), "0");
}

TEST(HttpSession, Operational) {
  Fixture f;
  EXPECT_EQ(f.Get("/livez").body, "ok\n");
  EXPECT_EQ(f.Get("/readyz").status, 200);
  f.options.ready = [](std::string* why) {
    *why = "store is down";
    return false;
  };
  EXPECT_EQ(f.Get("/readyz").status, 503);
  EXPECT_EQ(f.Get("/readyz").body, "store is down\n");
  f.options.ready = [](std::string* why) {
    *why = "degraded";
    return true;
  };
  EXPECT_EQ(f.Get("/readyz").status, 200);
  EXPECT_EQ(f.Get("/readyz").body, "degraded\n");
  EXPECT_EQ(f.Get("/metrics").body, "weir_up 1\n");
  EXPECT_EQ(f.Get("/metrics").Header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  f.options.metrics = [] { return nullptr; };  // as a configuration says that may change
  EXPECT_EQ(f.Get("/metrics").status, 404);
  f.options.metrics = nullptr;
  EXPECT_EQ(f.Get("/metrics").status, 404);
  EXPECT_NE(f.Get("/").body.find("/v1/check"), std::string::npos);
}

TEST(HttpSession, HeadHasNoBody) {
  Fixture f;
  f.connection.Receive("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n" +
                       Fixture::GetText("/livez"));
  std::string output = f.connection.TakeOutput();
  const Answer head = Fixture::TakeAnswer(&output, true);
  EXPECT_EQ(head.Header("Content-Length"), "3");
  EXPECT_EQ(Fixture::TakeAnswer(&output, true).status, 404);
  EXPECT_EQ(Fixture::TakeAnswer(&output).body, "ok\n");
}

TEST(HttpSession, UnknownPathsAndMethods) {
  Fixture f;
  EXPECT_EQ(f.Get("/nothing").status, 404);
  EXPECT_EQ(f.Post("/v1/check/", "{}").status, 404);
  const Answer wrong = f.Get("/v1/check");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("Allow"), "POST");
  EXPECT_EQ(f.Post("/livez", "").Header("Allow"), "GET, HEAD");
  EXPECT_EQ(f.Send("TRACE /v1/auth HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
  EXPECT_EQ(
      f.Send("POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}").status,
      415);
  EXPECT_FALSE(f.connection.closing());
}

TEST(HttpSession, SaysContinueBeforeTheBody) {
  for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
    Fixture f(kind);
    f.connection.Receive(Fixture::PostText("/v1/check", kAlice) +
                         "POST /v1/check HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
    if (f.late != nullptr) {
      EXPECT_EQ(f.connection.TakeOutput(), "") << "before the answer to the request before";
      f.late->Answer();
      f.connection.RunPosted();
    }
    std::string output = f.connection.TakeOutput();
    Fixture::TakeAnswer(&output);
    EXPECT_EQ(output, "HTTP/1.1 100 Continue\r\n\r\n");
    f.connection.Receive(std::string_view(kAlice).substr(0, 4));
    EXPECT_EQ(f.connection.TakeOutput(), "");
    f.connection.Receive(std::string_view(kAlice).substr(4));
    if (f.late != nullptr) f.late->Answer();
    f.connection.RunPosted();
    output = f.connection.TakeOutput();
    EXPECT_EQ(Fixture::TakeAnswer(&output).Json().at("remaining"), 0);
  }
}

TEST(HttpSession, ClosesWhenAskedTo) {
  Fixture f;
  const Answer last = f.Get("/livez", "Connection: close\r\n");
  EXPECT_EQ(last.Header("Connection"), "close");
  EXPECT_TRUE(f.connection.closing());

  Fixture old;
  EXPECT_EQ(old.Send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").Header("Connection"), "keep-alive");
  EXPECT_FALSE(old.connection.closing());
  EXPECT_EQ(old.Send("GET /livez HTTP/1.0\r\n\r\n").Header("Connection"), "close");
  EXPECT_TRUE(old.connection.closing());
}

TEST(HttpSession, WhatFollowsTheLastRequestIsIgnored) {
  Fixture f;
  EXPECT_EQ(f.Send(Fixture::GetText("/livez", "Connection: close\r\n") + Fixture::PostText("/v1/check", kAlice)).status,
            200);
  EXPECT_EQ(f.connection.unconsumed(), "");
}

TEST(HttpSession, ClosesAfterMalformedHttp) {
  Fixture f;
  const Answer answer =
      f.Send("POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.Header("Connection"), "close");
  EXPECT_EQ(answer.Header("Content-Type"), "application/problem+json");
  EXPECT_TRUE(f.connection.closing());
  EXPECT_EQ(f.connection.unconsumed(), "");
}

TEST(HttpSession, Drains) {
  Fixture idle;
  idle.connection.StartDrain();
  EXPECT_TRUE(idle.connection.closing());

  Fixture busy;
  busy.connection.Receive("GET /live");
  busy.connection.StartDrain();
  EXPECT_FALSE(busy.connection.closing());
  EXPECT_EQ(busy.Send("z HTTP/1.1\r\nHost: a\r\n\r\n").Header("Connection"), "close");
  EXPECT_TRUE(busy.connection.closing());

  Fixture asking(Fixture::StoreKind::kLate);
  asking.connection.Receive(Fixture::PostText("/v1/check", kAlice));
  asking.connection.StartDrain();
  EXPECT_FALSE(asking.connection.closing());
  asking.late->Answer();
  asking.connection.RunPosted();
  std::string output = asking.connection.TakeOutput();
  EXPECT_EQ(Fixture::TakeAnswer(&output).Header("Connection"), "close");
  EXPECT_TRUE(asking.connection.closing());
}

TEST(HttpSession, AFloodOfLargeAnswersYields) {
  Fixture f;
  f.options.metrics = [] { return std::make_shared<const std::string>(300'000, 'x'); };
  std::string flood;
  for (int i = 0; i < 20; ++i) flood += Fixture::GetText("/metrics");
  f.connection.Receive(flood);
  std::string output = f.connection.TakeOutput();
  EXPECT_LT(output.size(), 2'000'000U);
  EXPECT_TRUE(f.connection.paused());
  while (f.connection.RunPosted() > 0) output += f.connection.TakeOutput();
  EXPECT_EQ(Fixture::TakeAnswers(output).size(), 20U);
}

TEST(HttpSession, HoldsToItsLimits) {
  Fixture f;
  f.options.max_body_bytes = 10;
  f.Connect();
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"alice"})").status, 413);
  EXPECT_TRUE(f.connection.closing());
}

}  // namespace
}  // namespace weir::http
