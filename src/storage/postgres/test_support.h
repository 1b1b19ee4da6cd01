// What the tests of this folder with a real server share: options, asking and waiting. For tests only.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/postgres/postgres_process.h"
#include "storage/postgres/postgres_store.h"
#include "tests/conformance/plans.h"

namespace weir::storage::postgres {

inline constexpr Nanos kStart = 1'800'000'000 * kSecond;

struct Answered {
  PlanStatus status = PlanStatus::kOk;
  bool admitted = false;
  Outcome outcome;  // of the first item
};

inline Answered Check(Store& store, std::vector<Item> items, Nanos now = kStart) {
  const conformance::Answer answer = conformance::Do(store, Op::kCheck, std::move(items), now);
  return {answer.status, answer.admitted, answer.outcomes[0]};
}

inline bool BecomesUp(const Store& store) {
  return EventuallyIs([&] { return store.GetHealth() == Health::kUp; });
}
inline bool GoesDown(const Store& store) {
  return EventuallyIs([&] { return store.GetHealth() == Health::kDown; });
}

// Patient with a slow machine, quick to come back.
inline PostgresStoreOptions TestOptions(std::string url, std::string schema = "weir") {
  PostgresStoreOptions options;
  options.url = std::move(url);
  options.schema = std::move(schema);
  options.connections = 2;
  options.clock = ClockSource::kCaller;
  options.connect_timeout = options.command_timeout = 20 * kSecond;
  options.backoff_min = kMillisecond;
  options.backoff_max = 50 * kMillisecond;
  options.breaker = {.failures_to_open = 1000, .open_min = kMillisecond, .open_max = 50 * kMillisecond};
  options.sweep_interval = options.watch_interval = 0;
  return options;
}

inline std::unique_ptr<PostgresStore> MakeStore(const PostgresStoreOptions& options) {
  return std::move(PostgresStore::Create(options)).value();
}

// One server for all tests that leave it as it was, each in a schema of its own.
inline PostgresProcess& SharedServer() {
  static PostgresProcess server;
  return server;
}

}  // namespace weir::storage::postgres
