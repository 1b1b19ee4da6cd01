#include "frontends/rls/rlqs/rlqs_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>
#include <string>

namespace weir::rls {
namespace {

using Kind = Assignment::Kind;

// 600 in a minute: 6,000 tokens in 600 s.
constexpr std::string_view kLimits = R"(
global: {free_tier: unlimited}
domains:
  edge:
    descriptors:
      - key: name
        descriptors: [{key: env, rule: {max_requests: 600, window_seconds: 60}}]
      - {key: day, rule: {max_requests: 600, window_seconds: 60, schedule: {from: "08:00", to: "20:00"}}}
      - {key: few, rule: {max_requests: 2, window_seconds: 86400}}
      - {key: none, rule: {max_requests: 0, window_seconds: 60}}
      - {key: slots, rule: {max_requests: 5, window_seconds: 60, algorithm: {concurrency: {}}}}
)";

struct Told {
  std::string bucket;
  Assignment assignment;
  Nanos ttl = 0;
};

class QuotaTableTest : public testing::Test {
 protected:
  QuotaTableTest() { Configure(kLimits); }
  void Configure(std::string_view yaml) {
    const ParsedConfig parsed = ParseConfig(yaml);
    for (const Fault& fault : parsed.faults) EXPECT_EQ(fault.severity, Severity::kWarning) << Describe(fault);
    auto next = config::Snapshot::Compile(parsed.config, snapshot_.get(), now_);
    ASSERT_TRUE(next) << next.error().message;
    snapshot_ = *next;
  }
  bool Notify(std::uint64_t stream, std::span<const Attribute> bucket, const Assignment& assignment, Nanos ttl) {
    if (deaf_ || deaf_streams_.contains(stream)) return false;
    std::string text;
    for (const Attribute& entry : bucket) text += std::string(entry.name) + "=" + std::string(entry.value) + ";";
    told_[stream] = {text, assignment, ttl};
    ++tellings_;
    return true;
  }
  QuotaTable::Reported Report(std::uint64_t stream, std::uint64_t requests, Nanos elapsed = 5 * kSecond,
                              std::vector<Attribute> bucket = {{"env", "prod"}, {"name", "x"}}) {
    const BucketUsage usage{.bucket = bucket, .elapsed = elapsed, .allowed = requests, .denied = 0};
    return table_.Report(stream, {}, "edge", QuotaTable::KeyOf("edge", bucket), usage, *snapshot_,
                         {now_, now_ + wall_ahead_}, [this](auto... told) { return Notify(told...); });
  }
  void Leave(std::uint64_t stream, std::vector<Attribute> bucket = {{"env", "prod"}, {"name", "x"}}) {
    told_.erase(stream);
    table_.Leave(stream, QuotaTable::KeyOf("edge", bucket), now_, [this](auto... told) { return Notify(told...); });
  }
  void Tick() {
    table_.Tick(*snapshot_, {now_, now_ + wall_ahead_}, [this](auto... told) { return Notify(told...); });
  }
  std::uint32_t TokensOf(std::uint64_t stream) const {
    const auto found = told_.find(stream);
    if (found == told_.end()) return 0;
    return found->second.assignment.kind == Kind::kTokens ? found->second.assignment.tokens_per_fill : 0;
  }

  Nanos now_ = 1'700'000'000 * kSecond;
  Nanos wall_ahead_ = 0;
  bool deaf_ = false;  // nobody can be told
  std::set<std::uint64_t> deaf_streams_;
  QuotaTable table_;
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::map<std::uint64_t, Told> told_;
  int tellings_ = 0;
};

TEST_F(QuotaTableTest, OneMemberHasItAll) {
  const auto reported = Report(1, 10);
  EXPECT_TRUE(reported.known && reported.member);
  EXPECT_EQ(reported.order, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_EQ(told_[1].bucket, "env=prod;name=x;");
  EXPECT_EQ(told_[1].assignment, (Assignment{Kind::kTokens, 600, 6'000, 600}));
  EXPECT_EQ(told_[1].ttl, kMinute);
  EXPECT_EQ(table_.counts().members, 1U);
}

TEST_F(QuotaTableTest, MembersShareByDemandAndTheSumStaysTheBudget) {
  Report(1, 1'000);
  now_ += kSecond;
  Report(2, 1'000);
  EXPECT_EQ(TokensOf(1), 3'000U);
  EXPECT_EQ(TokensOf(2), 3'000U);
  // The second one asks for 1 a second: 600 in an interval.
  for (int i = 0; i < 20; ++i) {
    now_ += 5 * kSecond;
    Report(1, 1'000);
    Report(2, 5);
    Tick();
  }
  EXPECT_GE(TokensOf(1), 5'200U);
  EXPECT_GE(TokensOf(2), 600U);
  EXPECT_LE(TokensOf(1) + TokensOf(2), 6'000U);
  // Idle ones keep enough to begin with.
  for (int i = 0; i < 20; ++i) {
    now_ += 5 * kSecond;
    Report(1, 1'000);
    Report(2, 0);
    Tick();
  }
  EXPECT_GE(TokensOf(2), 300U);
}

TEST_F(QuotaTableTest, ThePartOfWhoLeavesIsTheOthers) {
  Report(1, 1'000);
  now_ += kSecond;
  Report(2, 1'000);
  now_ += kSecond;
  Leave(2);
  EXPECT_EQ(TokensOf(1), 6'000U);
  Leave(1);
  EXPECT_EQ(table_.counts().buckets, 0U);
}

TEST_F(QuotaTableTest, WhoIsSilentIsForgotten) {
  Report(1, 1'000);
  now_ += kSecond;
  Report(2, 1'000);
  for (int i = 0; i < 13; ++i) {
    now_ += 5 * kSecond;
    Report(1, 1'000);
    Tick();
  }
  EXPECT_EQ(TokensOf(1), 6'000U);
  EXPECT_EQ(table_.counts().members, 1U);
  now_ += 2 * kHour;
  Tick();
  EXPECT_EQ(table_.counts().buckets, 0U);
}

TEST_F(QuotaTableTest, AnAssignmentIsNotPromisedLongerThanItsMemberIsRemembered) {
  Report(1, 1'000);
  now_ += 40 * kSecond;
  Report(2, 1'000);  // the first is told anew, 20 seconds before it would be forgotten
  EXPECT_EQ(TokensOf(1), 3'000U);
  EXPECT_EQ(told_[1].ttl, 20 * kSecond);
  EXPECT_EQ(told_[2].ttl, kMinute);
}

TEST_F(QuotaTableTest, AssignmentsAreRenewedBeforeTheyEnd) {
  Report(1, 10);
  tellings_ = 0;
  for (int i = 0; i < 12; ++i) {
    now_ += 5 * kSecond;
    Report(1, 10);
  }
  EXPECT_EQ(tellings_, 2);  // a minute in, each after more than 20 seconds
  // Who reports seldom is given more time.
  now_ += 50 * kSecond;
  Report(1, 10, 50 * kSecond);
  EXPECT_EQ(told_[1].ttl, 150 * kSecond);
}

TEST_F(QuotaTableTest, SmallChangesAreLeft) {
  Report(1, 1'000);
  now_ += kSecond;
  Report(2, 1'000);
  tellings_ = 0;
  now_ += 2 * kSecond;
  Report(1, 1'050);
  Report(2, 950);
  Tick();
  EXPECT_EQ(tellings_, 0);
}

TEST_F(QuotaTableTest, PartsAreMadeAtMostOnceASecond) {
  Report(1, 1'000);
  Report(2, 1'000);
  EXPECT_FALSE(told_.contains(2));
  Tick();
  EXPECT_FALSE(told_.contains(2));
  now_ += kSecond;
  Tick();
  EXPECT_EQ(TokensOf(2), 3'000U);
  EXPECT_EQ(TokensOf(1), 3'000U);
}

TEST_F(QuotaTableTest, AChangeOfTheLimitIsToldAtTheNextTick) {
  Report(1, 1'000);
  now_ += kSecond;
  std::string changed(kLimits);
  changed.replace(changed.find("max_requests: 600"), 17, "max_requests: 900");
  Configure(changed);
  Tick();
  EXPECT_EQ(told_[1].assignment, (Assignment{Kind::kTokens, 900, 9'000, 600}));
  // The rule is gone: all pass.
  now_ += kSecond;
  Configure("global: {free_tier: unlimited}\ndomains: {edge: {descriptors: [{key: other, rule: unlimited}]}}");
  Tick();
  EXPECT_EQ(told_[1].assignment.kind, Kind::kAllowAll);
}

TEST_F(QuotaTableTest, ARuleOutOfScheduleIsNone) {
  now_ = 1'700'000'000 / 86'400 * 86'400 * kSecond + 19 * kHour + 59 * kMinute + 50 * kSecond;
  Report(1, 10, 5 * kSecond, {{"day", "x"}});
  EXPECT_EQ(told_[1].assignment.kind, Kind::kTokens);
  now_ += 11 * kSecond;
  Tick();
  EXPECT_EQ(told_[1].assignment.kind, Kind::kAllowAll);
}

TEST_F(QuotaTableTest, AWallClockThatIsSetForgetsNobody) {
  Report(1, 1'000);
  now_ += kSecond;
  Report(2, 1'000);
  tellings_ = 0;
  for (const Nanos step : {kDay, -2 * kDay}) {
    wall_ahead_ += step;
    now_ += kSecond;
    Tick();
    EXPECT_EQ(table_.counts().members, 2U);
  }
  EXPECT_EQ(tellings_, 0);
  // Schedules go by it.
  now_ += (86'400 - now_ / kSecond % 86'400) * kSecond;  // midnight
  wall_ahead_ = 12 * kHour;
  Report(3, 10, 5 * kSecond, {{"day", "x"}});
  EXPECT_EQ(told_[3].assignment.kind, Kind::kTokens);
  wall_ahead_ = 21 * kHour;
  now_ += kSecond;
  Tick();
  EXPECT_EQ(told_[3].assignment.kind, Kind::kAllowAll);
}

TEST_F(QuotaTableTest, WhoCannotBeToldYetIsToldLater) {
  Report(1, 1'000);
  const Nanos until = now_ + told_[1].ttl;
  now_ += kSecond;
  std::string changed(kLimits);
  changed.replace(changed.find("max_requests: 600"), 17, "max_requests: 900");
  Configure(changed);
  deaf_ = true;
  for (int i = 0; i < 3; ++i) {
    Tick();
    now_ += kSecond;
  }
  EXPECT_EQ(TokensOf(1), 6'000U);
  deaf_ = false;
  Tick();
  EXPECT_EQ(TokensOf(1), 9'000U);
  EXPECT_EQ(now_ + told_[1].ttl, until);
  tellings_ = 0;
  now_ += kSecond;
  Tick();
  EXPECT_EQ(tellings_, 0);
}

TEST_F(QuotaTableTest, NobodyGetsMoreWhileWhoGetsLessCannotBeTold) {
  Report(1, 1'000);
  EXPECT_EQ(TokensOf(1), 6'000U);
  deaf_streams_ = {1};
  for (int i = 0; i < 3; ++i) {
    now_ += kSecond;
    Report(2, 1'000);
    Tick();
    EXPECT_LE(TokensOf(1) + TokensOf(2), 6'000U);
  }
  deaf_streams_.clear();
  now_ += kSecond;
  Tick();
  EXPECT_EQ(TokensOf(1), 3'000U);
  EXPECT_EQ(TokensOf(2), 3'000U);
}

TEST_F(QuotaTableTest, WhoCannotBeToldHoldsTheOthersUpNoLongerThanItHasTokens) {
  Report(1, 1'000);
  const Nanos until = now_ + told_[1].ttl;
  deaf_streams_ = {1};
  for (; now_ <= until; now_ += kSecond) {
    Report(2, 1'000);
    ASSERT_EQ(TokensOf(2), 0U);
  }
  now_ += kSecond;
  Report(2, 1'000);
  EXPECT_EQ(TokensOf(2), 6'000U);
}

TEST_F(QuotaTableTest, TheMembersOfABucketAreBounded) {
  QuotaTable small({.most_members = 3});
  const std::vector<Attribute> bucket = {{"env", "prod"}, {"name", "x"}}, other = {{"name", "y"}};
  const auto report = [&](std::uint64_t stream, const std::vector<Attribute>& id) {
    return small.Report(stream, {}, "edge", QuotaTable::KeyOf("edge", id), {.bucket = id}, *snapshot_, {now_, now_},
                        [](auto...) { return true; });
  };
  for (std::uint64_t stream = 1; stream <= 3; ++stream) EXPECT_TRUE(report(stream, bucket).member);
  const std::size_t bytes = small.counts().bytes;
  EXPECT_FALSE(report(4, bucket).known);
  EXPECT_EQ(small.counts().members, 3U);
  EXPECT_EQ(small.counts().bytes, bytes);
  EXPECT_TRUE(report(4, other).member);
  EXPECT_TRUE(report(3, bucket).member);
  small.Leave(2, QuotaTable::KeyOf("edge", bucket), now_, [](auto...) { return true; });
  EXPECT_TRUE(report(4, bucket).member);
}

TEST_F(QuotaTableTest, BlanketRules) {
  Report(1, 10, 5 * kSecond, {{"none", "x"}});
  EXPECT_EQ(told_[1].assignment.kind, Kind::kDenyAll);
  Report(2, 10, 5 * kSecond, {{"unheard", "x"}});
  EXPECT_EQ(told_[2].assignment.kind, Kind::kAllowAll);
  // What a data plane cannot enforce it is not told.
  Report(3, 10, 5 * kSecond, {{"slots", "x"}});
  EXPECT_FALSE(told_.contains(3));
}

TEST_F(QuotaTableTest, WithLessThanOneForEachSomeGetNothing) {
  for (std::uint64_t stream = 1; stream <= 3; ++stream) Report(stream, 10, 5 * kSecond, {{"few", "x"}});
  now_ += kSecond;
  Tick();
  int denied = 0;
  std::uint32_t tokens = 0;
  for (const auto& [stream, told] : told_) {
    denied += told.assignment.kind == Kind::kDenyAll ? 1 : 0;
    tokens += TokensOf(stream);
  }
  EXPECT_EQ(denied, 1);
  EXPECT_EQ(tokens, 2U);
}

TEST_F(QuotaTableTest, ABucketThatNobodyAsksForIsAbandoned) {
  Report(1, 10);
  for (int i = 0; i < 119; ++i) {
    now_ += 5 * kSecond;
    Report(1, 0);
  }
  EXPECT_EQ(told_[1].assignment.kind, Kind::kTokens);
  now_ += 5 * kSecond;
  EXPECT_FALSE(Report(1, 0).member);
  EXPECT_EQ(told_[1].assignment.kind, Kind::kAbandon);
  EXPECT_EQ(table_.counts().buckets, 0U);
  EXPECT_TRUE(Report(1, 1).member);
  EXPECT_EQ(told_[1].assignment.kind, Kind::kTokens);
}

TEST_F(QuotaTableTest, BucketsAreBounded) {
  QuotaTable small({.most_buckets = 2});
  const auto report = [&](const std::string& name) {
    const std::vector<Attribute> bucket = {{"name", name}};
    const BucketUsage usage{.bucket = bucket};
    return small
        .Report(1, {}, "edge", QuotaTable::KeyOf("edge", bucket), usage, *snapshot_, {now_, now_},
                [](auto...) { return true; })
        .known;
  };
  EXPECT_TRUE(report("a"));
  EXPECT_TRUE(report("b"));
  EXPECT_FALSE(report("c"));
  EXPECT_TRUE(report("a"));
  now_ += kHour;
  small.Tick(*snapshot_, {now_, now_}, [](auto...) { return true; });
  EXPECT_TRUE(report("c"));
}

TEST_F(QuotaTableTest, EveryStreamLeavesSomethingForAnother) {
  for (const bool by_bytes : {false, true}) {
    QuotaTable small(by_bytes ? QuotaOptions{.most_bytes = 100'000} : QuotaOptions{.most_buckets = 100});
    std::size_t most = SIZE_MAX;
    for (std::uint64_t stream = 1; stream <= 4; ++stream) {
      QuotaTable::Held held;
      for (int i = 0; i < 300; ++i) {
        const std::string name = std::to_string(stream) + "-" + std::to_string(i);
        const std::vector<Attribute> bucket = {{"name", name}};
        const auto reported = small.Report(stream, held, "edge", QuotaTable::KeyOf("edge", bucket), {.bucket = bucket},
                                           *snapshot_, {now_, now_}, [](auto...) { return true; });
        held.buckets += reported.member ? 1 : 0;
        held.bytes += reported.bytes;
      }
      EXPECT_GT(held.buckets, 0U);
      EXPECT_LT(held.buckets, most);
      most = held.buckets;
    }
    EXPECT_LE(small.counts().bytes, by_bytes ? 100'000U : SIZE_MAX);
    EXPECT_LE(small.counts().buckets, by_bytes ? 200U : 100U);
    // What is taken is given back.
    now_ += kHour;
    small.Tick(*snapshot_, {now_, now_}, [](auto...) { return true; });
    EXPECT_EQ(small.counts().bytes, 0U);
  }
}

TEST_F(QuotaTableTest, KeysTellBucketsApart) {
  EXPECT_NE(QuotaTable::KeyOf("a", {}), QuotaTable::KeyOf("b", {}));
  const std::vector<Attribute> one = {{"ab", "c"}}, other = {{"a", "bc"}};
  EXPECT_NE(QuotaTable::KeyOf("d", one), QuotaTable::KeyOf("d", other));
}

TEST_F(QuotaTableTest, WhateverHappensThePartsFitTheBudget) {
  EXPECT_TRUE(rc::check([this] {
    QuotaTable table;
    std::map<std::uint64_t, Told> told;
    Nanos now = 1'700'000'000 * kSecond;
    std::set<std::uint64_t> deaf;  // cannot be told but of their own reports
    std::uint64_t reporter = 0;
    const auto tell = [&](std::uint64_t stream, std::span<const Attribute>, const Assignment& assignment, Nanos ttl) {
      if (deaf.contains(stream) && stream != reporter) return false;
      told[stream] = {"", assignment, now + ttl};
      return true;
    };
    const std::vector<Attribute> bucket = {{"env", "prod"}, {"name", "x"}};
    const Key key = QuotaTable::KeyOf("edge", bucket);
    for (int step = 0; step < 60; ++step) {
      now += *rc::gen::element<Nanos>(0, kSecond / 2, kSecond, 20 * kSecond, 70 * kSecond);
      const std::uint64_t stream = *rc::gen::inRange<std::uint64_t>(1, 6);
      switch (*rc::gen::inRange(0, 8)) {
        case 2:
          deaf.insert(stream);
          break;
        case 3:
          deaf.erase(stream);
          break;
        case 0:
          told.erase(stream);
          table.Leave(stream, key, now, tell);
          break;
        case 1:
          table.Tick(*snapshot_, {now, now}, tell);
          break;
        default: {
          const BucketUsage usage{.bucket = bucket,
                                  .elapsed = *rc::gen::element<Nanos>(0, kSecond, 5 * kSecond),
                                  .allowed = *rc::gen::inRange<std::uint64_t>(0, 3'000)};
          reporter = stream;
          table.Report(stream, {}, "edge", key, usage, *snapshot_, {now, now}, tell);
          reporter = 0;
        }
      }
      std::uint64_t tokens = 0;
      for (const auto& [member, one] : told) {
        // Those that have not ended.
        if (one.assignment.kind == Kind::kTokens && one.ttl > now) tokens += one.assignment.tokens_per_fill;
      }
      RC_ASSERT(tokens <= 6'000U);
    }
  }));
}

}  // namespace
}  // namespace weir::rls
