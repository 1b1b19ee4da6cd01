#include "storage/postgres/postgres_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "algorithms/instant.h"
#include "base/postgres_url.h"
#include "io/steady.h"
#include "storage/postgres/counters.h"
#include "storage/postgres/job.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/postgres_admin.h"
#include "storage/postgres/runner.h"
#include "storage/postgres/schema.h"

namespace weir::storage::postgres {
struct PostgresStore::Parts {
  explicit Parts(const PostgresStoreOptions& given)
      : options(given), statements(given.schema), runner(options, statements, counters) {}

  const PostgresStoreOptions options;
  const Statements statements;
  Counters counters{};
  Runner runner;
  std::unique_ptr<Pool> pool{};  // uses what stands before it
  std::optional<PostgresAdmin> admin{};
};

Result<> Validate(const PostgresStoreOptions& options) {
  const auto bad = [](std::string what) {
    return Fail(ErrorCode::kInvalidArgument, "postgres store: " + std::move(what));
  };
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (options.schema.empty() || options.schema.size() > 63 || !std::ranges::all_of(options.schema, plain) ||
      (options.schema[0] >= '0' && options.schema[0] <= '9')) {
    return bad("schema must be 1 to 63 of a-z, 0-9 and _, and not begin with a digit");
  }
  if (options.connections < 1 || options.connections > 1024) return bad("connections must be 1..1024");
  if (options.batch < 1 || options.batch > 1000) return bad("batch must be 1..1000");
  if (options.max_in_flight < 1 || options.max_in_flight > 1'000'000) return bad("max_in_flight must be 1..1000000");
  for (const Nanos wait : {options.connect_timeout, options.command_timeout, options.backoff_min, options.backoff_max,
                           options.breaker.open_min, options.breaker.open_max, options.clock_interval}) {
    if (wait < kMillisecond || wait > kHour) return bad("timeouts and intervals must be 1 ms..1 h");
  }
  for (const Nanos wait : {options.sweep_interval, options.watch_interval}) {
    if (wait != 0 && (wait < kMillisecond || wait > kDay))
      return bad("sweep and watch intervals must be 0 or 1 ms..1 d");
  }
  if (options.sweep_margin < 0 || options.sweep_margin > kDay) return bad("sweep_margin must be 0..1 day");
  if (options.breaker.failures_to_open < 1) return bad("failures_to_open must be at least 1");
  return {};
}

Result<std::unique_ptr<PostgresStore>> PostgresStore::Create(const PostgresStoreOptions& options) {
  if (auto valid = Validate(options); !valid) return std::unexpected(valid.error());
  if (const auto url = ParsePostgresUrl(options.url); !url) {
    return Fail(ErrorCode::kInvalidArgument, "postgres url: " + url.error().message);
  }
  auto parts = std::make_unique<Parts>(options);
  parts->pool = Pool::Create(parts->options, parts->statements, parts->counters, parts->runner);
  parts->runner.Begin(*parts->pool);
  parts->admin.emplace(*parts->pool, parts->statements);
  parts->pool->Start();
  return std::unique_ptr<PostgresStore>(new PostgresStore(std::move(parts)));
}

PostgresStore::PostgresStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

PostgresStore::~PostgresStore() { Close(); }

void PostgresStore::Close() { parts_->runner.Close(); }

Admin* PostgresStore::GetAdmin() { return &*parts_->admin; }

bool PostgresStore::Apply(std::span<Plan> plans, Nanos now, Completion* done) {
  Parts& parts = *parts_;
  const bool by_server = parts.options.clock == ClockSource::kServer;
  std::size_t admitted = parts.runner.Admit(static_cast<std::size_t>(std::ranges::count_if(plans, NeedsStore)));
  JobPtr job;
  if (admitted > 0) {
    job = std::make_shared<Job>();
    job->now = algorithms::ClampNow(by_server ? algorithms::SaturatingAdd(now, parts.pool->clock_offset()) : now);
    job->deadline = io::SteadyNow() + parts.options.command_timeout;
    job->done = done;
    job->plans.reserve(admitted);
  }
  for (Plan& plan : plans) {
    if (!NeedsStore(plan)) {
      DecideWithoutStore(plan);
    } else if (admitted == 0) {
      parts.runner.Refuse(plan);
    } else {
      --admitted;
      job->plans.push_back(&plan);
    }
  }
  if (!job) return true;
  Classify(*job);
  if (parts.runner.Submit(job)) return false;
  for (Plan* const plan : job->plans) parts.runner.Refuse(*plan);
  return true;
}

StoreStats PostgresStore::Stats() const {
  const PostgresStats stats = parts_->counters.Read();
  return {.entries = stats.live_rows,
          .bytes = stats.table_bytes,
          .reclaimed = stats.swept,
          .failures = stats.unavailable,
          .round_trips = stats.batches};
}

Health PostgresStore::GetHealth() const {
  if (!parts_->pool->serving()) return Health::kDown;
  return parts_->pool->ready_count() == parts_->options.connections ? Health::kUp : Health::kDegraded;
}

PostgresStats PostgresStore::DetailedStats() const {
  const Pool& pool = *parts_->pool;
  PostgresStats stats = parts_->counters.Read();
  stats.connections_ready = pool.ready_count();
  stats.in_flight = parts_->runner.in_flight();
  stats.breaker = pool.breaker_state();
  stats.clock_offset = pool.clock_offset();
  stats.clock_round_trip = pool.clock_round_trip();
  return stats;
}

}  // namespace weir::storage::postgres
