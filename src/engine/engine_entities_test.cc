// Users and tenants that change while they are asked about, and a policy that holds for a share of the subjects.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

using config::EntityChange;

constexpr std::string_view kPolicy =
    "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}";

UserLimits UserOf(std::uint64_t max_requests) {
  return {.rule = RateLimitRule{.max_requests = max_requests, .window_seconds = 3600}};
}

class EntitiesTest : public EngineTest {
 protected:
  Result<> Put(const std::string& user, std::uint64_t max_requests) {
    return engine_->ApplyEntities({}, std::vector{EntityChange::Put(user, UserOf(max_requests))});
  }
};

TEST_F(EntitiesTest, WhatWasUsedStaysUsed) {
  Start(kPolicy);
  const Request ann{.user = "ann"};
  EXPECT_EQ(CountAllowed(ann, 5), 2);
  ASSERT_TRUE(Put("ann", 10));
  EXPECT_EQ(CountAllowed(ann, 20), 10) << "a rule of its own counts for itself";
  ASSERT_TRUE(Put("ann", 15));
  EXPECT_EQ(CountAllowed(ann, 20), 5) << "raised";
  ASSERT_TRUE(Put("ann", 4));
  ASSERT_TRUE(Put("ann", 16));
  EXPECT_LE(CountAllowed(ann, 20), 12);
  const Decision decision = Peek(ann);
  EXPECT_EQ(decision.decider()->rule, "users.ann.rule");
  EXPECT_EQ(decision.decider()->level, Level::kUser);
  ASSERT_TRUE(engine_->ApplyEntities({}, std::vector{EntityChange::Remove(EntityChange::Kind::kUser, "ann")}));
  EXPECT_EQ(Peek(ann).decider()->rule, "global.free_tier");
  EXPECT_EQ(decision.decider()->rule, "users.ann.rule") << "readable for a while";
}

TEST_F(EntitiesTest, AnInvalidChangeChangesNothing) {
  Start(kPolicy);
  const std::uint64_t version = engine_->version();
  UserLimits bad = UserOf(1);
  bad.rule->schedule = Schedule{.days = {"noday"}};
  const std::vector<EntityChange> changes = {EntityChange::Put("ann", UserOf(10)), EntityChange::Put("bob", bad)};
  EXPECT_FALSE(engine_->ApplyEntities({}, changes));
  EXPECT_EQ(engine_->version(), version);
  EXPECT_EQ(CountAllowed({.user = "ann"}, 5), 2);
}

TEST_F(EntitiesTest, APolicyLeavesThemAsTheyAre) {
  Start(kPolicy);
  ASSERT_TRUE(Put("ann", 10));
  EXPECT_EQ(CountAllowed({.user = "ann"}, 4), 4);
  const config::Revision revision{.number = 7, .author = "eve", .reason = "why not", .source = "test"};
  ASSERT_TRUE(engine_->Apply(revision, ParseOrDie("global: {free_tier: {max_requests: 3, window_seconds: 3600, "
                                                  "algorithm: token_bucket, identifier: user_id}}")));
  EXPECT_EQ(*engine_->revision(), revision);
  EXPECT_EQ(CountAllowed({.user = "ann"}, 20), 6);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 20), 3);
}

TEST_F(EntitiesTest, AReservationIsSettledWhereItsRuleHasGone) {
  Start(kPolicy);
  ASSERT_TRUE(Put("ann", 10));
  const Decision reserved = Reserve({.user = "ann", .cost = 8});
  ASSERT_TRUE(reserved.allowed);
  ASSERT_TRUE(Put("ann", 20));
  EXPECT_EQ(Peek({.user = "ann", .cost = 0}).decider()->outcome.used, 8U);
  EXPECT_TRUE(Settle(CallKind::kCancel, reserved.reservation));
  EXPECT_EQ(Peek({.user = "ann", .cost = 0}).decider()->outcome.used, 0U);
}

TEST_F(EntitiesTest, IdentifiersMayBringNewExtractors) {
  Start(kPolicy);
  UserLimits limits = UserOf(1);
  limits.rule->identifier = EnhancedIdentifier{CustomIdentifier{.extractor = "header:x-device"}};
  ASSERT_TRUE(engine_->ApplyEntities({}, std::vector{EntityChange::Put("ann", limits)}));
  for (const char* device : {"phone", "tablet"}) {
    const Attribute header{.name = "x-device", .value = device};
    EXPECT_EQ(CountAllowed({.user = "ann", .headers = {&header, 1}}, 3), 1) << device;
  }
}

TEST_F(EntitiesTest, AreCountedTogetherByTier) {
  Start(kPolicy);
  std::vector<EntityChange> changes;
  for (int i = 0; i < 1000; ++i) changes.push_back(EntityChange::Put("user-" + std::to_string(i), UserOf(1)));
  changes.push_back(EntityChange::Put("vip", UserLimits{.tier = "pro", .rule = UserOf(1).rule}));
  ASSERT_TRUE(engine_->ApplyEntities({}, changes));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(CountAllowed({.user = "user-" + std::to_string(i)}, 2), 1);
  EXPECT_EQ(CountAllowed({.user = "vip"}, 3), 1);
  std::size_t families = 0;
  for (const auto& rule : engine_->GetCounts().rules) {
    if (rule.level != Level::kUser) continue;
    ++families;
    EXPECT_EQ(rule.rule, "users.*.rule");
    EXPECT_EQ(rule.allowed, rule.tier.empty() ? 1000U : 1U);
    EXPECT_EQ(rule.denied, rule.tier.empty() ? 1000U : 2U);
  }
  EXPECT_EQ(families, 2U);
}

TEST_F(EntitiesTest, ChangeUnderLoadAndNothingIsMiscounted) {
  Start(
      "global: {free_tier: {max_requests: 5000, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}");
  ASSERT_TRUE(Put("ann", 5000));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> allowed{0}, asked{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        std::vector<Call> calls(3);
        for (Call& call : calls) call.request.user = "ann";
        engine_->Run(calls);
        asked += calls.size();
        for (const Call& call : calls) {
          EXPECT_EQ(call.decision.rule_count, 1U);
          EXPECT_EQ(call.decision.rules()[0].rule, "users.ann.rule");
          allowed += call.decision.allowed ? 1U : 0U;
        }
      }
    });
  }
  for (int i = 0; i < 300 || asked < 20'000; ++i) {
    // Others come, change and go; once in a while the policy does.
    const std::string other = "user-" + std::to_string(i % 50);
    ASSERT_TRUE(Put(other, 1 + static_cast<std::uint64_t>(i)));
    if (i % 3 == 0) {
      ASSERT_TRUE(engine_->ApplyEntities({}, std::vector{EntityChange::Remove(EntityChange::Kind::kUser, other)}));
    }
    if (i % 50 == 0) {
      ASSERT_TRUE(engine_->Apply(ParseOrDie("global: {free_tier: {max_requests: " + std::to_string(100 + i) +
                                            ", window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}")));
    }
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 5000U);
}

class CandidateTest : public EngineTest {
 protected:
  static std::string Policy(int limit) {
    return "global: {free_tier: {max_requests: " + std::to_string(limit) +
           ", window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}";
  }
  static std::string User(int i) { return "user-" + std::to_string(i); }
  std::uint64_t LimitOf(const std::string& user) { return Peek({.user = user}).decider()->outcome.limit; }
};

TEST_F(CandidateTest, HoldsForItsShareOfTheSubjects) {
  Start(Policy(100));
  EXPECT_EQ(engine_->SetCandidateShare({}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(engine_->PromoteCandidate().error().code, ErrorCode::kNotFound);
  engine_->DropCandidate();
  const SubjectShare tenth("roll-out", 0, 0.1);
  ASSERT_TRUE(engine_->SetCandidate({.number = 2}, ParseOrDie(Policy(50)), tenth));
  int in_candidate = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool included = tenth.Includes(User(i));
    in_candidate += included ? 1 : 0;
    ASSERT_EQ(LimitOf(User(i)), included ? 50U : 100U);
  }
  EXPECT_NEAR(in_candidate, 100, 40);
  // In one batch each is asked under its own.
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back(User(i));
  std::vector<Call> calls(100);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].kind = CallKind::kPeek;
    calls[i].request.user = names[i];
  }
  engine_->Run(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].decision.decider()->outcome.limit, tenth.Includes(names[i]) ? 50U : 100U);
  }
  ASSERT_TRUE(engine_->SetCandidateShare({"roll-out", 0, 0.5}));
  for (int i = 0; i < 200; ++i) {
    if (tenth.Includes(User(i))) {
      ASSERT_EQ(LimitOf(User(i)), 50U) << "who was in stays in";
    }
  }
  EXPECT_EQ(engine_->revision()->number, 0U);
  ASSERT_TRUE(engine_->PromoteCandidate());
  EXPECT_EQ(engine_->revision()->number, 2U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(LimitOf(User(i)), 50U);
}

TEST_F(CandidateTest, WhatWasUsedStaysUsed) {
  Start(Policy(100));
  const Request ann{.user = "ann"};
  EXPECT_EQ(CountAllowed(ann, 30), 30);
  ASSERT_TRUE(engine_->SetCandidate({}, ParseOrDie(Policy(50)), {"s", 0, 1}));
  EXPECT_EQ(CountAllowed(ann, 100), 20);
  ASSERT_TRUE(engine_->PromoteCandidate());
  EXPECT_EQ(CountAllowed(ann, 100), 0);
}

TEST_F(CandidateTest, EntitiesChangeInBoth) {
  Start(Policy(100));
  ASSERT_TRUE(engine_->SetCandidate({.number = 5}, ParseOrDie(Policy(50)), {"s", 0, 1}));
  UserLimits limits{.rule = RateLimitRule{.max_requests = 7}};
  ASSERT_TRUE(engine_->ApplyEntities({.number = 6}, std::vector{EntityChange::Put("ann", limits)}));
  EXPECT_EQ(LimitOf("ann"), 7U);
  EXPECT_EQ(LimitOf("bob"), 50U);
  engine_->DropCandidate();
  EXPECT_EQ(LimitOf("ann"), 7U);
  EXPECT_EQ(LimitOf("bob"), 100U);
}

}  // namespace
}  // namespace weir::engine
