// Several rules of one descriptor, and rules of a domain itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine_domains_fixture.h"

namespace weir::engine {
namespace {

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
  call.client_limit = &limit;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rules()[0].rule, "domains.d.client_limit");
  EXPECT_EQ(call.decision.rules()[1].outcome.used, 4U) << "a limit that a client brings is the descriptor's alone";
  EXPECT_EQ(call.decision.rules()[1].outcome.limit, 6U);
  call.client_limit = nullptr;
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

TEST_F(DomainsTest, ACountStaysWithItsQuotaWhenQuotasAreRearranged) {
  const auto document = [](std::string_view quotas) {
    return "global: {free_tier: unlimited}\ntenants: {acme: {aggregate: {max_requests: 1000, window_seconds: 60}, "
           "quotas: [" +
           std::string(quotas) + "]}}\nusers: {bob: {quotas: [" + std::string(quotas) + "]}}\n";
  };
  const std::string daily = "{max_requests: 10, period: day}";
  const std::string monthly = "{max_requests: 100, period: month}";
  const auto ask = [&](CallKind kind) {
    Call call;
    call.kind = kind;
    call.request.tenant = "acme";
    call.request.user = "bob";
    call.request.cost = kind == CallKind::kPeek ? 0 : 1;
    engine_->Run({&call, 1});
    return call;
  };
  // By the limit, of the tenant's and of the user's.
  const auto used = [&](std::uint64_t limit) {
    const Call call = ask(CallKind::kPeek);
    std::vector<std::uint64_t> counts;
    for (std::uint32_t i = 0; i < call.decision.rule_count; ++i) {
      const Outcome& outcome = call.decision.rules()[i].outcome;
      if (outcome.limit == limit) counts.push_back(outcome.used);
    }
    return counts;
  };
  using Counts = std::vector<std::uint64_t>;
  Start(document(daily));
  for (int i = 0; i < 3; ++i) ask(CallKind::kCheck);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document(monthly + ", " + daily))));
  ask(CallKind::kCheck);
  EXPECT_EQ(used(10), (Counts{4, 4}));
  EXPECT_EQ(used(100), (Counts{1, 1})) << "the new one in front begins with nothing";
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document(daily + ", " + monthly))));
  EXPECT_EQ(used(10), (Counts{4, 4}));
  EXPECT_EQ(used(100), (Counts{1, 1}));
  EXPECT_EQ(used(1000), (Counts{4})) << "the aggregate is no part of it";
  ASSERT_TRUE(engine_->Apply(ParseOrDie(document("{max_requests: 20, period: day}, " + monthly))));
  EXPECT_EQ(used(20), (Counts{4, 4})) << "a number that changes";
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

}  // namespace
}  // namespace weir::engine
