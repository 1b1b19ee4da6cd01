// Reservations through the engine: made, settled, ended, refused.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/batch/reservations.h"
#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kTokens = R"(
global:
  free_tier: {max_requests: 100, window_seconds: 100, algorithm: token_bucket}
)";

std::uint64_t Remaining(const Decision& decision) { return decision.decider()->outcome.remaining; }

TEST_F(EngineTest, ReservationCommitSettlesTheDifference) {
  Start(kTokens);
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0};
  const Decision first = Reserve({.peer_ip = "192.0.2.1", .cost = 40});
  ASSERT_TRUE(first.allowed);
  ASSERT_NE(first.reservation, 0U);
  EXPECT_EQ(Remaining(Check(peek)), 60U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  EXPECT_TRUE(Settle(CallKind::kCommit, first.reservation, 10));
  EXPECT_EQ(Remaining(Check(peek)), 90U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
  EXPECT_EQ(Settle(CallKind::kCommit, first.reservation, 10).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Settle(CallKind::kCancel, first.reservation).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Settle(CallKind::kCancel, 12345).error().code, ErrorCode::kNotFound);

  const Decision exact = Reserve({.peer_ip = "192.0.2.1", .cost = 5});
  EXPECT_TRUE(Settle(CallKind::kCommit, exact.reservation, 5));
  EXPECT_EQ(Remaining(Check(peek)), 85U);
  const Decision more = Reserve({.peer_ip = "192.0.2.1", .cost = 5});
  EXPECT_TRUE(Settle(CallKind::kCommit, more.reservation, 95));
  EXPECT_EQ(Remaining(Check(peek)), 0U);
  const Decision denied = Reserve({.peer_ip = "192.0.2.1", .cost = 1});
  EXPECT_FALSE(denied.allowed) << "debt";
  EXPECT_EQ(denied.reservation, 0U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(EngineTest, ReservationCancelGivesEverythingBack) {
  Start(kTokens);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 100});
  EXPECT_FALSE(Check({.peer_ip = "192.0.2.1"}).allowed);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 200), 100);
}

TEST_F(EngineTest, ReservationOfNothingIsNone) {
  Start(kTokens);
  EXPECT_EQ(Reserve({.peer_ip = "192.0.2.1", .cost = 0}).reservation, 0U);
  Start("global: {free_tier: {max_requests: 5, window_seconds: 60, on_missing: skip}}");
  EXPECT_EQ(Reserve({.peer_ip = ""}).reservation, 0U) << "no rule applied";
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(EngineTest, ReservationExpiresAndStaysCharged) {
  Start(R"(
global:
  free_tier: {max_requests: 100, window_seconds: 86400, algorithm: fixed_window}
)");
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  clock_.Advance(kHour);
  EXPECT_EQ(Settle(CallKind::kCancel, reserved.reservation).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 200), 40);
}

TEST_F(EngineTest, ReservationOutlivesAChangeOfItsRule) {
  Start(kTokens);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  ASSERT_TRUE(engine_->Apply(ParseOrDie(R"(
global:
  free_tier: {max_requests: 200, window_seconds: 100, algorithm: sliding_window_log}
)")));
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 140}).allowed, true);
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 141}).allowed, false) << "60 are still reserved";
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 200}).allowed, true);
}

TEST_F(EngineTest, ReservationSettledBeforeAnybodyTouchedTheChangedRule) {
  Start(kTokens);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  ASSERT_TRUE(engine_->Apply(ParseOrDie(R"(
global:
  free_tier: {max_requests: 200, window_seconds: 100, algorithm: sliding_window_log}
)")));
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 20));
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 180}).allowed, true);
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 181}).allowed, false);
}

TEST_F(EngineTest, ReservationStaysOpenWhileTheStoreIsAway) {
  Start(kTokens);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  store_->Cut(true);
  EXPECT_EQ(Settle(CallKind::kCancel, reserved.reservation).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  store_->Cut(false);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 200), 100);
}

TEST_F(EngineTest, ReservationMadeLocallyIsSettledLocally) {
  Start(kTokens);
  store_->Cut(true);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  EXPECT_EQ(reserved.reason, Reason::kStoreLocal);
  ASSERT_NE(reserved.reservation, 0U);
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 10));
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 90}).allowed, true);
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 91}).allowed, false);
  const Decision other = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  store_->Cut(false);
  EXPECT_TRUE(Settle(CallKind::kCancel, other.reservation)) << "nothing to do in the store that was never charged";
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.1", .cost = 100}).allowed, true);
}

TEST_F(EngineTest, ReservationMadeLocallyIsSettledThoughItsRuleIsNotLocalAnyMore) {
  const auto document = [](std::string_view policy) {
    return "storage: {instances: 2}\nglobal: {free_tier: {max_requests: 100, window_seconds: 3600, on_store_failure: " +
           std::string(policy) + "}}";
  };
  Start(document("local"));
  store_->Cut(true);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 40});
  ASSERT_NE(reserved.reservation, 0U);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("deny"))));
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("local"))));
  EXPECT_TRUE(Peek({.peer_ip = "192.0.2.1", .cost = 50}).allowed) << "this instance's share";
}
// Four reserved one after the other, all of them drained; then each cancelled, and its room asked for again.
TEST_F(EngineTest, OldReservationsGiveThePresentNothing) {
  for (const std::string_view algorithm : {"token_bucket", "leaky_bucket", "sliding_window", "sliding_window_log",
                                           "{fixed_window: {aligned: rolling}}", "{fixed_window: {aligned: minute}}"}) {
    SCOPED_TRACE(algorithm);
    Start("global: {free_tier: {max_requests: 100, window_seconds: 4, algorithm: " + std::string(algorithm) + "}}");
    const Request hundred{.peer_ip = "192.0.2.1", .cost = 100};
    std::vector<std::uint64_t> reserved;
    for (int i = 0; i < 4; ++i) {
      const Decision decision = Reserve(hundred);
      ASSERT_TRUE(decision.allowed);
      reserved.push_back(decision.reservation);
      clock_.Advance(kMinute);
    }
    EXPECT_TRUE(Check(hundred).allowed);
    for (const std::uint64_t id : reserved) {
      EXPECT_TRUE(Settle(CallKind::kCancel, id));
      EXPECT_FALSE(Check(hundred).allowed);
    }
  }
}

TEST_F(EngineTest, ReservationGivesBackWhatABucketHasNotDrainedOfIt) {
  Start(kTokens);
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0};
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  clock_.Advance(20 * kSecond);
  ASSERT_EQ(Remaining(Check(peek)), 60U);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(Remaining(Check(peek)), 100U) << "40 are left of it";
  const Decision part = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  clock_.Advance(20 * kSecond);
  ASSERT_TRUE(Check({.peer_ip = "192.0.2.1", .cost = 60}).allowed);
  EXPECT_EQ(Remaining(Check(peek)), 0U);
  EXPECT_TRUE(Settle(CallKind::kCommit, part.reservation, 10));
  EXPECT_EQ(Remaining(Check(peek)), 40U) << "not 50: ten of those have drained";
}

TEST_F(EngineTest, ReservationUnderAFasterRuleGivesBackByTheFasterRate) {
  const auto tokens = [](std::string_view seconds) {
    return "global: {free_tier: {max_requests: 100, window_seconds: " + std::string(seconds) +
           ", algorithm: token_bucket}}";
  };
  Start(tokens("1"));
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0}, hundred{.peer_ip = "192.0.2.1", .cost = 100};
  const Decision reserved = Reserve(hundred);
  clock_.Advance(kSecond);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(tokens("100"))));
  ASSERT_TRUE(Check(hundred).allowed);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(Remaining(Check(peek)), 0U) << "it had drained before the rule changed";
  const Decision other = Reserve({.peer_ip = "192.0.2.2", .cost = 100});
  clock_.Advance(50 * kSecond);
  ASSERT_TRUE(engine_->Apply(
      ParseOrDie("global: {free_tier: {max_requests: 100, window_seconds: 100, algorithm: sliding_window_log}}")));
  ASSERT_TRUE(Check({.peer_ip = "192.0.2.2", .cost = 50}).allowed);
  EXPECT_TRUE(Settle(CallKind::kCancel, other.reservation));
  EXPECT_EQ(Remaining(Check({.peer_ip = "192.0.2.2", .cost = 0})), 0U) << "a count that moved to another kind";
}

constexpr std::string_view kSlots = R"(
global:
  free_tier: {max_requests: 3, window_seconds: 60, algorithm: {concurrency: {lease_seconds: 30}}}
)";

TEST_F(EngineTest, ReservationOfAConcurrencySlotReleasesIt) {
  Start(kSlots);
  const Request request{.peer_ip = "192.0.2.1"};
  std::vector<std::uint64_t> held;
  for (int i = 0; i < 3; ++i) {
    const Decision decision = Check(request);
    ASSERT_TRUE(decision.allowed);
    ASSERT_NE(decision.reservation, 0U);
    held.push_back(decision.reservation);
  }
  const Decision denied = Check(request);
  EXPECT_FALSE(denied.allowed);
  EXPECT_EQ(denied.reservation, 0U);
  EXPECT_TRUE(Settle(CallKind::kCancel, held[1]));
  EXPECT_EQ(Settle(CallKind::kCancel, held[1]).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(Check(request).allowed);
  EXPECT_TRUE(Settle(CallKind::kCommit, held[0], 1));
  EXPECT_TRUE(Check(request).allowed);
  EXPECT_FALSE(Check(request).allowed);
  clock_.Advance(30 * kSecond);
  EXPECT_TRUE(Check(request).allowed) << "leases end by themselves";
  EXPECT_TRUE(Settle(CallKind::kCancel, held[2])) << "late, and without effect";
  EXPECT_TRUE(Run(CallKind::kRefund, request).status) << "a refund does not know which slot";
}

TEST_F(EngineTest, WhatIsReservedForATimeIsGivenBackThen) {
  Start(kTokens);
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0};
  Call call;
  call.kind = CallKind::kReserve;
  call.request = {.peer_ip = "192.0.2.1", .cost = 40};
  call.life = kMillisecond;
  engine_->Run({&call, 1});
  ASSERT_NE(call.decision.reservation, 0U);
  EXPECT_EQ(Remaining(Check(peek)), 60U);
  clock_.Advance(kMillisecond - 1);
  EXPECT_EQ(Remaining(Check(peek)), 60U);
  clock_.Advance(1);
  EXPECT_EQ(Remaining(Check(peek)), 100U);
  EXPECT_EQ(Settle(CallKind::kCommit, call.decision.reservation, 10).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(EngineTest, WhatIsReservedForATimeIsGivenBackThoughNobodyAsks) {
  Start(kTokens);
  Call call;
  call.kind = CallKind::kReserve;
  call.request = {.peer_ip = "192.0.2.1", .cost = 40};
  call.life = kMillisecond;
  engine_->Run({&call, 1});
  ASSERT_NE(call.decision.reservation, 0U);
  engine_->Tick();
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  clock_.Advance(kMillisecond);
  engine_->Tick();
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(EngineTest, WhatCannotBeGivenBackWhileTheStoreIsAwayIsGivenBackLater) {
  Setup setup;
  setup.local = false;
  Start(kTokens, std::move(setup));
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0};
  Call call;
  call.kind = CallKind::kReserve;
  call.request = {.peer_ip = "192.0.2.1", .cost = 40};
  call.life = 2 * kMillisecond;
  engine_->Run({&call, 1});
  clock_.Advance(2 * kMillisecond);
  store_->Cut(true);
  Check(peek);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  store_->Cut(false);
  EXPECT_EQ(Remaining(Check(peek)), 60U);
  clock_.Advance(kSecond - 1);
  EXPECT_EQ(Remaining(Check(peek)), 61U);  // one token has come back by itself
  clock_.Advance(1);
  EXPECT_EQ(Remaining(Check(peek)), 100U);
}

TEST_F(EngineTest, ManyThatEndAtOnceAreGivenBackSomeAtATime) {
  Start(kTokens);
  for (int i = 0; i < 100; ++i) {
    Call call;
    call.kind = CallKind::kReserve;
    call.request = {.peer_ip = "192.0.2.1", .cost = 1};
    call.life = kMillisecond;
    engine_->Run({&call, 1});
    ASSERT_TRUE(call.decision.allowed);
  }
  clock_.Advance(kMillisecond);
  const Request peek{.peer_ip = "192.0.2.1", .cost = 0};
  // Each is given back less what a millisecond drains, for it may have been the one that drained.
  EXPECT_EQ(Remaining(Check(peek)), 63U);
  EXPECT_EQ(Remaining(Check(peek)), 99U);
  clock_.Advance(100 * kMillisecond);
  EXPECT_EQ(Remaining(Check(peek)), 100U);
}

// What a reservation that is refused had asked is taken back, and nobody looks for it.
class CrowdedTest : public EngineTest {
 protected:
  void SetUp() override {
    Setup setup;
    setup.options.most_reservations = 1;
    Start(R"(
global:
  free_tier:
    max_requests: 10
    window_seconds: 60
    penalties: {enabled: true, threshold: 3, first_ban_seconds: 10}
users: {bob: {quotas: [{max_requests: 100, period: day}]}}
)",
          std::move(setup));
    request_.peer_ip = "192.0.2.1";
    request_.user = "bob";
    open_ = Reserve(request_).reservation;
    ASSERT_NE(open_, 0U);
  }
  std::uint64_t Used() {
    Request look = request_;
    look.cost = 0;
    return Peek(look).decider()->outcome.used;
  }
  Request request_;
  std::uint64_t open_ = 0;
};

TEST_F(CrowdedTest, AReservationMoreThanTheyMayBeIsRefusedAndChargesNothing) {
  for (int i = 0; i < 3; ++i) {
    const Call refused = Run(CallKind::kReserve, request_);
    ASSERT_FALSE(refused.status);
    EXPECT_EQ(refused.status.error().code, ErrorCode::kResourceExhausted);
    EXPECT_FALSE(refused.decision.allowed);
    EXPECT_EQ(refused.decision.reason, Reason::kStoreFull);
    EXPECT_EQ(refused.decision.reservation, 0U);
  }
  EXPECT_EQ(Used(), 1U) << "what the open one reserved";
  ASSERT_TRUE(Settle(CallKind::kCancel, open_));
  EXPECT_TRUE(Reserve(request_).allowed);
}

TEST_F(CrowdedTest, ARefusedOneAmongOthersLeavesThemAlone) {
  std::vector<Call> calls(40);
  std::vector<Explanation> explanations(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].request = request_;
    calls[i].kind = i % 3 == 1 ? CallKind::kReserve : CallKind::kPeek;
    if (i % 2 == 0) calls[i].trace = &explanations[i].steps;
  }
  engine_->Run(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i].decision.allowed, i % 3 != 1) << i;
}

TEST_F(CrowdedTest, JoinedReservationsAreRefusedTogether) {
  for (const Join join : {Join::kAllOrNothing, Join::kSameRequest}) {
    std::vector<Call> calls(3);
    Explanation explanation;
    for (Call& call : calls) {
      call.request = request_;
      call.kind = CallKind::kReserve;
      call.join = &call == calls.data() ? Join::kNone : join;
    }
    calls[1].trace = &explanation.steps;
    engine_->Run(calls);
    for (const Call& call : calls) EXPECT_FALSE(call.decision.allowed);
    EXPECT_EQ(Used(), 1U);
  }
}

}  // namespace
}  // namespace weir::engine
