#include <string>

#include "storage/hybrid/test_budget.h"
#include "storage/hybrid/test_support.h"
#include "storage/postgres/postgres_process.h"
#include "storage/postgres/postgres_store.h"
#include "tests/conformance/settling.h"
#include "tests/conformance/store_conformance.h"
#include "tests/conformance/store_once.h"

namespace weir::storage::conformance {
namespace {

postgres::PostgresProcess& Server() {
  static postgres::PostgresProcess server;
  return server;
}

std::unique_ptr<Store> Connect(const std::string& schema) {
  postgres::PostgresStoreOptions options;
  options.url = Server().unix_url();
  options.schema = schema;
  options.durability = postgres::Durability::kUnlogged;
  options.connections = 1;
  options.clock = postgres::ClockSource::kCaller;
  options.connect_timeout = options.command_timeout = 30 * kSecond;
  options.sweep_interval = options.watch_interval = 0;
  return std::move(postgres::PostgresStore::Create(options)).value();
}

// A schema of its own is as good as an empty server.
std::string FreshSchema() {
  static int made = 0;
  return "test" + std::to_string(++made);
}

// One after the other, so that the answers can be compared: what is taken in the background has come before the next
// ask.
StoreUnderTest Eager() {
  return {.name = "postgres",
          .make = [] { return hybrid::MakeHybrid(hybrid::BlockingOf(Connect(FreshSchema())), hybrid::Eager()); },
          .histories = 6};
}

TEST(HybridOnPostgres, InstancesShareOneBudget) {
  const std::string schema = FreshSchema();
  hybrid::ShareOneBudget([&] { return Connect(schema); });
}

TEST(HybridOnPostgres, RelaxedInstancesSettle) {
  const std::string schema = FreshSchema();
  hybrid::SettleRelaxed([&] { return Connect(schema); });
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(HybridOnPostgres, StoreConformance, testing::Values(Eager()));

}  // namespace weir::storage::conformance
