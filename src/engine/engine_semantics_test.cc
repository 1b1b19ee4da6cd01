// DESIGN.md's semantics as requests see them: missing identifiers, what a rule counts, further limits, conditions,
// endpoints that stack, ip rules that allow.
#include "algorithms/limit.h"
#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

class SemanticsTest : public EngineTest {
 protected:
  // The same question by the other way through the engine, which explains.
  Decision Explained(const Request& request, std::vector<ExplainStep>* steps = nullptr) {
    std::vector<ExplainStep> own;
    Call call;
    call.request = request;
    call.trace = steps == nullptr ? &own : steps;
    engine_->Run({&call, 1});
    return call.decision;
  }
  static std::string TextOf(const std::vector<ExplainStep>& steps, std::string_view stage) {
    std::string text;
    for (const ExplainStep& step : steps) {
      if (step.stage == stage) text += step.detail + "\n";
    }
    return text;
  }
};

constexpr std::string_view kByUser = R"(
global:
  free_tier: {max_requests: 3, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}
)";

TEST_F(SemanticsTest, ABaseRuleCountsTheAddressOfARequestWithoutItsIdentifier) {
  Start(kByUser);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.2"}, 5), 3) << "each address by itself";
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .user = "alice"}, 5), 3) << "a user is somebody else";
  EXPECT_EQ(CountAllowed({}, 5), 3) << "requests without an address share one subject";
  EXPECT_EQ(engine_->GetCounts().counted_by_address, 15U);
  EXPECT_EQ(engine_->GetCounts().unidentified, 0U);
}

TEST_F(SemanticsTest, NoUserIsTakenForAnAddress) {
  Start(kByUser);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.user = "!ip:192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.user = "!!ip:192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.user = "ip:192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.user = "192.0.2.1"}, 5), 3);
  EXPECT_EQ(CountAllowed({.user = "!ip:unknown"}, 5), 3);
  EXPECT_EQ(CountAllowed({}, 5), 3);
}

TEST_F(SemanticsTest, BothWaysThroughTheEngineCountTheSameSubject) {
  Start(kByUser);
  std::vector<ExplainStep> steps;
  EXPECT_TRUE(Explained({.peer_ip = "192.0.2.1"}, &steps).allowed);
  EXPECT_NE(
      TextOf(steps, "identify").find("counts the address 192.0.2.1 (on_missing: ip), since its identifier (user_id)"),
      std::string::npos)
      << TextOf(steps, "identify");
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 5), 2);
  EXPECT_FALSE(Explained({.peer_ip = "192.0.2.1"}).allowed);
  EXPECT_TRUE(Explained({.user = "!a"}).allowed);
  EXPECT_EQ(CountAllowed({.user = "!a"}, 5), 2);
}

TEST_F(SemanticsTest, StackedRulesSkipWhatTheyDoNotFind) {
  Start(R"(
global:
  free_tier: {max_requests: 100, window_seconds: 3600}
endpoints:
  /**: {combine: stack, rule: {max_requests: 1, window_seconds: 60, identifier: user_id}}
)");
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .path = "/"}, 5), 5);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .user = "u", .path = "/"}, 5), 1);
  EXPECT_EQ(engine_->GetCounts().unidentified, 5U);
  std::vector<ExplainStep> steps;
  (void)Explained({.peer_ip = "192.0.2.1", .path = "/"}, &steps);
  EXPECT_NE(TextOf(steps, "identify").find("does not apply: its identifier (user_id) finds no subject"),
            std::string::npos);
}

TEST_F(SemanticsTest, ARequestWithoutItsIdentifierCanBeDenied) {
  Start(R"(
global:
  free_tier: {max_requests: 3, window_seconds: 3600, identifier: user_id, on_missing: deny}
endpoints:
  /**: {combine: stack, rule: {max_requests: 2, window_seconds: 3600, identifier: ip_address, on_missing: skip}}
)");
  const Request nobody{.peer_ip = "192.0.2.1", .path = "/"};
  for (int i = 0; i < 3; ++i) {
    const Decision decision = Check(nobody);
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.reason, Reason::kMissingIdentifier);
    EXPECT_EQ(ToString(decision.reason), "missing_identifier");
    EXPECT_EQ(decision.rule_count, 0U);
  }
  std::vector<ExplainStep> steps;
  EXPECT_EQ(Explained(nobody, &steps).reason, Reason::kMissingIdentifier);
  EXPECT_NE(TextOf(steps, "identify").find("denies the request"), std::string::npos);
  EXPECT_EQ(Peek(nobody).reason, Reason::kMissingIdentifier);
  const Decision reserved = Reserve(nobody);
  EXPECT_EQ(reserved.reason, Reason::kMissingIdentifier);
  EXPECT_EQ(reserved.reservation, 0U);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .user = "u", .path = "/"}, 3), 2) << "nothing was consumed";
  EXPECT_EQ(engine_->GetCounts().denied_unidentified, 6U);
  EXPECT_EQ(engine_->GetCounts().denied, 6U) << "not the peek; the third of the user's";
}

TEST_F(SemanticsTest, WhatIsChargedAnywayIsChargedThoughARuleDenies) {
  Start(R"(
global:
  free_tier: {max_requests: 3, window_seconds: 3600, identifier: user_id, on_missing: deny}
endpoints:
  /**: {combine: stack, rule: {max_requests: 2, window_seconds: 3600, identifier: ip_address}}
)");
  const Call charge = Run(CallKind::kCharge, {.peer_ip = "192.0.2.1", .path = "/", .cost = 2});
  EXPECT_FALSE(charge.decision.allowed);
  EXPECT_EQ(charge.decision.reason, Reason::kMissingIdentifier);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .user = "u", .path = "/"}, 3), 0);
}

TEST_F(SemanticsTest, ShadowRulesDenyNobody) {
  Start(R"(
global:
  free_tier: {max_requests: 3, window_seconds: 3600, identifier: ip_address}
endpoints:
  /**:
    combine: stack
    rule: {max_requests: 1, window_seconds: 60, identifier: user_id, on_missing: deny, mode: shadow}
)");
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1", .path = "/"}, 5), 3);
}

TEST_F(SemanticsTest, OneOfSeveralThatAreAllOrNothingIsDeniedAndNoneIsCharged) {
  Start(R"(
global: {free_tier: {max_requests: 2, window_seconds: 3600, identifier: user_id, on_missing: deny}}
)");
  std::vector<Call> calls(2);
  calls[0].request = {.user = "u"};
  calls[1].request = {.peer_ip = "192.0.2.1"};
  calls[1].join = Join::kAllOrNothing;
  engine_->Run(calls);
  EXPECT_TRUE(calls[0].decision.allowed);
  EXPECT_EQ(calls[1].decision.reason, Reason::kMissingIdentifier);
  EXPECT_EQ(CountAllowed({.user = "u"}, 3), 2);
}

// ---- what a rule counts ----

constexpr std::string_view kUnits = R"(
global:
  free_tier: {max_requests: 3, window_seconds: 3600, algorithm: token_bucket, identifier: user_id, counts: requests}
endpoints:
  /**:
    combine: stack
    rule: {max_requests: 100, window_seconds: 3600, algorithm: token_bucket, counts: cost}
  /upload:
    combine: stack
    rule: {max_requests: 1000, window_seconds: 3600, algorithm: token_bucket, counts: "attribute:bytes"}
)";

TEST_F(SemanticsTest, ByRequestsAndByCostAtOnce) {
  Start(kUnits);
  const auto ask = [&](std::string_view user, std::uint64_t cost) {
    return Check({.user = user, .path = "/", .cost = cost}).allowed;
  };
  EXPECT_TRUE(ask("u", 40));
  EXPECT_TRUE(ask("u", 40));
  EXPECT_FALSE(ask("u", 40)) << "120 of 100";
  EXPECT_TRUE(ask("u", 1)) << "the denied one consumed nothing";
  EXPECT_FALSE(ask("u", 1)) << "the fourth request";
  EXPECT_TRUE(Check({.user = "u", .path = "/", .cost = 0}).allowed) << "only a look";
}

TEST_F(SemanticsTest, ByWhatAnAttributeSays) {
  Start(kUnits);
  const auto left = [&](std::string_view bytes) {
    const Attribute attribute{.name = "bytes", .value = bytes};
    Request request{.user = bytes.empty() ? "x" : bytes, .path = "/upload"};
    if (!bytes.empty()) request.attributes = {&attribute, 1};
    const Decision decision = Check(request);
    for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
      const RuleOutcome& rule = decision.rules()[i];
      if (rule.rule == "endpoints./upload.rule") {
        return rule.outcome.verdict == Verdict::kNever ? std::string("never") : std::to_string(rule.outcome.remaining);
      }
    }
    return std::string("not counted");
  };
  EXPECT_EQ(left("600"), "400");
  EXPECT_EQ(left("0"), "1000");
  EXPECT_EQ(left(""), "999") << "a request that brings none counts 1";
  for (const std::string_view no_number : {"-5", "1e3", "12a", " 12", "+1"})
    EXPECT_EQ(left(no_number), "999") << no_number;
  EXPECT_EQ(left("1001"), "never");
  EXPECT_EQ(left("99999999999999999999999999"), "never");
}

TEST_F(SemanticsTest, ACommitSettlesWhatIsCountedByCostOnly) {
  Start(kUnits);
  const Decision reserved = Reserve({.user = "u", .path = "/", .cost = 10});
  ASSERT_TRUE(reserved.allowed);
  ASSERT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 60));
  const auto remaining = [&](std::string_view rule) {
    const Decision peek = Peek({.user = "u", .path = "/", .cost = 0});
    for (std::uint32_t i = 0; i < peek.rule_count; ++i) {
      if (peek.rules()[i].rule == rule) return peek.rules()[i].outcome.remaining;
    }
    return std::uint64_t{12345};
  };
  EXPECT_EQ(remaining("global.free_tier"), 2U) << "one request, whatever it cost";
  EXPECT_EQ(remaining("endpoints./**.rule"), 40U);
  const Decision cancelled = Reserve({.user = "u", .path = "/", .cost = 10});
  ASSERT_TRUE(Settle(CallKind::kCancel, cancelled.reservation));
  EXPECT_EQ(remaining("global.free_tier"), 2U);
  EXPECT_EQ(remaining("endpoints./**.rule"), 40U);
}

// ---- further limits ----

TEST_F(SemanticsTest, AllLimitsOfARuleMustPass) {
  Start(R"(
global:
  free_tier:
    {max_requests: 4, window_seconds: 3600, algorithm: token_bucket, identifier: user_id, name: api,
     limits: [{max_requests: 2, window_seconds: 10}, {max_requests: 50, window_seconds: 60, counts: cost, name: tokens}],
     counts: requests}
  pro_tier: {max_requests: 40}
users: {u2: {rule: {limits: []}}}
)");
  EXPECT_EQ(CountAllowed({.user = "u"}, 3), 2) << "the burst";
  clock_.Advance(10 * kSecond);
  EXPECT_EQ(CountAllowed({.user = "u"}, 3), 2) << "4 of 4";
  clock_.Advance(10 * kSecond);
  EXPECT_EQ(CountAllowed({.user = "u"}, 3), 0);
  EXPECT_EQ(Check({.user = "v", .cost = 51}).reason, Reason::kNeverFits) << "the tokens";
  EXPECT_EQ(CountAllowed({.user = "v"}, 3), 2) << "nothing was consumed of the others";
  EXPECT_EQ(CountAllowed({.user = "w", .tier = "pro"}, 30), 20) << "inherited limits follow the numbers";
  EXPECT_EQ(CountAllowed({.user = "u2"}, 6), 4) << "a more specific level has none";
  const Decision decision = Peek({.user = "z"});
  ASSERT_EQ(decision.rule_count, 3U);
  EXPECT_EQ(decision.rules()[0].rule, "global.free_tier");
  EXPECT_EQ(decision.rules()[1].rule, "global.free_tier.limits.0");
  EXPECT_EQ(decision.rules()[1].policy, "api.limits.0");
  EXPECT_EQ(decision.rules()[2].policy, "tokens");
}

TEST_F(SemanticsTest, LimitsHoldWhereverARuleStands) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 3600, identifier: user_id}}
tenants: {t: {aggregate: {max_requests: 50, window_seconds: 3600, limits: [{max_requests: 1, window_seconds: 60}]}}}
endpoints:
  /a: {rule: {max_requests: 50, window_seconds: 60, limits: [{max_requests: 2, window_seconds: 3600}]}}
  /b: {combine: stack, rule: {max_requests: 50, window_seconds: 60, limits: [{max_requests: 3, window_seconds: 3600}]}}
ip_rules:
  rules:
    - {name: slow, cidrs: [10.0.0.0/8], action: throttle,
       rule: {max_requests: 50, window_seconds: 60, limits: [{max_requests: 4, window_seconds: 3600}]}}
domains:
  d:
    rules: [{max_requests: 50, window_seconds: 60, limits: [{max_requests: 5, window_seconds: 3600}]}]
    descriptors:
      - {key: k, rule: {max_requests: 50, window_seconds: 60, name: n, limits: [{max_requests: 2, window_seconds: 3600}]},
         rules: [{max_requests: 60, window_seconds: 60}]}
)");
  EXPECT_EQ(CountAllowed({.user = "a", .path = "/a"}, 9), 2);
  EXPECT_EQ(CountAllowed({.user = "b", .path = "/b"}, 9), 3);
  EXPECT_EQ(CountAllowed({.user = "c", .tenant = "t"}, 9), 1);
  EXPECT_EQ(CountAllowed({.peer_ip = "10.0.0.1", .user = "d"}, 9), 4);
  const Attribute entry{.name = "k", .value = "v"};
  int allowed = 0;
  for (int i = 0; i < 9; ++i) {
    Call call;
    call.request = {.domain = "d", .attributes = {&entry, 1}};
    call.descriptor = true;
    engine_->Run({&call, 1});
    allowed += call.decision.allowed ? 1 : 0;
    EXPECT_EQ(call.decision.rule_count, 5U) << "two of the domain, three of the descriptor";
  }
  EXPECT_EQ(allowed, 2);
}

// ---- conditions ----

TEST_F(SemanticsTest, ARuleHoldsWhereItsConditionIsTrue) {
  Start(R"(
global: {free_tier: {max_requests: 10, window_seconds: 3600, identifier: user_id}}
users: {vip: {rule: {max_requests: 3, when: "request.method != 'GET'"}}}
endpoints:
  /**:
    combine: stack
    rule: {max_requests: 1, window_seconds: 3600, when: "facts.country in ['DE', 'AT'] && headers['x-bot'] == 'yes'"}
  /pay: {rule: {max_requests: 2, when: "request.cost > 1 || int(attributes.amount) > 100"}}
)");
  const Attribute bot{.name = "X-Bot", .value = "yes"};
  EXPECT_EQ(CountAllowed({.user = "a", .country = "DE", .path = "/", .headers = {&bot, 1}}, 5), 1);
  EXPECT_EQ(CountAllowed({.user = "b", .country = "FR", .path = "/", .headers = {&bot, 1}}, 5), 5);
  EXPECT_EQ(CountAllowed({.user = "c", .country = "DE", .path = "/"}, 5), 5);
  EXPECT_EQ(CountAllowed({.user = "vip", .method = "POST"}, 9), 3);
  EXPECT_EQ(CountAllowed({.user = "vip", .method = "GET"}, 12), 10) << "the next less specific level";
  const Attribute small{.name = "amount", .value = "5"}, large{.name = "amount", .value = "500"};
  EXPECT_EQ(CountAllowed({.user = "d", .path = "/pay", .attributes = {&small, 1}}, 5), 5) << "the base rule";
  EXPECT_EQ(CountAllowed({.user = "e", .path = "/pay", .attributes = {&large, 1}}, 5), 2);
  const Attribute forged{.name = "amount", .value = "5x"};
  EXPECT_EQ(CountAllowed({.user = "f", .path = "/pay", .attributes = {&forged, 1}}, 5), 2) << "what fails applies";
  std::vector<ExplainStep> steps;
  (void)Explained({.user = "c", .country = "DE", .path = "/pay", .attributes = {&small, 1}}, &steps);
  EXPECT_NE(TextOf(steps, "endpoint").find("endpoints./pay.rule does not apply: its condition is false"),
            std::string::npos)
      << TextOf(steps, "endpoint");
}

TEST_F(SemanticsTest, ConditionsReadPathsInNormalFormAndQueries) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 3600, identifier: user_id}}
endpoints:
  /**: {combine: stack, rule: {max_requests: 1, window_seconds: 3600, when: "request.path == '/a/b' && query.x == 'y z'"}}
)");
  EXPECT_EQ(CountAllowed({.user = "a", .path = "/a/./%62?x=y%20z"}, 3), 1);
  EXPECT_EQ(CountAllowed({.user = "b", .path = "/a/b?x=y"}, 3), 3);
  EXPECT_EQ(CountAllowed({.user = "c", .path = "/a/b?x=y&x=z"}, 3), 1) << "which of them is meant cannot be told";
}

// ---- endpoints ----

TEST_F(SemanticsTest, EveryStackedPatternThatMatchesHolds) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 3600, identifier: user_id}}
endpoints:
  /**: {combine: stack, rule: {max_requests: 4, window_seconds: 3600}}
  /v1/*: {combine: stack, rule: {max_requests: 3, window_seconds: 3600}}
  /v1/search: {rule: {max_requests: 50, window_seconds: 3600}}
  /{a}/search: {rule: {max_requests: 1, window_seconds: 3600}}
)");
  const Decision decision = Peek({.user = "u", .path = "/v1/search"});
  EXPECT_EQ(decision.rule_count, 3U) << "of those that replace, the most specific one only";
  EXPECT_EQ(CountAllowed({.user = "u", .path = "/v1/search"}, 9), 3);
  EXPECT_EQ(CountAllowed({.user = "u", .path = "/v2/search"}, 9), 1) << "4 for all paths together";
}

TEST_F(SemanticsTest, ARuleForGetHoldsForHead) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 3600, identifier: user_id}}
endpoints:
  /a: {methods: [GET], rule: {max_requests: 2, window_seconds: 3600}}
  "/{x}": {methods: [GET, POST], rule: {max_requests: 5, window_seconds: 3600}}
  "/{y}": {methods: [HEAD], rule: {max_requests: 1, window_seconds: 3600}}
)");
  EXPECT_TRUE(Check({.user = "u", .method = "GET", .path = "/a"}).allowed);
  EXPECT_EQ(CountAllowed({.user = "u", .method = "HEAD", .path = "/a"}, 3), 1);
  EXPECT_EQ(CountAllowed({.user = "u", .method = "head", .path = "/b"}, 3), 1) << "what names HEAD goes before";
  EXPECT_EQ(CountAllowed({.user = "u", .method = "OPTIONS", .path = "/a"}, 9), 9);
}

TEST_F(SemanticsTest, PatternsMayIgnoreCase) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 3600, identifier: user_id}}
endpoints:
  /Login: {ignore_case: true, rule: {max_requests: 2, window_seconds: 3600}}
  /LOGIN: {rule: {max_requests: 5, window_seconds: 3600}}
  /img/Thumb-*.PNG: {ignore_case: true, rule: {max_requests: 1, window_seconds: 3600}}
)");
  EXPECT_TRUE(Check({.user = "u", .path = "/login"}).allowed);
  EXPECT_TRUE(Check({.user = "u", .path = "/%6cOgIn"}).allowed);
  EXPECT_FALSE(Check({.user = "u", .path = "/LogIn/"}).allowed);
  EXPECT_EQ(CountAllowed({.user = "u", .path = "/LOGIN"}, 9), 5) << "what heeds case is more specific";
  EXPECT_TRUE(Check({.user = "u", .path = "/img/thumb-1.png"}).allowed);
  EXPECT_FALSE(Check({.user = "u", .path = "/img/THUMB-2.Png"}).allowed);
  EXPECT_EQ(CountAllowed({.user = "u", .path = "/IMG/thumb-1.png"}, 3), 0) << "all of the pattern ignores case";
}

// ---- ip rules ----

TEST_F(SemanticsTest, AnAllowTakesThePlaceOfTheBaseRule) {
  Start(R"(
global: {free_tier: {max_requests: 2, window_seconds: 3600, identifier: user_id}}
users: {capped: {quotas: [{max_requests: 4, period: day}]}}
endpoints:
  /dear: {rule: {max_requests: 1, window_seconds: 3600}}
  /**: {combine: stack, rule: {max_requests: 8, window_seconds: 3600}}
ip_rules:
  rules:
    - {name: office, cidrs: [203.0.113.0/24], action: allow, rule: {max_requests: 6, window_seconds: 3600}}
    - {name: monitor, cidrs: [203.0.113.9], action: allow}
    - {name: bad, cidrs: [203.0.113.66], action: block}
    - {name: germany, countries: [DE], action: allow}
    - {name: wide, cidrs: [203.0.0.0/16], action: allow}
)");
  const auto count = [&](std::string_view user, std::string_view ip, std::string_view path,
                         std::string_view country = {}) {
    return CountAllowed({.peer_ip = ip, .user = user, .country = country, .path = path}, 20);
  };
  EXPECT_EQ(count("a", "192.0.2.1", "/"), 2);
  EXPECT_EQ(count("b", "203.0.113.7", "/"), 6);
  EXPECT_EQ(count("c", "203.0.113.7", "/dear"), 6) << "also of a replacing endpoint's";
  EXPECT_EQ(count("capped", "203.0.113.7", "/"), 4) << "what stacks still holds";
  EXPECT_EQ(count("d", "203.0.113.9", "/"), 20) << "the most specific network has no rule: nothing is counted";
  EXPECT_EQ(Check({.peer_ip = "203.0.113.9"}).reason, Reason::kExempt);
  EXPECT_EQ(count("e", "203.0.113.66", "/"), 0) << "block beats all";
  EXPECT_EQ(count("f", "203.0.113.7", "/", "DE"), 6) << "a network is more specific than a country";
  EXPECT_EQ(count("g", "203.0.1.1", "/"), 20);
  EXPECT_EQ(count("h", "192.0.2.1", "/", "DE"), 20);
}

TEST_F(SemanticsTest, AnAllowInShadowTakesNothingAway) {
  Start(R"(
global: {free_tier: {max_requests: 2, window_seconds: 3600, identifier: user_id}}
ip_rules:
  rules: [{name: office, cidrs: [203.0.113.0/24], action: allow, rule: {max_requests: 6, window_seconds: 60, mode: shadow}}]
)");
  EXPECT_EQ(CountAllowed({.peer_ip = "203.0.113.7", .user = "a"}, 9), 2);
  EXPECT_EQ(Peek({.peer_ip = "203.0.113.7", .user = "a"}).rule_count, 2U);
}

TEST_F(SemanticsTest, Nat64AddressesAreIpv4ForEveryRule) {
  Start(R"(
global: {free_tier: {max_requests: 2, window_seconds: 3600}}
exemptions: {cidrs: ["64:ff9b::a00:0/104"]}
ip_rules: {rules: [{name: bad, cidrs: ["64:ff9b::c633:6464"], action: block}]}
)");
  EXPECT_TRUE(Check({.peer_ip = "64:ff9b::c633:6407"}).allowed);
  EXPECT_TRUE(Check({.peer_ip = "198.51.100.7"}).allowed);
  EXPECT_FALSE(Check({.peer_ip = "::ffff:198.51.100.7"}).allowed);
  EXPECT_TRUE(Check({.peer_ip = "64:ff9b::c000:201"}).allowed);
  EXPECT_EQ(Check({.peer_ip = "198.51.100.100"}).reason, Reason::kBlocked);
  EXPECT_EQ(Check({.peer_ip = "10.1.2.3"}).reason, Reason::kExempt);
}

// What the charge that is named no longer occupies is another's.
TEST_F(EngineTest, ARefundThatNamesItsChargeGivesBackNoMoreThanThat) {
  Start("global: {free_tier: {max_requests: 10, window_seconds: 60, algorithm: fixed_window}}");
  std::vector<Call> calls(2);
  for (Call& call : calls) {
    call.request = {.peer_ip = "192.0.2.1", .cost = 4};
    call.join = Join::kAllOrNothing;
  }
  calls[0].join = Join::kNone;
  engine_->Run(calls);
  ASSERT_TRUE(calls[0].decision.allowed);
  EXPECT_EQ(calls[0].decided_at, clock_.Now());
  const auto refund = [&] {
    Call call;
    call.kind = CallKind::kRefund;
    call.request = calls[0].request;
    call.charged_at = calls[0].decided_at;
    engine_->Run({&call, 1});
    EXPECT_TRUE(call.status);
    return Peek({.peer_ip = "192.0.2.1"}).decider()->outcome.used;
  };
  EXPECT_EQ(refund(), 5U) << "4 of the 8, and the one that is looked at";
  clock_.Advance(61 * kSecond);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.1", .cost = 3}).allowed);
  EXPECT_EQ(refund(), 4U) << "the window that counted it is over";
}

}  // namespace
}  // namespace weir::engine
