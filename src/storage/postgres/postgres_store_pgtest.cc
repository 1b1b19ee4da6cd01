// The store over a real server that behaves: ways of plans, several instances, the schema. Faults are in
// postgres_faults_pgtest.cc.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "storage/admin.h"
#include "storage/postgres/postgres_store.h"
#include "storage/postgres/test_support.h"

namespace weir::storage::postgres {
namespace {

using algorithms::Kind;
using namespace conformance;

Limit LimitOf(Kind kind, std::uint64_t capacity) {
  switch (kind) {
    case Kind::kSlidingWindow:
      return SubWindowsOf(capacity);
    case Kind::kSlidingWindowLog:
      return LogOf(capacity);
    case Kind::kFixedWindow:
      return WindowOf(capacity);
    case Kind::kConcurrency:
      return SlotsOf(capacity);
    default:
      return BucketOf(capacity);
  }
}

// ---- ways -----------------------------------------------------------------------------------------------------------

TEST(PostgresStoreLive, PlansOfOneBucketTravelInOneStatement) {
  const auto store = MakeStore(TestOptions(SharedServer().url(), "ways"));
  const Limit limit = BucketOf(2);
  std::vector<std::string> subjects;
  for (int i = 0; i < 50; ++i) subjects.push_back("s" + std::to_string(i));
  std::vector<Item> items;
  for (const std::string& subject : subjects) items.push_back(ItemOf(limit, "r", subject));
  for (int round = 0; round < 3; ++round) {
    std::vector<Outcome> outcomes(items.size());
    std::vector<Plan> plans;
    for (std::size_t i = 0; i < items.size(); ++i) {
      plans.push_back({.op = Op::kCheck, .items = {&items[i], 1}, .outcomes = {&outcomes[i], 1}});
    }
    ApplyAndWait(*store, plans, kStart);
    for (const Plan& plan : plans) {
      EXPECT_EQ(plan.status, PlanStatus::kOk);
      EXPECT_EQ(plan.admitted, round < 2);
      EXPECT_EQ(plan.outcomes[0].verdict, round < 2 ? Verdict::kAllowed : Verdict::kLater);
    }
  }
  const PostgresStats stats = store->DetailedStats();
  EXPECT_EQ(stats.plans_as_buckets, 150u);
  EXPECT_EQ(stats.batches, 3u);
}

TEST(PostgresStoreLive, ADenialOfABucketWritesNothing) {
  const auto store = MakeStore(TestOptions(SharedServer().url(), "denials"));
  const Limit limit = BucketOf(1);
  const Item item = ItemOf(limit, "r", "a");
  EXPECT_TRUE(Check(*store, {item}).admitted);
  const std::string row = "SELECT count(*) FROM denials.state WHERE ctid = '(0,1)'";
  ASSERT_EQ(SharedServer().Number(row), 1);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(Check(*store, {item}).admitted);
  EXPECT_EQ(SharedServer().Number(row), 1) << "the row is where it was";
}

TEST(PostgresStoreLive, APeekTakesNoLockAndLeavesNoRow) {
  const auto store = MakeStore(TestOptions(SharedServer().url(), "peeks"));
  for (const Limit& limit : {BucketOf(5), WindowOf(5), LogOf(5), LearnedOf(5)}) {
    EXPECT_TRUE(Do(*store, Op::kPeek, {ItemOf(limit, "r", "a")}, kStart).admitted);
  }
  EXPECT_EQ(SharedServer().Number("SELECT count(*) FROM peeks.state"), 0);
  EXPECT_EQ(store->DetailedStats().plans_as_reads, 4u);
}

TEST(PostgresStoreLive, WhatComesToNothingLeavesNoRow) {
  const auto store = MakeStore(TestOptions(SharedServer().url(), "nothing"));
  const Limit bucket = BucketOf(5), window = WindowOf(5), zero = WindowOf(0);
  Do(*store, Op::kRefund, {ItemOf(bucket, "r", "a")}, kStart);
  Do(*store, Op::kReset, {ItemOf(window, "r", "b")}, kStart);
  EXPECT_FALSE(Check(*store, {ItemOf(bucket, "r", "c"), ItemOf(zero, "z", "c")}).admitted);
  EXPECT_EQ(SharedServer().Number("SELECT count(*) FROM nothing.state"), 0);
}

TEST(PostgresStoreLive, MoreThanMayBeInFlightIsRefusedAtOnce) {
  PostgresStoreOptions options = TestOptions(SharedServer().url(), "flight");
  options.max_in_flight = 10;
  const auto store = MakeStore(options);
  const Limit limit = BucketOf(1000);
  std::vector<Item> items(30, ItemOf(limit, "r", "a"));
  std::vector<Outcome> outcomes(30);
  std::vector<Plan> plans;
  for (std::size_t i = 0; i < items.size(); ++i) {
    plans.push_back({.op = Op::kCheck, .items = {&items[i], 1}, .outcomes = {&outcomes[i], 1}});
  }
  ApplyAndWait(*store, plans, kStart);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    EXPECT_EQ(plans[i].status, i < 10 ? PlanStatus::kOk : PlanStatus::kUnavailable) << i;
  }
  EXPECT_EQ(store->DetailedStats().refused_in_flight, 20u);
  EXPECT_EQ(store->DetailedStats().in_flight, 0u);
}

// ---- several at once ------------------------------------------------------------------------------------------------

TEST(PostgresStoreLive, TwoInstancesTogetherAdmitExactlyTheLimit) {
  for (const Kind kind :
       {Kind::kTokenBucket, Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kFixedWindow, Kind::kConcurrency}) {
    const PostgresStoreOptions options = TestOptions(SharedServer().url(), "together");
    const auto one = MakeStore(options), other = MakeStore(options);
    const Limit limit = LimitOf(kind, 200);
    const std::string rule(algorithms::Of(kind).name);
    std::atomic<int> admitted = 0;
    std::vector<std::thread> threads;
    for (PostgresStore* store : {one.get(), other.get(), one.get(), other.get()}) {
      threads.emplace_back([&, store] {
        for (std::uint64_t i = 0; i < 100; ++i) {
          Item item = ItemOf(limit, rule, "hot");
          item.token = i + 1;
          const Answered answered = Check(*store, {item});
          EXPECT_EQ(answered.status, PlanStatus::kOk);
          admitted += answered.admitted ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(admitted, 200) << rule;
  }
}

TEST(PostgresStoreLive, AllOrNothingHoldsBetweenInstancesAndWaysMix) {
  const PostgresStoreOptions options = TestOptions(SharedServer().url(), "atomic");
  const auto one = MakeStore(options), other = MakeStore(options);
  const Limit wide = BucketOf(1000), narrow = WindowOf(50);
  std::atomic<int> admitted = 0, alone = 0;
  std::vector<std::thread> threads;
  for (PostgresStore* store : {one.get(), other.get()}) {
    threads.emplace_back([&, store] {
      for (int i = 0; i < 100; ++i) {
        admitted += Check(*store, {ItemOf(wide, "wide", "a"), ItemOf(narrow, "narrow", "a")}).admitted ? 1 : 0;
      }
    });
    threads.emplace_back([&, store] {
      for (int i = 0; i < 100; ++i) alone += Check(*store, {ItemOf(wide, "wide", "a")}).admitted ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 50);
  EXPECT_EQ(alone, 200);
  EXPECT_EQ(UsedNow(*one, ItemOf(wide, "wide", "a"), kStart), 250u) << "denied plans took nothing from the wide one";
}

TEST(PostgresStoreLive, PlansOverManyKeysInAnyOrderDoNotDeadlock) {
  const PostgresStoreOptions options = TestOptions(SharedServer().url(), "order");
  const auto one = MakeStore(options), other = MakeStore(options);
  const Limit limit = WindowOf(1'000'000), bucket = BucketOf(1'000'000);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (unsigned i = 0; i < 60; ++i) {
        std::vector<std::string> subjects;
        for (unsigned k = 0; k < 6; ++k) subjects.push_back(std::to_string((i + (thread % 2 == 0 ? k : 6 - k)) % 9));
        std::vector<Item> items;
        for (const std::string& subject : subjects)
          items.push_back(ItemOf(subject < "5" ? limit : bucket, "r", subject));
        const Op op = i % 5 == 4 ? Op::kReset : Op::kCheck;
        EXPECT_EQ(Do(thread % 2 == 0 ? *one : *other, op, items, kStart).status, PlanStatus::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(one->DetailedStats().retried_alone + other->DetailedStats().retried_alone, 0u);
}

TEST(PostgresStoreLive, ARequestIdIsKnownToEveryInstance) {
  const PostgresStoreOptions options = TestOptions(SharedServer().url(), "ids");
  const auto one = MakeStore(options), other = MakeStore(options);
  const Limit limit = WindowOf(10);
  const Item item = ItemOf(limit, "r", "a", 3);
  const auto ask = [&](Store& store, Nanos now) {
    std::uint64_t token = static_cast<std::uint64_t>(now);
    Once once{.id = {1, 2}, .life = kMinute, .tokens = {&token, 1}};
    Outcome outcome;
    Plan plan{.op = Op::kCheck, .items = {&item, 1}, .outcomes = {&outcome, 1}};
    plan.once = &once;
    ApplyAndWait(store, {&plan, 1}, now);
    EXPECT_TRUE(plan.admitted);
    return once.repeated;
  };
  EXPECT_FALSE(ask(*one, kStart));
  EXPECT_TRUE(ask(*other, kStart + kSecond));
  EXPECT_FALSE(ask(*other, kStart + kMinute)) << "its life is over";
  EXPECT_EQ(UsedNow(*one, item, kStart + kMinute), 3u);
}

// ---- the schema -----------------------------------------------------------------------------------------------------

TEST(PostgresSchema, ManyInstancesMayMakeItAtOnce) {
  const std::string url = SharedServer().url();
  std::vector<std::thread> threads;
  std::atomic<int> up = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto store = MakeStore(TestOptions(url, "race"));
      up += BecomesUp(*store) && Check(*store, {ItemOf(BucketOf(1000), "r", "a")}).admitted ? 1 : 0;
      EXPECT_EQ(store->DetailedStats().connect_failures, 0u);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(up, 8);
}

TEST(PostgresSchema, ARoleThatMayNotCreateUsesWhatAScriptHasMade) {
  PostgresProcess& server = SharedServer();
  ASSERT_TRUE(server.Query("CREATE ROLE poor LOGIN"));
  PostgresStoreOptions options = TestOptions(server.url("poor"), "scripted");
  {
    const auto store = MakeStore(options);
    EXPECT_EQ(store->GetHealth(), Health::kDown) << "it may not create";
  }
  options.create_schema = false;
  EXPECT_EQ(MakeStore(options)->GetHealth(), Health::kDown) << "nothing is there";
  const io::postgres::Cancel cancel;
  const auto session = io::postgres::Session::Connect({.url = server.url(), .connect_timeout = kMinute}, cancel);
  ASSERT_TRUE(session);
  const std::string script = SchemaScript("scripted", Durability::kAsync, "poor");
  for (int i = 0; i < 2; ++i) {
    const auto made = (*session)->RunScript(script, io::SteadyNow() + kMinute);
    ASSERT_TRUE(made) << made.error().message << ", time " << i;
  }
  const auto store = MakeStore(options);
  ASSERT_TRUE(BecomesUp(*store));
  const Limit bucket = BucketOf(2), window = WindowOf(2);
  EXPECT_TRUE(Check(*store, {ItemOf(bucket, "r", "a")}).admitted);
  EXPECT_TRUE(Check(*store, {ItemOf(bucket, "r", "a"), ItemOf(window, "w", "a")}).admitted);
  EXPECT_TRUE(store->GetAdmin()->Scan("", 10, kStart));
}

TEST(PostgresSchema, OneThatNeedsANewerWeirIsRefused) {
  PostgresProcess& server = SharedServer();
  const PostgresStoreOptions options = TestOptions(server.url(), "newer");
  ASSERT_TRUE(BecomesUp(*MakeStore(options)));
  ASSERT_TRUE(server.Query("UPDATE newer.meta SET version = 99"));
  EXPECT_TRUE(BecomesUp(*MakeStore(options))) << "newer functions beside ours do no harm";
  ASSERT_TRUE(server.Query("UPDATE newer.meta SET needs = 99"));
  EXPECT_EQ(MakeStore(options)->GetHealth(), Health::kDown);
}

TEST(PostgresSchema, IsMadeAgainWhenItIsDropped) {
  PostgresProcess& server = SharedServer();
  const auto store = MakeStore(TestOptions(server.url(), "dropped"));
  const Limit limit = BucketOf(5);
  ASSERT_TRUE(Check(*store, {ItemOf(limit, "r", "a")}).admitted);
  ASSERT_TRUE(server.Query("DROP SCHEMA dropped CASCADE"));
  EXPECT_TRUE(EventuallyIs([&] { return Check(*store, {ItemOf(limit, "r", "a")}).admitted; }));
}

TEST(PostgresSchema, NoIndexIsTouchedByAnUpdate) {
  PostgresProcess& server = SharedServer();
  auto store = MakeStore(TestOptions(server.url(), "hot"));
  const Limit limit = BucketOf(1'000'000), window = WindowOf(1'000'000);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Check(*store, {ItemOf(limit, "r", "a")}).admitted);
    EXPECT_TRUE(Check(*store, {ItemOf(window, "w", "a")}).admitted);
  }
  store.reset();  // a session tells what it has done when it ends
  ASSERT_TRUE(EventuallyIs([&] {
    return server.Number("SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'hot.state'::regclass") >= 190;
  }));
  EXPECT_GE(server.Number("SELECT n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'hot.state'::regclass"), 180);
}

// ---- time and cleaning up -------------------------------------------------------------------------------------------

TEST(PostgresStoreLive, ExpiredRowsAreSweptAndLiveOnesStay) {
  PostgresStoreOptions options = TestOptions(SharedServer().url(), "swept");
  options.clock = ClockSource::kServer;
  options.sweep_interval = 5 * kMillisecond;
  options.sweep_margin = 0;
  const auto store = MakeStore(options);
  ASSERT_TRUE(BecomesUp(*store));
  const Nanos now = SystemClock().Now();
  const Limit brief = WindowOf(5, 20 * kMillisecond), day = WindowOf(5, kDay), bucket = BucketOf(1000);
  std::vector<std::string> subjects;
  for (int i = 0; i < 20; ++i) subjects.push_back(std::to_string(i));
  for (const std::string& subject : subjects) Check(*store, {ItemOf(brief, "brief", subject)}, now);
  EXPECT_TRUE(Check(*store, {ItemOf(day, "day", "a")}, now).admitted);
  EXPECT_TRUE(Check(*store, {ItemOf(bucket, "bucket", "a", 500)}, now).admitted);
  EXPECT_TRUE(EventuallyIs([&] { return SharedServer().Number("SELECT count(*) FROM swept.state") == 2; }));
  EXPECT_EQ(UsedNow(*store, ItemOf(day, "day", "a"), now), 1u);
}

TEST(PostgresStoreLive, TheServersClockIsFoundWithinHalfARoundTrip) {
  PostgresStoreOptions options = TestOptions(SharedServer().url(), "clocks");
  options.clock = ClockSource::kServer;
  options.clock_interval = 2 * kMillisecond;
  const auto store = MakeStore(options);
  // Both run on this machine: what is measured is all error. The server tells microseconds.
  EXPECT_TRUE(EventuallyIs([&] {
    const PostgresStats stats = store->DetailedStats();
    return stats.clock_round_trip > 0 && std::abs(stats.clock_offset) <= stats.clock_round_trip / 2 + 2 * kMicrosecond;
  }));
}

TEST(PostgresStoreLive, LooksAtItsTable) {
  PostgresStoreOptions options = TestOptions(SharedServer().url(), "watched");
  options.watch_interval = 5 * kMillisecond;
  const auto store = MakeStore(options);
  EXPECT_TRUE(Check(*store, {ItemOf(BucketOf(5), "r", "a")}).admitted);
  EXPECT_TRUE(EventuallyIs([&] { return store->DetailedStats().table_bytes > 0; }));
}

TEST(PostgresStoreOptionsTest, WhatIsOutOfRangeIsRefused) {
  const auto refused = [](auto change) {
    PostgresStoreOptions options;
    change(options);
    return !Validate(options);
  };
  EXPECT_FALSE(refused([](PostgresStoreOptions&) {}));
  for (const char* const schema : {"", "a;drop", "Weir", "1a", "a-b", "a\"b"}) {
    EXPECT_TRUE(refused([&](PostgresStoreOptions& options) { options.schema = schema; })) << schema;
  }
  EXPECT_TRUE(refused([](PostgresStoreOptions& options) { options.connections = 0; }));
  EXPECT_TRUE(refused([](PostgresStoreOptions& options) { options.batch = 0; }));
  EXPECT_TRUE(refused([](PostgresStoreOptions& options) { options.command_timeout = 0; }));
  PostgresStoreOptions options;
  options.url = "mysql://h";
  EXPECT_FALSE(PostgresStore::Create(options));
}

}  // namespace
}  // namespace weir::storage::postgres
