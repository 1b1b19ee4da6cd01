// What becomes of a request that exceeds a rule: deny, wait, challenge, charge.
#include <cstdint>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

class OutcomesTest : public EngineTest {
 protected:
  // The same question by the other way through the engine, which explains.
  Decision Explained(const Request& request, std::string* last_step = nullptr) {
    std::vector<ExplainStep> steps;
    Call call;
    call.request = request;
    call.trace = &steps;
    engine_->Run({&call, 1});
    if (last_step != nullptr) *last_step = steps.back().detail;
    return call.decision;
  }
  // Either way.
  Decision Ask(const Request& request, bool explained) { return explained ? Explained(request) : Check(request); }
};

TEST_F(OutcomesTest, AllowAndDenyAreTheUsualOnes) {
  Start("global: {free_tier: {max_requests: 1, window_seconds: 60}}");
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).action, Action::kAllow);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).action, Action::kDeny);
  EXPECT_EQ(Explained({.peer_ip = "192.0.2.2"}).action, Action::kAllow);
  EXPECT_EQ(Explained({.peer_ip = "192.0.2.2"}).action, Action::kDeny);
}

constexpr std::string_view kWaiting = R"(
global:
  free_tier: {max_requests: 2, window_seconds: 2, algorithm: token_bucket, on_exceeded: wait, max_wait_ms: 1500}
)";

TEST_F(OutcomesTest, WhatExceedsABucketWaitsForItsTurn) {
  for (const bool explained : {false, true}) {
    SCOPED_TRACE(explained);
    Start(kWaiting);
    const Request request{.peer_ip = "192.0.2.1"};
    EXPECT_EQ(Ask(request, explained).action, Action::kAllow);
    EXPECT_EQ(Ask(request, explained).action, Action::kAllow);
    EXPECT_EQ(Peek(request).action, Action::kWait);
    const Decision waits = Ask(request, explained);
    EXPECT_TRUE(waits.allowed);
    EXPECT_EQ(waits.action, Action::kWait);
    EXPECT_EQ(waits.reason, Reason::kOk);
    EXPECT_EQ(waits.delay_ns(), kSecond);
    const Decision denied = Ask(request, explained);
    EXPECT_FALSE(denied.allowed);
    EXPECT_EQ(denied.action, Action::kDeny);
    EXPECT_EQ(denied.delay_ns(), 0);
    EXPECT_EQ(denied.decider()->outcome.retry_after_ns, 500 * kMillisecond);
    clock_.Advance(500 * kMillisecond);
    EXPECT_EQ(Ask(request, explained).delay_ns(), 1500 * kMillisecond);
    EXPECT_EQ(engine_->GetCounts().waits, 2U);
    EXPECT_EQ(engine_->GetCounts().allowed, 4U);
    EXPECT_EQ(engine_->GetCounts().denied, 1U);
  }
}

TEST_F(OutcomesTest, ARequestWaitsForTheSlowestOfItsRules) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 1, algorithm: token_bucket, on_exceeded: wait, max_wait_ms: 60000}
endpoints:
  /a:
    combine: stack
    rule: {max_requests: 1, window_seconds: 10, identifier: global, algorithm: token_bucket, on_exceeded: wait,
           max_wait_ms: 60000}
)");
  const Request request{.peer_ip = "192.0.2.1", .path = "/a"};
  EXPECT_EQ(Check(request).delay_ns(), 0);
  EXPECT_EQ(Check(request).delay_ns(), 10 * kSecond);
}

TEST_F(OutcomesTest, WhatIsDeniedByAnotherRuleDoesNotWait) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 10, algorithm: token_bucket, on_exceeded: wait, max_wait_ms: 60000}
endpoints:
  /a:
    combine: stack
    rule: {max_requests: 1, window_seconds: 60, identifier: global, algorithm: fixed_window, on_exceeded: deny}
)");
  const Request request{.peer_ip = "192.0.2.1", .path = "/a"};
  EXPECT_EQ(Check(request).action, Action::kAllow);
  for (int i = 0; i < 5; ++i) {
    const Decision denied = Check(request);
    EXPECT_EQ(denied.action, Action::kDeny);
    EXPECT_EQ(denied.decider()->rule, "endpoints./a.rule");
  }
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1", .path = "/b"}).delay_ns(), 10 * kSecond) << "nothing was consumed";
}

TEST_F(OutcomesTest, AWaitingReservationHoldsItsPlace) {
  Start(kWaiting);
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(CountAllowed(request, 2), 2);
  const Decision held = Reserve(request);
  EXPECT_EQ(held.action, Action::kWait);
  ASSERT_NE(held.reservation, 0U);
  EXPECT_FALSE(Check(request).allowed);
  ASSERT_TRUE(Settle(CallKind::kCancel, held.reservation));
  EXPECT_EQ(Check(request).delay_ns(), kSecond);
}

TEST_F(OutcomesTest, AnExtensionDoesNotWait) {
  Start(kWaiting);
  const Request request{.peer_ip = "192.0.2.1"};
  const Decision held = Reserve(request);
  EXPECT_TRUE(Check(request).allowed);
  Call more;
  more.kind = CallKind::kExtend;
  more.reservation = held.reservation;
  more.request.cost = 1;
  engine_->Run({&more, 1});
  ASSERT_TRUE(more.status);
  EXPECT_EQ(more.granted, 0U) << "it cannot say how long it would have to be held";
  EXPECT_EQ(more.retry_after_ns, kSecond);
}

TEST_F(OutcomesTest, AFurtherLimitThatCannotWaitDenies) {
  Start(R"(
global:
  free_tier:
    max_requests: 1
    window_seconds: 1
    algorithm: token_bucket
    on_exceeded: wait
    max_wait_ms: 60000
    limits: [{max_requests: 3, window_seconds: 3600, algorithm: fixed_window}]
)");
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(Check(request).action, Action::kAllow);
  EXPECT_EQ(Check(request).action, Action::kWait);
  EXPECT_EQ(Check(request).action, Action::kWait);
  EXPECT_EQ(Check(request).action, Action::kDeny);
}

// A state says the same, however long may be waited.
TEST_F(OutcomesTest, WhatWasUsedStaysUsedWhenARuleBeginsToWait) {
  Start("global: {free_tier: {max_requests: 2, window_seconds: 2, algorithm: token_bucket}}");
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(CountAllowed(request, 3), 2);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(kWaiting)));
  EXPECT_EQ(Check(request).delay_ns(), kSecond);
}

// ---- several rules at once ----

TEST_F(OutcomesTest, TheStrictestRuleDecides) {
  // The stricter the rule, the sooner it has room again: what is told is not merely the longest wait.
  const std::string yaml = R"(
global: {free_tier: unlimited}
ip_rules:
  rules:
    - {name: deny, cidrs: [192.0.2.0/24], action: throttle,
       rule: {unlimited: false, max_requests: 1, window_seconds: 10, identifier: user_id, algorithm: fixed_window,
              when: "request.headers['x-deny'] == '1'"}}
    - {name: charge, cidrs: [192.0.2.0/24], action: throttle,
       rule: {unlimited: false, max_requests: 1, window_seconds: 20, identifier: user_id, algorithm: fixed_window,
              on_exceeded: charge, when: "request.headers['x-charge'] == '1'"}}
    - {name: challenge, cidrs: [192.0.2.0/24], action: challenge,
       rule: {unlimited: false, max_requests: 1, window_seconds: 30, identifier: user_id, algorithm: fixed_window,
              when: "request.headers['x-challenge'] == '1'"}}
)";
  for (const bool explained : {false, true}) {
    Start(yaml);
    for (unsigned set = 1; set < 8; ++set) {
      SCOPED_TRACE(set);
      const std::vector<Attribute> headers = {{"x-deny", (set & 1) != 0 ? "1" : "0"},
                                              {"x-charge", (set & 2) != 0 ? "1" : "0"},
                                              {"x-challenge", (set & 4) != 0 ? "1" : "0"}};
      const std::string user = "u" + std::to_string(set);
      const Request request{.peer_ip = "192.0.2.1", .user = user, .headers = headers};
      EXPECT_EQ(Ask(request, explained).action, Action::kAllow);
      const Action expected = (set & 1) != 0 ? Action::kDeny : (set & 2) != 0 ? Action::kCharge : Action::kChallenge;
      const Decision decision = Ask(request, explained);
      EXPECT_EQ(decision.action, expected);
      EXPECT_FALSE(decision.allowed);
      EXPECT_EQ(decision.decider()->rule, "ip_rules.rules." + std::string(ToString(expected)) + ".rule");
      EXPECT_EQ(Peek(request).action, expected);
    }
    EXPECT_EQ(engine_->GetCounts().challenges, 1U);
    EXPECT_EQ(engine_->GetCounts().charges, 2U);
    EXPECT_EQ(engine_->GetCounts().denied, 7U);
  }
}

TEST_F(OutcomesTest, ChallengedAndChargedRequestsConsumeNothing) {
  for (const std::string_view action : {"challenge", "charge"}) {
    Start(R"(
global: {free_tier: {max_requests: 1, window_seconds: 60, identifier: user_id, algorithm: fixed_window, on_exceeded: )" +
          std::string(action) + R"(}}
tenants: {acme: {aggregate: {max_requests: 10, window_seconds: 60, algorithm: fixed_window}}}
)");
    EXPECT_EQ(CountAllowed({.user = "ann", .tenant = "acme"}, 20), 1);
    EXPECT_EQ(CountAllowed({.user = "bob", .tenant = "acme"}, 1), 1);
    Decision left = Peek({.user = "eve", .tenant = "acme"});
    ASSERT_EQ(left.rule_count, 2U);
    EXPECT_EQ(left.rules()[1].outcome.used, 3U) << action;  // of which the peek would be one
  }
}

TEST_F(OutcomesTest, AShadowRuleWantsNothing) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 60, algorithm: token_bucket, mode: shadow, on_exceeded: wait,
              max_wait_ms: 60000}
)");
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).action, Action::kAllow);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).action, Action::kAllow);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).delay_ns(), 0);
}

TEST_F(OutcomesTest, ABanIsADenialWhateverTheRuleWants) {
  Start(R"(
global:
  free_tier:
    max_requests: 1
    window_seconds: 60
    algorithm: fixed_window
    on_exceeded: challenge
    penalties: {enabled: true, threshold: 2, first_ban_seconds: 600}
)");
  const Request request{.peer_ip = "192.0.2.1"};
  EXPECT_EQ(Check(request).action, Action::kAllow);
  EXPECT_EQ(Check(request).action, Action::kChallenge);
  EXPECT_EQ(Check(request).action, Action::kChallenge);
  const Decision banned = Check(request);
  EXPECT_EQ(banned.reason, Reason::kBanned);
  EXPECT_EQ(banned.action, Action::kDeny);
}

TEST_F(OutcomesTest, AStoreThatIsAwayDeniesOrGoesOnLocally) {
  Start(R"(
global:
  free_tier: {max_requests: 1, window_seconds: 60, on_store_failure: deny, on_exceeded: challenge}
  pro_tier: {max_requests: 1, window_seconds: 60, on_store_failure: local, on_exceeded: charge}
)");
  store_->Cut(true);
  const Decision denied = Check({.peer_ip = "192.0.2.1"});
  EXPECT_EQ(denied.reason, Reason::kStoreDenied);
  EXPECT_EQ(denied.action, Action::kDeny);
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1", .tier = "pro"}).action, Action::kAllow);
  const Decision charged = Check({.peer_ip = "192.0.2.1", .tier = "pro"});
  EXPECT_EQ(charged.reason, Reason::kStoreLocal);
  EXPECT_EQ(charged.action, Action::kCharge);
}

// ---- ip rules ----

TEST_F(OutcomesTest, AnIpRuleChallenges) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 60}}
denial: {status: 503, headers: {X-Site: main}}
exemptions: {paths: [/challenge]}
ip_rules:
  rules:
    - {name: far, cidrs: [198.51.100.0/24], action: challenge}
    - {name: office, cidrs: [198.51.100.7], action: allow}
    - {name: everybody, cidrs: [198.51.0.0/16], action: allow}
    - {name: bad, cidrs: [198.51.100.66], action: block}
)");
  for (const bool explained : {false, true}) {
    const Decision challenged = Ask({.peer_ip = "198.51.100.1"}, explained);
    EXPECT_FALSE(challenged.allowed);
    EXPECT_EQ(challenged.action, Action::kChallenge);
    EXPECT_EQ(challenged.reason, Reason::kChallenged);
    EXPECT_EQ(challenged.decider(), nullptr);
    ASSERT_NE(challenged.style(), nullptr);
    EXPECT_EQ(challenged.style()->denial_status, 503);
    EXPECT_EQ(challenged.style()->denial_headers, "X-Site: main\r\n");
    EXPECT_EQ(Ask({.peer_ip = "198.51.100.7"}, explained).action, Action::kAllow) << "its network is more specific";
    const Decision blocked = Ask({.peer_ip = "198.51.100.66"}, explained);
    EXPECT_EQ(blocked.action, Action::kDeny) << "a block goes before all";
    EXPECT_EQ(blocked.reason, Reason::kBlocked);
    ASSERT_NE(blocked.style(), nullptr);
    EXPECT_EQ(Ask({.peer_ip = "198.51.100.1", .path = "/challenge"}, explained).action, Action::kAllow) << "exempt";
    EXPECT_EQ(Ask({.peer_ip = "192.0.2.1"}, explained).action, Action::kAllow);
    EXPECT_EQ(Ask({.peer_ip = "192.0.2.1"}, explained).style(), Ask({.peer_ip = "192.0.2.1"}, explained).style());
  }
  EXPECT_EQ(engine_->GetCounts().challenges, 2U);
  std::string step;
  (void)Explained({.peer_ip = "198.51.100.1"}, &step);
  EXPECT_EQ(step, "Challenged (challenged).");
}

// ---- what a denial says ----

TEST_F(OutcomesTest, DenialsAreInheritedAndLastAsLongAsTheDecision) {
  Start(R"(
denial: {body: plain}
global:
  free_tier: {max_requests: 1, window_seconds: 60, denial: {status: 420, message: Calm.}}
endpoints:
  /own: {rule: {max_requests: 1, window_seconds: 60, denial: {body: html}}}
  /inherits: {rule: {max_requests: 1, window_seconds: 60}}
domains:
  d: {rules: [{max_requests: 1, window_seconds: 60}]}
)");
  const auto denied = [&](const Request& request) {
    EXPECT_TRUE(Check(request).allowed);
    return Check(request);
  };
  const Decision inherits = denied({.peer_ip = "192.0.2.1", .path = "/inherits"});
  ASSERT_NE(inherits.style(), nullptr);
  EXPECT_EQ(inherits.style()->denial_status, 420);
  EXPECT_EQ(inherits.style()->denial_message, "Calm.");
  EXPECT_EQ(inherits.style()->denial_body, DenialBody::kProblem);
  const Decision own = denied({.peer_ip = "192.0.2.1", .path = "/own"});
  EXPECT_EQ(own.style()->denial_status, 0);
  EXPECT_EQ(own.style()->denial_body, DenialBody::kHtml);
  const Decision domain = denied({.domain = "d", .peer_ip = "192.0.2.2", .path = "/x"});
  EXPECT_EQ(domain.style()->denial_body, DenialBody::kPlain) << "the document's";

  ASSERT_TRUE(engine_->Apply(ParseOrDie("global: {free_tier: {max_requests: 1, window_seconds: 60}}")));
  EXPECT_EQ(inherits.style()->denial_message, "Calm.");
}

// ---- the pattern of AI gateways ----

// The cost of a stream is known when it ends. It is charged whole, also beyond the budget, and the next one is then
// refused until the debt has gone.
TEST_F(OutcomesTest, AStreamIsAdmittedByALookAndChargedWhenItEnds) {
  Start(R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 1000, identifier: user_id, algorithm: token_bucket, on_exceeded: charge}
)");
  const auto admit = [&] { return Peek({.user = "ann", .cost = 1}); };  // a look: counts nothing
  const auto end = [&](std::uint64_t tokens) {
    return Run(CallKind::kCharge, {.user = "ann", .cost = tokens}).decision;
  };
  EXPECT_TRUE(admit().allowed);
  EXPECT_EQ(end(700).action, Action::kAllow);
  EXPECT_TRUE(admit().allowed);
  const Decision beyond = end(700);
  EXPECT_FALSE(beyond.allowed);
  EXPECT_EQ(beyond.action, Action::kCharge) << "the charge itself tells that the budget is spent";
  EXPECT_EQ(beyond.decider()->outcome.used, 1400U) << "and has counted all the same";
  EXPECT_EQ(admit().action, Action::kCharge);
  EXPECT_EQ(admit().decider()->outcome.retry_after_ns, 401 * kSecond);
  clock_.Advance(401 * kSecond);
  EXPECT_TRUE(admit().allowed);

  // The same with a reservation: of the least to begin with, settled at what it was.
  clock_.Advance(2000 * kSecond);
  const Decision first = Reserve({.user = "ann", .cost = 1});
  ASSERT_NE(first.reservation, 0U);
  ASSERT_TRUE(Settle(CallKind::kCommit, first.reservation, 1300));
  EXPECT_EQ(Reserve({.user = "ann", .cost = 1}).action, Action::kCharge);
  clock_.Advance(301 * kSecond);
  EXPECT_TRUE(Reserve({.user = "ann", .cost = 1}).allowed);
}

}  // namespace
}  // namespace weir::engine
