#include "storage/redis/pool.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "base/anchored_clock.h"
#include "base/log.h"
#include "io/clock_offset.h"
#include "io/io_thread.h"
#include "io/steady.h"
#include "storage/redis/plan_codec.h"
#include "storage/redis/server_time.h"
#include "storage/redis/url.h"

namespace weir::storage::redis {

namespace asio = boost::asio;

// Members are grouped by who touches them.
struct Pool::Parts final : ConnectionOwner {
  class ProbeExchange;
  class TimeExchange;
  class ScriptExchange;

  Parts(const RedisStoreOptions& given, Url parsed, io::TlsClientPtr tls_context, Counters& counted)
      : options(given),
        url(std::move(parsed)),
        tls(std::move(tls_context)),
        counters(counted),
        breaker(given.breaker) {}

  void Start();
  void Stop();
  void Dispatch();
  Connection* LeastLoaded() const;
  void OnReady(Connection& connection) override;
  void OnLost(Connection& connection, bool was_ready, std::string_view why) override;
  void SendOne(Connection& connection, const Command& command, std::unique_ptr<Exchange> exchange);
  void SendProbe();
  void LoadScript(Connection& connection);
  void SendTime(Connection& connection);
  void ProbeDone(bool alive, std::string_view why);
  void BreakerChanged(std::string_view why);
  void LookAtClocks();
  void FirstWord();
  double Jitter() { return std::uniform_real_distribution<double>(0, 1)(random); }

  const RedisStoreOptions options;
  const Url url;
  const io::TlsClientPtr tls;
  Counters& counters;

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
  bool closed = false;      // nothing more is queued
  std::vector<std::unique_ptr<Submission>> queue;

  // ---- the I/O thread ----
  std::set<const Connection*> loading;  // a SCRIPT LOAD is under way; outlives the exchanges that connections hold
  std::vector<std::shared_ptr<Connection>> connections;
  io::Breaker breaker;
  asio::steady_timer probe_timer{thread.context()}, clock_timer{thread.context()};
  io::ClockOffset measured_clock;
  std::mt19937_64 random{std::random_device{}()};
  std::vector<std::unique_ptr<Submission>> taken;  // the queue's other half
  bool reported_down = false;
  bool stopping = false;
};

// ---- exchanges ------------------------------------------------------------------------------------------------------

// SCRIPT LOAD. What it answers does not matter: a plan finds out by itself.
class Pool::Parts::ScriptExchange final : public Exchange {
 public:
  ScriptExchange(Parts& parts, const Connection& connection) : parts_(parts), connection_(connection) {
    parts_.loading.insert(&connection_);
  }
  ~ScriptExchange() override { parts_.loading.erase(&connection_); }
  void OnReply(Connection&, Reply) override {}
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
  const Connection& connection_;
};

// A write, so that a replica, a full server and one that cannot persist are told from one that serves.
class Pool::Parts::ProbeExchange final : public Exchange {
 public:
  explicit ProbeExchange(Parts& parts) : parts_(parts) {}
  void OnReply(Connection& connection, Reply reply) override {
    const bool alive = reply.IsStatus("OK");
    if (alive) connection.Proven();
    parts_.ProbeDone(alive, reply.text);
    if (reply.IsError() && Classify(reply.text) == ErrorKind::kReadOnly) connection.Drop(reply.text);
  }
  void OnFailure(Failure) override { parts_.ProbeDone(false, "a probe was not answered"); }

 private:
  Parts& parts_;
};

class Pool::Parts::TimeExchange final : public Exchange {
 public:
  explicit TimeExchange(Parts& parts) : parts_(parts), sent_(io::SteadyNow()) {}
  void OnReply(Connection&, Reply reply) override {
    const std::optional<Nanos> server = ParseServerTime(reply);
    if (!server) return;
    const Nanos received = io::SteadyNow();
    parts_.measured_clock.Add(
        {.sent = sent_, .received = received, .server = *server, .caller = DecisionClock().Now()});
    parts_.offset = parts_.measured_clock.offset();
    parts_.offset_round_trip = parts_.measured_clock.round_trip();
  }
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
  const Nanos sent_;
};

// ---- the I/O thread -------------------------------------------------------------------------------------------------

void Pool::Parts::Start() {
  ConnectionOptions each{.url = url,
                         .connect_timeout = options.connect_timeout,
                         .stall = std::max(kSecond, 4 * options.command_timeout),
                         .backoff_min = options.backoff_min,
                         .backoff_max = options.backoff_max,
                         .max_reply_bytes = options.max_reply_bytes,
                         .jitter = [this] { return Jitter(); }};
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    connections.push_back(MakeConnection(thread.context(), each, tls.get(), *this));
    connections.back()->Start();
  }
  if (options.clock == ClockSource::kServer) LookAtClocks();
}

void Pool::Parts::Stop() {
  stopping = true;
  serving = false;
  breaker_state = io::BreakerState::kOpen;
  probe_timer.cancel();
  clock_timer.cancel();
  Dispatch();
  for (const auto& connection : connections) connection->Stop();
}

void Pool::Parts::Dispatch() {
  {
    const std::lock_guard lock(mutex);
    taken.swap(queue);
  }
  for (const std::unique_ptr<Submission>& submission : taken) {
    Connection* connection = stopping ? nullptr : LeastLoaded();
    if (connection == nullptr) {
      for (const auto& exchange : submission->exchanges) exchange->OnFailure(Failure::kLost);
      continue;
    }
    Bump(counters.plans_sent, submission->exchanges.size());
    connection->Send(submission->bytes, submission->exchanges, submission->deadline);
  }
  taken.clear();
  for (const auto& connection : connections) connection->Flush();
}

Connection* Pool::Parts::LeastLoaded() const {
  Connection* best = nullptr;
  for (const auto& connection : connections) {
    if (connection->ready() && (best == nullptr || connection->waiting() < best->waiting())) best = connection.get();
  }
  return best;
}

void Pool::Parts::OnReady(Connection& connection) {
  Bump(counters.connects);
  ready_count.fetch_add(1, std::memory_order_relaxed);
  // Before anything else on this connection: the clock is known and the script is there when the first plan comes.
  if (options.clock == ClockSource::kServer) SendTime(connection);
  LoadScript(connection);
  breaker.Hasten(io::SteadyNow());
  SendProbe();
  connection.Flush();
}

void Pool::Parts::OnLost(Connection&, bool was_ready, std::string_view why) {
  if (was_ready) {
    ready_count.fetch_sub(1, std::memory_order_relaxed);
  } else {
    Bump(counters.connect_failures);
  }
  if (LeastLoaded() == nullptr && breaker.state() != io::BreakerState::kOpen) breaker.Trip(io::SteadyNow(), Jitter());
  BreakerChanged(why);
  FirstWord();
}

void Pool::Parts::SendOne(Connection& connection, const Command& command, std::unique_ptr<Exchange> exchange) {
  std::string bytes;
  command.AppendTo(bytes);
  connection.Send(bytes, {&exchange, 1}, io::SteadyNow() + std::max(options.command_timeout, 100 * kMillisecond));
}

void Pool::Parts::LoadScript(Connection& connection) {
  if (loading.contains(&connection)) return;
  SendOne(connection, {"SCRIPT", "LOAD", PlanScript().text}, std::make_unique<ScriptExchange>(*this, connection));
}

void Pool::Parts::SendTime(Connection& connection) {
  SendOne(connection, {"TIME"}, std::make_unique<TimeExchange>(*this));
}

void Pool::Parts::SendProbe() {
  Connection* connection = LeastLoaded();
  if (connection == nullptr || !breaker.AllowProbe(io::SteadyNow())) return;
  breaker_state = breaker.state();
  SendOne(*connection, {"SET", options.key_prefix + "v1:probe", "1", "PX", "1000"},
          std::make_unique<ProbeExchange>(*this));
  connection->Flush();
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
    log::Info("redis store is serving again", {{"url", Describe(url)}});
  }
  if (state != io::BreakerState::kOpen) return;
  if (!reported_down) {
    reported_down = true;
    log::Warn("redis store is not serving", {{"url", Describe(url)}, {"why", std::string(why)}});
  }
  probe_timer.expires_at(io::SteadyPoint(breaker.probe_at()));
  probe_timer.async_wait([this](const boost::system::error_code& fault) {
    if (!fault && !stopping) SendProbe();
  });
}

void Pool::Parts::LookAtClocks() {
  clock_timer.expires_after(std::chrono::nanoseconds(options.clock_interval));
  clock_timer.async_wait([this](const boost::system::error_code& fault) {
    if (fault || stopping) return;
    for (const auto& connection : connections) {
      if (!connection->ready()) continue;
      SendTime(*connection);
      connection->Flush();
    }
    LookAtClocks();
  });
}

// ---- the pool -------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Pool>> Pool::Create(const RedisStoreOptions& options, Counters& counters) {
  auto url = ParseUrl(options.url);
  if (!url) return std::unexpected(url.error());
  io::TlsClientPtr tls;
  if (url->transport == Transport::kTls) {
    auto made = MakeTls(*url);
    if (!made) return std::unexpected(made.error());
    tls = std::move(*made);
  }
  auto parts = std::make_unique<Parts>(options, std::move(*url), std::move(tls), counters);
  Parts* raw = parts.get();
  raw->thread.Start();
  raw->thread.Post([raw] { raw->Start(); });
  std::unique_lock lock(raw->mutex);
  raw->started.wait_for(lock, std::chrono::nanoseconds(options.connect_timeout), [raw] { return raw->first_word; });
  lock.unlock();
  return std::unique_ptr<Pool>(new Pool(std::move(parts)));
}

Pool::Pool(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Pool::~Pool() { Close(); }

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

bool Pool::Submit(std::unique_ptr<Submission> submission) {
  bool wake = false;
  {
    const std::lock_guard lock(parts_->mutex);
    if (parts_->closed) return false;
    wake = parts_->queue.empty();
    parts_->queue.push_back(std::move(submission));
  }
  // One wake-up takes all that was queued until then.
  if (wake) parts_->thread.Post([parts = parts_.get()] { parts->Dispatch(); });
  return true;
}

void Pool::Succeeded(Connection& connection) {
  connection.Proven();
  parts_->breaker.OnSuccess();
}

void Pool::Failed(std::string_view why) {
  parts_->breaker.OnFailure(io::SteadyNow(), parts_->Jitter());
  parts_->BreakerChanged(why);
}

void Pool::LoadScript(Connection& connection) { parts_->LoadScript(connection); }

}  // namespace weir::storage::redis
