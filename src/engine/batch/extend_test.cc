// Extending reservations, and the other way of those who know the cost only at the end.
#include <gtest/gtest.h>

#include <string_view>
#include <utility>

#include "engine/batch/reservations.h"
#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

std::uint64_t Remaining(const Decision& decision) { return decision.decider()->outcome.remaining; }

class ExtensionTest : public EngineTest {
 protected:
  Call Extend(std::uint64_t reservation, std::uint64_t more, bool partial = false) {
    Call call;
    call.kind = CallKind::kExtend;
    call.reservation = reservation;
    call.request.cost = more;
    call.partial = partial;
    engine_->Run({&call, 1});
    return call;
  }
  std::uint64_t Left() { return Remaining(Check({.peer_ip = "192.0.2.1", .cost = 0})); }
};

constexpr std::string_view kWindow = R"(
global:
  free_tier: {max_requests: 100, window_seconds: 3600, algorithm: sliding_window_log}
)";

TEST_F(ExtensionTest, AddsToTheReservationAndIsSettledWithIt) {
  Start(kWindow);
  const Decision first = Reserve({.peer_ip = "192.0.2.1", .cost = 40});
  clock_.Advance(kSecond);
  const Call more = Extend(first.reservation, 30);
  ASSERT_TRUE(more.status);
  EXPECT_EQ(more.granted, 30U);
  EXPECT_EQ(Left(), 30U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  clock_.Advance(kSecond);
  EXPECT_TRUE(Settle(CallKind::kCommit, first.reservation, 50));
  EXPECT_EQ(Left(), 50U);
  const Decision second = Reserve({.peer_ip = "192.0.2.1", .cost = 10});
  clock_.Advance(kSecond);
  EXPECT_EQ(Extend(second.reservation, 10).granted, 10U);
  clock_.Advance(kSecond);
  EXPECT_TRUE(Settle(CallKind::kCommit, second.reservation, 45)) << "above both";
  EXPECT_EQ(Left(), 5U);
  const Decision third = Reserve({.peer_ip = "192.0.2.1", .cost = 2});
  clock_.Advance(kSecond);
  EXPECT_EQ(Extend(third.reservation, 2).granted, 2U);
  EXPECT_TRUE(Settle(CallKind::kCancel, third.reservation));
  EXPECT_EQ(Left(), 5U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(ExtensionTest, IsAllOrNothingOrAsMuchAsThereIs) {
  Start(kWindow);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 90});
  const Call whole = Extend(reserved.reservation, 20);
  EXPECT_TRUE(whole.status);
  EXPECT_EQ(whole.granted, 0U);
  EXPECT_EQ(whole.retry_after_ns, kHour);
  EXPECT_EQ(Left(), 10U) << "nothing was taken";
  EXPECT_EQ(Extend(reserved.reservation, 1000).retry_after_ns, 0) << "never";
  const Call part = Extend(reserved.reservation, 20, true);
  EXPECT_EQ(part.granted, 10U);
  EXPECT_EQ(part.retry_after_ns, 0);
  EXPECT_EQ(Left(), 0U);
  EXPECT_EQ(Extend(reserved.reservation, 20, true).granted, 0U);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(Left(), 100U);
}

TEST_F(ExtensionTest, OfSeveralRulesTheNarrowestDecides) {
  Start(R"(
global:
  free_tier: {max_requests: 100, window_seconds: 3600, algorithm: sliding_window_log}
tenants:
  acme: {aggregate: {max_requests: 50, window_seconds: 3600, algorithm: fixed_window}}
)");
  const Request request{.peer_ip = "192.0.2.1", .tenant = "acme", .cost = 20};
  const Decision reserved = Reserve(request);
  ASSERT_TRUE(reserved.allowed);
  EXPECT_EQ(Extend(reserved.reservation, 40).granted, 0U);
  EXPECT_EQ(Extend(reserved.reservation, 40, true).granted, 30U);
  Request peek = request;
  peek.cost = 51;
  EXPECT_FALSE(Peek(peek).allowed);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  peek.cost = 50;
  EXPECT_TRUE(Peek(peek).allowed);
}

TEST_F(ExtensionTest, KeepsAReservationAlive) {
  Start("global: {free_tier: {max_requests: 100, window_seconds: 86400, algorithm: fixed_window}}");
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 60});
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(50 * kMinute);
    ASSERT_EQ(Extend(reserved.reservation, 1).granted, 1U);
  }
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 10));
  EXPECT_EQ(Left(), 90U);
}

TEST_F(ExtensionTest, OfWhatIsNotThereOrCannotBeAsked) {
  Start(kWindow);
  EXPECT_EQ(Extend(12345, 1).status.error().code, ErrorCode::kNotFound);
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 10});
  EXPECT_EQ(Extend(reserved.reservation, 0).granted, 0U);
  EXPECT_EQ(Extend(reserved.reservation, UINT64_MAX, true).granted, 90U);
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 10));
  EXPECT_EQ(Extend(reserved.reservation, 1).status.error().code, ErrorCode::kNotFound) << "settled";
  const Decision other = Reserve({.peer_ip = "192.0.2.1", .cost = 10});
  store_->Cut(true);
  EXPECT_EQ(Extend(other.reservation, 1).status.error().code, ErrorCode::kUnavailable);
  const Decision local = Reserve({.peer_ip = "192.0.2.2", .cost = 10});
  ASSERT_NE(local.reservation, 0U);
  EXPECT_EQ(Extend(local.reservation, 1).status.error().code, ErrorCode::kUnavailable);
  store_->Cut(false);
  EXPECT_EQ(Extend(local.reservation, 1).status.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Extend(other.reservation, 1).granted, 1U);
  EXPECT_TRUE(Settle(CallKind::kCancel, other.reservation));
  EXPECT_EQ(Left(), 90U);
}

TEST_F(ExtensionTest, IsBounded) {
  Start("global: {free_tier: {max_requests: 100000, window_seconds: 86400, algorithm: fixed_window}}");
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 1});
  std::uint64_t granted = 0;
  for (int i = 0; i < 2000; ++i) granted += Extend(reserved.reservation, 1).granted;
  EXPECT_EQ(granted, Reservations::kMostCharges - 1);
  EXPECT_EQ(Extend(reserved.reservation, 1).status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 7));
  EXPECT_EQ(Left(), 99'993U);
}

TEST_F(ExtensionTest, WaitsForAStoreThatAnswersLater) {
  Setup setup;
  setup.delivery = Delivery::kThread;
  Start(kWindow, std::move(setup));
  const Decision reserved = Reserve({.peer_ip = "192.0.2.1", .cost = 90});
  EXPECT_EQ(Extend(reserved.reservation, 20, true).granted, 10U);
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 95));
  EXPECT_EQ(Left(), 5U);
}

// A gateway before language models knows the cost only at the end of a stream: it admits with cost 0 while there is
// anything left, and charges what it was.
TEST_F(ExtensionTest, AdmissionWithNothingAtTheStartAndTheRealCostAtTheEnd) {
  Start(R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60, algorithm: token_bucket}
)");
  const Request start{.peer_ip = "192.0.2.1", .cost = 0};
  Request end = start;
  end.cost = 700;
  EXPECT_TRUE(Check(start).allowed);
  EXPECT_TRUE(Check(start).allowed) << "two streams at once";
  EXPECT_TRUE(Run(CallKind::kCharge, end).decision.allowed);
  EXPECT_FALSE(Run(CallKind::kCharge, end).decision.allowed) << "counted all the same, and above the limit";
  EXPECT_EQ(Remaining(Check(start)), 0U);
  Request one = start;
  one.cost = 1;
  const Decision denied = Peek(one);
  EXPECT_FALSE(denied.allowed);
  // 400 beyond the limit, and one: at 1,000 a minute.
  EXPECT_EQ(denied.decider()->outcome.retry_after_ns, 401 * (kMinute / 1000));
  clock_.Advance(401 * (kMinute / 1000));
  EXPECT_TRUE(Check(one).allowed);
}

}  // namespace
}  // namespace weir::engine
