// CheckAsync, and StoreFaults by which its answers come later.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "storage/redis/fake_server.h"
#include "weir/rate_limiter.h"
#include "weir/testing.h"

namespace weir {
namespace {

using namespace std::chrono_literals;

EnterpriseRateLimitConfig Limits(std::uint64_t max_requests) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = max_requests, .window_seconds = 60};
  return config;
}

class AsyncTest : public testing::Test {
 protected:
  void Start(const EnterpriseRateLimitConfig& config, bool with_faults = true) {
    limiter_.reset();
    auto limiter = RateLimiter::Create(config, {.clock = &clock_, .store_faults = with_faults ? &faults_ : nullptr});
    ASSERT_TRUE(limiter) << limiter.error().message;
    limiter_ = std::move(*limiter);
  }
  void Ask(const Request& request) {
    limiter_->CheckAsync(request, [this](Decision decision) { answers_.push_back(std::move(decision)); });
  }

  ManualClock clock_;
  StoreFaults faults_{clock_};
  std::vector<Decision> answers_;
  std::unique_ptr<RateLimiter> limiter_;
};

TEST_F(AsyncTest, AMemoryStoreAnswersBeforeTheReturn) {
  Start(Limits(2), false);
  const std::thread::id here = std::this_thread::get_id();
  std::vector<bool> allowed;
  for (int i = 0; i < 3; ++i) {
    auto owned = std::make_unique<int>(i);  // what can only be moved can be brought along
    limiter_->CheckAsync({.peer_ip = "192.0.2.1"}, [&, owned = std::move(owned)](const Decision& decision) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      EXPECT_EQ(*owned, i);
      allowed.push_back(decision.allowed);
    });
    ASSERT_EQ(allowed.size(), static_cast<std::size_t>(i) + 1);
  }
  EXPECT_EQ(allowed, (std::vector{true, true, false}));
}

TEST_F(AsyncTest, ASlowStoreAnswersWhenItsTimeHasCome) {
  Start(Limits(2));
  faults_.SetLatency(50ms);
  for (int i = 0; i < 3; ++i) Ask({.peer_ip = "192.0.2.1"});
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(faults_.waiting(), 3U);
  clock_.Advance(49ms);
  EXPECT_TRUE(answers_.empty());
  clock_.Advance(1ms);
  ASSERT_EQ(answers_.size(), 3U);
  EXPECT_TRUE(answers_[0].allowed);
  EXPECT_TRUE(answers_[1].allowed);
  EXPECT_FALSE(answers_[2].allowed);
  EXPECT_EQ(answers_[2].reason, Reason::kOverLimit);
  EXPECT_EQ(faults_.waiting(), 0U);
}

TEST_F(AsyncTest, TheRequestNeedNotOutliveTheCall) {
  EnterpriseRateLimitConfig config = Limits(100);
  config.global.free_tier.identifier = EnhancedIdentifier{CustomIdentifier{.extractor = "header:X-Shard"}};
  EndpointLimits& upload = config.endpoints["/upload"];
  upload.combine = Combine::kStack;
  upload.rule = {.max_requests = 1, .window_seconds = 60};
  upload.rule.identifier = EnhancedIdentifier{CustomIdentifier{.extractor = "attribute:plan"}};
  Start(config);
  faults_.SetLatency(1s);
  const auto ask = [&](std::string plan) {
    std::string ip = "192.0.2.1", path = "/upload", name = "x-shard", shard(40, 's'), key = "plan";
    const Attribute header{.name = name, .value = shard}, attribute{.name = key, .value = plan};
    Ask({.peer_ip = ip, .path = path, .headers = {&header, 1}, .attributes = {&attribute, 1}});
    for (std::string* text : {&ip, &path, &name, &shard, &key, &plan}) text->assign(text->size(), '#');
  };
  ask("free");
  ask("a plan with a rather long name");
  ask("free");
  clock_.Advance(1s);
  ASSERT_EQ(answers_.size(), 3U);
  EXPECT_TRUE(answers_[0].allowed);
  EXPECT_TRUE(answers_[1].allowed);
  EXPECT_FALSE(answers_[2].allowed);
  EXPECT_EQ(answers_[1].rule_count, 2U);
}

TEST_F(AsyncTest, AFailureIsDecidedByThePolicyOfTheRule) {
  EnterpriseRateLimitConfig config = Limits(2);
  config.storage.instances = 2;
  config.endpoints["/closed"].rule = {.max_requests = 100, .window_seconds = 60};
  config.endpoints["/closed"].rule.on_store_failure = StoreFailurePolicy::kDeny;
  config.endpoints["/open"].rule = {.max_requests = 1, .window_seconds = 60};
  config.endpoints["/open"].rule.on_store_failure = StoreFailurePolicy::kAllow;
  Start(config);
  faults_.FailNext(5);
  for (const char* const path : {"/", "/", "/closed", "/open", "/open", "/closed"}) {
    Ask({.peer_ip = "192.0.2.1", .path = path});
  }
  ASSERT_EQ(answers_.size(), 6U) << "without a latency at once";
  EXPECT_EQ(answers_[0].reason, Reason::kStoreLocal);
  EXPECT_TRUE(answers_[0].allowed);
  EXPECT_FALSE(answers_[1].allowed) << "this instance's half of two is spent";
  EXPECT_EQ(answers_[2].reason, Reason::kStoreDenied);
  EXPECT_EQ(answers_[3].reason, Reason::kStoreAllowed);
  EXPECT_EQ(answers_[4].reason, Reason::kStoreAllowed);
  EXPECT_EQ(answers_[5].reason, Reason::kOk) << "the sixth was answered";
  EXPECT_EQ(faults_.failed(), 5U);
}

TEST_F(AsyncTest, AStoreThatGoesDownFailsWhatWaits) {
  Start(Limits(2));
  faults_.SetLatency(10ms);
  Ask({.peer_ip = "192.0.2.1"});
  faults_.SetDown(true);
  clock_.Advance(10ms);
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].reason, Reason::kStoreLocal);
}

TEST_F(AsyncTest, ACallThatWaitsTakesTheLatencyByTheClock) {
  Start(Limits(2));
  faults_.SetLatency(250ms);
  const Nanos before = clock_.Now();
  EXPECT_TRUE(limiter_->Check({.peer_ip = "192.0.2.1"}).allowed);
  EXPECT_EQ(clock_.Now() - before, 250 * kMillisecond);
}

TEST_F(AsyncTest, ACallbackMayAskAgain) {
  Start(Limits(2));
  faults_.SetLatency(10ms);
  int calls = 0;
  std::optional<bool> last;
  limiter_->CheckAsync({.peer_ip = "192.0.2.1"}, [&](const Decision&) {
    ++calls;
    limiter_->CheckAsync({.peer_ip = "192.0.2.1", .cost = 2}, [&](const Decision& decision) {
      ++calls;
      last = decision.allowed;
    });
  });
  clock_.Advance(10ms);
  EXPECT_EQ(calls, 1) << "the second answer takes its time too";
  clock_.Advance(10ms);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(last, false);
}

TEST_F(AsyncTest, TheDestructorAnswersWhatWaits) {
  Start(Limits(2));
  faults_.SetLatency(1h);
  int later = 0;
  for (int i = 0; i < 3; ++i) {
    limiter_->CheckAsync({.peer_ip = "192.0.2.1"}, [&](Decision decision) {
      answers_.push_back(std::move(decision));
      limiter_->CheckAsync({.peer_ip = "192.0.2.9"}, [&](const Decision& decision) {
        EXPECT_EQ(decision.reason, Reason::kStoreLocal);
        ++later;
      });
    });
  }
  RateLimiter* const raw = limiter_.get();
  EXPECT_EQ(raw->GetStats().allowed, 0U);
  // The pointer stays what it is while the callbacks of the destructor ask once more.
  limiter_.get_deleter()(raw);
  (void)limiter_.release();
  ASSERT_EQ(answers_.size(), 3U);
  for (const Decision& answer : answers_) EXPECT_EQ(answer.reason, Reason::kStoreLocal);
  EXPECT_EQ(later, 3);
  clock_.Advance(2h);
  EXPECT_EQ(answers_.size(), 3U) << "exactly once";
}

TEST_F(AsyncTest, ManyThreadsAskAndOneMovesTheClock) {
  constexpr int kThreads = 4, kEach = 200;
  Start(Limits(100));
  faults_.SetLatency(1ms);
  std::atomic<int> answered{0}, allowed{0}, finished{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          limiter_->CheckAsync({.peer_ip = "192.0.2.1"}, [&](const Decision& decision) {
            allowed += decision.allowed ? 1 : 0;
            ++answered;
          });
        }
        ++finished;
      });
    }
    while (finished < kThreads) clock_.Advance(10us);
  }
  clock_.Advance(1ms);
  EXPECT_EQ(answered, kThreads * kEach);
  EXPECT_EQ(allowed, 100);
}

TEST_F(AsyncTest, ADocumentWithRedisIsTestedInMemory) {
  EnterpriseRateLimitConfig config = Limits(2);
  config.storage.kind = RedisStorage{.url = "redis://127.0.0.1:1"};
  Start(config);
  EXPECT_EQ(limiter_->Check({.peer_ip = "192.0.2.1"}).reason, Reason::kOk);
  EXPECT_EQ(limiter_->GetStats().store.name, "memory");
  EXPECT_TRUE(limiter_->Apply(config)) << "the document's store has not changed";
}

// Answers on the store's own thread, from a server that never says anything.
TEST_F(AsyncTest, ARemoteStoreAnswersOnItsThread) {
  using storage::redis::FakeServer;
  FakeServer server([](const storage::redis::Words& words) -> FakeServer::Answer {
    if (words[0] == "EVALSHA" || words[0] == "EVAL") return {};
    if (words[0] == "TIME") return {"*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n"};
    return {"+OK\r\n"};
  });
  EnterpriseRateLimitConfig config = Limits(4);
  config.storage.kind =
      RedisStorage{.url = server.url(), .connection_timeout_ms = 20'000, .command_timeout_ms = 20'000};
  Start(config, false);
  while (limiter_->GetStats().store.state == StoreState::kDown) std::this_thread::yield();
  std::atomic<int> answered{0};
  std::atomic<bool> elsewhere{false};
  const std::thread::id here = std::this_thread::get_id();
  std::string ip = "192.0.2.1";
  limiter_->CheckAsync({.peer_ip = ip}, [&](const Decision& decision) {
    EXPECT_EQ(decision.reason, Reason::kStoreLocal);
    elsewhere = std::this_thread::get_id() != here;
    ++answered;
  });
  ip.assign(ip.size(), '#');
  EXPECT_EQ(answered, 0) << "the server does not answer, and the timeout is far";
  limiter_.reset();
  EXPECT_EQ(answered, 1) << "the destructor has it answered";
}

}  // namespace
}  // namespace weir
