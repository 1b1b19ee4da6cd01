// Against real redis-servers that die, hang, are full, busy or replicas: given up at once, and taken back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/redis/redis_process.h"
#include "storage/redis/redis_store.h"
#include "storage/redis/store_testing.h"

namespace weir::storage::redis {
namespace {

bool Serves(Store& store) {
  const Limit limit = BucketOf(1'000'000);
  return Eventually([&] { return Check(store, {ItemOf(limit, "serves", "x")}).status == PlanStatus::kOk; });
}

// A test may start its server from a thread that ends before the test does.
TEST(RedisProcess, OutlivesTheThreadThatStartedIt) {
  std::unique_ptr<RedisProcess> server;
  std::string thread = "/proc/self/task/";
  std::thread([&] {
    thread += std::to_string(gettid());
    server = std::make_unique<RedisProcess>();
  }).join();
  // By then its children have been told, if any asked for that.
  ASSERT_TRUE(Eventually([&] { return !std::filesystem::exists(thread); }));
  EXPECT_NE(server->Do({"PING"}), nullptr);
}

TEST(RedisStoreLive, KilledAndStartedAgainItServesWithoutARestart) {
  RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.connections = 2;
  const auto store = MakeStore(options);
  const Limit limit = BucketOf(1'000'000);
  std::atomic<bool> running = true;
  std::atomic<int> served = 0, unavailable = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      while (running) {
        (Check(*store, {ItemOf(limit, "r", "a")}).status == PlanStatus::kOk ? served : unavailable)++;
        std::this_thread::yield();
      }
    });
  }
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const int before = served;
    EXPECT_TRUE(Eventually([&] { return served > before + 20; }));
    server.Kill();
    EXPECT_TRUE(Eventually([&] { return store->GetHealth() == Health::kDown; }));
    const int failed = unavailable;
    EXPECT_TRUE(Eventually([&] { return unavailable > failed + 20; })) << "refused, not waiting";
    EXPECT_EQ(store->DetailedStats().breaker_opened, round);
    server.Start();
    EXPECT_TRUE(BecomesUp(*store));
    EXPECT_EQ(store->DetailedStats().breaker, io::BreakerState::kClosed);
  }
  running = false;
  for (std::thread& client : clients) client.join();
}

TEST(RedisStoreLive, AServerThatHangsIsGivenUpAndTakenBack) {
  RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.command_timeout = 50 * kMillisecond;
  options.connect_timeout = 200 * kMillisecond;
  options.breaker.failures_to_open = 3;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Serves(*store));
  server.Freeze();
  const Limit limit = BucketOf(1000);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a")}).status, PlanStatus::kUnavailable);
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  EXPECT_GE(store->DetailedStats().timeouts, 3u);
  EXPECT_GE(store->DetailedStats().refused_breaker, 1u) << "the later ones did not wait";
  server.Thaw();
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Serves(*store));
}

TEST(RedisStoreLive, AReplicaIsNotServingAndAPromotedOneIs) {
  const RedisProcess server;
  const auto store = MakeStore(ImpatientOptions(server.url()));
  ASSERT_TRUE(Serves(*store));
  server.Do({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_TRUE(Eventually(
      [&] { return store->GetHealth() == Health::kDown || Check(*store, {ItemOf(BucketOf(5), "r", "a")}).admitted; }));
  EXPECT_TRUE(Eventually([&] { return store->GetHealth() == Health::kDown; }));
  EXPECT_GE(store->DetailedStats().unavailable, 1u);
  server.Do({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Serves(*store));
}

TEST(RedisStoreLive, AFullServerIsUnavailableUntilThereIsRoom) {
  const RedisProcess server;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.breaker.failures_to_open = 2;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Serves(*store));
  server.Do({"CONFIG", "SET", "maxmemory", "1"});
  const Limit limit = BucketOf(5);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Check(*store, {ItemOf(limit, "r", "a")}).status, PlanStatus::kUnavailable);
  EXPECT_GE(store->DetailedStats().errors[static_cast<std::size_t>(ErrorKind::kOom)], 2u);
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  server.Do({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Check(*store, {ItemOf(limit, "r", "a")}).admitted);
}

TEST(RedisStoreLive, ABusyServerIsUnavailableUntilItsScriptIsKilled) {
  const RedisProcess server({"--lua-time-limit", "20"});
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.breaker.failures_to_open = 1;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Serves(*store));
  std::thread endless([&] { server.Do({"EVAL", "while true do end", "0"}); });
  const Limit limit = BucketOf(1'000'000);
  EXPECT_TRUE(Eventually([&] { return Check(*store, {ItemOf(limit, "r", "a")}).status == PlanStatus::kUnavailable; }));
  EXPECT_GE(store->DetailedStats().errors[static_cast<std::size_t>(ErrorKind::kBusy)], 1u);
  EXPECT_TRUE(Eventually([&] {
    const auto reply = server.Do({"SCRIPT", "KILL"});
    return reply && reply->type == REDIS_REPLY_STATUS;
  }));
  endless.join();
  EXPECT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Serves(*store));
}

}  // namespace
}  // namespace weir::storage::redis
