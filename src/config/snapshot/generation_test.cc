// Which rules of two snapshots count the same, and which follow which.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "algorithms/testing.h"
#include "base/hash.h"
#include "config/compile/compile_rules.h"
#include "config/snapshot/snapshot_fixture.h"

namespace weir::config {
namespace {

using algorithms::Kind;
using testing::Compiled;
using testing::Document;
using testing::kNow;
using testing::Named;
using testing::Numbers;

// ---- change ---------------------------------------------------------------------------------------------------------

TEST(Snapshot, AnEqualRuleIsTheSameGeneration) {
  const auto first = Compiled(Document());
  const auto second = Compiled(Document());
  const Rule& rule = *first->FindTier("free");
  EXPECT_EQ(rule.generation, second->FindTier("free")->generation);
  EXPECT_EQ(rule.seed, Hash64(rule.generation));
  EXPECT_EQ(rule.generation.view().substr(0, rule.path.size() + 1), std::string(rule.path) + "@");
  EXPECT_EQ(rule.generation.size(), rule.path.size() + 17);
  EXPECT_NE(rule.generation, first->FindTier("pro")->generation);
  const auto third = Compiled(Document(), first.get());
  EXPECT_EQ(third->FindTier("free")->generation.data(), rule.generation.data());
  EXPECT_FALSE(third->FindTier("free")->previous);
  EXPECT_EQ(first->version(), 1u);
  EXPECT_EQ(third->version(), 2u);
}

TEST(Snapshot, WhatDoesNotChangeTheMeaningKeepsTheGeneration) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.mode = RuleMode::kShadow;
  document.global.free_tier.name = "other name";
  document.global.free_tier.headers = HeaderConfig::None();
  document.global.free_tier.schedule = Schedule{.days = {"mon"}};
  document.global.free_tier.on_store_failure = StoreFailurePolicy::kDeny;
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true};
  const auto second = Compiled(document, first.get());
  const Rule& rule = *second->FindTier("free");
  EXPECT_EQ(rule.generation, first->FindTier("free")->generation);
  EXPECT_FALSE(rule.previous);
  EXPECT_EQ(rule.policy, "other name");
  EXPECT_TRUE(rule.penalty);
  EXPECT_NE(rule.penalty_seed, rule.seed);
  EXPECT_TRUE(rule.schedule);
}

TEST(Snapshot, ChangedNumbersKnowTheirPreviousFormUntilItsStatesHaveExpired) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.max_requests = 50;
  const auto second = Compiled(document, first.get());
  const Rule& changed = *second->FindTier("free");
  ASSERT_TRUE(changed.previous);
  EXPECT_EQ(changed.previous->generation, first->FindTier("free")->generation);
  EXPECT_EQ(changed.previous->seed, first->FindTier("free")->seed);
  EXPECT_EQ(changed.previous->limit, first->FindTier("free")->limit);
  EXPECT_GE(changed.previous->until, kNow + 60 * kSecond);
  EXPECT_LE(changed.previous->until, kNow + 180 * kSecond);
  EXPECT_FALSE(second->FindTier("pro")->previous);

  const Nanos until = changed.previous->until;
  document.global.pro_tier.max_requests = 7;
  const auto third = Compiled(document, second.get(), until - 1);
  ASSERT_TRUE(third->FindTier("free")->previous) << "unchanged, and its previous states may live";
  EXPECT_EQ(third->FindTier("free")->previous->until, until);
  const auto fourth = Compiled(document, third.get(), until);
  EXPECT_FALSE(fourth->FindTier("free")->previous) << "they have expired";
}

TEST(Snapshot, ChangedPenaltiesKnowTheirPreviousForm) {
  auto document = Document();
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true, .threshold = 5};
  const auto first = Compiled(document);
  document.global.free_tier.penalties->threshold = 3;
  const auto second = Compiled(document, first.get());
  const Rule& before = *first->FindTier("free");
  const Rule& changed = *second->FindTier("free");
  EXPECT_FALSE(changed.previous) << "its numbers are what they were";
  ASSERT_TRUE(changed.penalty_previous);
  EXPECT_EQ(changed.penalty_previous->generation, before.penalty_generation);
  EXPECT_EQ(changed.penalty_previous->seed, before.penalty_seed);
  EXPECT_EQ(changed.penalty_previous->limit, *before.penalty);
  document.global.free_tier.penalties->threshold = 5;
  const auto third = Compiled(document, second.get());
  EXPECT_EQ(third->FindTier("free")->penalty_previous->generation, changed.penalty_generation);
  EXPECT_FALSE(third->FindTier("free")->penalty_previous->before) << "not itself";
}

TEST(Snapshot, ARuleThatIsRolledBackIsNotItsOwnPreviousForm) {
  auto document = Document();
  const auto first = Compiled(document);
  document.global.free_tier.max_requests = 50;
  const auto second = Compiled(document, first.get());
  document.global.free_tier.max_requests = 60;
  const auto third = Compiled(document, second.get());
  document.global.free_tier.max_requests = 50;
  const auto fourth = Compiled(document, third.get());
  const Rule& rule = *fourth->FindTier("free");
  EXPECT_EQ(rule.generation, second->FindTier("free")->generation);
  ASSERT_TRUE(rule.previous);
  EXPECT_EQ(rule.previous->generation, third->FindTier("free")->generation);
  ASSERT_TRUE(rule.previous->before) << "not itself, but what it had followed";
  EXPECT_EQ(rule.previous->before->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(rule.previous->before->before);
}

TEST(Snapshot, AnotherIdentifierOrPrefixHasNoPreviousForm) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
  const auto second = Compiled(document, first.get());
  EXPECT_NE(second->FindTier("free")->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(second->FindTier("free")->previous);

  auto wider = Document();
  wider.ip_rules.ipv6_prefix = 56;
  const auto third = Compiled(wider, first.get());
  EXPECT_NE(third->FindTier("free")->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(third->FindTier("free")->previous);

  auto unlimited = Document();
  unlimited.global.free_tier = RateLimitRule::Unlimited();
  const auto fourth = Compiled(unlimited, first.get());
  EXPECT_TRUE(fourth->FindTier("free")->unlimited);
  EXPECT_FALSE(Compiled(Document(), fourth.get())->FindTier("free")->previous) << "it is what it was";
}

TEST(Snapshot, ALimitThatComesBackKnowsWhatItWasBefore) {
  auto document = Document();
  document.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true};
  const auto first = Compiled(document);
  auto unlimited = Document();
  unlimited.global.free_tier = RateLimitRule::Unlimited();
  auto second = Compiled(unlimited, first.get());
  EXPECT_TRUE(second->FindTier("free")->unlimited);
  second = Compiled(unlimited, second.get());
  document.global.free_tier.max_requests = 50;
  document.global.free_tier.penalties->threshold = 3;
  const auto third = Compiled(document, second.get());
  const Rule& back = *third->FindTier("free");
  ASSERT_TRUE(back.previous);
  EXPECT_EQ(back.previous->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(back.previous->before);
  ASSERT_TRUE(back.penalty_previous);
  EXPECT_EQ(back.penalty_previous->generation, first->FindTier("free")->penalty_generation);
  EXPECT_FALSE(Compiled(document, second.get(), kNow + 400 * kDay)->FindTier("free")->previous) << "all has expired";
  // With another identifier its subjects are others.
  document.global.free_tier.identifier = EnhancedIdentifier{ApiKey{}};
  EXPECT_FALSE(Compiled(document, second.get())->FindTier("free")->previous);
}

int LengthOf(const PreviousRule* previous) { return previous == nullptr ? 0 : 1 + LengthOf(previous->before.get()); }

TEST(Snapshot, SoManyChangesAreRememberedAndMoreAreTold) {
  auto document = Document();
  auto snapshot = Compiled(document);
  ::testing::internal::CaptureStderr();
  for (int change = 1; change <= kMostPrevious; ++change) {
    ++*document.global.free_tier.max_requests;
    snapshot = Compiled(document, snapshot.get());
    EXPECT_EQ(LengthOf(snapshot->FindTier("free")->previous.get()), change);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ++*document.global.free_tier.max_requests;
  ::testing::internal::CaptureStderr();
  snapshot = Compiled(document, snapshot.get());
  EXPECT_EQ(LengthOf(snapshot->FindTier("free")->previous.get()), kMostPrevious);
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("changed more often than is remembered"), std::string::npos) << told;
  EXPECT_NE(told.find("rule=global.free_tier rules=1"), std::string::npos) << told;
}

TEST(Snapshot, CalendarZonesAreToldApartByName) {
  auto document = Document();
  document.tenants["a"].quotas = {{.max_requests = 1, .time_zone = "Europe/Berlin"}};
  const auto berlin = Compiled(document);
  document.tenants["a"].quotas[0].time_zone = "Asia/Tokyo";
  const auto tokyo = Compiled(document, berlin.get());
  EXPECT_NE(Named(*tokyo, "tenants.a.quotas.0").generation, Named(*berlin, "tenants.a.quotas.0").generation);
}

TEST(StateLifetime, CoversEveryKind) {
  algorithms::Limit limit{.kind = Kind::kTokenBucket, .capacity = 100, .rate_count = 1, .rate_period = kSecond};
  EXPECT_GE(StateLifetime(limit), 100 * kSecond);
  limit.rate_count = 0;
  EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  limit = {.kind = Kind::kLeakyBucket, .capacity = algorithms::kMaxCount, .rate_count = 1, .rate_period = INT64_MAX};
  EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  for (const Kind kind : {Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kFixedWindow, Kind::kPenalty}) {
    limit = {.kind = kind, .window = kMinute};
    EXPECT_GE(StateLifetime(limit), kMinute);
    limit.window = INT64_MAX;
    EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  }
  limit = {.kind = Kind::kFixedWindow, .calendar = algorithms::Calendar::kYear};
  EXPECT_GE(StateLifetime(limit), 366 * kDay);
  limit = {.kind = Kind::kConcurrency, .lease = kHour};
  EXPECT_EQ(StateLifetime(limit), kHour);
}

// Whatever a subject did: its state does not outlive what the compiler takes for its lifetime.
TEST(StateLifetime, IsNeverShorterThanAStateLives) {
  algorithms::testing::Random random(11);
  std::vector<Kind> kinds(algorithms::testing::kRuleKinds);
  kinds.push_back(Kind::kPenalty);
  for (const Kind kind : kinds) {
    Nanos longest = 0;
    for (int i = 0; i < 300; ++i) {
      const algorithms::Limit limit = algorithms::testing::RandomLimit(kind, random);
      algorithms::testing::Counter counter(limit);
      const Nanos lifetime = StateLifetime(limit);
      Nanos now = algorithms::testing::kStart;
      for (int step = 0; step < 60; ++step) {
        using algorithms::Op;
        const Op op = random.OneIn(3) ? Op::kCheck : random.OneIn(2) ? Op::kCharge : Op::kRefund;
        std::uint64_t cost = static_cast<std::uint64_t>(random.In(0, 8));
        // A bucket's debt has no bound; up to once its capacity is followed.
        const bool bucket = kind == Kind::kTokenBucket || kind == Kind::kLeakyBucket;
        if (bucket && op == Op::kCharge) cost = counter.Used(now) > limit.capacity ? 0 : std::min(cost, limit.capacity);
        counter.Do(op, cost, now, random.Bits() >> 1);
        const Nanos rest = std::max(counter.Expires(), now) - now;
        ASSERT_LE(rest, lifetime) << static_cast<int>(kind) << " " << step;
        longest = std::max(longest, rest);
        // A banned subject comes back when its ban ends: so levels rise.
        now += kind == Kind::kPenalty && random.OneIn(2) && rest > 0 ? random.In(0, rest / 8) : random.In(0, kSecond);
      }
    }
    EXPECT_GT(longest, 0) << static_cast<int>(kind);
  }
}

TEST(StateLifetime, CoversTheHighestLevelOfBans) {
  algorithms::Limit limit{.kind = Kind::kPenalty,
                          .window = kMinute,
                          .threshold = 1,
                          .ban_factor_pct = 100,
                          .first_ban = kSecond,
                          .longest_ban = kSecond,
                          .decay = kHour};
  algorithms::testing::Counter counter(algorithms::Sanitize(limit));
  Nanos now = algorithms::testing::kStart;
  for (int ban = 0; ban < 80; ++ban, now += kSecond) counter.Do(algorithms::Op::kCharge, 1, now);
  EXPECT_GT(counter.Expires() - now, 63 * kHour);
  EXPECT_LE(counter.Expires() - (now - kSecond), StateLifetime(counter.limit()));
}

}  // namespace
}  // namespace weir::config
