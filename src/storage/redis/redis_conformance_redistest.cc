#include <string>

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

StoreUnderTest Redis() {
  StoreUnderTest under_test;
  under_test.name = "redis";
  under_test.histories = 25;
  under_test.make = []() -> std::unique_ptr<Store> {
    // A prefix of its own is as good as an empty server.
    static int made = 0;
    redis::RedisStoreOptions options;
    options.url = Server().unix_url();
    options.key_prefix = "test" + std::to_string(++made) + ":";
    options.connections = 1;
    options.clock = redis::ClockSource::kCaller;
    options.command_timeout = 30 * kSecond;
    options.ttl_margin = 10 * kMinute;
    return std::move(redis::RedisStore::Create(options)).value();
  };
  return under_test;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Redis, StoreConformance, testing::Values(Redis()));

}  // namespace weir::storage::conformance
