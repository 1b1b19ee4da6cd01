#include "storage/postgres/pool.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "base/anchored_clock.h"
#include "base/log.h"
#include "base/postgres_url.h"
#include "io/clock_offset.h"
#include "io/deadline.h"
#include "io/io_thread.h"
#include "io/steady.h"

namespace weir::storage::postgres {

namespace asio = boost::asio;
using io::postgres::Connection;
using io::postgres::ConnectionOwner;
using io::postgres::Exchange;
using io::postgres::Failure;
using io::postgres::Rows;
using io::postgres::ServerError;
using io::postgres::Session;
using io::postgres::Type;

// Members are grouped by who touches them.
struct Pool::Parts final : ConnectionOwner {
  class ProbeExchange;
  class ClockExchange;
  class SweepExchange;
  class WatchExchange;

  Parts(const PostgresStoreOptions& given, const Statements& said, Counters& counted, PlanSource& from)
      : options(given), statements(said), counters(counted), source(from), breaker(given.breaker) {
    const auto url = ParsePostgresUrl(given.url);
    shown_url = url ? weir::Describe(*url) : "";
  }

  void Start();
  void Stop();
  void Pump();
  bool IsFree(const Connection& connection) const;
  bool HasReady() const;
  void OnReady(Connection& connection) override;
  void OnLost(Connection& connection, bool was_ready, std::string_view why) override;
  void OnIdle(Connection&) override { Pump(); }
  Result<> Prepare(Session& session);

  void Put(std::string_view text, io::postgres::Params params, std::unique_ptr<Exchange> exchange);
  void ProbeDone(bool alive, std::string_view why);
  void BreakerChanged(std::string_view why);
  void Every(asio::steady_timer& timer, Nanos interval, void (Parts::*task)());
  void LookAtClock();
  void Sweep();
  void Watch();
  void FirstWord();
  void DeadlineDue() {
    if (!stopping) source.OnDeadline();
  }
  double Jitter() { return std::uniform_real_distribution<double>(0, 1)(random); }
  Nanos ServerNow() const { return DecisionClock().Now() + offset; }

  const PostgresStoreOptions options;
  const Statements& statements;
  Counters& counters;
  PlanSource& source;
  std::string shown_url;

  // Before everything that lives on it. Close() ends it.
  io::IoThread thread;

  // ---- any thread; written by the I/O thread ----
  std::atomic<bool> serving{false};  // the breaker is closed
  std::atomic<io::BreakerState> breaker_state{io::BreakerState::kOpen};
  std::atomic<std::uint32_t> ready_count{0};
  std::atomic<Nanos> offset{0}, offset_round_trip{0};

  // ---- under mutex ----
  std::mutex mutex;
  std::condition_variable started;
  bool first_word = false;  // the server answered, or an attempt failed
  bool closed = false;      // nothing more is posted

  // ---- the I/O thread ----
  std::vector<std::shared_ptr<Connection>> connections;
  std::deque<std::unique_ptr<Request>> requests;
  io::Breaker breaker;
  bool probe_due = false;
  asio::steady_timer probe_timer{thread.context()}, clock_timer{thread.context()}, sweep_timer{thread.context()},
      watch_timer{thread.context()};
  io::Deadline deadline{thread.context()};
  io::ClockOffset measured_clock;
  std::int64_t sweep_block = 0;
  bool clock_asked = false, sweeping = false, watching = false;
  std::mt19937_64 random{std::random_device{}()};
  bool reported_down = false;
  bool stopping = false;
};

// ---- exchanges ------------------------------------------------------------------------------------------------------

class Pool::Parts::ProbeExchange final : public Exchange {
 public:
  explicit ProbeExchange(Parts& parts) : parts_(parts) {}
  void OnRows(Connection& connection, std::span<const Rows>) override {
    connection.Proven();
    parts_.ProbeDone(true, "");
  }
  void OnRefused(Connection& connection, const ServerError& error) override {
    parts_.ProbeDone(false, error.message);
    // It is a standby now, or is not to be written: another host of the URL may be the primary.
    if (error.code == "25006") connection.Drop(error.message);
  }
  void OnFailure(Failure) override { parts_.ProbeDone(false, "a probe was not answered"); }

 private:
  Parts& parts_;
};

class Pool::Parts::ClockExchange final : public Exchange {
 public:
  explicit ClockExchange(Parts& parts) : parts_(parts), sent_(io::SteadyNow()) { parts_.clock_asked = true; }
  ~ClockExchange() override { parts_.clock_asked = false; }
  void OnRows(Connection&, std::span<const Rows> answers) override {
    if (answers.size() != 1 || !answers[0].Have({Type::kInt64}) || answers[0].size() != 1) return;
    const std::int64_t microseconds = answers[0].Int(0, 0);
    if (microseconds < 0 || microseconds > INT64_MAX / kMicrosecond) return;
    parts_.measured_clock.Add({.sent = sent_,
                               .received = io::SteadyNow(),
                               .server = microseconds * kMicrosecond,
                               .caller = DecisionClock().Now()});
    parts_.offset = parts_.measured_clock.offset();
    parts_.offset_round_trip = parts_.measured_clock.round_trip();
  }
  void OnRefused(Connection&, const ServerError&) override {}
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
  const Nanos sent_;
};

class Pool::Parts::SweepExchange final : public Exchange {
 public:
  explicit SweepExchange(Parts& parts) : parts_(parts) { parts_.sweeping = true; }
  ~SweepExchange() override { parts_.sweeping = false; }
  void OnRows(Connection&, std::span<const Rows> answers) override {
    if (answers.size() != 1 || !answers[0].Have({Type::kInt64, Type::kInt64}) || answers[0].size() != 1) return;
    parts_.sweep_block = std::clamp<std::int64_t>(answers[0].Int(0, 0), 0, UINT32_MAX);
    Bump(parts_.counters.swept, static_cast<std::uint64_t>(std::max<std::int64_t>(0, answers[0].Int(0, 1))));
  }
  void OnRefused(Connection&, const ServerError&) override {}
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
};

class Pool::Parts::WatchExchange final : public Exchange {
 public:
  explicit WatchExchange(Parts& parts) : parts_(parts) { parts_.watching = true; }
  ~WatchExchange() override { parts_.watching = false; }
  void OnRows(Connection&, std::span<const Rows> answers) override {
    if (answers.size() != 1 || answers[0].size() != 1) return;
    const Rows& rows = answers[0];
    if (!rows.Have({Type::kInt64, Type::kInt64, Type::kInt64, Type::kInt64})) return;
    const auto number = [&](std::size_t column) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(0, rows.Int(0, column)));
    };
    Counters& told = parts_.counters;
    told.table_bytes = number(0);
    told.live_rows = number(1);
    told.dead_rows = number(2);
    const std::uint64_t earlier = told.oldest_snapshot_s.exchange(number(3));
    // An update leaves its old row behind for as long as any snapshot may see it: the table grows and slows down.
    constexpr std::uint64_t kOld = 60;
    if (number(3) >= kOld && earlier < kOld) {
      log::Warn("an old transaction on the postgres server keeps dead rows alive: the store slows down until it ends",
                {{"seconds", std::to_string(number(3))}, {"dead_rows", std::to_string(number(2))}});
    }
  }
  void OnRefused(Connection&, const ServerError&) override {}
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
};

// ---- the I/O thread -------------------------------------------------------------------------------------------------

Result<> Pool::Parts::Prepare(Session& session) {
  bool emptied = false;
  // Making the schema may wait for another instance that does so.
  const Nanos until = io::SteadyNow() + std::max(options.connect_timeout, 10 * kSecond);
  auto prepared = PrepareSchema(session, options, until, emptied);
  if (emptied) Bump(counters.emptied);
  return prepared;
}

void Pool::Parts::Start() {
  const io::postgres::ConnectionOptions each{
      .session = {.url = options.url, .connect_timeout = options.connect_timeout},
      .prepare = [this](Session& session) { return Prepare(session); },
      .stall = std::max(kSecond, 4 * options.command_timeout),
      .backoff_min = options.backoff_min,
      .backoff_max = options.backoff_max,
      .jitter = [this] { return Jitter(); }};
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    connections.push_back(io::postgres::MakeConnection(thread.context(), each, *this));
    connections.back()->Start();
  }
  if (options.clock == ClockSource::kServer) Every(clock_timer, options.clock_interval, &Parts::LookAtClock);
  if (options.sweep_interval > 0) Every(sweep_timer, options.sweep_interval, &Parts::Sweep);
  if (options.watch_interval > 0) Every(watch_timer, options.watch_interval, &Parts::Watch);
}

void Pool::Parts::Stop() {
  stopping = true;
  serving = false;
  breaker_state = io::BreakerState::kOpen;
  for (asio::steady_timer* timer : {&probe_timer, &clock_timer, &sweep_timer, &watch_timer}) timer->cancel();
  deadline.Cancel();
  source.OnDown();
  for (const auto& connection : connections) connection->Stop();
  for (const std::unique_ptr<Request>& request : std::exchange(requests, {})) {
    request->exchange->OnFailure(Failure::kLost);
  }
}

bool Pool::Parts::IsFree(const Connection& connection) const { return connection.ready() && connection.waiting() == 0; }

bool Pool::Parts::HasReady() const {
  return std::ranges::any_of(connections, [](const auto& connection) { return connection->ready(); });
}

void Pool::Parts::Pump() {
  if (stopping) return;
  for (const auto& connection : connections) {
    if (!IsFree(*connection)) continue;
    if (probe_due && breaker.AllowProbe(io::SteadyNow())) {
      probe_due = false;
      breaker_state = breaker.state();
      const io::postgres::Statement probe{statements.probe, {}};
      connection->Send({&probe, 1}, std::make_unique<ProbeExchange>(*this),
                       io::SteadyNow() + std::max(options.command_timeout, 250 * kMillisecond));
    } else if (!requests.empty()) {
      const std::unique_ptr<Request> request = std::move(requests.front());
      requests.pop_front();
      connection->Send(request->statements, std::move(request->exchange), io::SteadyNow() + request->timeout);
    } else if (!serving || !source.Feed(*connection)) {
      return;
    }
  }
}

void Pool::Parts::OnReady(Connection& connection) {
  Bump(counters.connects);
  ready_count.fetch_add(1, std::memory_order_relaxed);
  // Before anything else on this connection: the clock is known when the first plan comes.
  if (options.clock == ClockSource::kServer && !clock_asked) {
    const io::postgres::Statement clock{statements.clock, {}};
    connection.Send({&clock, 1}, std::make_unique<ClockExchange>(*this), io::SteadyNow() + options.connect_timeout);
  }
  if (breaker.state() == io::BreakerState::kOpen) {
    breaker.Hasten(io::SteadyNow());
    probe_due = true;
  }
  Pump();
}

void Pool::Parts::OnLost(Connection&, bool was_ready, std::string_view why) {
  if (was_ready) {
    ready_count.fetch_sub(1, std::memory_order_relaxed);
  } else {
    Bump(counters.connect_failures);
  }
  if (!HasReady()) {
    if (breaker.state() != io::BreakerState::kOpen) breaker.Trip(io::SteadyNow(), Jitter());
    for (const std::unique_ptr<Request>& request : std::exchange(requests, {})) {
      request->exchange->OnFailure(Failure::kLost);
    }
  }
  BreakerChanged(why);
  FirstWord();
}

void Pool::Parts::Put(std::string_view text, io::postgres::Params params, std::unique_ptr<Exchange> exchange) {
  if (!HasReady()) return;
  auto request = std::make_unique<Request>();
  request->statements.push_back({text, std::move(params)});
  request->exchange = std::move(exchange);
  request->timeout = std::max(kSecond, options.command_timeout);
  requests.push_back(std::move(request));
  Pump();
}

void Pool::Parts::ProbeDone(bool alive, std::string_view why) {
  breaker.OnProbe(alive, io::SteadyNow(), Jitter());
  BreakerChanged(why);
  FirstWord();
}

void Pool::Parts::FirstWord() {
  const std::lock_guard lock(mutex);
  first_word = true;
  started.notify_all();
}

// Publishes what became of the breaker, and sees to the next probe.
void Pool::Parts::BreakerChanged(std::string_view why) {
  if (stopping) return;
  const io::BreakerState state = breaker.state();
  breaker_state = state;
  counters.breaker_opened = breaker.opened();
  serving.store(state == io::BreakerState::kClosed, std::memory_order_release);
  if (state == io::BreakerState::kClosed && reported_down) {
    reported_down = false;
    log::Info("postgres store is serving again", {{"url", shown_url}});
  }
  if (state != io::BreakerState::kOpen) return;
  source.OnDown();
  if (!reported_down) {
    reported_down = true;
    log::Warn("postgres store is not serving", {{"url", shown_url}, {"why", std::string(why)}});
  }
  probe_timer.expires_at(io::SteadyPoint(breaker.probe_at()));
  probe_timer.async_wait([this](const boost::system::error_code& fault) {
    if (fault || stopping) return;
    probe_due = true;
    Pump();
  });
}

// ---- what it does by itself -----------------------------------------------------------------------------------------

void Pool::Parts::Every(asio::steady_timer& timer, Nanos interval, void (Parts::*task)()) {
  timer.expires_after(std::chrono::nanoseconds(interval));
  timer.async_wait([this, &timer, interval, task](const boost::system::error_code& fault) {
    if (fault || stopping) return;
    (this->*task)();
    Every(timer, interval, task);
  });
}

void Pool::Parts::LookAtClock() {
  // The trip is measured from when it is sent: over a connection that is free now, or not this time.
  for (const auto& connection : connections) {
    if (clock_asked || !IsFree(*connection)) continue;
    const io::postgres::Statement clock{statements.clock, {}};
    connection->Send({&clock, 1}, std::make_unique<ClockExchange>(*this), io::SteadyNow() + options.connect_timeout);
  }
}

void Pool::Parts::Sweep() {
  constexpr std::int64_t kBlocks = 4096, kMost = 5000;
  if (sweeping || !serving) return;
  io::postgres::Params params;
  params.Add(ServerNow() - options.sweep_margin).Add(sweep_block).Add(kBlocks).Add(kMost);
  Put(statements.sweep, std::move(params), std::make_unique<SweepExchange>(*this));
}

void Pool::Parts::Watch() {
  if (!watching && serving) Put(statements.watch, {}, std::make_unique<WatchExchange>(*this));
}

// ---- the pool -------------------------------------------------------------------------------------------------------

std::unique_ptr<Pool> Pool::Create(const PostgresStoreOptions& options, const Statements& statements,
                                   Counters& counters, PlanSource& source) {
  auto parts = std::make_unique<Parts>(options, statements, counters, source);
  return std::unique_ptr<Pool>(new Pool(std::move(parts)));
}

Pool::Pool(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Pool::~Pool() { Close(); }

void Pool::Start() {
  Parts* const raw = parts_.get();
  raw->thread.Start();
  raw->thread.Post([raw] { raw->Start(); });
  std::unique_lock lock(raw->mutex);
  raw->started.wait_for(lock, std::chrono::nanoseconds(2 * raw->options.connect_timeout),
                        [raw] { return raw->first_word; });
}

void Pool::Close() {
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->closed = true;
  }
  parts_->thread.Stop([parts = parts_.get()] { parts->Stop(); });
}

bool Pool::serving() const { return parts_->serving.load(std::memory_order_acquire); }
io::BreakerState Pool::breaker_state() const { return parts_->breaker_state; }
std::uint32_t Pool::ready_count() const { return parts_->ready_count; }
Nanos Pool::clock_offset() const { return parts_->offset; }
Nanos Pool::clock_round_trip() const { return parts_->offset_round_trip; }

bool Pool::Post(std::function<void()> task) {
  const std::lock_guard lock(parts_->mutex);
  if (parts_->closed) return false;
  parts_->thread.Post(std::move(task));
  return true;
}

bool Pool::Ask(std::unique_ptr<Request> request) {
  // Shared, since a function has to be copyable.
  return Post([parts = parts_.get(), held = std::make_shared<std::unique_ptr<Request>>(std::move(request))] {
    if (parts->stopping || !parts->HasReady()) return (*held)->exchange->OnFailure(Failure::kLost);
    parts->requests.push_back(std::move(*held));
    parts->Pump();
  });
}

void Pool::Pump() { parts_->Pump(); }

void Pool::ArmDeadline(Nanos at) {
  // The pool outlives its thread, which alone calls this.
  parts_->deadline.Arm(at, std::shared_ptr<Parts>(std::shared_ptr<void>(), parts_.get()), &Parts::DeadlineDue);
}

void Pool::Succeeded(Connection& connection) {
  connection.Proven();
  parts_->breaker.OnSuccess();
}

void Pool::Failed(std::string_view why) {
  parts_->breaker.OnFailure(io::SteadyNow(), parts_->Jitter());
  parts_->BreakerChanged(why);
}

}  // namespace weir::storage::postgres
