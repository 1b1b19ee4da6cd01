// The engine over a store that answers later.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kLimits = R"(
global:
  free_tier:
    max_requests: 50
    window_seconds: 60
    algorithm: token_bucket
    penalties: {enabled: true, threshold: 3, first_ban_seconds: 100}
)";

class Told final : public storage::Completion {
 public:
  void Done() noexcept override { ++times; }
  std::atomic<int> times{0};
};

TEST_F(EngineTest, AsyncCompletesOnceAfterTheLastAnswer) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  std::vector<Call> calls(100);  // seven batches
  for (Call& call : calls) call.request.peer_ip = "192.0.2.1";
  Told told;
  ASSERT_FALSE(engine_->Submit(calls, &told));
  EXPECT_EQ(told.times, 0);
  // The denials of the first round are strikes, which the second round carries.
  EXPECT_EQ(store_->Release(), 7U + 4U);
  EXPECT_EQ(told.times, 1);
  for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i].decision.allowed, i < 50) << i;
  EXPECT_GT(calls[63].decision.decider()->outcome.retry_after_ns, 99 * kSecond) << "the ban that it earned";
}

TEST_F(EngineTest, AsyncCallsKeepTheirRulesWhileTheConfigurationChanges) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  Call call;
  call.request.peer_ip = "192.0.2.1";
  Told told;
  ASSERT_FALSE(engine_->Submit({&call, 1}, &told));
  ASSERT_TRUE(engine_->Apply(ParseOrDie("global: {free_tier: {max_requests: 7, window_seconds: 60}}")));
  EXPECT_EQ(store_->Release(), 1U);
  EXPECT_EQ(told.times, 1);
  EXPECT_EQ(call.decision.decider()->outcome.limit, 50U);
}

TEST_F(EngineTest, AsyncEngineEndsOnlyAfterItsAnswers) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  std::vector<Call> calls(40);
  for (Call& call : calls) call.request.peer_ip = "192.0.2.1";
  Told told;
  ASSERT_FALSE(engine_->Submit(calls, &told));
  engine_.reset();
  EXPECT_EQ(told.times, 1);
}

TEST_F(EngineTest, AsyncThrottles) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 3;
  limit.rate_count = 1;
  limit.rate_period = kSecond;
  limit = algorithms::Sanitize(limit);
  std::vector<Call> throttles(150);
  for (Call& call : throttles) call = ThrottleOf("k", limit);
  Told told;
  ASSERT_FALSE(engine_->Submit(throttles, &told));
  EXPECT_EQ(store_->Release(), 3U);
  EXPECT_EQ(told.times, 1);
  for (std::size_t i = 0; i < throttles.size(); ++i) {
    EXPECT_EQ(throttles[i].decision.allowed, i < 3) << i;
  }
}

TEST_F(EngineTest, AsyncWaitersOnManyThreadsAdmitExactlyTheLimit) {
  Setup setup;
  setup.delivery = Delivery::kThread;
  Start("global: {free_tier: {max_requests: 500, window_seconds: 60, algorithm: token_bucket}}", std::move(setup));
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 40; ++i) {
        std::vector<Call> calls(20);
        for (Call& call : calls) call.request.peer_ip = "192.0.2.1";
        engine_->Run(calls);
        for (const Call& call : calls) allowed += call.decision.allowed ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 500);
  EXPECT_EQ(engine_->GetCounts().allowed, 500U);
  EXPECT_EQ(engine_->GetCounts().denied, 2700U);
}

TEST_F(EngineTest, AsyncFailuresAtEveryPlan) {
  Setup setup;
  setup.delivery = Delivery::kThread;
  Start(kLimits, std::move(setup));
  for (int n = 1; n <= 40; ++n) {
    store_->FailPlan(n);
    std::vector<Call> calls(20);
    const std::string address = "10.0.0." + std::to_string(n);
    for (Call& call : calls) {
      call.request.peer_ip = address;
      call.request.cost = 4;  // 12 fit, the rest are strikes
    }
    engine_->Run(calls);
    int answered = 0;
    for (const Call& call : calls) answered += call.decision.reason != Reason::kNoLimit ? 1 : 0;
    EXPECT_EQ(answered, 20) << n;
  }
}

}  // namespace
}  // namespace weir::engine
