// What limitador answers to Kuadrant, and holds that are given back in time.
#include "frontends/rls/kuadrant/kuadrant_service.h"

#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>
#include <kuadrant/service/ratelimit/v1/ratelimit.pb.h>

#include <string>

#include "base/heap_in_use.h"
#include "frontends/rls/service_fixture.h"

namespace weir::rls {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using kuadrant::service::ratelimit::v1::CommitRequest;
using kuadrant::service::ratelimit::v1::CommitResponse;
using kuadrant::service::ratelimit::v1::ReserveRequest;
using kuadrant::service::ratelimit::v1::ReserveResponse;

constexpr std::string_view kTokens = R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
domains:
  llm:
    descriptors:
      - {key: user, rule: {max_requests: 100, window_seconds: 3600}}
      - {key: model, rule: {max_requests: 50, window_seconds: 3600}}
)";

class KuadrantServiceTest : public ServiceTest<KuadrantService> {
 protected:
  void SetUp() override { clock_.Set(1'700'000'000 * kSecond); }
  template <typename Message>
  static void AddDescriptor(Message& message, const std::string& key) {
    auto* entry = message.add_descriptors()->add_entries();
    entry->set_key(key);
    entry->set_value("x");
  }
  static RateLimitRequest Request(std::uint32_t hits, const std::string& key = "user") {
    RateLimitRequest request;
    request.set_domain("llm");
    request.set_hits_addend(hits);
    AddDescriptor(request, key);
    return request;
  }
  RateLimitResponse Ask(const RateLimitRequest& request, Form form) {
    const UnaryCall call = Answer(request, static_cast<std::uint32_t>(form));
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    return response;
  }
  RateLimitResponse Check(std::uint32_t hits, const std::string& key = "user") {
    return Ask(Request(hits, key), Form::kCheckRateLimit);
  }
  RateLimitResponse Report(std::uint32_t hits, const std::string& key = "user") {
    return Ask(Request(hits, key), Form::kReport);
  }
  // What is used, of the 100 of `user` or the 50 of `model`.
  std::uint32_t Used(const std::string& key = "user") {
    auto request = Request(0, key);
    request.mutable_descriptors(0)->mutable_hits_addend()->set_value(0);
    const auto response = Ask(request, Form::kCheckRateLimit);
    return response.statuses(0).current_limit().requests_per_unit() - response.statuses(0).limit_remaining();
  }
  ReserveResponse Reserve(std::uint64_t amount, const std::vector<std::string>& keys = {"user"},
                          std::int64_t ttl_seconds = 0) {
    ReserveRequest request;
    request.set_domain("llm");
    request.set_amount(amount);
    for (const std::string& key : keys) AddDescriptor(request, key);
    if (ttl_seconds != 0) request.mutable_ttl()->set_seconds(ttl_seconds);
    const UnaryCall call = Answer(request, static_cast<std::uint32_t>(Form::kReserve));
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    ReserveResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    return response;
  }
  UnaryCall CommitCall(const std::string& id, std::uint64_t amount, const std::vector<std::string>& keys) {
    CommitRequest request;
    request.set_domain("llm");
    request.set_actual_amount(amount);
    request.set_reservation_id(id);
    for (const std::string& key : keys) AddDescriptor(request, key);
    return Answer(request, static_cast<std::uint32_t>(Form::kCommit));
  }
  bool Commit(const std::string& id, std::uint64_t amount, const std::vector<std::string>& keys = {"user"}) {
    const UnaryCall call = CommitCall(id, amount, keys);
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    CommitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    return response.reservation_released();
  }
};

TEST_F(KuadrantServiceTest, CheckCountsNothingAndReportRefusesNothing) {
  Serve(kTokens);
  EXPECT_EQ(Check(100).overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Check(101).overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Used(), 0U);
  EXPECT_EQ(Report(90).overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Used(), 90U);
  EXPECT_EQ(Check(10).overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Check(11).overall_code(), RateLimitResponse::OVER_LIMIT);
  const auto over = Report(20);
  EXPECT_EQ(over.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(over.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Used(), 100U);
  EXPECT_EQ(Check(0).overall_code(), RateLimitResponse::OVER_LIMIT);  // 0 is 1
}

TEST_F(KuadrantServiceTest, CommitSettlesWithTheActualAmount) {
  Serve(kTokens);
  const auto held = Reserve(40);
  EXPECT_EQ(held.code(), RateLimitResponse::OK);
  EXPECT_NE(held.reservation_id(), "");
  EXPECT_EQ(Used(), 40U);
  EXPECT_TRUE(Commit(held.reservation_id(), 15));
  EXPECT_EQ(Used(), 15U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
  const auto more = Reserve(10);
  EXPECT_TRUE(Commit(more.reservation_id(), 30));
  EXPECT_EQ(Used(), 45U);
}

TEST_F(KuadrantServiceTest, HoldsAllDescriptorsOrNone) {
  Serve(kTokens);
  const auto held = Reserve(30, {"user", "model", "unheard"});
  EXPECT_EQ(Used("user"), 30U);
  EXPECT_EQ(Used("model"), 30U);
  const auto refused = Reserve(30, {"user", "model"});
  EXPECT_EQ(refused.code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(refused.reservation_id(), "");
  EXPECT_EQ(Used("user"), 30U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 2U);
  EXPECT_TRUE(Commit(held.reservation_id(), 5, {"user", "model", "unheard"}));
  EXPECT_EQ(Used("user"), 5U);
  EXPECT_EQ(Used("model"), 5U);
}

TEST_F(KuadrantServiceTest, AHoldIsGivenBackWhenItsTimeIsOver) {
  Serve(kTokens);
  const auto held = Reserve(40, {"user"}, 5);
  clock_.Advance(5 * kSecond - 1);
  EXPECT_EQ(Used(), 40U);
  clock_.Advance(1);
  EXPECT_EQ(Used(), 0U);
  // A late commit still counts, as a report does.
  EXPECT_FALSE(Commit(held.reservation_id(), 12));
  EXPECT_EQ(Used(), 12U);
}

TEST_F(KuadrantServiceTest, CommitOfWhatWasNeverReservedIsAReport) {
  Serve(kTokens);
  EXPECT_FALSE(Commit("", 7));
  EXPECT_EQ(Used(), 7U);
  EXPECT_FALSE(Commit("0123456789abcdef", 1));
  EXPECT_FALSE(Commit("not a reservation at all", 1));
  EXPECT_FALSE(Commit(std::string(100'000, 'f'), 1));
  EXPECT_EQ(Used(), 10U);
  const auto held = Reserve(10);
  EXPECT_TRUE(Commit(held.reservation_id(), 10));
  EXPECT_FALSE(Commit(held.reservation_id(), 10));  // the second time it is late
  EXPECT_EQ(Used(), 30U);
}

TEST_F(KuadrantServiceTest, WhatNoRuleLimitsCanBeReserved) {
  Serve(kTokens);
  const auto held = Reserve(10, {"unheard"});
  EXPECT_EQ(held.code(), RateLimitResponse::OK);
  EXPECT_NE(held.reservation_id(), "");
  EXPECT_TRUE(Commit(held.reservation_id(), 3, {"unheard"}));
}

TEST_F(KuadrantServiceTest, AReservationOfNothingIsReleased) {
  Serve(kTokens);
  const auto held = Reserve(0);
  EXPECT_EQ(held.code(), RateLimitResponse::OK);
  EXPECT_TRUE(Commit(held.reservation_id(), 7));
  EXPECT_EQ(Used(), 7U);
  const auto both = Reserve(0, {"user", "model"});
  EXPECT_TRUE(Commit(both.reservation_id(), 2, {"user", "model"}));
  EXPECT_EQ(Used("user"), 9U);
  EXPECT_EQ(Used("model"), 2U);
  // What was held in part and is no more, is late as a whole.
  const auto part = Reserve(5, {"user", "unheard"}, 1);
  clock_.Advance(kSecond);
  EXPECT_FALSE(Commit(part.reservation_id(), 1, {"user", "unheard"}));
  EXPECT_FALSE(Commit("000", 1));
  EXPECT_EQ(Used(), 11U);
}

TEST_F(KuadrantServiceTest, AHoldLastsAnHourLessAMinuteAtMost) {
  Serve(kTokens);
  clock_.Set(1'700'000'000 / 3'600 * 3'600 * kSecond);  // the hour begins
  const auto held = Reserve(40, {"user"}, 7'200);
  clock_.Advance(59 * kMinute - 1);
  EXPECT_EQ(Used(), 40U);
  clock_.Advance(1);
  EXPECT_EQ(Used(), 0U);
  EXPECT_FALSE(Commit(held.reservation_id(), 12));
}

TEST_F(KuadrantServiceTest, ManyCommitsOfOneRead) {
  for (const engine::Delivery delivery : {engine::Delivery::kInline, engine::Delivery::kHeld}) {
    Setup setup;
    setup.delivery = delivery;
    Serve(kTokens, std::move(setup));
    CommitRequest request;
    request.set_domain("llm");
    request.set_actual_amount(1);
    AddDescriptor(request, "user");
    std::vector<Asked> asked;
    for (int i = 0; i < 20; ++i) {
      request.set_reservation_id(i % 2 == 0 ? Reserve(2).reservation_id() : "");
      asked.push_back({request.SerializeAsString(), static_cast<std::uint32_t>(Form::kCommit)});
    }
    const auto answered = AnswerAll(asked);
    for (std::size_t i = 0; i < answered.size(); ++i) {
      CommitResponse response;
      EXPECT_EQ(answered[i].status.code, Code::kOk);
      ASSERT_TRUE(response.ParseFromString(answered[i].response));
      EXPECT_EQ(response.reservation_released(), i % 2 == 0) << i;
    }
    EXPECT_EQ(Used(), 20U);
  }
}

TEST_F(KuadrantServiceTest, ACommitThatTheStoreCannotTakeCanBeTriedAgain) {
  Setup setup;
  setup.local = false;
  Serve(kTokens, std::move(setup));
  const auto held = Reserve(40);
  store_->Cut(true);
  EXPECT_EQ(CommitCall(held.reservation_id(), 5, {"user"}).status.code, Code::kUnavailable);
  store_->Cut(false);
  EXPECT_TRUE(Commit(held.reservation_id(), 5));
  EXPECT_EQ(Used(), 5U);
}

TEST_F(KuadrantServiceTest, MalformedRequestsAreRefused) {
  Serve(kTokens);
  ReserveRequest request;
  request.set_domain("llm");
  EXPECT_EQ(Answer(request, static_cast<std::uint32_t>(Form::kReserve)).status.message,
            "rate limit descriptor list must not be empty");
  AddDescriptor(request, "user");
  request.mutable_ttl()->set_seconds(-1);
  EXPECT_EQ(Answer(request, static_cast<std::uint32_t>(Form::kReserve)).status.code, Code::kInvalidArgument);
}

// Commits of nothing bring no calls until they are known to be late.
TEST_F(KuadrantServiceTest, ManyEntriesAreNotKeptInMemory) {
  Serve(kTokens);
  CommitRequest commit;
  commit.set_domain("llm");
  commit.set_reservation_id("?");
  for (std::size_t i = 0; i < kMostDescriptors; ++i) {
    auto* descriptor = commit.add_descriptors();
    for (std::size_t e = 0; e < kMostEntries; ++e) descriptor->add_entries();
  }
  const std::vector<Asked> asked(100, {commit.SerializeAsString(), static_cast<std::uint32_t>(Form::kCommit)});
  const std::size_t before = HeapInUse();
  for (const UnaryCall& call : AnswerAll(asked)) EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
  const std::size_t after = HeapInUse();
  EXPECT_LT(after, before + (8 << 20));
}

}  // namespace
}  // namespace weir::rls
