#include "analytics/event_log.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::analytics {
namespace {

using engine::Call;
using engine::CallKind;

constexpr std::string_view kYaml = R"(
global: {free_tier: {max_requests: 1, window_seconds: 60, identifier: user_id}}
ip_rules: {rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]}
)";

class EventLogTest : public engine::EngineTest {
 protected:
  EventLogTest()
      : log_([this](const Denial& one) { denials_.push_back(one); }, [this](std::uint64_t n) { left_out_ += n; }) {}

  void Begin(std::string_view yaml = kYaml) {
    Setup setup;
    setup.options.observers = {&log_};
    Start(yaml, std::move(setup));
  }

  std::vector<Denial> denials_;
  std::uint64_t left_out_ = 0;
  EventLog log_;
};

TEST_F(EventLogTest, TellsEachDenialAndNothingElse) {
  log_.Enable(true);
  Begin();
  const Request request{.peer_ip = "192.0.2.1",
                        .user = "bob",
                        .tenant = "acme",
                        .api_key = "secret",
                        .method = "POST",
                        .path = "/login?token=secret",
                        .cost = 1};
  EXPECT_TRUE(Check(request).allowed);
  EXPECT_FALSE(Peek(request).allowed);
  const Decision denied = Check(request);
  EXPECT_FALSE(denied.allowed);
  log_.Flush();
  ASSERT_EQ(denials_.size(), 1U);
  const Denial& one = denials_[0];
  EXPECT_EQ(one.reason, Reason::kOverLimit);
  EXPECT_EQ(one.rule, "global.free_tier");
  EXPECT_EQ(one.level, Level::kGlobal);
  EXPECT_EQ(one.limit, 1U);
  EXPECT_EQ(one.cost, 1U);
  EXPECT_EQ(one.retry_after, denied.decider()->outcome.retry_after_ns);
  EXPECT_NE(one.subject_hash, 0U);
  EXPECT_EQ(denied.decider()->subject_hash, 0U) << "its headers do not ask for it";
  EXPECT_EQ(one.user.view(), "bob");
  EXPECT_EQ(one.tenant.view(), "acme");
  EXPECT_EQ(one.peer.view(), "192.0.2.1");
  EXPECT_EQ(one.method.view(), "POST");
  EXPECT_EQ(one.path.view(), "/login");  // a query may carry secrets
  EXPECT_EQ(left_out_, 0U);
}

TEST_F(EventLogTest, ABlockIsADenialByNoRule) {
  log_.Enable(true);
  Begin();
  EXPECT_FALSE(Check({.peer_ip = "203.0.113.9"}).allowed);
  log_.Flush();
  ASSERT_EQ(denials_.size(), 1U);
  EXPECT_EQ(denials_[0].reason, Reason::kBlocked);
  EXPECT_EQ(denials_[0].cost, 1U);
}

TEST_F(EventLogTest, IsSilentUntilEnabledAndAfterwards) {
  Begin();
  EXPECT_EQ(CountAllowed({.user = "bob"}, 3), 1);
  log_.Enable(true);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 1), 0);
  log_.Enable(false);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 3), 0);
  log_.Flush();
  EXPECT_EQ(denials_.size(), 1U);
  EXPECT_EQ(left_out_, 0U);
}

TEST_F(EventLogTest, SoManyASecondAndTheRestIsCounted) {
  log_.Enable(true);
  Begin();
  constexpr int kDenied = 1000;
  EXPECT_EQ(CountAllowed({.user = "bob"}, kDenied + 1), 1);
  log_.Flush();
  EXPECT_EQ(denials_.size(), EventLog::kPerSecond);
  EXPECT_EQ(left_out_, kDenied - EventLog::kPerSecond);
  clock_.Advance(kSecond);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 5), 0);
  log_.Flush();
  EXPECT_EQ(denials_.size(), EventLog::kPerSecond + 5);
}

TEST_F(EventLogTest, TextsAreCutNotRefused) {
  log_.Enable(true);
  Begin();
  const std::string path = "/" + std::string(5000, 'x');
  EXPECT_EQ(CountAllowed({.user = "bob", .path = path}, 2), 1);
  log_.Flush();
  ASSERT_EQ(denials_.size(), 1U);
  EXPECT_EQ(denials_[0].path.view(), path.substr(0, 256));
}

TEST_F(EventLogTest, EveryDenialOfManyThreadsIsToldOrCounted) {
  log_.Enable(true);
  Begin();
  Call denied;
  denied.request.user = "bob";
  denied.decision.allowed = false;
  constexpr int kThreads = 4, kEach = 5'000;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        // By a time of its own, so that many are admitted and the queue is often full.
        for (int k = 0; k < kEach; ++k) log_.OnDecision({.call = denied, .now = (i + k) * kSecond});
      });
    }
  }
  log_.Flush();
  log_.Enable(false);
  log_.Flush();
  EXPECT_EQ(denials_.size() + left_out_, static_cast<std::size_t>(kThreads) * kEach);
  EXPECT_GE(denials_.size(), 256U);
  for (const Denial& one : denials_) ASSERT_EQ(one.user.view(), "bob");
}

TEST(EventLogDefault, WritesALineThatNobodyCanForge) {
  testing::internal::CaptureStderr();
  {
    EventLog log;
    log.Enable(true);
    Call denied;
    denied.request.path = "/a\ndenied rule=x";
    denied.decision.allowed = false;
    denied.decision.reason = Reason::kBlocked;
    log.OnDecision({.call = denied, .now = kSecond});
  }
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_NE(written.find(" denied reason=blocked "), std::string::npos) << written;
  EXPECT_NE(written.find(R"(path="/a\u000adenied rule=x")"), std::string::npos) << written;
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
}

}  // namespace
}  // namespace weir::analytics
