// Counter states in PostgreSQL 13 or newer: shared by many instances, exact to the nanosecond. docs/storage-postgres.md
// has the tables, the durability and the failure modes; docs/decisions/0054-postgres-plans.md says why it decides as it
// does.
//
// How plans travel: Apply() queues them; the I/O thread gives all that wait to the next connection that is free, as one
// batch. Three ways:
//   buckets   plans of one bucket each, no key twice: one statement, in which the server decides (one trip)
//   reads     peeks: one statement without locks (one trip)
//   the rest  one transaction: the rows of all plans are locked in the order of their keys and read, the plans are
//             decided here by weir::algorithms in the order they came, and what changed is written (two trips). Any
//             plan is all-or-nothing, for it is in one transaction.
//
// When it does not answer: a plan is answered kUnavailable after `command_timeout` at the latest, and at once when the
// circuit breaker is open or `max_in_flight` plans wait already. Such a plan may still have been charged by the server:
// it is never sent twice.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/breaker.h"
#include "storage/store.h"
#include "weir/result.h"

namespace weir::storage::postgres {

// Which clock decides what time it is.
enum class ClockSource : std::uint8_t {
  kCaller,  // the `now` that Apply() is given, as it is
  kServer,  // the same, corrected by the measured offset to the server's clock: instances with skewed clocks agree
};

// What a crash of the server costs.
enum class Durability : std::uint8_t {
  kUnlogged,  // all counts: the table is empty after a crash. Fastest
  kAsync,     // the last fraction of a second: logged, commits do not wait for the disk (synchronous_commit off)
  kSync,      // what the server's own synchronous_commit says: usually nothing
};

struct PostgresStoreOptions {
  std::string url = "postgresql://127.0.0.1/weir";  // base/postgres_url.h
  std::string schema = "weir";                      // letters, digits and _, at most 63; where the tables are
  Durability durability = Durability::kAsync;       // kUnlogged: only when the table is created
  bool create_schema = true;                        // when it is missing or older
  std::uint32_t connections = 4;                    // 1..1024
  std::uint32_t batch = 64;                         // most plans that travel together; 1..1000
  ClockSource clock = ClockSource::kServer;
  Nanos clock_interval = kSecond;              // kServer: between two looks at the server's clock
  Nanos connect_timeout = kSecond;             // for each host of the URL
  Nanos command_timeout = 100 * kMillisecond;  // from Apply() to the answer
  std::uint32_t max_in_flight = 4096;          // plans; 1..1,000,000
  Nanos backoff_min = 50 * kMillisecond;       // between attempts to connect
  Nanos backoff_max = 2 * kSecond;
  io::BreakerOptions breaker;
  Nanos sweep_interval = kSecond;       // between two batches of expired rows that are removed; 0: never
  Nanos sweep_margin = 10 * kSecond;    // a row lives at least this much longer than its state has meaning
  Nanos watch_interval = 30 * kSecond;  // between two looks at the table's size and old snapshots; 0: never
};

// kInvalidArgument with the first option that is out of its range. The URL is not looked at.
Result<> Validate(const PostgresStoreOptions& options);

// The statements that make what the store needs, for who has the right to (psql -f): schema, tables, functions. Safe to
// run again. `role`: whom to grant what the store needs; empty: nobody, the owner has it.
std::string SchemaScript(const std::string& schema, Durability durability, const std::string& role);

struct PostgresStats {
  std::uint64_t batches = 0;            // transactions sent
  std::uint64_t plans_sent = 0;         // in them
  std::uint64_t plans_as_buckets = 0;   // of these: in one trip, decided by the server
  std::uint64_t plans_as_reads = 0;     // of these: peeks, without locks
  std::uint64_t unavailable = 0;        // plans answered kUnavailable, for whatever reason; of these:
  std::uint64_t refused_breaker = 0;    //   at once, the breaker was open
  std::uint64_t refused_in_flight = 0;  //   at once, max_in_flight was reached
  std::uint64_t timeouts = 0;           //   no answer in time
  std::uint64_t lost = 0;               //   the connection closed before the answer
  std::uint64_t malformed = 0;          //   the answer, or what is stored, made no sense
  std::uint64_t errors_locked = 0;      //   refused: a row was locked for too long, or a deadlock
  std::uint64_t errors_read_only = 0;   //   refused: a standby, or a server that must not be written
  std::uint64_t errors_full = 0;        //   refused: disk full, out of memory, too many connections
  std::uint64_t errors_other = 0;       //   refused: anything else
  std::uint64_t retried_alone = 0;      // plans tried again by themselves after their batch met a locked row
  std::uint64_t connects = 0;           // connections that became ready, ever
  std::uint64_t connect_failures = 0;
  std::uint64_t breaker_opened = 0;
  std::uint64_t swept = 0;              // expired rows removed by this instance
  std::uint64_t emptied = 0;            // times that an unlogged table was found empty after a crash
  std::uint32_t connections_ready = 0;  // now
  std::uint32_t in_flight = 0;          // plans, now
  io::BreakerState breaker = io::BreakerState::kOpen;
  Nanos clock_offset = 0;                      // server's clock less this machine's; 0 with ClockSource::kCaller
  Nanos clock_round_trip = 0;                  // the offset is at most half of this wrong
  std::uint64_t table_bytes = 0;               // with its index, when last looked at
  std::uint64_t live_rows = 0, dead_rows = 0;  // as the server estimates
  std::uint64_t oldest_snapshot_s = 0;         // of any transaction on the server that this role may see
};

// Thread-safe. Destroying it closes it; no call may be under way.
class PostgresStore final : public Store {
 public:
  // kInvalidArgument: an option is out of range or the URL is wrong. A server that does not answer is no error: the
  // store is then down until it does. Waits for the first connection or its failure, at most 2 * `connect_timeout`.
  static Result<std::unique_ptr<PostgresStore>> Create(const PostgresStoreOptions& options);
  ~PostgresStore() override;

  [[nodiscard]] bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override;
  void Close() override;
  bool Remembers() const override { return true; }
  Admin* GetAdmin() override;
  StoreStats Stats() const override;
  // kUp: serving on all connections. kDegraded: serving, some connections are down. kDown: not serving.
  Health GetHealth() const override;
  std::string_view Name() const override { return "postgres"; }

  void Describe(MetricSink& sink, std::string_view as) const override;

  PostgresStats DetailedStats() const;

 private:
  struct Parts;
  explicit PostgresStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::postgres
