// What each rule does while its store is away, and what it goes on from.
#include "engine/decide/failure_policy.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

std::string Yaml(std::string_view policy, int instances = 1, std::string_view algorithm = "token_bucket") {
  return "global:\n  free_tier: {max_requests: 10, window_seconds: 100, algorithm: " + std::string(algorithm) +
         ", on_store_failure: " + std::string(policy) +
         "}\nstorage: {memory: {}, instances: " + std::to_string(instances) + "}\n";
}

const Request kRequest{.peer_ip = "192.0.2.1"};

TEST_F(EngineTest, FailureAllowLetsEverythingPass) {
  Start(Yaml("allow"));
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 50), 50);
  const Decision decision = Check(kRequest);
  EXPECT_EQ(decision.reason, Reason::kStoreAllowed);
  ASSERT_NE(decision.decider(), nullptr);
  EXPECT_EQ(decision.decider()->outcome.remaining, 10U);
  EXPECT_EQ(engine_->GetCounts().store_failures_allow, 51U);
  store_->Cut(false);
  EXPECT_EQ(CountAllowed(kRequest, 50), 10) << "back to the store at once";
}

TEST_F(EngineTest, FailureDenyRefusesAndSaysWhenToTryAgain) {
  Start(Yaml("deny"));
  store_->Cut(true);
  const Decision decision = Check(kRequest);
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason, Reason::kStoreDenied);
  EXPECT_EQ(decision.decider()->outcome.retry_after_ns, FailurePolicy::kRetryAfter);
  EXPECT_EQ(engine_->GetCounts().store_failures_deny, 1U);
  store_->Cut(false);
  EXPECT_TRUE(Check(kRequest).allowed);
}

TEST_F(EngineTest, FailureLocalGoesOnFromTheLastKnownState) {
  for (const char* algorithm :
       {"token_bucket", "leaky_bucket", "sliding_window", "sliding_window_log", "fixed_window"}) {
    Start(Yaml("local", 1, algorithm));
    EXPECT_EQ(CountAllowed(kRequest, 7), 7) << algorithm;
    store_->Cut(true);
    EXPECT_EQ(CountAllowed(kRequest, 20), 3) << algorithm;
    const Decision decision = Check(kRequest);
    EXPECT_EQ(decision.reason, Reason::kStoreLocal) << algorithm;
    EXPECT_GT(decision.decider()->outcome.retry_after_ns, 0) << algorithm;
    EXPECT_EQ(engine_->GetCounts().store_failures_local, 21U);
  }
}

TEST_F(EngineTest, FailureLocalKeepsToThisInstancesShare) {
  Start(Yaml("local", 4));
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 20), 2) << "10 / 4";
  EXPECT_EQ(Check(kRequest).decider()->outcome.limit, 2U);
  Start(Yaml("local", 4));
  EXPECT_EQ(CountAllowed(kRequest, 4), 4);
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 20), 1) << "4 of 10 are used: 1 of this instance's 2";
  Start(Yaml("local", 1000));
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 20), 1) << "at least one";
}

TEST_F(EngineTest, FailureLocalWithoutALocalStoreAllowsAndSaysSo) {
  Setup setup;
  setup.local = false;
  Start(Yaml("local"), std::move(setup));
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 50), 50);
  EXPECT_EQ(Check(kRequest).reason, Reason::kStoreAllowed);
}

TEST_F(EngineTest, FailurePeeksAndZeroCostDoNotDisturbWhatIsKnown) {
  Start(Yaml("local"));
  EXPECT_EQ(CountAllowed(kRequest, 7), 7);
  for (int i = 0; i < 5; ++i) Peek(kRequest);
  Check({.peer_ip = "192.0.2.1", .cost = 0});
  store_->Cut(true);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Peek(kRequest).allowed);
  EXPECT_EQ(CountAllowed(kRequest, 20), 3);
}

constexpr std::string_view kMixed = R"(
global:
  free_tier: {max_requests: 10, window_seconds: 100, algorithm: token_bucket, on_store_failure: allow}
endpoints:
  /deny:
    combine: stack
    rule: {max_requests: 5, window_seconds: 100, algorithm: token_bucket, on_store_failure: deny}
  /local:
    combine: stack
    rule: {max_requests: 5, window_seconds: 100, algorithm: token_bucket, on_store_failure: local}
  /shadow:
    combine: stack
    rule: {max_requests: 5, window_seconds: 100, algorithm: token_bucket, on_store_failure: deny, mode: shadow}
)";

TEST_F(EngineTest, FailureOfAMixedPlan) {
  Start(kMixed);
  store_->Cut(true);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1", .path = "/deny"}).reason, Reason::kStoreDenied);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .path = "/local"}, 20), 5);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1", .path = "/local"}).reason, Reason::kStoreLocal);
  const Decision shadow = Check({.peer_ip = "192.0.2.1", .path = "/shadow"});
  EXPECT_TRUE(shadow.allowed) << "a shadow rule has no say";
  EXPECT_EQ(shadow.reason, Reason::kStoreAllowed);
}

TEST_F(EngineTest, FailureOfOnePlanInABatchConcernsThatOneOnly) {
  Start(Yaml("deny"));
  for (int n = 1; n <= 4; ++n) {
    std::vector<Call> calls(4);
    const std::string address = "10.0.0." + std::to_string(n);
    for (Call& call : calls) call.request.peer_ip = address;
    store_->FailPlan(n);
    engine_->Run(calls);
    for (int i = 1; i <= 4; ++i) {
      EXPECT_EQ(calls[static_cast<std::size_t>(i - 1)].decision.reason, i == n ? Reason::kStoreDenied : Reason::kOk);
    }
  }
}

TEST_F(EngineTest, FailureOfChangesIsToldUnlessTheyAreLocal) {
  Start(Yaml("local"));
  EXPECT_EQ(CountAllowed(kRequest, 10), 10);
  store_->Cut(true);
  EXPECT_FALSE(Check(kRequest).allowed);
  EXPECT_TRUE(Run(CallKind::kRefund, {.peer_ip = "192.0.2.1", .cost = 3}).status);
  EXPECT_EQ(CountAllowed(kRequest, 10), 3);
  const Call reset = Run(CallKind::kReset, kRequest);
  ASSERT_FALSE(reset.status);
  EXPECT_EQ(reset.status.error().code, ErrorCode::kUnavailable) << "the store has not forgotten";
  EXPECT_EQ(CountAllowed(kRequest, 20), 10) << "but this instance has";

  Start(Yaml("deny"));
  store_->Cut(true);
  EXPECT_EQ(Run(CallKind::kRefund, kRequest).status.error().code, ErrorCode::kUnavailable);
}

TEST_F(EngineTest, FailureOfThrottlesFollowsTheDocument) {
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 10;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  limit = algorithms::Sanitize(limit);
  int asked = 0;
  const auto throttle = [&] {
    // Alone and in a batch, in turns.
    std::vector<Call> calls(static_cast<std::size_t>(1 + asked++ % 2));
    for (Call& call : calls) {
      call = ThrottleOf("k", limit);
      call.kind = CallKind::kPeek;
    }
    calls[0].kind = CallKind::kCheck;
    EXPECT_TRUE(engine_->Submit(calls, nullptr));
    return calls[0].decision;
  };
  const auto document = [](std::string_view policy) {
    return "global: {free_tier: generous}\nstorage: {memory: {}, on_store_failure: " + std::string(policy) + "}\n";
  };
  Start(document("deny"));
  store_->Cut(true);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(throttle().reason, Reason::kStoreDenied);
  EXPECT_EQ(engine_->GetCounts().store_failures_deny, 2U);
  Start(document("allow"));
  store_->Cut(true);
  for (int i = 0; i < 20; ++i) {
    const Decision decision = throttle();
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.reason, Reason::kStoreAllowed);
  }
  EXPECT_EQ(engine_->GetCounts().store_failures_allow, 20U);
  Start(document("local"));
  for (int i = 0; i < 8; ++i) throttle();
  store_->Cut(true);
  EXPECT_TRUE(throttle().allowed);
  EXPECT_EQ(throttle().rules()[0].outcome.remaining, 0U);
  const Decision denied = throttle();
  EXPECT_FALSE(denied.allowed);
  EXPECT_EQ(denied.reason, Reason::kStoreLocal);
  EXPECT_EQ(engine_->GetCounts().store_failures_local, 3U);
}

}  // namespace
}  // namespace weir::engine
