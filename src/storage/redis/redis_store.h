// Counter states in one Redis server (or whatever speaks its protocol and runs its Lua): shared by many instances,
// exact to the nanosecond, one round trip a plan. See docs/storage-redis.md for keys, TTLs and failure modes.
//
// How a plan travels: Apply() encodes it as one EVALSHA on the caller's thread; the I/O thread appends all that wait to
// the least loaded connection and writes them at once; the script runs the whole plan atomically; the reply is decoded
// and Done() is told on the I/O thread.
//
// When it does not answer: a plan is answered kUnavailable after `command_timeout` at the latest, and at once when the
// circuit breaker is open or `max_in_flight` plans wait already. Such a plan may still have been charged by the server:
// it is never sent twice.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "io/breaker.h"
#include "storage/redis/resp.h"
#include "storage/store.h"
#include "weir/result.h"

namespace weir::storage::redis {

// Which clock decides what time it is.
enum class ClockSource : std::uint8_t {
  kCaller,  // the `now` that Apply() is given, as it is
  kServer,  // the same, corrected by the measured offset to the server's clock: instances with skewed clocks agree
};

struct RedisStoreOptions {
  std::string url = "redis://127.0.0.1:6379";  // url.h
  std::uint32_t connections = 4;               // 1..1024
  std::string key_prefix = "weir:";            // at most 128 bytes
  ClockSource clock = ClockSource::kServer;
  Nanos clock_interval = kSecond;              // kServer: between two looks at the server's clock
  Nanos connect_timeout = kSecond;             // name, TCP, TLS and greeting together
  Nanos command_timeout = 100 * kMillisecond;  // from Apply() to the answer
  std::uint32_t max_in_flight = 4096;          // plans; 1..1,000,000
  Nanos backoff_min = 50 * kMillisecond;       // between attempts to connect
  Nanos backoff_max = 2 * kSecond;
  io::BreakerOptions breaker;
  // A key lives at least this much longer than its state has meaning: room for clocks that differ.
  Nanos ttl_margin = 10 * kSecond;
  std::size_t max_reply_bytes = 64 << 20;  // a longer reply closes the connection
};

// kInvalidArgument with the first option that is out of its range. The URL is not looked at.
Result<> Validate(const RedisStoreOptions& options);

struct RedisStats {
  std::uint64_t plans_sent = 0;                     // round trips, those tried again included
  std::uint64_t unavailable = 0;                    // plans answered kUnavailable, for whatever reason; of these:
  std::uint64_t refused_breaker = 0;                //   at once, the breaker was open
  std::uint64_t refused_in_flight = 0;              //   at once, max_in_flight was reached
  std::uint64_t timeouts = 0;                       //   no reply in time
  std::uint64_t lost = 0;                           //   the connection closed before the reply
  std::uint64_t malformed = 0;                      //   the reply made no sense
  std::array<std::uint64_t, kErrorKinds> errors{};  // error replies, by ErrorKind
  std::uint64_t script_loads = 0;                   // NOSCRIPT: the script was sent again
  std::uint64_t connects = 0;                       // connections that became ready, ever
  std::uint64_t connect_failures = 0;
  std::uint64_t breaker_opened = 0;
  std::uint32_t connections_ready = 0;  // now
  std::uint32_t in_flight = 0;          // plans, now
  io::BreakerState breaker = io::BreakerState::kOpen;
  Nanos clock_offset = 0;      // server's clock less this machine's; 0 with ClockSource::kCaller
  Nanos clock_round_trip = 0;  // the offset is at most half of this wrong
};

// Thread-safe. Destroying it closes it; no call may be under way.
class RedisStore final : public Store {
 public:
  // kInvalidArgument: an option is out of range, the URL is wrong, a TLS file cannot be used. A server that does not
  // answer is no error: the store is then down until it does. Waits for the first connection or its failure, at most
  // `connect_timeout`.
  static Result<std::unique_ptr<RedisStore>> Create(const RedisStoreOptions& options);
  ~RedisStore() override;

  [[nodiscard]] bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override;
  void Close() override;
  bool Remembers() const override { return true; }
  Admin* GetAdmin() override;
  StoreStats Stats() const override;
  // kUp: serving on all connections. kDegraded: serving, some connections are down. kDown: not serving.
  Health GetHealth() const override;
  std::string_view Name() const override { return "redis"; }

  void Describe(MetricSink& sink, std::string_view as) const override;

  RedisStats DetailedStats() const;

 private:
  struct Parts;
  explicit RedisStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::redis
