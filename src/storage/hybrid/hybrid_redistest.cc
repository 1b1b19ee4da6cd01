#include <string>

#include "storage/hybrid/test_budget.h"
#include "storage/hybrid/test_support.h"
#include "storage/redis/redis_process.h"
#include "storage/redis/redis_store.h"
#include "tests/conformance/settling.h"
#include "tests/conformance/store_conformance.h"
#include "tests/conformance/store_once.h"

namespace weir::storage::conformance {
namespace {

redis::RedisProcess& Server() {
  static redis::RedisProcess server;
  return server;
}

std::unique_ptr<Store> Connect(const std::string& prefix) {
  redis::RedisStoreOptions options;
  options.url = Server().unix_url();
  options.key_prefix = prefix;
  options.connections = 1;
  options.clock = redis::ClockSource::kCaller;
  options.command_timeout = 30 * kSecond;
  options.ttl_margin = 10 * kMinute;
  return std::move(redis::RedisStore::Create(options)).value();
}

// A prefix of its own is as good as an empty server.
std::string FreshPrefix() {
  static int made = 0;
  return "test" + std::to_string(++made) + ":";
}

// One after the other, so that the answers can be compared: what is taken in the background has come before the next
// ask.
StoreUnderTest Eager() {
  return {.name = "redis",
          .make = [] { return hybrid::MakeHybrid(hybrid::BlockingOf(Connect(FreshPrefix())), hybrid::Eager()); },
          .histories = 12};
}

TEST(HybridOnRedis, InstancesShareOneBudget) {
  const std::string prefix = FreshPrefix();
  hybrid::ShareOneBudget([&] { return Connect(prefix); });
}

TEST(HybridOnRedis, RelaxedInstancesSettle) {
  const std::string prefix = FreshPrefix();
  hybrid::SettleRelaxed([&] { return Connect(prefix); });
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(HybridOnRedis, StoreConformance, testing::Values(Eager()));

}  // namespace weir::storage::conformance
