// Against real redis-servers: what only they can show.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/redis/plan_codec.h"
#include "storage/redis/redis_process.h"
#include "storage/redis/redis_store.h"
#include "storage/redis/store_testing.h"

namespace weir::storage::redis {
namespace {

using algorithms::Kind;

constexpr Kind kCounted[] = {Kind::kTokenBucket,      Kind::kLeakyBucket, Kind::kSlidingWindow,
                             Kind::kSlidingWindowLog, Kind::kFixedWindow, Kind::kAlignedWindow,
                             Kind::kConcurrency,      Kind::kAdaptive,    Kind::kPenalty};

// Both forms of a fixed window have one.
std::string NameOf(Kind kind) {
  return std::string(kind == Kind::kAlignedWindow ? "aligned_window" : algorithms::Of(kind).name);
}

Limit LimitOf(Kind kind, std::uint64_t capacity) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = capacity;
  limit.rate_count = 1;
  limit.rate_period = kHour;
  limit.window = kMinute;
  if (kind == Kind::kAlignedWindow) {
    limit.calendar = algorithms::Calendar::kEpoch;
    limit.window = kHour;
  }
  limit.precision = kSecond;
  limit.lease = kMinute;
  limit.learning_window = kHour;
  limit.min_capacity = limit.max_capacity = capacity;
  limit.threshold = 3;
  limit.first_ban = limit.longest_ban = kMinute;
  limit.ban_factor_pct = 100;
  limit.decay = kMinute;
  return algorithms::Sanitize(limit);
}

// Some state under every algorithm.
void TouchAll(Store& store, std::string_view subject, Nanos now = kStart) {
  for (const Kind kind : kCounted) {
    const Limit limit = LimitOf(kind, 5);
    const Op op = kind == Kind::kPenalty ? Op::kCharge : Op::kCheck;
    const std::string rule = NameOf(kind);
    Asked asked(store, op, {ItemOf(limit, rule, subject)}, now);
    ASSERT_EQ(asked.Wait().status, PlanStatus::kOk) << rule;
  }
}

TEST(RedisStoreLive, WorksOverTcpAndOverAUnixSocketAndInAnotherDatabase) {
  const RedisProcess server;
  for (const std::string& url : {server.url(), server.unix_url(), server.url() + "/5", server.unix_url() + "?db=6"}) {
    const auto store = MakeStore(ImpatientOptions(url));
    EXPECT_EQ(store->GetHealth(), Health::kUp) << url;
    const Limit limit = BucketOf(3);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Check(*store, {ItemOf(limit, url, "a")}).admitted) << url;
    EXPECT_FALSE(Check(*store, {ItemOf(limit, url, "a")}).admitted) << url;
  }
  EXPECT_EQ(server.Keys("*sock*db=6*").size() + server.Keys("*/5*").size(), 0u) << "those are in other databases";
}

// ---- keys -----------------------------------------------------------------------------------------------------------

TEST(RedisStoreLive, EveryKeyHasATtlThatOutlivesItsState) {
  const RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.key_prefix = "ttl:";
  options.ttl_margin = 20 * kSecond;
  const auto store = MakeStore(options);
  TouchAll(*store, "a");
  const auto keys = server.Keys("ttl:v1:*:a");
  ASSERT_EQ(keys.size(), std::size(kCounted));
  for (const std::string& key : keys) {
    const long long ttl = server.Integer({"PTTL", key});
    EXPECT_GT(ttl, 60'000) << key << " means something for a minute at least";
    const bool adaptive = key.find("adaptive") != std::string::npos;
    EXPECT_LE(ttl, adaptive ? 7 * 24 * 3'600'000LL + 80'000 : 3'600'000 + 80'000) << key;
  }
}

struct Repeat {
  bool admitted = false, repeated = false;
};
Repeat CheckOnce(Store& store, const Item& item, Nanos life) {
  Outcome outcome;
  std::uint64_t token = 5;
  Once once{.id = {0xab, 0xcd}, .life = life, .tokens = {&token, 1}};
  Plan plan{.op = Op::kCheck, .items = {&item, 1}, .outcomes = {&outcome, 1}};
  plan.once = &once;
  Waiter waiter;
  if (!store.Apply({&plan, 1}, kStart, &waiter)) waiter.Wait();
  EXPECT_EQ(plan.status, PlanStatus::kOk);
  return {plan.admitted, once.repeated};
}

TEST(RedisStoreLive, WhatIsRememberedOfARequestIdLivesAsLongAsItSays) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  const Limit limit = LimitOf(Kind::kTokenBucket, 2);
  const Item item = ItemOf(limit, "rule", "a");
  EXPECT_FALSE(CheckOnce(*store, item, kMinute).repeated);
  EXPECT_TRUE(CheckOnce(*store, item, kMinute).repeated);
  const std::string key = "weir:id1:00000000000000ab00000000000000cd";
  const long long ttl = server.Integer({"PTTL", key});
  EXPECT_GT(ttl, 0);
  EXPECT_LE(ttl, 60'000);
  // What is damaged is as if it were not there; so is what somebody else has put there.
  for (const std::string_view damaged : {"x", "3:ab", "-1:a", "99999999999999999999:a", "1.5:ab", "nan:a"}) {
    ASSERT_EQ(server.Integer({"DEL", key}), 1);
    ASSERT_EQ(server.Integer({"APPEND", key, std::string(damaged)}), static_cast<long long>(damaged.size()));
    ASSERT_EQ(server.Integer({"DEL", "weir:v1:rule:a"}), 1);
    const Repeat decided = CheckOnce(*store, item, kMinute);
    EXPECT_TRUE(decided.admitted && !decided.repeated) << damaged;
    EXPECT_TRUE(CheckOnce(*store, item, kMinute).repeated) << damaged;
  }
  ASSERT_EQ(server.Integer({"DEL", key}), 1);
  ASSERT_EQ(server.Integer({"LPUSH", key, "x"}), 1);
  EXPECT_TRUE(CheckOnce(*store, item, kMinute).admitted);
}

TEST(RedisStoreLive, WhatIsDeniedIsNotRememberedForARequestId) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  const Limit limit = LimitOf(Kind::kTokenBucket, 2);
  EXPECT_FALSE(CheckOnce(*store, ItemOf(limit, "rule", "a", 3), kMinute).admitted);
  EXPECT_TRUE(server.Keys("weir:id1:*").empty());
}

// One admission a second: in the window of ten, kept for thirty, cleaned every twenty.
TEST(RedisStoreLive, ALogIsAsLongAsItsRetentionAndIsCleanedAtItsInterval) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  Limit limit = LimitOf(Kind::kSlidingWindowLog, 1000);
  limit.window = 10 * kSecond;
  limit.retention = 30 * kSecond;
  limit.cleanup = 20 * kSecond;
  limit = algorithms::Sanitize(limit);
  const Item item = ItemOf(limit, "log", "a");
  const std::string key = "weir:v1:" + std::string(item.rule) + ":a";
  long long longest = 0, cleaned = 0, before = 0;
  for (int i = 0; i < 200; ++i) {
    const Answered answer = Check(*store, {item}, kStart + i * kSecond);
    ASSERT_TRUE(answer.admitted);
    EXPECT_EQ(answer.outcome.used, static_cast<std::uint64_t>(std::min(10, i + 1)));
    const long long entries = server.Integer({"STRLEN", key}) / 20;
    EXPECT_GE(entries, std::min(30, i + 1));
    if (entries < before) {
      ++cleaned;
      EXPECT_EQ(entries, 30);
    }
    before = entries;
    longest = std::max(longest, entries);
  }
  EXPECT_EQ(longest, 50);
  EXPECT_GE(cleaned, 7);
  EXPECT_LE(cleaned, 10);
  EXPECT_GT(server.Integer({"PTTL", key}), 25'000) << "there for its retention";
}

TEST(RedisStoreLive, ADenialGivesATtlBackToAKeyThatLostIt) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  for (const Kind kind : {Kind::kTokenBucket, Kind::kFixedWindow, Kind::kAlignedWindow, Kind::kSlidingWindow,
                          Kind::kSlidingWindowLog, Kind::kConcurrency}) {
    const Limit limit = LimitOf(kind, 1);
    const std::string rule = NameOf(kind);
    const Item item = ItemOf(limit, rule, "a");
    ASSERT_TRUE(Check(*store, {item}).admitted);
    const std::string key = "weir:v1:" + std::string(item.rule) + ":a";
    ASSERT_EQ(server.Integer({"PERSIST", key}), 1) << key;
    EXPECT_FALSE(Check(*store, {item}).admitted);
    EXPECT_GT(server.Integer({"PTTL", key}), 60'000) << key;
  }
}

TEST(RedisStoreLive, StatesVanishWhenTheyHaveExpired) {
  const RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.ttl_margin = 0;
  const auto store = MakeStore(options);
  Limit limit = LimitOf(Kind::kFixedWindow, 5);
  limit.window = 20 * kMillisecond;
  ASSERT_TRUE(Check(*store, {ItemOf(limit, "short", "a")}).admitted);
  EXPECT_TRUE(Eventually([&] { return server.Keys("*short*").empty(); }));
}

TEST(RedisStoreLive, APeekWritesNothing) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  for (const Kind kind : kCounted) {
    const Limit limit = LimitOf(kind, 5);
    const std::string rule = NameOf(kind);
    Asked asked(*store, Op::kPeek, {ItemOf(limit, rule, "a")});
    EXPECT_TRUE(asked.Wait().admitted);
  }
  EXPECT_TRUE(server.Keys("weir:v1:*:a").empty());
}

TEST(RedisStoreLive, WhateverAKeyHoldsItHarmsNobody) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  const std::string damaged[] = {
      "",
      "x",
      "-1",
      "99999999999999999999",
      "1 2",
      "1 x",
      "nan",
      "1e400",
      std::string(8, '\xff'),
      std::string(24, '\xff'),
      std::string(28, '\0'),
      std::string(36, '\xff'),
      std::string(40, '\x7f'),
      "1 2 3 4 5",
      "9999999999999999999 9999999999999999999 9999999999999999999 9999999999999999999 9999999999999999999"};
  for (const Kind kind : kCounted) {
    const Limit limit = LimitOf(kind, 5);
    const std::string rule(algorithms::Of(kind).name);
    for (const std::string& value : damaged) {
      server.Do({"SET", "weir:v1:" + rule + ":a", value});
      const Answered first = Check(*store, {ItemOf(limit, rule, "a")});
      Asked reset(*store, Op::kReset, {ItemOf(limit, rule, "a")});
      EXPECT_EQ(reset.Wait().status, PlanStatus::kOk);
      const Answered after = Check(*store, {ItemOf(limit, rule, "a")});
      EXPECT_TRUE(after.admitted) << rule << " after '" << value << "', first " << static_cast<int>(first.status);
    }
    server.Do({"DEL", "weir:v1:" + rule + ":a"});
    server.Do({"RPUSH", "weir:v1:" + rule + ":a", "a list"});
    EXPECT_EQ(Check(*store, {ItemOf(limit, rule, "a")}).status, PlanStatus::kOk) << "another type reads as nothing";
  }
  EXPECT_EQ(store->GetHealth(), Health::kUp);
}

// ---- several at once ------------------------------------------------------------------------------------------------

TEST(RedisStoreLive, TwoInstancesTogetherAdmitExactlyTheLimit) {
  const RedisProcess server;
  for (const Kind kind : {Kind::kTokenBucket, Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kFixedWindow,
                          Kind::kConcurrency, Kind::kAdaptive}) {
    RedisStoreOptions options = ImpatientOptions(server.url());
    options.connections = 2;
    const auto one = MakeStore(options), other = MakeStore(options);
    const Limit limit = LimitOf(kind, 300);
    std::atomic<int> admitted = 0;
    std::vector<std::thread> threads;
    for (RedisStore* store : {one.get(), other.get(), one.get(), other.get()}) {
      threads.emplace_back([&, store] {
        for (int i = 0; i < 150; ++i) {
          const Answered answered = Check(*store, {ItemOf(limit, algorithms::Of(kind).name, "hot")});
          EXPECT_EQ(answered.status, PlanStatus::kOk);
          admitted += answered.admitted ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(admitted, 300) << algorithms::Of(kind).name;
  }
}

TEST(RedisStoreLive, AllOrNothingHoldsBetweenInstances) {
  const RedisProcess server;
  const auto one = MakeStore(ImpatientOptions(server.url())), other = MakeStore(ImpatientOptions(server.url()));
  const Limit wide = LimitOf(Kind::kTokenBucket, 1000), narrow = LimitOf(Kind::kFixedWindow, 100);
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (RedisStore* store : {one.get(), other.get()}) {
    threads.emplace_back([&, store] {
      for (int i = 0; i < 150; ++i) {
        admitted += Check(*store, {ItemOf(wide, "wide", "a"), ItemOf(narrow, "narrow", "a")}).admitted ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 100);
  Asked peek(*one, Op::kPeek, {ItemOf(wide, "wide", "a", 0)});
  peek.Wait();
  EXPECT_EQ(peek.outcomes[0].used, 100u) << "denied plans took nothing from the wide one";
}

TEST(RedisStoreLive, AFlushedScriptIsNotNoticed) {
  const RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.connections = 3;
  const auto store = MakeStore(options);
  const Limit limit = BucketOf(10'000);
  std::atomic<bool> running = true;
  std::thread flusher([&] {
    while (running) server.Do({"SCRIPT", "FLUSH"});
  });
  int admitted = 0;
  for (int i = 0; i < 300; ++i) {
    const Answered answered = Check(*store, {ItemOf(limit, "r", "a")});
    ASSERT_EQ(answered.status, PlanStatus::kOk);
    admitted += answered.admitted ? 1 : 0;
  }
  running = false;
  flusher.join();
  EXPECT_EQ(admitted, 300);
  Asked peek(*store, Op::kPeek, {ItemOf(limit, "r", "a", 0)});
  peek.Wait();
  EXPECT_EQ(peek.outcomes[0].used, 300u) << "each was charged once";
}

// ---- entering -------------------------------------------------------------------------------------------------------

TEST(RedisStoreLive, APasswordAndAUserOfFewRights) {
  const RedisProcess server;
  server.Do({"ACL", "SETUSER", "weir", "on", ">pa:ss", "~weir:*", "-@all", "+ping", "+evalsha", "+eval", "+mget",
             "+set", "+del", "+pttl", "+pexpire", "+time"});
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.url.insert(options.url.find("//") + 2, "weir:pa%3ass@");
  options.clock = ClockSource::kServer;
  const auto store = MakeStore(options);
  ASSERT_EQ(store->GetHealth(), Health::kUp);
  TouchAll(*store, "a");
  TouchAll(*store, "a");
  EXPECT_EQ(server.Keys("weir:v1:*:a").size(), std::size(kCounted))
      << "these are all the rights it needs, SCRIPT is not among them";

  server.Do({"CONFIG", "SET", "requirepass", "other"});
  options.url = server.url();
  EXPECT_EQ(MakeStore(options)->GetHealth(), Health::kDown) << "no password";
}

TEST(RedisStoreLive, TheServersClockIsFoundWithinHalfARoundTrip) {
  const RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.clock = ClockSource::kServer;
  options.clock_interval = 2 * kMillisecond;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Eventually(
      [&] { return server.Integer({"EXISTS", "weir:v1:probe"}) >= 0 && store->DetailedStats().clock_round_trip > 0; }));
  // Both run on this machine: what is measured is all error. TIME tells microseconds.
  EXPECT_TRUE(Eventually([&] {
    const RedisStats stats = store->DetailedStats();
    return std::abs(stats.clock_offset) <= stats.clock_round_trip / 2 + 2 * kMicrosecond;
  }));
}

}  // namespace
}  // namespace weir::storage::redis
