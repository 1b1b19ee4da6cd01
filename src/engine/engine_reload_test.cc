// A configuration that changes under load: nothing dropped, nothing miscounted.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

// The clock stands still, so whatever is restored is a fault. Every third version is exactly an earlier form again.
std::string Document(int version) {
  const bool log = version % 3 == 1;
  const bool window = version % 3 == 2;
  return std::string("global:\n  free_tier: {max_requests: 5000, window_seconds: 3600, algorithm: ") +
         (log      ? "sliding_window_log"
          : window ? "fixed_window"
                   : "token_bucket") +
         "}\n" + "endpoints:\n  /v" + std::to_string(version) + ": {rule: {max_requests: 1, window_seconds: 60}}\n";
}

TEST_F(EngineTest, ReloadWithTheSameNumbersAdmitsExactlyTheLimit) {
  Start("global: {free_tier: {max_requests: 5000, window_seconds: 3600, algorithm: token_bucket}}");
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> allowed{0}, asked{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        std::vector<Call> calls(5);
        for (Call& call : calls) call.request.peer_ip = "192.0.2.1";
        engine_->Run(calls);
        asked += calls.size();
        for (const Call& call : calls) {
          EXPECT_EQ(call.decision.rule_count, 1U);
          allowed += call.decision.allowed ? 1U : 0U;
        }
      }
    });
  }
  for (int version = 0; version < 60 || asked < 20'000; ++version) {
    // Other rules come and go; this one's generation stays.
    ASSERT_TRUE(engine_->Apply(ParseOrDie(
        "global: {free_tier: {max_requests: 5000, window_seconds: 3600, algorithm: token_bucket}}\nendpoints:\n  /v" +
        std::to_string(version) + ": {rule: {max_requests: 1, window_seconds: 60}}\n")));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 5000U);
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.allowed, 5000U);
  EXPECT_EQ(counts.allowed + counts.denied, asked);
}

TEST_F(EngineTest, ReloadToAnotherAlgorithmKeepsEveryCount) {
  Start(Document(0));
  const Request request{.peer_ip = "192.0.2.1"};
  int allowed = 0;
  for (int version = 1; version <= 12; ++version) {
    allowed += CountAllowed(request, 300);
    ASSERT_TRUE(engine_->Apply(ParseOrDie(Document(version))));
  }
  EXPECT_EQ(allowed, 3600);
  EXPECT_EQ(allowed + CountAllowed(request, 2000), 5000);
}

TEST_F(EngineTest, ReloadTwiceBeforeTheSubjectAsksAgain) {
  Start(Document(0));
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(CountAllowed(request, 4000), 4000);
  for (int version = 1; version <= 4; ++version) ASSERT_TRUE(engine_->Apply(ParseOrDie(Document(version))));
  EXPECT_TRUE(Peek({.peer_ip = "192.0.2.1", .cost = 1000}).allowed);
  EXPECT_FALSE(Peek({.peer_ip = "192.0.2.1", .cost = 1001}).allowed);
  EXPECT_EQ(CountAllowed(request, 3000), 1000);
}

TEST_F(EngineTest, ManyReloadsBeforeTheSubjectAsksAgain) {
  const auto document = [](int limit) {
    return "global: {free_tier: {max_requests: " + std::to_string(limit) + ", window_seconds: 3600}}";
  };
  Start(document(100));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 40), 40);
  for (int change = 1; change <= config::kMostPrevious; ++change) {
    ASSERT_TRUE(engine_->Apply(ParseOrDie(document(100 + change))));
  }
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 200), 100 + config::kMostPrevious - 40);
}

TEST_F(EngineTest, AReloadThatLiftsALimitForAWhileForgetsNothing) {
  const auto document = [](std::string_view rule) { return "global: {free_tier: " + std::string(rule) + "}"; };
  Start(document("{max_requests: 10, window_seconds: 3600, identifier: user_id}"));
  const Request bob{.user = "bob"};
  EXPECT_EQ(CountAllowed(bob, 4), 4);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("unlimited"))));
  EXPECT_EQ(CountAllowed(bob, 100), 100);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("{max_requests: 20, window_seconds: 3600, identifier: user_id}"))));
  EXPECT_EQ(CountAllowed(bob, 100), 16);
}

TEST_F(EngineTest, ReloadToAnotherAlgorithmUnderLoad) {
  Start(Document(0));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> allowed{0}, asked{0}, odd{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const Decision decision = Check({.peer_ip = "192.0.2.1"});
        ++asked;
        allowed += decision.allowed ? 1U : 0U;
        if (decision.rule_count != 1 || (decision.reason != Reason::kOk && decision.reason != Reason::kOverLimit))
          ++odd;
      }
    });
  }
  int versions = 0;
  for (; versions < 30 || asked < 10'000; ++versions) {
    ASSERT_TRUE(engine_->Apply(ParseOrDie(Document(versions + 1))));
    const std::uint64_t before = asked;
    // Four answers: three may have been asked before the change.
    while (asked < before + 4)
      std::this_thread::yield();  // more changes in a row than are remembered would be forgotten
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(odd, 0U);
  // A request that began under the previous rules may still be charged there after a state was carried over: at most
  // one for each thread and change.
  EXPECT_GE(allowed, std::min<std::uint64_t>(asked, 5000U));
  EXPECT_LE(allowed, 5000U + 3U * static_cast<std::uint64_t>(versions));
}

TEST_F(EngineTest, ReloadOfAnInvalidDocumentChangesNothing) {
  Start(Document(0));
  EnterpriseRateLimitConfig wrong = ParseOrDie(Document(0));
  wrong.exemptions.cidrs = {"no network"};
  for (int i = 0; i < 3; ++i) {
    const Result<> refused = engine_->Apply(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(engine_->snapshot()->version(), 1U);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.1"}).allowed);
}

}  // namespace
}  // namespace weir::engine
