// Descriptors: what a domain's tree decides, alone, beside the hierarchy, and together with others of one request.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "engine/engine_fixture.h"
#include "engine/unknown_domains.h"

namespace weir::engine {
namespace {

using Entries = std::vector<Attribute>;

constexpr std::string_view kTree = R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60, algorithm: token_bucket}
exemptions: {users: [root]}
ip_rules:
  rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]
domains:
  d:
    descriptors:
      - {key: path, rule: {max_requests: 2, window_seconds: 60, name: by_path}}
      - {key: path, value: "files*", share_threshold: true, rule: {max_requests: 2, window_seconds: 60}}
      - {key: user, rule: {max_requests: 3, window_seconds: 60, name: by_user}}
      - {key: vip, replaces: [by_user, by_path], rule: {max_requests: 5, window_seconds: 60}}
      - {key: free, rule: unlimited}
      - {key: soft, quota_mode: true, rule: {max_requests: 1, window_seconds: 60}}
      - {key: dark, rule: {max_requests: 1, window_seconds: 60, mode: shadow}}
      - {key: shown, detailed_metric: true, rule: {max_requests: 1, window_seconds: 60}}
      - key: outer
        value: a
        descriptors: [{key: inner, value_to_metric: true, rule: {max_requests: 2, window_seconds: 60}}]
      - {key: slot, rule: {max_requests: 1, window_seconds: 60, algorithm: {concurrency: {}}}}
  h:
    hierarchy: true
    descriptors:
      - {key: path, rule: {max_requests: 2, window_seconds: 60}}
)";

class DomainsTest : public EngineTest {
 protected:
  Call Ask(const Entries& entries, std::string_view domain = "d") {
    Call call = Of(entries, domain);
    engine_->Run({&call, 1});
    return call;
  }
  static Call Of(const Entries& entries, std::string_view domain = "d") {
    Call call;
    call.descriptor = true;
    call.request.domain = domain;
    call.request.attributes = entries;
    return call;
  }
  // Descriptors of one request.
  std::vector<Call> AskAll(const std::vector<Entries>& all, Join join, CallKind kind = CallKind::kCheck) {
    std::vector<Call> calls;
    for (const Entries& entries : all) {
      calls.push_back(Of(entries));
      calls.back().kind = kind;
      if (calls.size() > 1) calls.back().join = join;
    }
    engine_->Run(calls);
    return calls;
  }
  std::uint64_t Left(const Entries& entries) {
    Call call = Of(entries);
    call.kind = CallKind::kPeek;
    engine_->Run({&call, 1});
    EXPECT_EQ(call.decision.rule_count, 1U);
    // A peek tells what would be left if it were a check.
    const Outcome& outcome = call.decision.rules()[0].outcome;
    return outcome.verdict == Verdict::kAllowed ? outcome.remaining + 1 : 0;
  }
  Engine::RuleCounts CountsOf(std::string_view rule, std::string_view detail) {
    for (const auto& counts : engine_->GetCounts().rules) {
      if (counts.rule == rule && counts.detail == detail) return counts;
    }
    ADD_FAILURE() << "nothing is counted for " << rule << " " << detail;
    return {};
  }
};

TEST_F(DomainsTest, TheTreeAloneDecidesADescriptor) {
  Start(kTree);
  const Entries a{{"path", "/a"}};
  EXPECT_TRUE(Ask(a).decision.allowed);
  const Call last = Ask(a);
  EXPECT_TRUE(last.decision.allowed);
  ASSERT_EQ(last.decision.rule_count, 1U) << "the hierarchy does not hold here";
  EXPECT_EQ(last.decision.rules()[0].rule, "domains.d.path");
  EXPECT_EQ(last.decision.rules()[0].level, Level::kDomain);
  EXPECT_EQ(last.decision.rules()[0].outcome.remaining, 0U);
  const Call denied = Ask(a);
  EXPECT_FALSE(denied.decision.allowed);
  EXPECT_EQ(denied.decision.reason, Reason::kOverLimit);
  EXPECT_TRUE(Ask({{"path", "/b"}}).decision.allowed) << "another subject";
  const Call none = Ask({{"nothing", "x"}});
  EXPECT_TRUE(none.decision.allowed);
  EXPECT_EQ(none.decision.reason, Reason::kNoLimit);
  const Call unlimited = Ask({{"free", "x"}});
  EXPECT_TRUE(unlimited.decision.allowed);
  EXPECT_EQ(unlimited.decision.reason, Reason::kUnlimited);
}

TEST_F(DomainsTest, EntriesThatLookAlikeAreDifferentSubjects) {
  Start(R"(
global: {free_tier: unlimited}
domains:
  d:
    descriptors:
      - {key: a, descriptors: [{key: b, rule: {max_requests: 1, window_seconds: 60}}]}
)");
  EXPECT_TRUE(Ask({{"a", "1"}, {"b", "2:x"}}).decision.allowed);
  EXPECT_TRUE(Ask({{"a", "1,1:b=2"}, {"b", "x"}}).decision.allowed);
  EXPECT_TRUE(Ask({{"a", ""}, {"b", "1"}}).decision.allowed);
  EXPECT_TRUE(Ask({{"a", "1"}, {"b", ""}}).decision.allowed);
  const std::string longer(5000, 'x');
  EXPECT_TRUE(Ask({{"a", longer}, {"b", "1"}}).decision.allowed);
  EXPECT_TRUE(Ask({{"a", longer + "y"}, {"b", "1"}}).decision.allowed) << "also beyond what is kept of a long text";
  EXPECT_FALSE(Ask({{"a", longer}, {"b", "1"}}).decision.allowed);
}

TEST_F(DomainsTest, ASharedThresholdIsOneSubject) {
  Start(kTree);
  EXPECT_TRUE(Ask({{"path", "files/a"}}).decision.allowed);
  EXPECT_TRUE(Ask({{"path", "files/b"}}).decision.allowed);
  EXPECT_FALSE(Ask({{"path", "files/c"}}).decision.allowed);
}

TEST_F(DomainsTest, AnUnknownDomainIsDecidedByTheDocument) {
  const auto with = [](std::string_view policy) {
    return std::string(kTree) + "envoy: {unknown_domain: " + std::string(policy) + "}\n";
  };
  const Entries entries{{"path", "/a"}};
  Start(kTree);
  Call call = Ask(entries, "nobody");
  EXPECT_TRUE(call.decision.allowed);
  EXPECT_EQ(call.decision.reason, Reason::kUnknownDomain);
  EXPECT_EQ(engine_->GetCounts().unknown_domain, 1U);
  EXPECT_EQ(engine_->GetCounts().allowed, 1U);

  Start(with("deny"));
  call = Ask(entries, "nobody");
  EXPECT_FALSE(call.decision.allowed);
  EXPECT_EQ(call.decision.reason, Reason::kUnknownDomain);
  EXPECT_TRUE(call.status);

  Start(with("error"));
  call = Ask(entries, "nobody");
  EXPECT_FALSE(call.decision.allowed);
  ASSERT_FALSE(call.status);
  EXPECT_EQ(call.status.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(call.status.error().message, "unknown domain 'nobody'");

  Start(with("hierarchy"));
  call = Ask(entries, "nobody");
  EXPECT_EQ(call.decision.rule_count, 0U) << "no address, no subject";
  call = Of(entries, "nobody");
  call.request.peer_ip = "192.0.2.1";
  engine_->Run({&call, 1});
  ASSERT_EQ(call.decision.rule_count, 1U);
  EXPECT_EQ(call.decision.rules()[0].rule, "global.free_tier");
  EXPECT_EQ(engine_->GetCounts().unknown_domain, 2U) << "counted, whatever is done about it";
}

TEST_F(DomainsTest, TheHierarchyHoldsBesideTheTreeWhereTheDomainSaysSo) {
  Start(kTree);
  Call call = Of({}, "h");
  const Entries entries{{"path", "/a"}};
  call.request.attributes = entries;
  call.request.peer_ip = "192.0.2.1";
  engine_->Run({&call, 1});
  ASSERT_EQ(call.decision.rule_count, 2U);
  EXPECT_EQ(call.decision.rules()[0].rule, "domains.h.path");
  EXPECT_EQ(call.decision.rules()[1].rule, "global.free_tier");
  call.request.user = "root";
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.reason, Reason::kExempt);
  call.request.user = "";
  call.request.peer_ip = "203.0.113.9";
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.reason, Reason::kBlocked);
}

TEST_F(DomainsTest, AnOrdinaryRequestIsHeldToTheTreeToo) {
  Start(kTree);
  const Entries entries{{"user", "bob"}};
  const Request request{.domain = "d", .peer_ip = "192.0.2.1", .attributes = entries};
  Decision decision = Check(request);
  ASSERT_EQ(decision.rule_count, 2U);
  EXPECT_EQ(decision.rules()[0].rule, "domains.d.user");
  EXPECT_EQ(CountAllowed(request, 5), 2);
  decision = Check({.domain = "nobody", .peer_ip = "192.0.2.1", .attributes = entries});
  EXPECT_EQ(decision.rule_count, 1U) << "a domain is a free text for other callers";
  EXPECT_EQ(engine_->GetCounts().unknown_domain, 0U);
}

TEST_F(DomainsTest, AClientMayBringALimit) {
  Start(kTree);
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kFixedWindow;
  limit.capacity = 1;
  limit.window = 60 * kSecond;
  limit = algorithms::Sanitize(limit);
  algorithms::Limit larger = limit;
  larger.capacity = 5;
  const Entries entries{{"path", "/a"}};
  Call call = Of(entries);
  call.brought = &limit;
  engine_->Run({&call, 1});
  ASSERT_EQ(call.decision.rule_count, 1U);
  EXPECT_EQ(call.decision.rules()[0].rule, "domains.d.brought");
  EXPECT_EQ(call.decision.rules()[0].outcome.limit, 1U);
  EXPECT_EQ(call.decision.rules()[0].window_seconds, 60U);
  engine_->Run({&call, 1});
  EXPECT_FALSE(call.decision.allowed);
  call.brought = &larger;
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.allowed);
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 2U) << "another number, but the same window: the same counter";
  algorithms::Limit longer = larger;
  longer.window = 3600 * kSecond;
  call.brought = &longer;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 1U) << "another window is another counter";
  const Entries free{{"free", "x"}};
  call = Of(free);
  call.brought = &limit;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rule_count, 1U) << "it stands for the tree's rule, also an unlimited one";
  EXPECT_EQ(Left(entries), 2U) << "the tree's own counter is untouched: its windows are the clock's";
}

constexpr std::string_view kStacked = R"(
global: {free_tier: unlimited}
domains:
  d:
    rules: [{max_requests: 6, window_seconds: 3600}]
    descriptors:
      - key: user
        rules:
          - {max_requests: 2, window_seconds: 60}
          - {max_requests: 3, window_seconds: 3600, name: hourly}
      - key: gone
        replaces: [hourly]
        rule: unlimited
      - {key: half, rule: unlimited, rules: [{max_requests: 1, window_seconds: 60}]}
  ips:
    rules: [{max_requests: 1, window_seconds: 60, identifier: ip_address}, {max_requests: 9, window_seconds: 60, mode: shadow}]
)";

TEST_F(DomainsTest, SeveralRulesOfADescriptorMustAllPass) {
  Start(kStacked);
  const Entries user{{"user", "bob"}};
  EXPECT_TRUE(Ask(user).decision.allowed);
  EXPECT_TRUE(Ask(user).decision.allowed);
  Call call = Ask(user);
  EXPECT_FALSE(call.decision.allowed);
  ASSERT_EQ(call.decision.rule_count, 3U);
  EXPECT_EQ(call.decision.decider()->rule, "domains.d.user.rules.0");
  EXPECT_EQ(call.decision.rules()[1].policy, "hourly");
  EXPECT_EQ(call.decision.rules()[1].outcome.remaining, 1U) << "what is denied takes nothing of the others";
  clock_.Advance(60 * kSecond);
  call = Ask(user);
  EXPECT_TRUE(call.decision.allowed);
  EXPECT_EQ(call.decision.decider()->policy, "hourly") << "the nearest to denying";
  EXPECT_FALSE(Ask(user).decision.allowed);
  EXPECT_EQ(Ask(user).decision.decider()->policy, "hourly");
  EXPECT_TRUE(Ask({{"half", "x"}}).decision.allowed);
  EXPECT_FALSE(Ask({{"half", "x"}}).decision.allowed) << "an unlimited one takes no other away";
}

TEST_F(DomainsTest, OneOfSeveralRulesMayBeReplaced) {
  Start(kStacked);
  const std::vector<Call> calls = AskAll({{{"user", "bob"}}, {{"gone", "x"}}}, Join::kAllOrNothing);
  ASSERT_EQ(calls[0].decision.rule_count, 2U);
  EXPECT_EQ(calls[0].decision.rules()[0].rule, "domains.d.user.rules.0");
  EXPECT_EQ(calls[0].decision.rules()[1].rule, "domains.d.rules.0");
  EXPECT_EQ(calls[1].decision.reason, Reason::kUnlimited);
}

TEST_F(DomainsTest, TheDomainsOwnRulesCountARequestOnce) {
  Start(kStacked);
  const Entries bob{{"user", "bob"}}, eve{{"user", "eve"}}, none{{"nothing", "x"}};
  std::vector<Call> calls = AskAll({bob, eve}, Join::kAllOrNothing);
  EXPECT_EQ(calls[0].decision.rule_count, 3U);
  EXPECT_EQ(calls[1].decision.rule_count, 2U);
  EXPECT_EQ(calls[0].decision.rules()[2].outcome.used, 1U);
  calls = AskAll({none, eve}, Join::kSameRequest);
  EXPECT_EQ(calls[0].decision.rule_count, 1U) << "also where the tree has none";
  EXPECT_EQ(calls[0].decision.rules()[0].outcome.used, 2U);
  const Request request{.domain = "d", .peer_ip = "192.0.2.1"};
  EXPECT_EQ(Check(request).rules()[0].outcome.used, 3U) << "and for any other caller";
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kFixedWindow;
  limit.capacity = 100;
  limit.window = 60 * kSecond;
  Call call = Of(bob);
  call.brought = &limit;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rules()[0].rule, "domains.d.brought");
  EXPECT_EQ(call.decision.rules()[1].outcome.used, 4U) << "a limit that a client brings is the descriptor's alone";
  EXPECT_EQ(call.decision.rules()[1].outcome.limit, 6U);
  call.brought = nullptr;
  call.kind = CallKind::kCharge;
  call.request.cost = 2;
  engine_->Run({&call, 1});
  calls = AskAll({none, eve}, Join::kAllOrNothing);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_EQ(calls[0].decision.decider()->rule, "domains.d.rules.0");
  EXPECT_EQ(Left(none), 0U);
  call = Of(bob);
  call.kind = CallKind::kRefund;
  engine_->Run({&call, 1});
  EXPECT_EQ(Left(none), 1U);

  call = Of(none, "ips");
  call.request.peer_ip = "192.0.2.1";
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.allowed);
  engine_->Run({&call, 1});
  EXPECT_FALSE(call.decision.allowed);
  call.request.peer_ip = "192.0.2.2";
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.allowed) << "by another identifier";
  EXPECT_EQ(call.decision.rule_count, 2U);
}

TEST_F(DomainsTest, ACountStaysWithItsRuleWhenAListIsRearranged) {
  const auto document = [](std::string_view rules) {
    return "global: {free_tier: unlimited}\ndomains: {d: {descriptors: [{key: user, " + std::string(rules) + "}]}}";
  };
  const std::string ten = "{max_requests: 10, window_seconds: 3600}";
  const std::string many = "{max_requests: 100, window_seconds: 7200}";
  const Entries bob{{"user", "bob"}};
  const auto used = [&] {
    Call call = Of(bob);
    call.kind = CallKind::kPeek;
    call.request.cost = 0;
    engine_->Run({&call, 1});
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    for (std::uint32_t i = 0; i < call.decision.rule_count; ++i) {
      const Outcome& outcome = call.decision.rules()[i].outcome;
      all.emplace_back(outcome.limit, outcome.used);
    }
    return all;
  };
  using Used = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  Start(document("rule: " + many));
  for (int i = 0; i < 3; ++i) Ask(bob);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("rules: [" + many + ", " + ten + "]"))));
  EXPECT_EQ(used(), (Used{{100, 3}, {10, 0}})) << "a second one beside it";
  for (int i = 0; i < 4; ++i) Ask(bob);
  EXPECT_EQ(used(), (Used{{100, 7}, {10, 4}}));
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("rules: [" + ten + ", " + many + "]"))));
  EXPECT_EQ(used(), (Used{{10, 4}, {100, 7}})) << "swapped";
  ASSERT_TRUE(engine_->Apply(
      ParseOrDie(document("rules: [{max_requests: 50, window_seconds: 60}, " + ten + ", " + many + "]"))));
  Ask(bob);
  EXPECT_EQ(used(), (Used{{50, 1}, {10, 5}, {100, 8}})) << "one more in front";
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("rules: [" + many + ", " + ten + "]"))));
  Ask(bob);
  EXPECT_EQ(used(), (Used{{100, 9}, {10, 6}})) << "and back";
}

TEST_F(DomainsTest, AReservationIsSettledWithTheRuleThatItWasMadeBy) {
  const auto document = [](std::string_view rules) {
    return "global: {free_tier: unlimited}\ndomains: {d: {descriptors: [{key: user, rules: [" + std::string(rules) +
           "]}]}}";
  };
  const std::string ten = "{max_requests: 10, window_seconds: 3600}";
  const std::string many = "{max_requests: 100, window_seconds: 7200, mode: shadow}";
  const Entries bob{{"user", "bob"}};
  for (const bool asked : {true, false}) {
    Start(document(ten));
    Call call = Of(bob);
    call.request.cost = 2;
    engine_->Run({&call, 1});
    ASSERT_TRUE(engine_->Apply(ParseOrDie(document(ten + ", " + many))));
    call.kind = CallKind::kReserve;
    call.request.cost = 4;
    engine_->Run({&call, 1});
    ASSERT_NE(call.decision.reservation, 0U);
    ASSERT_TRUE(engine_->Apply(ParseOrDie(document(many + ", " + ten))));
    Call peek = Of(bob);
    peek.kind = CallKind::kPeek;
    peek.request.cost = 0;
    if (asked) engine_->Run({&peek, 1});
    EXPECT_TRUE(Settle(CallKind::kCommit, call.decision.reservation, 1));
    engine_->Run({&peek, 1});
    ASSERT_EQ(peek.decision.rule_count, 2U);
    EXPECT_EQ(peek.decision.rules()[0].outcome.limit, 100U);
    EXPECT_EQ(peek.decision.rules()[0].outcome.used, 1U) << asked;
    EXPECT_EQ(peek.decision.rules()[1].outcome.limit, 10U);
    EXPECT_EQ(peek.decision.rules()[1].outcome.used, 3U) << asked;
  }
}

TEST_F(DomainsTest, AnExemptDescriptorDoesNotTakeTheDomainsOwnRulesAway) {
  for (const Join join : {Join::kAllOrNothing, Join::kSameRequest}) {
    for (const bool exempt_first : {true, false}) {
      Start(R"(
global: {free_tier: unlimited}
exemptions: {users: [root]}
ip_rules: {rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]}
domains:
  d:
    hierarchy: true
    rules: [{max_requests: 2, window_seconds: 60}]
    descriptors: [{key: user, rule: {max_requests: 100, window_seconds: 60}}]
)");
      const auto ask = [&](std::initializer_list<std::string_view> users, CallKind kind = CallKind::kCheck) {
        std::vector<Entries> entries;
        for (const std::string_view user : users) entries.push_back({{"user", user}});
        std::vector<Call> calls;
        for (const Entries& one : entries) {
          Call& call = calls.emplace_back(Of(one));
          call.kind = kind;
          call.request.user = one[0].value;
          if (calls.size() > 1) call.join = join;
        }
        engine_->Run(calls);
        return calls;
      };
      const auto both = [&] {
        return exempt_first ? ask({"root", "mallory", "eve"}) : ask({"mallory", "root", "eve"});
      };
      const std::size_t mallory = exempt_first ? 1 : 0;
      for (std::uint64_t n = 1; n <= 2; ++n) {
        const std::vector<Call> calls = both();
        EXPECT_EQ(calls[1 - mallory].decision.reason, Reason::kExempt);
        const Decision& decision = calls[mallory].decision;
        EXPECT_TRUE(decision.allowed);
        ASSERT_EQ(decision.rule_count, 2U);
        EXPECT_EQ(decision.rules()[1].rule, "domains.d.rules.0");
        EXPECT_EQ(decision.rules()[1].outcome.used, n) << "once a request";
        EXPECT_EQ(calls[2].decision.rule_count, 1U);
      }
      const std::vector<Call> third = both();
      EXPECT_TRUE(third[1 - mallory].decision.allowed);
      EXPECT_FALSE(third[mallory].decision.allowed);
      EXPECT_EQ(third[mallory].decision.decider()->rule, "domains.d.rules.0");
      EXPECT_TRUE(ask({"root", "root"})[1].decision.allowed);
    }
  }
}

class BroughtTest : public DomainsTest {
 protected:
  static algorithms::Limit Window(std::uint64_t requests, Nanos length = 60 * kSecond) {
    algorithms::Limit limit;
    limit.kind = algorithms::Kind::kFixedWindow;
    limit.calendar = algorithms::Calendar::kEpoch;
    limit.capacity = requests;
    limit.window = length;
    return algorithms::Sanitize(limit);
  }
  Call AskWith(const algorithms::Limit& limit, const Entries& entries, std::uint64_t cost = 1,
               CallKind kind = CallKind::kCheck) {
    Call call = Of(entries);
    call.kind = kind;
    call.brought = &limit;
    call.request.cost = cost;
    engine_->Run({&call, 1});
    return call;
  }
  std::uint64_t UsedWith(const algorithms::Limit& limit, const Entries& entries) {
    const Call call = AskWith(limit, entries, 0, CallKind::kPeek);
    return call.decision.rule_count == 1 ? call.decision.rules()[0].outcome.used : UINT64_MAX;
  }
};

TEST_F(BroughtTest, ItGoesOnWithTheCountOfTheTreesRule) {
  Start(kTree);
  const Entries user{{"user", "bob"}};
  Ask(user);
  Ask(user);
  const algorithms::Limit ten = Window(10), two = Window(2);
  Call call = AskWith(ten, user);
  ASSERT_EQ(call.decision.rule_count, 1U);
  const RuleOutcome& told = call.decision.rules()[0];
  EXPECT_EQ(told.outcome.limit, 10U);
  EXPECT_EQ(told.outcome.used, 3U);
  EXPECT_EQ(told.outcome.remaining, 7U);
  EXPECT_EQ(told.window_seconds, 60U);
  EXPECT_EQ(told.rule, "domains.d.brought") << "it has no name, headers or penalty of the rule, only its count";
  EXPECT_FALSE(Ask(user).decision.allowed) << "and the other way round";
  EXPECT_FALSE(AskWith(two, user).decision.allowed) << "a smaller one is over already";
  EXPECT_TRUE(AskWith(ten, user, 7).decision.allowed);
  EXPECT_FALSE(AskWith(ten, user).decision.allowed);
  EXPECT_EQ(AskWith(Window(10, 3600 * kSecond), user).decision.rules()[0].outcome.used, 1U) << "another unit";
  EXPECT_EQ(AskWith(ten, {{"user", "eve"}}).decision.rules()[0].outcome.used, 1U) << "another subject";
  AskWith(ten, user, 9, CallKind::kRefund);
  EXPECT_EQ(UsedWith(ten, user), 1U);
}

TEST_F(BroughtTest, AnotherKindOfCountIsNotShared) {
  Start(std::string(kTree) + R"(
  o:
    descriptors:
      - {key: rolling, rule: {max_requests: 9, window_seconds: 60, algorithm: fixed_window}}
      - {key: minute, rule: {max_requests: 9, algorithm: {fixed_window: {aligned: minute}}}}
      - {key: whole, rule: {max_requests: 9, window_seconds: 60, identifier: global}}
      - {key: other, rule: {max_requests: 9, window_seconds: 61}}
)");
  const algorithms::Limit five = Window(5);
  const auto used = [&](const Entries& entries, std::string_view domain) {
    std::vector<Call> calls = {Of(entries, domain), Of(entries, domain)};
    calls[1].brought = &five;
    engine_->Run(calls);
    return calls[1].decision.rules()[0].outcome.used;
  };
  for (const char* key : {"rolling", "minute", "whole", "other", "nothing"}) {
    EXPECT_EQ(used({{key, "x"}}, "o"), 1U) << key;
  }
  EXPECT_EQ(used({{"path", "files/a"}}, "d"), 1U) << "a shared threshold is another subject";
  EXPECT_EQ(used({{"free", "x"}}, "d"), 1U) << "an unlimited rule counts nothing";
}

TEST_F(BroughtTest, ItIsEnforcedWhateverTheTreesRuleIs) {
  Start(kTree);
  const algorithms::Limit two = Window(2);
  for (const char* key : {"dark", "soft"}) {
    const Entries entries{{key, "x"}};
    Ask(entries);
    const Call call = AskWith(Window(1), entries);
    EXPECT_FALSE(call.decision.allowed) << key;
    EXPECT_FALSE(call.decision.rules()[0].shadow || call.decision.rules()[0].quota) << key;
  }
  // It has no name: nothing replaces it, and it replaces nothing.
  std::vector<Call> calls = {Of({}), Of({}), Of({})};
  const Entries user{{"user", "bob"}}, vip{{"vip", "x"}}, path{{"path", "/a"}};
  calls[0].request.attributes = user;
  calls[0].brought = &two;
  calls[1].request.attributes = vip;
  calls[2].request.attributes = path;
  calls[1].join = calls[2].join = Join::kSameRequest;
  engine_->Run(calls);
  EXPECT_EQ(calls[0].decision.rule_count, 1U);
  EXPECT_EQ(calls[2].decision.rule_count, 0U);
  calls[1].brought = &two;
  engine_->Run(calls);
  EXPECT_EQ(calls[2].decision.rule_count, 1U);
}

TEST_F(BroughtTest, WhatIsDeniedCountsAsTheTreesRuleHasIt) {
  for (const bool counts : {false, true}) {
    Start(R"(
global: {free_tier: unlimited}
domains:
  d:
    descriptors:
      - key: tokens
        rule: {max_requests: 9, window_seconds: 60, algorithm: {fixed_window: {aligned: epoch, count_denied: )" +
          std::string(counts ? "true" : "false") + "}}}\n");
    const Entries tokens{{"tokens", "x"}};
    algorithms::Limit five = Window(5);
    five.count_denied = !counts;
    EXPECT_FALSE(AskWith(five, tokens, 6).decision.allowed);
    EXPECT_EQ(UsedWith(five, tokens), counts ? 6U : 0U);
  }
}

TEST_F(BroughtTest, ItKeepsTheCountWhenTheRuleChanges) {
  Start(kTree);
  const Entries user{{"user", "bob"}};
  const algorithms::Limit ten = Window(10);
  AskWith(ten, user, 2);
  Call reserved = AskWith(ten, user, 4, CallKind::kReserve);
  ASSERT_NE(reserved.decision.reservation, 0U);
  std::string changed(kTree);
  const std::string before = "max_requests: 3";
  changed.replace(changed.find(before), before.size(), "max_requests: 5");
  ASSERT_TRUE(engine_->Apply(ParseOrDie(changed)));
  EXPECT_EQ(UsedWith(ten, user), 6U);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.decision.reservation));
  EXPECT_EQ(UsedWith(ten, user), 2U);
  EXPECT_EQ(Left(user), 3U) << "5 now, and 2 used";
}

TEST_F(BroughtTest, WhatIsReservedLocallyIsGivenBackWhateverTheTreesRuleSays) {
  for (const std::string policy : {"deny", "allow", "local"}) {
    const std::string rule = "rule: {max_requests: 3, window_seconds: 60, on_store_failure: ";
    Start("global: {free_tier: unlimited}\ndomains: {d: {descriptors: [{key: user, " + rule + policy + "}}]}}");
    const Entries user{{"user", "bob"}};
    const algorithms::Limit ten = Window(10);
    store_->Cut(true);
    const Call reserved = AskWith(ten, user, 6, CallKind::kReserve);
    EXPECT_EQ(reserved.decision.reason, Reason::kStoreLocal) << "the limit that is brought has a policy of its own";
    ASSERT_NE(reserved.decision.reservation, 0U);
    EXPECT_EQ(UsedWith(ten, user), 6U);
    EXPECT_TRUE(Settle(CallKind::kCancel, reserved.decision.reservation));
    EXPECT_EQ(UsedWith(ten, user), 0U) << policy;

    const Call other = AskWith(ten, user, 6, CallKind::kReserve);
    EXPECT_TRUE(Settle(CallKind::kCommit, other.decision.reservation, 8));
    EXPECT_EQ(UsedWith(ten, user), 8U) << policy;
  }
}

TEST_F(BroughtTest, ItExplainsWhoseCountItIs) {
  Start(kTree);
  const Entries user{{"user", "bob"}};
  const algorithms::Limit ten = Window(10);
  std::vector<ExplainStep> trace;
  Call call = Of(user);
  call.brought = &ten;
  call.trace = &trace;
  engine_->Run({&call, 1});
  std::string all;
  for (const ExplainStep& step : trace) all += step.detail + "\n";
  EXPECT_NE(all.find("domains.d.brought holds, with the limit that the client brings and the count of domains.d.user"),
            std::string::npos)
      << all;
  EXPECT_EQ(all.find("quota_field"), std::string::npos) << all;
  EXPECT_NE(all.find("0 of 10 were used"), std::string::npos) << all;
}

TEST_F(DomainsTest, OneDeniedDescriptorKeepsTheOthersFromBeingCharged) {
  Start(kTree);
  const Entries path{{"path", "/a"}}, user{{"user", "bob"}};
  std::vector<Call> calls = AskAll({path, user}, Join::kAllOrNothing);
  EXPECT_TRUE(calls[0].decision.allowed && calls[1].decision.allowed);
  calls = AskAll({path, user}, Join::kAllOrNothing);
  calls = AskAll({path, user, {{"nothing", "x"}}}, Join::kAllOrNothing);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_EQ(calls[0].decision.reason, Reason::kOverLimit);
  EXPECT_TRUE(calls[1].decision.allowed) << "it had room";
  EXPECT_EQ(calls[1].decision.rules()[0].outcome.remaining, 1U) << "what is left, nothing taken";
  EXPECT_EQ(calls[2].decision.reason, Reason::kNoLimit);
  EXPECT_EQ(Left(user), 1U);
  EXPECT_EQ(CountsOf("domains.d.user", "").allowed, 2U) << "what was not charged is not counted as let through";

  calls = AskAll({path, user}, Join::kSameRequest);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_TRUE(calls[1].decision.allowed);
  EXPECT_EQ(Left(user), 0U) << "joined only as one request, each counts for itself";
}

TEST_F(DomainsTest, TheSameDescriptorTwiceCountsTwice) {
  Start(kTree);
  const Entries path{{"path", "/a"}};
  std::vector<Call> calls = AskAll({path, path, path}, Join::kAllOrNothing);
  EXPECT_TRUE(calls[0].decision.allowed && calls[1].decision.allowed);
  EXPECT_FALSE(calls[2].decision.allowed);
  EXPECT_EQ(Left(path), 2U);
  calls = AskAll({path, path}, Join::kAllOrNothing);
  EXPECT_TRUE(calls[1].decision.allowed);
  EXPECT_EQ(Left(path), 0U);
}

TEST_F(DomainsTest, ManyJoinedCallsStayOnePlan) {
  Start(kTree);
  store_->TakeOps();
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("/p" + std::to_string(i));
  std::vector<Entries> all;
  for (const std::string& name : names) all.push_back({{"path", name}});
  AskAll(all, Join::kAllOrNothing);
  EXPECT_EQ(store_->TakeOps().size(), 1U);
  AskAll({all[99]}, Join::kNone);
  all.push_back(all[99]);  // now that is its third time, so all is refused
  const std::vector<Call> calls = AskAll(all, Join::kAllOrNothing);
  EXPECT_EQ(std::ranges::count_if(calls, [](const Call& call) { return !call.decision.allowed; }), 2);
  EXPECT_EQ(Left(all[0]), 1U);
}

TEST_F(DomainsTest, ABlockedDescriptorKeepsTheOthersFromBeingCharged) {
  Start(kTree);
  const Entries path{{"path", "/a"}};
  std::vector<Call> calls = {Of(path), Of(path, "h")};
  calls[1].join = Join::kAllOrNothing;
  calls[1].request.peer_ip = "203.0.113.9";
  engine_->Run(calls);
  EXPECT_TRUE(calls[0].decision.allowed);
  EXPECT_EQ(calls[1].decision.reason, Reason::kBlocked);
  EXPECT_EQ(Left(path), 2U);
}

TEST_F(DomainsTest, ReplacedRulesDoNotCount) {
  Start(kTree);
  const Entries path{{"path", "/a"}}, user{{"user", "bob"}}, vip{{"vip", "bob"}};
  for (const Join join : {Join::kSameRequest, Join::kAllOrNothing}) {
    const std::vector<Call> calls = AskAll({path, vip, user}, join);
    EXPECT_EQ(calls[0].decision.reason, Reason::kNoLimit);
    EXPECT_TRUE(calls[0].decision.allowed);
    EXPECT_EQ(calls[0].decision.rule_count, 0U);
    EXPECT_EQ(calls[1].decision.rule_count, 1U);
    EXPECT_EQ(calls[2].decision.reason, Reason::kNoLimit);
  }
  EXPECT_EQ(Left(path), 2U);
  EXPECT_EQ(Left(user), 3U);
  std::vector<Call> calls = {Of(path), Of(vip)};
  engine_->Run(calls);
  EXPECT_EQ(calls[0].decision.rule_count, 1U) << "two requests have nothing to do with each other";
}

TEST_F(DomainsTest, QuotaAndShadowTellAndNeverDeny) {
  Start(kTree);
  const Entries soft{{"soft", "x"}}, dark{{"dark", "x"}}, path{{"path", "/a"}};
  AskAll({soft, dark, path}, Join::kAllOrNothing);
  const std::vector<Call> calls = AskAll({soft, dark, path}, Join::kAllOrNothing);
  for (const Call& call : calls) EXPECT_TRUE(call.decision.allowed);
  EXPECT_TRUE(calls[0].decision.rules()[0].quota);
  EXPECT_EQ(calls[0].decision.rules()[0].outcome.verdict, Verdict::kLater);
  EXPECT_FALSE(calls[1].decision.rules()[0].quota);
  EXPECT_TRUE(calls[1].decision.rules()[0].shadow);
  EXPECT_EQ(Left(path), 0U) << "charged all the same";
  EXPECT_EQ(CountsOf("domains.d.soft", "").shadow_denied, 1U);
}

TEST_F(DomainsTest, AChargeCountsWhateverTheLimitSays) {
  Start(kTree);
  const Entries path{{"path", "/a"}}, slot{{"slot", "x"}};
  Call call = Of(path);
  call.kind = CallKind::kCharge;
  call.request.cost = 2;
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.allowed);
  call.request.cost = 1;
  engine_->Run({&call, 1});
  EXPECT_FALSE(call.decision.allowed);
  EXPECT_EQ(call.decision.reason, Reason::kOverLimit);
  EXPECT_EQ(call.decision.rules()[0].outcome.verdict, Verdict::kLater);
  EXPECT_GT(call.decision.rules()[0].outcome.retry_after_ns, 0);
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 3U);
  EXPECT_EQ(engine_->GetCounts().denied, 1U);
  const std::vector<Call> calls = AskAll({path, {{"user", "bob"}}}, Join::kAllOrNothing, CallKind::kCharge);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_TRUE(calls[1].decision.allowed);
  EXPECT_EQ(Left({{"user", "bob"}}), 2U) << "carried out, though the other is over";
  call = Of(slot);
  call.kind = CallKind::kCharge;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rule_count, 0U);
  EXPECT_TRUE(Ask(slot).decision.allowed) << "no slot was taken that nobody could give back";
}

TEST_F(DomainsTest, JoinedReservationsAreKeptTogetherOrNotAtAll) {
  Start(kTree);
  const Entries path{{"path", "/a"}}, user{{"user", "bob"}};
  std::vector<Call> calls = AskAll({path, user}, Join::kAllOrNothing, CallKind::kReserve);
  ASSERT_NE(calls[0].decision.reservation, 0U);
  ASSERT_NE(calls[1].decision.reservation, 0U);
  EXPECT_NE(calls[0].decision.reservation, calls[1].decision.reservation);
  EXPECT_TRUE(Settle(CallKind::kCancel, calls[0].decision.reservation));
  EXPECT_EQ(Left(path), 2U);
  EXPECT_EQ(Left(user), 2U);
  EXPECT_TRUE(Settle(CallKind::kCommit, calls[1].decision.reservation, 2));
  EXPECT_EQ(Left(user), 1U);
  Ask(path);
  Ask(path);
  calls = AskAll({path, user}, Join::kAllOrNothing, CallKind::kReserve);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_TRUE(calls[1].decision.allowed);
  EXPECT_EQ(calls[1].decision.reservation, 0U);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 0U);
}

TEST_F(DomainsTest, AStoreThatIsAwayIsToldToEachByItsOwnRules) {
  Start(R"(
global: {free_tier: unlimited}
domains:
  d:
    descriptors:
      - {key: local, rule: {max_requests: 1, window_seconds: 60}}
      - {key: allow, rule: {max_requests: 1, window_seconds: 60, on_store_failure: allow}}
      - {key: deny, rule: {max_requests: 1, window_seconds: 60, on_store_failure: deny}}
)");
  store_->Cut(true);
  const Entries local{{"local", "x"}}, allow{{"allow", "x"}}, deny{{"deny", "x"}};
  std::vector<Call> calls = AskAll({local, allow, deny}, Join::kAllOrNothing);
  EXPECT_EQ(calls[0].decision.reason, Reason::kStoreAllowed);
  EXPECT_EQ(calls[1].decision.reason, Reason::kStoreAllowed);
  EXPECT_EQ(calls[2].decision.reason, Reason::kStoreDenied);
  EXPECT_TRUE(calls[0].decision.allowed && calls[1].decision.allowed && !calls[2].decision.allowed);
  calls = AskAll({allow, local}, Join::kAllOrNothing);
  EXPECT_EQ(calls[0].decision.reason, Reason::kStoreAllowed);
  EXPECT_EQ(calls[1].decision.reason, Reason::kStoreLocal);
  EXPECT_TRUE(calls[1].decision.allowed) << "the refused request before took nothing";
  calls = AskAll({allow, local}, Join::kAllOrNothing);
  EXPECT_TRUE(calls[0].decision.allowed);
  EXPECT_FALSE(calls[1].decision.allowed);
  calls = AskAll({deny, allow}, Join::kSameRequest);
  EXPECT_FALSE(calls[0].decision.allowed);
  EXPECT_TRUE(calls[1].decision.allowed);
}

TEST_F(DomainsTest, JoinedCallsLandLaterTooWhenTheStoreTakesItsTime) {
  Start(kTree, {.delivery = Delivery::kThread, .store = {}, .local = true, .options = {}});
  const Entries path{{"path", "/a"}}, user{{"user", "bob"}};
  std::vector<Call> calls = AskAll({path, path, user}, Join::kAllOrNothing);
  for (const Call& call : calls) EXPECT_TRUE(call.decision.allowed);
  calls = AskAll({user, path}, Join::kAllOrNothing);
  EXPECT_TRUE(calls[0].decision.allowed);
  EXPECT_FALSE(calls[1].decision.allowed);
  EXPECT_EQ(Left(user), 2U);
}

TEST_F(DomainsTest, DetailedMetricsNameValues) {
  Start(kTree);
  Ask({{"shown", "a b\n"}});
  Ask({{"shown", "a b\n"}});
  Ask({{"outer", "a"}, {"inner", "7"}});
  EXPECT_EQ(CountsOf("domains.d.shown", "shown_a b?").allowed, 1U);
  EXPECT_EQ(CountsOf("domains.d.shown", "shown_a b?").denied, 1U);
  EXPECT_EQ(CountsOf("domains.d.shown", "shown_a b?").level, Level::kDomain);
  EXPECT_EQ(CountsOf("domains.d.shown", "").allowed, 0U) << "not counted twice";
  EXPECT_EQ(CountsOf("domains.d.outer_a.inner", "outer_a.inner_7").allowed, 1U);
}

TEST_F(DomainsTest, DetailedMetricsAreBounded) {
  Start(kTree);
  for (int i = 0; i < 10'050; ++i) {
    const std::string value = std::to_string(i);
    Ask({{"shown", value}});
  }
  std::uint64_t sum = 0;
  std::size_t texts = 0;
  for (const auto& counts : engine_->GetCounts().rules) {
    if (counts.detail.empty()) continue;
    ++texts;
    sum += counts.allowed;
  }
  EXPECT_EQ(texts, 10'001U);
  EXPECT_EQ(sum, 10'050U);
  EXPECT_EQ(CountsOf("domains.d.shown", "other").allowed, 50U);
}

TEST(UnknownDomainsTest, EachIsToldOnceAndNotTooOften) {
  log::Configure(log::Level::kError, log::Format::kText);
  UnknownDomains domains;
  EXPECT_TRUE(domains.Tell("a", 0));
  EXPECT_FALSE(domains.Tell("a", kHour));
  EXPECT_TRUE(domains.Tell("b", kHour));
  EXPECT_FALSE(domains.Tell("c", kHour + kSecond - 1));
  EXPECT_TRUE(domains.Tell("c", kHour + kSecond)) << "what was too soon is told later";
  int told = 0;
  for (int i = 0; i < 5000; ++i) told += domains.Tell("x" + std::to_string(i), kDay + i * kSecond) ? 1 : 0;
  EXPECT_LE(told, 1024);
  EXPECT_GT(told, 900);
  log::Configure(log::Level::kInfo, log::Format::kText);
}

}  // namespace
}  // namespace weir::engine
