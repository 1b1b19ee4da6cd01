// Descriptors: what a domain's tree decides, alone, beside the hierarchy, and together with others of one request.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "engine/counters/unknown_domains.h"
#include "engine/engine_domains_fixture.h"

namespace weir::engine {
namespace {

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
  EXPECT_EQ(call.decision.rule_count, 1U) << "without an address it is counted with all others that have none";
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
  call.client_limit = &limit;
  engine_->Run({&call, 1});
  ASSERT_EQ(call.decision.rule_count, 1U);
  EXPECT_EQ(call.decision.rules()[0].rule, "domains.d.client_limit");
  EXPECT_EQ(call.decision.rules()[0].outcome.limit, 1U);
  EXPECT_EQ(call.decision.rules()[0].window_seconds, 60U);
  engine_->Run({&call, 1});
  EXPECT_FALSE(call.decision.allowed);
  call.client_limit = &larger;
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.allowed);
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 2U) << "another number, but the same window: the same counter";
  algorithms::Limit longer = larger;
  longer.window = 3600 * kSecond;
  call.client_limit = &longer;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 1U) << "another window is another counter";
  const Entries free{{"free", "x"}};
  call = Of(free);
  call.client_limit = &limit;
  engine_->Run({&call, 1});
  EXPECT_EQ(call.decision.rule_count, 1U) << "it stands for the tree's rule, also an unlimited one";
  EXPECT_EQ(Left(entries), 2U) << "the tree's own counter is untouched: its windows are the clock's";
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

TEST_F(DomainsTest, InBothModesARuleIsInShadow) {
  Start(R"(
global: {free_tier: unlimited}
domains: {d: {descriptors: [{key: k, quota_mode: true, rule: {max_requests: 1, window_seconds: 60, mode: shadow}}]}}
)");
  const Call call = Ask({{"k", "x"}});
  EXPECT_TRUE(call.decision.rules()[0].shadow);
  EXPECT_FALSE(call.decision.rules()[0].quota);
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
  EXPECT_TRUE(domains.ShouldLog("a", 0));
  EXPECT_FALSE(domains.ShouldLog("a", kHour));
  for (std::uint32_t i = 0; i < UnknownDomains::kMostAtOnce; ++i) {
    EXPECT_TRUE(domains.ShouldLog("b" + std::to_string(i), kHour)) << "some at once";
  }
  EXPECT_FALSE(domains.ShouldLog("c", kHour + kSecond - 1));
  EXPECT_TRUE(domains.ShouldLog("c", kHour + kSecond)) << "what was too soon is told later";
  EXPECT_TRUE(domains.ShouldLog("d", kHour)) << "the clock was set back";
  int told = 0;
  for (int i = 0; i < 5000; ++i) told += domains.ShouldLog("x" + std::to_string(i), kDay + i * kSecond) ? 1 : 0;
  EXPECT_LE(told, 1024);
  EXPECT_GT(told, 900);
  log::Configure(log::Level::kInfo, log::Format::kText);
}

}  // namespace
}  // namespace weir::engine
