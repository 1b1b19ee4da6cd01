// What upstreams are reported to do, and what explanations tell of it and of what is learned.
#include "engine/feedback.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kAdaptive = R"(
global:
  free_tier:
    max_requests: 100
    window_seconds: 60
    algorithm: {adaptive: {learning_window: 600, adjustment_factor: 2, min_limit: 10, max_limit: 500}}
exemptions: {paths: [/free]}
endpoints:
  /bucket: {rule: {max_requests: 5, window_seconds: 60, algorithm: token_bucket}}
)";

class FeedbackTest : public EngineTest {
 protected:
  Call Report(Nanos latency, bool failed, const Request& request) {
    Call call;
    call.kind = CallKind::kFeedback;
    call.request = request;
    call.latency = latency;
    call.failed = failed;
    engine_->Run({&call, 1});
    return call;
  }
  void ReportOften(int times, Nanos latency, bool failed) {
    for (int i = 0; i < times; ++i) {
      const Call call = Report(latency, failed, kAlice);
      ASSERT_TRUE(call.status);
      ASSERT_EQ(call.rules_updated, 1U);
    }
  }
  std::uint64_t Used() { return Peek({.peer_ip = "192.0.2.1", .cost = 0}).decider()->outcome.used; }
  std::uint64_t Limit() { return Peek(kAlice).decider()->outcome.limit; }
  // What an explanation says was learned: a step for each adaptive rule.
  std::vector<std::string> Learned(CallKind kind = CallKind::kPeek, const Request& request = kAlice) {
    std::vector<ExplainStep> steps;
    Call call;
    call.kind = kind;
    call.request = request;
    call.trace = &steps;
    engine_->Run({&call, 1});
    std::vector<std::string> learned;
    for (ExplainStep& step : steps) {
      if (step.stage == "learned") learned.push_back(std::move(step.detail));
    }
    return learned;
  }
  // Active windows of `count` requests each, at another hour of the day with each when `by` is long.
  void Use(int windows, int count, Nanos by = kMinute) {
    for (int window = 0; window < windows; ++window, clock_.Advance(by)) {
      ASSERT_EQ(CountAllowed(kAlice, count), count);
    }
  }
  static constexpr Request kAlice{.peer_ip = "192.0.2.1"};
};

TEST_F(FeedbackTest, ALimitFallsWhileTheUpstreamFailsAndRecoversAfterwards) {
  Start(kAdaptive);
  EXPECT_TRUE(Check(kAlice).allowed);
  ReportOften(10, 20 * kMillisecond, false);
  EXPECT_EQ(Limit(), 100U);
  ReportOften(5, 20 * kMillisecond, true);
  const std::uint64_t falling = Limit();
  EXPECT_LT(falling, 95U);
  ReportOften(60, 20 * kMillisecond, true);
  EXPECT_EQ(Limit(), 10U) << "min_limit";
  EXPECT_EQ(Used(), 1U) << "feedback charges nothing";
  EXPECT_EQ(CountAllowed(kAlice, 50), 9) << "and the limit that results is kept";
  ReportOften(20, 20 * kMillisecond, false);
  const std::uint64_t rising = Limit();
  EXPECT_GT(rising, 30U);
  EXPECT_LT(rising, 100U);
  ReportOften(200, 20 * kMillisecond, false);
  EXPECT_EQ(Limit(), 100U);
  EXPECT_EQ(CountAllowed(kAlice, 200), 90);
}

TEST_F(FeedbackTest, ASlowUpstreamLowersTheLimitToo) {
  Start(kAdaptive);
  ReportOften(50, 20 * kMillisecond, false);
  ReportOften(20, 25 * kMillisecond, false);
  EXPECT_EQ(Limit(), 100U) << "up to half above normal is well";
  ReportOften(30, 200 * kMillisecond, false);
  EXPECT_LT(Limit(), 60U);
  EXPECT_EQ(Peek({.peer_ip = "192.0.2.2"}).decider()->outcome.limit, 100U) << "another subject's upstream is well";
  clock_.Advance(10 * kMinute);
  EXPECT_EQ(Limit(), 100U) << "what was reported a learning_window ago is old";
}

TEST_F(FeedbackTest, IsNoDecisionAndNothingIsCounted) {
  class Told final : public Observer {
   public:
    void OnDecision(const DecisionEvent& /*event*/) noexcept override { ++times; }
    int times = 0;
  } told;
  Setup setup;
  setup.options.observers = {&told};
  Start(kAdaptive, std::move(setup));
  const Call call = Report(kMillisecond, true, {.peer_ip = "192.0.2.1", .cost = 7});
  EXPECT_TRUE(call.status);
  EXPECT_EQ(call.rules_updated, 1U);
  EXPECT_EQ(call.decision.rule_count, 0U);
  EXPECT_EQ(told.times, 0);
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.allowed + counts.denied, 0U);
  EXPECT_EQ(Used(), 0U) << "whatever the request costs";
}

TEST_F(FeedbackTest, DoesNothingWhereNoAdaptiveRuleHolds) {
  Start(kAdaptive);
  for (const Request& request :
       {Request{.peer_ip = "192.0.2.1", .path = "/free"}, Request{.peer_ip = "192.0.2.1", .path = "/bucket"}}) {
    const Call call = Report(kMillisecond, true, request);
    EXPECT_TRUE(call.status) << request.path;
    EXPECT_EQ(call.rules_updated, 0U) << request.path;
  }
  EXPECT_EQ(store_->plans_seen(), 0U);
}

TEST_F(FeedbackTest, IsHeardByAdaptiveRulesOnlyButByThoseInShadowToo) {
  Start(R"(
global:
  free_tier: {max_requests: 100, window_seconds: 60, algorithm: {adaptive: {}}}
endpoints:
  /a:
    combine: stack
    rule:
      max_requests: 50
      window_seconds: 60
      mode: shadow
      algorithm: {adaptive: {}}
      identifier: {composite: {primary: ip_address, secondary: user_id, strategy: strictest_limit}}
ip_rules:
  rules:
  - {name: bucket, cidrs: [192.0.2.0/24], action: limit, rule: {max_requests: 9, window_seconds: 60, algorithm: token_bucket}}
  - {name: slots, cidrs: [192.0.2.0/24], action: limit, rule: {max_requests: 9, window_seconds: 60, algorithm: {concurrency: {}}}}
)");
  const Request request{.peer_ip = "192.0.2.1", .user = "alice", .path = "/a"};
  EXPECT_TRUE(Check(request).allowed);
  const Decision before = Peek(request);
  (void)store_->TakeOps();
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(Report(kMillisecond, true, request).rules_updated, 2U) << "rules, not subjects";
  const std::vector<storage::Op> ops = store_->TakeOps();
  EXPECT_EQ(ops, std::vector<storage::Op>(40, storage::Op::kCharge));
  const Decision after = Peek(request);
  ASSERT_EQ(after.rule_count, before.rule_count);
  int lowered = 0;
  for (std::uint32_t i = 0; i < after.rule_count; ++i) {
    const Outcome& was = before.rules()[i].outcome;
    const Outcome& is = after.rules()[i].outcome;
    EXPECT_EQ(is.used, was.used) << after.rules()[i].rule;
    lowered += is.limit < was.limit ? 1 : 0;
  }
  EXPECT_EQ(lowered, 3) << "of both subjects in shadow";
}

TEST_F(FeedbackTest, FollowsARuleThatChanges) {
  Start(kAdaptive);
  EXPECT_TRUE(Check(kAlice).allowed);
  std::string changed(kAdaptive);
  changed.replace(changed.find("100"), 3, "200");
  ASSERT_TRUE(engine_->Apply(ParseOrDie(changed)));
  ReportOften(60, 20 * kMillisecond, true);
  EXPECT_LT(Limit(), 30U);
  EXPECT_EQ(Used(), 1U) << "what was used came along";
}

TEST_F(FeedbackTest, WhileTheStoreIsAwayThePolicyDecides) {
  const auto yaml = [](std::string_view policy) {
    return std::string(kAdaptive) + "storage: {memory: {}, on_store_failure: " + std::string(policy) + "}\n";
  };
  Start(yaml("deny"));
  store_->Cut(true);
  Call call = Report(kMillisecond, true, kAlice);
  ASSERT_FALSE(call.status);
  EXPECT_EQ(call.status.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(call.rules_updated, 0U);

  Start(yaml("allow"));
  store_->Cut(true);
  call = Report(kMillisecond, true, kAlice);
  EXPECT_TRUE(call.status);
  EXPECT_EQ(call.rules_updated, 0U) << "nobody is there to hear it";

  Start(yaml("local"));
  store_->Cut(true);
  ReportOften(60, kMillisecond, true);
  EXPECT_EQ(Peek(kAlice).reason, Reason::kStoreLocal);
  EXPECT_LT(Limit(), 30U) << "the local state has heard";
  store_->Cut(false);
  EXPECT_EQ(Limit(), 100U);
}

TEST_F(FeedbackTest, AFullStoreHearsNothingNew) {
  Setup setup;
  setup.store.max_entries = 1;
  setup.store.full_policy = storage::memory::FullPolicy::kDenyNew;
  Start(kAdaptive, std::move(setup));
  EXPECT_TRUE(Check(kAlice).allowed);
  const Call call = Report(kMillisecond, true, {.peer_ip = "192.0.2.2"});
  EXPECT_TRUE(call.status);
  EXPECT_EQ(call.rules_updated, 0U);
  EXPECT_EQ(Report(kMillisecond, true, kAlice).rules_updated, 1U);
}

TEST_F(FeedbackTest, LatenciesAreReadToTheNanosecond) {
  EXPECT_EQ(LatencyOf(0), 0);
  EXPECT_EQ(LatencyOf(0.3), 300'000);
  EXPECT_EQ(LatencyOf(12.5), 12'500'000);
  EXPECT_EQ(LatencyOf(1e300), 1'000'000 * kSecond);
}

// ---- explanations ---------------------------------------------------------------------------------------------------

TEST_F(FeedbackTest, AnExplanationTellsHowFarItHasLearned) {
  Start(kAdaptive);
  EXPECT_EQ(Learned(), std::vector<std::string>{
                           "global.free_tier still learns what \"192.0.2.1\" normally uses, 0 of 10 windows so far; "
                           "until then its limit is 100. No recent feedback tells of the upstream, so the limit is "
                           "100."});
  Use(2, 4);
  Use(2, 8);
  EXPECT_EQ(Learned()[0],
            "global.free_tier still learns what \"192.0.2.1\" normally uses, 4 of 10 windows so far (6.0 in a window, "
            "deviation 1.7); until then its limit is 100. No recent feedback tells of the upstream, so the limit is "
            "100.");
}

TEST_F(FeedbackTest, AnExplanationTellsWhatWasLearned) {
  Start(kAdaptive);
  // Six minutes apart: not of one hour only.
  Use(12, 16, 6 * kMinute);
  EXPECT_EQ(
      Learned()[0],
      "global.free_tier has learned what \"192.0.2.1\" normally uses: 16.0 in a window, deviation 0.0; the "
      "deviation is taken as 2.0; so its limit is 20, within 10 to 500. No recent feedback tells of the upstream, "
      "so the limit is 20.");
  EXPECT_EQ(Limit(), 20U);
  ReportOften(50, 20 * kMillisecond, false);
  EXPECT_TRUE(
      Learned()[0].ends_with("The upstream answers in 20 ms, normally in 20 ms, and 0.0% of requests fail: its "
                             "health is 100.0%, so the limit is 20."))
      << Learned()[0];
  ReportOften(2, 20 * kMillisecond, true);
  EXPECT_TRUE(
      Learned()[0].ends_with("The upstream answers in 20 ms, normally in 20 ms, and 12.1% of requests fail: its "
                             "health is 97.8%, so the limit is 19."))
      << Learned()[0];
  EXPECT_EQ(Limit(), 19U);
  ReportOften(60, 200 * kMillisecond, true);
  EXPECT_TRUE(Learned()[0].ends_with("so the limit is 10, the least.")) << Learned()[0];
  EXPECT_EQ(Limit(), 10U);
}

TEST_F(FeedbackTest, AnExplanationTellsOfTheHour) {
  Start(kAdaptive);
  Use(10, 16);  // 08:00 to 08:10
  clock_.Advance(50 * kMinute);
  Use(40, 8);  // 09:00 to 09:40
  EXPECT_NE(Learned()[0].find("; at this hour of the day (UTC) 8.0, which is what counts;"), std::string::npos)
      << Learned()[0];
  clock_.Advance(kHour);
  EXPECT_EQ(Learned()[0].find("at this hour"), std::string::npos) << Learned()[0];
}

TEST_F(FeedbackTest, ExplainingChangesNothing) {
  Start(kAdaptive);
  Use(3, 5);
  ReportOften(5, 20 * kMillisecond, true);
  const Decision before = Peek(kAlice);
  const std::string first = Learned()[0];
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Learned()[0], first);
  EXPECT_EQ(Peek(kAlice).decider()->outcome, before.decider()->outcome);
}

TEST_F(FeedbackTest, ADecisionThatIsExplainedIsChargedOnceAndTellsTheLimitThatItWasHeldTo) {
  Start(kAdaptive);
  Use(12, 16, 6 * kMinute);
  for (const CallKind kind : {CallKind::kCheck, CallKind::kReserve, CallKind::kCharge}) {
    const std::vector<std::string> learned = Learned(kind);
    ASSERT_EQ(learned.size(), 1U);
    EXPECT_TRUE(learned[0].ends_with("so the limit is 20.")) << learned[0];
  }
  EXPECT_EQ(Used(), 3U);
  EXPECT_TRUE(Learned(CallKind::kPeek, {.peer_ip = "192.0.2.1", .path = "/bucket"}).empty()) << "nothing is learned";
  EXPECT_TRUE(Learned(CallKind::kRefund).empty()) << "no decision, nothing to explain";
}

TEST_F(FeedbackTest, WhatTheStoreDoesNotTellIsSaidToBeUnknown) {
  Start(kAdaptive);
  EXPECT_TRUE(Check(kAlice).allowed);
  store_->Cut(true);
  EXPECT_EQ(Learned(), std::vector<std::string>{"What global.free_tier has learned of \"192.0.2.1\" cannot be told: "
                                                "the fault store does not answer."});
}

TEST_F(FeedbackTest, AStoreThatAnswersLaterIsAskedOnceForAnExplanation) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kAdaptive, std::move(setup));
  class Told final : public storage::Completion {
   public:
    void Done() noexcept override { ++times; }
    int times = 0;
  } told;
  // Of one request, and of others.
  std::vector<Call> calls(20);
  std::vector<std::vector<ExplainStep>> traces(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].request = kAlice;
    calls[i].trace = i % 2 == 0 ? &traces[i] : nullptr;
    calls[i].join = i % 5 == 0 ? Join::kNone : i % 2 == 0 ? Join::kAllOrNothing : Join::kSameRequest;
  }
  ASSERT_FALSE(engine_->Submit(calls, &told));
  EXPECT_EQ(store_->Release(), 1U) << "all at once";
  EXPECT_EQ(told.times, 1);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_TRUE(calls[i].decision.allowed);
    EXPECT_EQ(calls[i].decision.decider()->outcome.limit, 100U);
    std::size_t learned = 0;
    for (const ExplainStep& step : traces[i]) learned += step.stage == "learned" ? 1U : 0U;
    EXPECT_EQ(learned, i % 2 == 0 ? 1U : 0U) << i;
  }
  EXPECT_EQ(calls.back().decision.decider()->outcome.used, 20U);
}

}  // namespace
}  // namespace weir::engine
