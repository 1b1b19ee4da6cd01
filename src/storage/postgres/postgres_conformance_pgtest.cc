#include <string>

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

StoreUnderTest Postgres() {
  StoreUnderTest under_test;
  under_test.name = "postgres";
  under_test.histories = 12;
  under_test.make = []() -> std::unique_ptr<Store> {
    // A schema of its own is as good as an empty server.
    static int made = 0;
    postgres::PostgresStoreOptions options;
    options.url = Server().unix_url();
    options.schema = "test" + std::to_string(++made);
    options.durability = postgres::Durability::kUnlogged;
    options.connections = 1;
    options.clock = postgres::ClockSource::kCaller;
    options.connect_timeout = options.command_timeout = 30 * kSecond;
    options.sweep_interval = options.watch_interval = 0;
    return std::move(postgres::PostgresStore::Create(options)).value();
  };
  return under_test;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, StoreConformance, testing::Values(Postgres()));

}  // namespace weir::storage::conformance
