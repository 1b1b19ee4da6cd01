#include <gtest/gtest.h>

#include <string>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kBans = R"(
global:
  free_tier:
    max_requests: 2
    window_seconds: 10
    algorithm: token_bucket
    penalties: {enabled: true, threshold: 3, window_seconds: 60, first_ban_seconds: 100, factor: 2,
                longest_ban_seconds: 1000, decay_seconds: 3600}
)";

const Request kRequest{.peer_ip = "192.0.2.1"};

TEST_F(EngineTest, PenaltyDenialsEarnABanAndEachIsLonger) {
  Start(kBans);
  EXPECT_EQ(CountAllowed(kRequest, 2), 2);
  for (int strike = 1; strike <= 2; ++strike) {
    const Decision denied = Check(kRequest);
    EXPECT_EQ(denied.reason, Reason::kOverLimit);
    EXPECT_EQ(denied.decider()->outcome.retry_after_ns, 5 * kSecond) << "not banned yet";
  }
  const Decision third = Check(kRequest);
  EXPECT_EQ(third.reason, Reason::kOverLimit);
  EXPECT_EQ(third.decider()->outcome.retry_after_ns, 100 * kSecond) << "who earns a ban is told at once";

  clock_.Advance(50 * kSecond);  // the bucket is full again
  const Decision banned = Check(kRequest);
  EXPECT_FALSE(banned.allowed);
  EXPECT_EQ(banned.reason, Reason::kBanned);
  EXPECT_EQ(banned.decider()->rule, "global.free_tier");
  EXPECT_EQ(banned.decider()->outcome.retry_after_ns, 50 * kSecond);
  EXPECT_EQ(banned.decider()->outcome.remaining, 2U) << "nothing was taken while banned";
  EXPECT_EQ(Peek(kRequest).reason, Reason::kBanned);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.2"}).allowed);

  clock_.Advance(50 * kSecond);
  EXPECT_EQ(CountAllowed(kRequest, 2), 2);
  for (int i = 0; i < 3; ++i) Check(kRequest);
  clock_.Advance(100 * kSecond);
  const Decision again = Check(kRequest);
  EXPECT_EQ(again.reason, Reason::kBanned);
  EXPECT_EQ(again.decider()->outcome.retry_after_ns, 100 * kSecond) << "200 s this time";
  EXPECT_EQ(engine_->GetCounts().banned, 2U);
}

TEST_F(EngineTest, PenaltyPeeksAndAllowedRequestsAreNoStrikes) {
  Start(kBans);
  EXPECT_EQ(CountAllowed(kRequest, 2), 2);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Peek(kRequest).reason, Reason::kOverLimit);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Check({.peer_ip = "192.0.2.1", .cost = 0}).allowed, true);
  EXPECT_EQ(Check(kRequest).decider()->outcome.retry_after_ns, 5 * kSecond) << "the first strike";
}

TEST_F(EngineTest, PenaltyResetLiftsABan) {
  Start(kBans);
  CountAllowed(kRequest, 10);
  EXPECT_EQ(Check(kRequest).reason, Reason::kBanned);
  EXPECT_TRUE(Run(CallKind::kReset, kRequest).status);
  EXPECT_EQ(CountAllowed(kRequest, 3), 2);
}

TEST_F(EngineTest, PenaltyThatIsChangedKeepsTheBans) {
  Start(kBans);
  CountAllowed(kRequest, 5);
  clock_.Advance(50 * kSecond);  // the bucket is full again
  ASSERT_EQ(Check(kRequest).reason, Reason::kBanned);
  for (const std::string_view threshold : {"threshold: 5", "threshold: 4"}) {
    std::string changed(kBans);
    changed.replace(changed.find("threshold: 3"), 12, threshold);
    ASSERT_TRUE(engine_->Apply(ParseOrDie(changed)));
  }
  const Decision banned = Check(kRequest);
  EXPECT_EQ(banned.reason, Reason::kBanned);
  EXPECT_EQ(banned.decider()->outcome.retry_after_ns, 50 * kSecond);
}

TEST_F(EngineTest, PenaltyOfAShadowRuleBansNobody) {
  Start(R"(
global:
  free_tier:
    max_requests: 2
    window_seconds: 10
    mode: shadow
    penalties: {enabled: true, threshold: 1}
)");
  EXPECT_EQ(CountAllowed(kRequest, 50), 50);
}

TEST_F(EngineTest, PenaltyOfOneRuleOnlyForItsOwnDenials) {
  Start(R"(
global:
  free_tier: {max_requests: 2, window_seconds: 10, algorithm: token_bucket}
endpoints:
  /a:
    combine: stack
    rule:
      max_requests: 100
      window_seconds: 10
      algorithm: token_bucket
      penalties: {enabled: true, threshold: 1}
)");
  const Request request{.peer_ip = "192.0.2.1", .path = "/a"};
  EXPECT_EQ(CountAllowed(request, 20), 2);
  clock_.Advance(10 * kSecond);
  EXPECT_EQ(CountAllowed(request, 20), 2) << "the base rule denied, not the one with the penalty";
}

TEST_F(EngineTest, PenaltyGoesOnWhileTheStoreIsAway) {
  Start(kBans);
  store_->Cut(true);
  EXPECT_EQ(CountAllowed(kRequest, 2), 2);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Check(kRequest).decider()->outcome.retry_after_ns, 5 * kSecond);
  EXPECT_EQ(Check(kRequest).decider()->outcome.retry_after_ns, 100 * kSecond);
  EXPECT_EQ(Check(kRequest).reason, Reason::kBanned);
}

TEST_F(EngineTest, PenaltyBansAreKnownWhenTheStoreGoesAway) {
  Start(kBans);
  CountAllowed(kRequest, 5);
  EXPECT_EQ(Check(kRequest).reason, Reason::kBanned);
  store_->Cut(true);
  EXPECT_EQ(Check(kRequest).reason, Reason::kBanned);
}

TEST_F(EngineTest, PenaltyWithoutPenaltiesAsksNothingMore) {
  Start("global: {free_tier: {max_requests: 2, window_seconds: 10, algorithm: token_bucket}}");
  CountAllowed(kRequest, 10);
  EXPECT_EQ(store_->plans_seen(), 10U);
}

}  // namespace
}  // namespace weir::engine
