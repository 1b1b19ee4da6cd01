#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "storage/redis/greeting_server.h"
#include "storage/redis/redis_store.h"

namespace weir::storage::redis {
namespace {

using RedisStoreGreetingTest = RedisStoreTest;

TEST_F(RedisStoreGreetingTest, GreetsWithUserPasswordAndDatabase) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.url.insert(options.url.find("//") + 2, "weir:s%20crt@");
  options.url += "/3";
  const auto store = MakeStore(options);
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  EXPECT_EQ(server->Received("AUTH").at(0), (Words{"AUTH", "weir", "s crt"}));
  EXPECT_EQ(server->Received("SELECT").at(0), (Words{"SELECT", "3"}));
}

TEST_F(RedisStoreGreetingTest, AWrongPasswordLeavesItDown) {
  FakeServer server([](const Words& words) -> Answer {
    return {words[0] == "AUTH" ? "-WRONGPASS invalid username-password pair\r\n"
                               : "-NOAUTH Authentication required.\r\n"};
  });
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.url.insert(options.url.find("//") + 2, ":wrong@");
  const auto store = MakeStore(options);
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  EXPECT_TRUE(Eventually([&] { return server.accepted() >= 3; })) << "it goes on trying";
  EXPECT_EQ(store->GetHealth(), Health::kDown);
}

TEST_F(RedisStoreGreetingTest, AServerThatAcceptsAndSaysNothingIsGivenUp) {
  FakeServer server([](const Words&) { return Answer{}; });
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.connect_timeout = 30 * kMillisecond;
  const auto store = MakeStore(options);
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  EXPECT_TRUE(Eventually([&] { return store->DetailedStats().connect_failures >= 2; }));
}

TEST_F(RedisStoreGreetingTest, WithTheServersClockTimesAreCorrectedByTheMeasuredOffset) {
  constexpr Nanos kAhead = 100 * kHour;
  FakeServer server([](const Words& words) -> Answer {
    if (words[0] != "TIME") return IsPlan(words) ? Answer{kAdmitted} : Greeting(words);
    const Nanos now = SystemClock().Now() + kAhead;
    const std::string seconds = std::to_string(now / kSecond), micros = std::to_string(now % kSecond / kMicrosecond);
    return {"*2\r\n$" + std::to_string(seconds.size()) + "\r\n" + seconds + "\r\n$" + std::to_string(micros.size()) +
            "\r\n" + micros + "\r\n"};
  });
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.clock = ClockSource::kServer;
  options.clock_interval = 5 * kMillisecond;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Eventually([&] { return server.Received("TIME").size() >= 5; }));
  const RedisStats stats = store->DetailedStats();
  EXPECT_GT(stats.clock_round_trip, 0);
  EXPECT_LE(std::abs(stats.clock_offset - kAhead), stats.clock_round_trip + kMillisecond);
  Check(*store, One(), kStart);
  const Words plan = server.Received("EVALSHA").at(0);
  const Nanos decided = std::stoll(plan[5]) * kSecond + std::stoll(plan[6]);
  EXPECT_LE(std::abs(decided - kStart - kAhead), 10 * kSecond);
}

TEST_F(RedisStoreGreetingTest, WithTheCallersClockTimesAreTakenAsTheyAre) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  Check(*store, One(), kStart + 7);
  const Words plan = server->Received("EVALSHA").at(0);
  EXPECT_EQ(plan[4], "check");
  EXPECT_EQ(plan[5], "1800000000");
  EXPECT_EQ(plan[6], "7");
  EXPECT_TRUE(server->Received("TIME").empty());
}

TEST(RedisStoreOptionsTest, AreChecked) {
  const auto refused = [](auto change) {
    RedisStoreOptions options;
    change(options);
    const auto store = RedisStore::Create(options);
    return !store.has_value() && store.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](auto& o) { o.url = "http://x"; }));
  EXPECT_TRUE(refused([](auto& o) { o.url = "rediss://x?ca=/no/such/file"; }));
  EXPECT_TRUE(refused([](auto& o) { o.connections = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.connections = 1025; }));
  EXPECT_TRUE(refused([](auto& o) { o.max_in_flight = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.command_timeout = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.connect_timeout = -1; }));
  EXPECT_TRUE(refused([](auto& o) { o.key_prefix = std::string(129, 'x'); }));
  EXPECT_TRUE(refused([](auto& o) { o.breaker.failures_to_open = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.ttl_margin = -1; }));
  EXPECT_TRUE(refused([](auto& o) { o.max_reply_bytes = 10; }));
}

}  // namespace
}  // namespace weir::storage::redis
