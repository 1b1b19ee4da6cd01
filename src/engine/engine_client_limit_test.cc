// Limits that clients bring with their descriptors.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/engine_domains_fixture.h"

namespace weir::engine {
namespace {

class ClientLimitTest : public DomainsTest {
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
    call.client_limit = &limit;
    call.request.cost = cost;
    engine_->Run({&call, 1});
    return call;
  }
  std::uint64_t UsedWith(const algorithms::Limit& limit, const Entries& entries) {
    const Call call = AskWith(limit, entries, 0, CallKind::kPeek);
    return call.decision.rule_count == 1 ? call.decision.rules()[0].outcome.used : UINT64_MAX;
  }
};

TEST_F(ClientLimitTest, ItGoesOnWithTheCountOfTheTreesRule) {
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
  EXPECT_EQ(told.rule, "domains.d.client_limit") << "it has no name, headers or penalty of the rule, only its count";
  EXPECT_FALSE(Ask(user).decision.allowed) << "and the other way round";
  EXPECT_FALSE(AskWith(two, user).decision.allowed) << "a smaller one is over already";
  EXPECT_TRUE(AskWith(ten, user, 7).decision.allowed);
  EXPECT_FALSE(AskWith(ten, user).decision.allowed);
  EXPECT_EQ(AskWith(Window(10, 3600 * kSecond), user).decision.rules()[0].outcome.used, 1U) << "another unit";
  EXPECT_EQ(AskWith(ten, {{"user", "eve"}}).decision.rules()[0].outcome.used, 1U) << "another subject";
  AskWith(ten, user, 9, CallKind::kRefund);
  EXPECT_EQ(UsedWith(ten, user), 1U);
}

TEST_F(ClientLimitTest, AnotherKindOfCountIsNotShared) {
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
    calls[1].client_limit = &five;
    engine_->Run(calls);
    return calls[1].decision.rules()[0].outcome.used;
  };
  for (const char* key : {"rolling", "minute", "whole", "other", "nothing"}) {
    EXPECT_EQ(used({{key, "x"}}, "o"), 1U) << key;
  }
  EXPECT_EQ(used({{"path", "files/a"}}, "d"), 1U) << "a shared threshold is another subject";
  EXPECT_EQ(used({{"free", "x"}}, "d"), 1U) << "an unlimited rule counts nothing";
}

TEST_F(ClientLimitTest, ItIsEnforcedWhateverTheTreesRuleIs) {
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
  calls[0].client_limit = &two;
  calls[1].request.attributes = vip;
  calls[2].request.attributes = path;
  calls[1].join = calls[2].join = Join::kSameRequest;
  engine_->Run(calls);
  EXPECT_EQ(calls[0].decision.rule_count, 1U);
  EXPECT_EQ(calls[2].decision.rule_count, 0U);
  calls[1].client_limit = &two;
  engine_->Run(calls);
  EXPECT_EQ(calls[2].decision.rule_count, 1U);
}

TEST_F(ClientLimitTest, WhatIsDeniedCountsAsTheTreesRuleHasIt) {
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

TEST_F(ClientLimitTest, ALimitThatTheRulesCountCannotHoldHasACountOfItsOwn) {
  Start(
      "global: {free_tier: unlimited}\n"
      "domains: {d: {descriptors: [{key: user, rule: {max_requests: 3, window_seconds: 1}}]}}");
  const Entries user{{"user", "bob"}}, free{{"free", "x"}};
  const algorithms::Limit wide = Window(4'000'000'000, kSecond), narrow = Window(10, kSecond);
  for (const Entries& entries : {user, free}) {
    std::uint64_t passed = 0;
    for (int i = 0; i < 20; ++i) {
      if (AskWith(wide, entries, 1'000'000'000).decision.allowed) passed += 1'000'000'000;
    }
    EXPECT_EQ(passed, 4'000'000'000U);
    EXPECT_EQ(UsedWith(narrow, entries), 0U);
  }
  AskWith(narrow, user, 2);
  EXPECT_EQ(Left(user), 1U);
}

TEST_F(ClientLimitTest, ItKeepsTheCountWhenTheRuleChanges) {
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

TEST_F(ClientLimitTest, WhatIsReservedLocallyIsGivenBackWhateverTheTreesRuleSays) {
  for (const std::string policy : {"deny", "allow", "local"}) {
    const std::string rule = "rule: {max_requests: 3, window_seconds: 60, on_store_failure: ";
    Start("global: {free_tier: unlimited}\ndomains: {d: {descriptors: [{key: user, " + rule + policy + "}}]}}");
    const Entries user{{"user", "bob"}};
    const algorithms::Limit ten = Window(10);
    store_->Cut(true);
    const Call reserved = AskWith(ten, user, 6, CallKind::kReserve);
    EXPECT_EQ(reserved.decision.reason, Reason::kStoreLocal)
        << "the limit that is client_limit has a policy of its own";
    ASSERT_NE(reserved.decision.reservation, 0U);
    EXPECT_EQ(UsedWith(ten, user), 6U);
    EXPECT_TRUE(Settle(CallKind::kCancel, reserved.decision.reservation));
    EXPECT_EQ(UsedWith(ten, user), 0U) << policy;

    const Call other = AskWith(ten, user, 6, CallKind::kReserve);
    EXPECT_TRUE(Settle(CallKind::kCommit, other.decision.reservation, 8));
    EXPECT_EQ(UsedWith(ten, user), 8U) << policy;
  }
}

TEST_F(ClientLimitTest, ItExplainsWhoseCountItIs) {
  Start(kTree);
  const Entries user{{"user", "bob"}};
  const algorithms::Limit ten = Window(10);
  std::vector<ExplainStep> trace;
  Call call = Of(user);
  call.client_limit = &ten;
  call.trace = &trace;
  engine_->Run({&call, 1});
  std::string all;
  for (const ExplainStep& step : trace) all += step.detail + "\n";
  EXPECT_NE(
      all.find("domains.d.client_limit holds, with the limit that the client brings and the count of domains.d.user"),
      std::string::npos)
      << all;
  EXPECT_EQ(all.find("quota_field"), std::string::npos) << all;
  EXPECT_NE(all.find("0 of 10 were used"), std::string::npos) << all;
}

}  // namespace
}  // namespace weir::engine
