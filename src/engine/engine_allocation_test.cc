// The hot path asks for no memory, whatever applies to a request, up to eight rules.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/allocation_counter.h"
#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kEight = R"(
global:
  free_tier: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}
tenants:
  acme:
    aggregate: {max_requests: 1000000, window_seconds: 60, algorithm: token_bucket}
endpoints:
  /api/{id}/*:
    combine: stack
    rule:
      max_requests: 100
      window_seconds: 60
      algorithm: leaky_bucket
      identifier: {composite: {primary: user_id, secondary: ip_address, strategy: combine}}
  /both:
    combine: stack
    rule:
      max_requests: 100
      window_seconds: 60
      algorithm: token_bucket
      identifier: {composite: {primary: user_id, secondary: {custom: {extractor: "header:x-shard"}}, strategy: strictest_limit}}
ip_rules:
  trusted_proxies: [10.0.0.0/8]
  rules:
    - {name: a, cidrs: [0.0.0.0/0], rule: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}}
    - {name: b, cidrs: [0.0.0.0/0], rule: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}}
    - {name: c, cidrs: [192.0.2.0/24], rule: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}}
    - {name: d, cidrs: [192.0.2.0/24], rule: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}}
)";

class AllocationTest : public EngineTest {
 protected:
  void StartOnMemory(std::string_view yaml) {
    auto engine =
        Engine::Create(ParseOrDie(yaml), storage::memory::MemoryStore::Create({}).value(),
                       {.clock = &clock_, .extractors = {}, .observers = {}, .local = nullptr, .follows = nullptr});
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }
  // What 2,000 runs of these calls ask for, after a few that warm up.
  std::uint64_t Allocations(std::span<Call> calls) {
    for (int i = 0; i < 20; ++i) engine_->Run(calls);
    const std::uint64_t before = AllocationsOfThisThread();
    for (int i = 0; i < 2000; ++i) engine_->Run(calls);
    return AllocationsOfThisThread() - before;
  }
};

TEST_F(AllocationTest, NoneForEightRules) {
  StartOnMemory(kEight);
  const std::vector<Attribute> headers = {{"X-Forwarded-For", "192.0.2.7"}, {"x-shard", "s1"}};
  std::vector<Call> calls(40);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    Request& request = calls[i].request;
    request.peer_ip = "10.0.0.1:5555";
    request.user = "alice";
    request.tenant = "acme";
    request.method = "GET";
    request.path = i % 2 == 0 ? "/api/17/items?page=1" : "/both";
    request.headers = headers;
    calls[i].kind = i % 5 == 0 ? CallKind::kPeek : CallKind::kCheck;
  }
  EXPECT_EQ(Allocations(calls), 0U);
  EXPECT_EQ(calls[0].decision.rule_count, 7U);
  EXPECT_EQ(calls[1].decision.rule_count, 8U);
}

TEST_F(AllocationTest, NoneForOneCallAlone) {
  StartOnMemory(kEight);
  Call call;
  call.request.peer_ip = "198.51.100.1";
  call.request.path = "/";
  EXPECT_EQ(Allocations({&call, 1}), 0U);
  EXPECT_FALSE(call.decision.allowed) << "denials are no different";
}

TEST_F(AllocationTest, NoneForAnApiKey) {
  StartOnMemory(R"(
global: {free_tier: {max_requests: 100, window_seconds: 60, algorithm: token_bucket, identifier: user_id}}
tenants: {acme: {quotas: [{max_requests: 1000, period: day}]}}
api_keys: {a-key-longer-than-a-short-string: {tenant: acme, user: kim, quotas: [{max_requests: 50, period: hour}]}}
)");
  Call call;
  call.request.api_key = "a-key-longer-than-a-short-string";
  EXPECT_EQ(Allocations({&call, 1}), 0U);
  EXPECT_EQ(call.decision.rule_count, 3U);
}

TEST_F(AllocationTest, NoneForConditionsFurtherLimitsAndMissingIdentifiers) {
  StartOnMemory(R"yaml(
global:
  free_tier:
    max_requests: 100
    window_seconds: 60
    algorithm: token_bucket
    identifier: user_id
    counts: "attribute:bytes"
    limits: [{max_requests: 50, window_seconds: 10}, {max_requests: 5, window_seconds: 1, counts: requests}]
    when: "request.ip != '' && request.cost >= 1 && !(request.path.lowerAscii().contains('nothing'))"
endpoints:
  /Api/*:
    combine: stack
    ignore_case: true
    rule:
      max_requests: 100
      window_seconds: 60
      algorithm: token_bucket
      identifier: ip_address
      when: >
        headers['x-plan'].lowerAscii() in ['gold', 'silver'] && (query.page == '1' || int(attributes.bytes) > 5)
        && (cookies.session != 'x' ? has(request.user) == false : facts.country == 'DE')
      limits: []
)yaml");
  const std::vector<Attribute> headers = {{"X-Plan", "Gold"}, {"Cookie", "session=abc"}};
  const Attribute bytes{.name = "bytes", .value = "17"};
  Call call;
  call.request.peer_ip = "2001:db8::1";
  call.request.path = "/aPI/items?page=%31";
  call.request.headers = headers;
  call.request.attributes = {&bytes, 1};
  EXPECT_EQ(Allocations({&call, 1}), 0U);
  EXPECT_EQ(call.decision.rule_count, 4U);
  EXPECT_FALSE(call.decision.allowed);
}

TEST_F(AllocationTest, NoneForDescriptors) {
  StartOnMemory(R"(
global: {free_tier: {max_requests: 100, window_seconds: 60, algorithm: token_bucket}}
domains:
  d:
    hierarchy: true
    descriptors:
      - {key: path, rule: {max_requests: 100, window_seconds: 60, name: by_path}}
      - key: user
        replaces: [by_path]
        detailed_metric: true
        rule: {max_requests: 100, window_seconds: 60}
        rules: [{max_requests: 1000, window_seconds: 3600}]
    rules: [{max_requests: 1000, window_seconds: 60}]
)");
  std::vector<std::string> values(40);
  std::vector<Attribute> entries;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = "a/rather/long/value/" + std::to_string(i);
    entries.push_back({i % 3 == 0 ? "user" : "path", values[i]});
  }
  algorithms::Limit client_limit;
  client_limit.kind = algorithms::Kind::kTokenBucket;
  client_limit.capacity = 10;
  client_limit.rate_count = 1;
  client_limit.rate_period = kSecond;
  client_limit = algorithms::Sanitize(client_limit);
  algorithms::Limit window;  // that shares the tree's count
  window.kind = algorithms::Kind::kFixedWindow;
  window.calendar = algorithms::Calendar::kEpoch;
  window.capacity = 10;
  window.window = 60 * kSecond;
  std::vector<Call> calls(40);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].descriptor = true;
    calls[i].request.domain = i % 7 == 6 ? "unknown" : "d";
    calls[i].request.peer_ip = "192.0.2.1";
    calls[i].request.attributes = {&entries[i], 1};
    calls[i].join = i % 4 == 0 ? Join::kNone : i % 4 == 1 ? Join::kSameRequest : Join::kAllOrNothing;
    if (i % 5 == 4) calls[i].client_limit = i % 2 == 0 ? &client_limit : &window;
  }
  EXPECT_EQ(Allocations(calls), 0U);
  EXPECT_EQ(Allocations({calls.data(), 1}), 0U);
}

TEST_F(AllocationTest, NoneForThrottles) {
  StartOnMemory(kEight);
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 10;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  limit = algorithms::Sanitize(limit);
  std::vector<Call> throttles(100);
  for (Call& call : throttles) call = ThrottleOf("k", limit);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(engine_->Submit(throttles, nullptr));
  const std::uint64_t before = AllocationsOfThisThread();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(engine_->Submit(throttles, nullptr));
    ASSERT_TRUE(engine_->Submit({throttles.data(), 1}, nullptr));
  }
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
}

}  // namespace
}  // namespace weir::engine
