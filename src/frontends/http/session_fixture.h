// An HTTP session on a connection without a socket, with an engine behind it. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/http/session.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::http {

// 2 requests a minute for each user, one every 30 s.
inline EnterpriseRateLimitConfig FixtureConfig() {
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

inline std::unique_ptr<storage::Store> Memory() {
  auto store = storage::memory::MemoryStore::Create({.max_entries = 10'000});
  EXPECT_TRUE(store.has_value());
  return std::move(*store);
}

struct ReadAnswer {
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

class SessionFixture {
 public:
  enum class StoreKind : std::uint8_t { kInline, kLate };
  explicit SessionFixture(StoreKind kind = StoreKind::kInline,
                          const EnterpriseRateLimitConfig& config = FixtureConfig(), std::string peer = "192.0.2.1")
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
  ReadAnswer Send(std::string_view bytes) {
    connection.Receive(bytes);
    std::string output = connection.TakeOutput();
    ReadAnswer answer = TakeAnswer(&output);
    EXPECT_EQ(output, "") << "more than one answer";
    return answer;
  }
  ReadAnswer Post(std::string_view path, std::string_view body) { return Send(PostText(path, body)); }
  // What alice has left.
  std::int64_t Left() {
    return Post("/v1/peek", R"({"user":"alice","cost":0})").Json().at("remaining").to_number<std::int64_t>();
  }
  ReadAnswer Get(std::string_view target, std::string_view headers = {}) { return Send(GetText(target, headers)); }

  static std::string PostText(std::string_view path, std::string_view body) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + std::string(body);
  }
  static std::string GetText(std::string_view target, std::string_view headers = {}) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
  }
  // The first answer of `output`, which it is cut off from.
  static ReadAnswer TakeAnswer(std::string* output, bool head_only = false) {
    ReadAnswer answer;
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
  static std::vector<ReadAnswer> TakeAnswers(std::string output) {
    std::vector<ReadAnswer> answers;
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

}  // namespace weir::http
