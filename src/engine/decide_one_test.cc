// The short way through the engine and the long one come to the same decisions.
#include "engine/decide_one.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

// A document with a bit of everything, most of it at random.
std::string RandomDocument(std::mt19937_64& random) {
  const auto one_in = [&](unsigned n) { return random() % n == 0; };
  const auto pick = [&](std::initializer_list<const char*> of) {
    return std::string(of.begin()[random() % of.size()]);
  };
  const auto rule = [&] {
    std::string text =
        "{max_requests: " + std::to_string(random() % 6) + ", window_seconds: " + pick({"1", "10", "60"}) +
        ", algorithm: " +
        pick({"token_bucket", "token_bucket", "leaky_bucket", "{leaky_bucket: {shape: true}}", "fixed_window",
              "sliding_window", "sliding_window_log", "{concurrency: {}}"}) +
        ", identifier: " +
        pick({"user_id", "ip_address", "global", "tenant_id", "{user_id: {fallback_to_ip: true}}", "{api_key: {}}",
              "{api_key: {quota_field: quota}}", "{custom: {extractor: \"header:x-id\"}}",
              "{composite: {primary: user_id, secondary: ip_address, strategy: strictest_limit}}",
              "{composite: {primary: user_id, secondary: ip_address, strategy: combine}}"});
    if (one_in(5)) text += ", mode: shadow";
    if (one_in(6)) text += ", penalties: {enabled: true, threshold: 2}";
    if (one_in(4)) text += ", on_store_failure: " + pick({"allow", "deny", "local"});
    return text + "}";
  };
  std::string text = "global:\n  free_tier: " + rule() + "\n  pro_tier: " + (one_in(3) ? "unlimited" : rule()) + "\n";
  text += "exemptions: {users: [root], paths: [/free]}\n";
  text += "tenants:\n  acme: {rule: " + rule() + (one_in(2) ? ", aggregate: " + rule() : "") + "}\n";
  text += "users:\n  ann: {tenant: acme" + (one_in(2) ? ", rule: " + rule() : "") + "}\n";
  text += "endpoints:\n  /a/**: {rule: " + rule() + ", combine: " + pick({"stack", "replace"}) + "}\n";
  text += "  /a/b: {rule: " + rule() + ", methods: [GET]}\n";
  text += "ip_rules:\n  rules:\n    - {name: bad, cidrs: [203.0.113.0/24], action: block}\n";
  text += "    - {name: some, cidrs: [192.0.2.0/25], rule: " + rule() + "}\n";
  text += "domains:\n  d:\n    hierarchy: " + pick({"true", "false"}) + "\n    descriptors:\n";
  text += "      - {key: k, detailed_metric: true, quota_mode: " + pick({"true", "false"}) +
          ", rule: {max_requests: 3, window_seconds: 60}}\n";
  text += "      - {key: free, rule: unlimited}\n";
  text += "envoy: {unknown_domain: " + pick({"allow", "deny", "error", "hierarchy"}) + "}\n";
  return text;
}

struct Asked {
  std::vector<Attribute> headers, attributes;
  std::string text;
  Call call;
};

void RandomCall(std::mt19937_64& random, Asked& to) {
  const auto pick = [&](std::initializer_list<std::string_view> of) { return of.begin()[random() % of.size()]; };
  Request& request = to.call.request;
  to.call.kind = random() % 4 == 0 ? CallKind::kPeek : CallKind::kCheck;
  request.peer_ip = pick({"", "192.0.2.1", "192.0.2.200", "203.0.113.5", "2001:db8::1", "10.0.0.1:80", "nonsense"});
  request.user = pick({"", "ann", "bob", "root"});
  request.tenant = pick({"", "", "acme", "other"});
  request.tier = pick({"", "pro_tier", "nothing"});
  request.api_key = pick({"", "key-1"});
  request.method = pick({"GET", "POST"});
  request.path = pick({"", "/", "/a/b", "/a/c/d/e/f/g/h/i/j/k", "/free", "/a/../free", "/a%2Fb", "/a/b?x=1"});
  request.cost = std::array{1U, 1U, 0U, 3U}[random() % 4];
  to.headers = {{"x-id", pick({"1", "2"})}};
  if (random() % 2 == 0) request.headers = to.headers;
  to.text = std::to_string(random() % 3);
  to.attributes = {{pick({"k", "free", "other"}), to.text}};
  if (random() % 4 == 0) to.attributes = {{"quota", "2"}};
  request.attributes = to.attributes;
  to.call.descriptor = random() % 3 == 0;
  request.domain = to.call.descriptor ? pick({"d", "d", "unknown"}) : pick({"", "", "d"});
}

std::string Told(const Call& call) {
  const Decision& decision = call.decision;
  std::string text = std::string(ToString(decision.reason)) + (decision.allowed ? "+" : "-") +
                     std::to_string(decision.deciding) + (call.status ? "" : call.status.error().message) +
                     (decision.reservation != 0 ? "r" : "");
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    const Outcome& outcome = rule.outcome;
    text += "|" + std::string(rule.rule) + "," + std::string(rule.policy) + "," + std::string(ToString(rule.level));
    for (const auto number : {std::int64_t{rule.shadow}, std::int64_t{rule.quota}, std::int64_t{rule.rule_index},
                              static_cast<std::int64_t>(rule.window_seconds), std::int64_t{rule.headers.ietf},
                              static_cast<std::int64_t>(outcome.verdict), static_cast<std::int64_t>(outcome.limit),
                              static_cast<std::int64_t>(outcome.remaining), static_cast<std::int64_t>(outcome.used),
                              outcome.reset_after_ns, outcome.retry_after_ns, outcome.delay_ns}) {
      text += "," + std::to_string(number);
    }
  }
  return text;
}

std::string Told(const Engine::Counts& counts) {
  std::string text;
  for (const std::uint64_t number :
       {counts.allowed, counts.denied, counts.exempt, counts.no_limit, counts.blocked, counts.banned,
        counts.store_failures_local, counts.store_failures_allow, counts.store_failures_deny, counts.store_full,
        counts.unknown_domain, counts.unidentified, counts.reservations_open}) {
    text += std::to_string(number) + ",";
  }
  for (const auto& rule : counts.rules) {
    if (!rule.detail.empty()) continue;  // in no order
    text += std::to_string(rule.allowed) + "/" + std::to_string(rule.denied) + "/" +
            std::to_string(rule.shadow_denied) + ",";
  }
  return text;
}

class DecideOneTest : public EngineTest {
 protected:
  // Two engines that are asked the same; one of them by twos, the second a call that asks for nothing.
  struct Side {
    FaultStore* store;
    std::unique_ptr<Engine> engine;
  };
  Side Make(const EnterpriseRateLimitConfig& config, bool local) {
    auto store = std::make_unique<FaultStore>();
    Side side{.store = store.get(), .engine = nullptr};
    EngineOptions options;
    options.clock = &clock_;
    if (local) options.local = storage::memory::MemoryStore::Create({}).value();
    side.engine = std::move(Engine::Create(config, std::move(store), std::move(options)).value());
    return side;
  }
};

TEST_F(DecideOneTest, DecidesAsABatchDoes) {
  std::mt19937_64 random(7);
  std::size_t denied = 0, allowed = 0;
  for (int document = 0; document < 150; ++document) {
    const std::string text = RandomDocument(random);
    const EnterpriseRateLimitConfig config = ParseOrDie(text);
    const bool local = document % 2 == 0;
    const Side alone = Make(config, local), batch = Make(config, local);
    for (int i = 0; i < 80; ++i) {
      clock_.Advance(static_cast<Nanos>(random() % (2 * kSecond)));
      const bool cut = random() % 10 == 0;
      alone.store->Cut(cut);
      batch.store->Cut(cut);
      Asked asked;
      RandomCall(random, asked);
      std::vector<Call> twice(2, asked.call);
      twice[1] = Call();
      twice[1].kind = CallKind::kCancel;  // of no reservation: nothing comes of it
      alone.engine->Run({&asked.call, 1});
      batch.engine->Run(twice);
      ASSERT_EQ(Told(asked.call), Told(twice[0])) << text << "\ncall " << i;
      ++(asked.call.decision.allowed ? allowed : denied);
    }
    ASSERT_EQ(Told(alone.engine->GetCounts()), Told(batch.engine->GetCounts())) << text;
  }
  EXPECT_GT(denied, 2000U);
  EXPECT_GT(allowed, 2000U);
}

// Front ends read one request after another into the same memory, and keep their calls.
TEST_F(DecideOneTest, MemoryThatIsUsedAgainIsAnotherSubject) {
  for (const char* const identifier : {"user_id", "ip_address", "api_key"}) {
    Start("global: {free_tier: {max_requests: 1, window_seconds: 60, algorithm: token_bucket, identifier: " +
          std::string(identifier) + "}}\n");
    ASSERT_TRUE(store_->CompletesInline());
    std::string memory = "192.0.2.1";
    Call call;
    call.request.user = call.request.peer_ip = call.request.api_key = memory;
    engine_->Run({&call, 1});
    EXPECT_TRUE(call.decision.allowed);
    engine_->Run({&call, 1});
    EXPECT_FALSE(call.decision.allowed);
    memory.back() = '2';
    engine_->Run({&call, 1});
    EXPECT_TRUE(call.decision.allowed) << identifier;
    memory.back() = '1';
    engine_->Run({&call, 1});
    EXPECT_FALSE(call.decision.allowed) << identifier;
  }
}

TEST_F(DecideOneTest, ReusedCallsCarryNothingOver) {
  Start(R"(
global: {free_tier: {max_requests: 5, window_seconds: 60, algorithm: token_bucket, identifier: user_id, on_missing: skip}}
envoy: {unknown_domain: error}
)");
  Call call;
  call.request.user = "a";
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rule_count, 1U);
  call.descriptor = true;
  call.request.domain = "nobody";
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rule_count, 0U);
  EXPECT_FALSE(call.status);
  call.descriptor = false;
  call.request.user = "";
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.status);
  EXPECT_EQ(call.decision.reason, Reason::kNoLimit);
  EXPECT_EQ(call.decision.deciding, -1);
}

// Before another store: decides every other plan by itself, and has to be asked properly for the rest.
class HalfStore final : public storage::Store {
 public:
  bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion*) override {
    ++applied;
    return memory_->Apply(plans, now, nullptr);
  }
  bool TryApply(storage::Plan& plan, Nanos now) override {
    if (tried++ % 2 == 0) return false;
    return memory_->Apply({&plan, 1}, now, nullptr);
  }
  bool TriesInline() const override { return true; }
  storage::StoreStats Stats() const override { return memory_->Stats(); }
  storage::Health GetHealth() const override { return storage::Health::kUp; }
  std::string_view Name() const override { return "half"; }
  int applied = 0, tried = 0;

 private:
  const std::unique_ptr<storage::memory::MemoryStore> memory_ = storage::memory::MemoryStore::Create({}).value();
};

TEST(DecideOne, WhatTheStoreCannotDecideByItselfIsAskedForOnce) {
  auto store = std::make_unique<HalfStore>();
  HalfStore& half = *store;
  const auto engine = Engine::Create(ParseOrDie(R"(
global: {free_tier: {max_requests: 100, window_seconds: 60, identifier: ip_address}}
endpoints: {/a: {combine: stack, rule: {max_requests: 5, window_seconds: 60, identifier: user_id}}}
)"),
                                     std::move(store))
                          .value();
  for (int i = 0; i < 20; ++i) {
    Call call;
    call.request = {.peer_ip = "192.0.2.1", .user = "bob", .path = "/a"};
    engine->Run({&call, 1});
    EXPECT_EQ(call.decision.allowed, i < 5) << i;
    EXPECT_EQ(call.decision.rule_count, 2U);
  }
  Call nobody;
  nobody.request = {.peer_ip = "192.0.2.1", .path = "/a"};
  engine->Run({&nobody, 1});
  EXPECT_TRUE(nobody.decision.allowed);
  EXPECT_EQ(half.tried, 21);
  EXPECT_EQ(half.applied, 11);
  const auto counts = engine->GetCounts();
  EXPECT_EQ(counts.allowed + counts.denied, 21U);
  EXPECT_EQ(counts.unidentified, 1U) << "not once for each way";
}

}  // namespace
}  // namespace weir::engine
