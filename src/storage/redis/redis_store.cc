#include "storage/redis/redis_store.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "storage/redis/clock_offset.h"
#include "storage/redis/connection.h"
#include "storage/redis/counters.h"
#include "storage/redis/plan_codec.h"
#include "storage/redis/url.h"

namespace weir::storage::redis {
namespace {

namespace asio = boost::asio;
// One Apply() that did not complete inline. Touched by the I/O thread only, once it is queued.
struct Batch {
  Completion* done;
  std::size_t left;  // plans without an answer
};

struct Submission {
  Submission(Completion* done, std::size_t plans, Nanos timeout)
      : batch(new Batch{done, plans}), deadline(SteadyNow() + timeout) {
    exchanges.reserve(plans);
  }
  Batch* const batch;  // deleted by who answers its last plan
  std::string bytes;   // the commands of all exchanges
  std::vector<std::unique_ptr<Exchange>> exchanges;
  const Nanos deadline;
};

Nanos SaturatingAdd(Nanos a, Nanos b) {
  Nanos sum;
  if (__builtin_add_overflow(a, b, &sum)) return b > 0 ? INT64_MAX : INT64_MIN;
  return sum;
}

}  // namespace

// Members are grouped by who touches them.
struct RedisStore::Parts final : ConnectionOwner {
  class PlanExchange;
  class ProbeExchange;
  class TimeExchange;
  class ScriptExchange;

  Parts(const RedisStoreOptions& given, Url parsed, TlsContextPtr tls_context)
      : options(given), url(std::move(parsed)), tls(std::move(tls_context)), breaker(given.breaker) {}

  // ---- any thread ----
  std::size_t Admit(std::size_t wanted);
  void RefuseNow(Plan& plan);
  void Submit(std::unique_ptr<Submission> submission);

  // ---- the I/O thread ----
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
  void PlanFailed(std::string_view why);
  void BreakerChanged(std::string_view why);
  void LookAtClocks();
  void AnswerUnavailable(Plan& plan, Batch& batch);
  void Complete(Batch& batch);
  double Jitter() { return std::uniform_real_distribution<double>(0, 1)(random); }

  const RedisStoreOptions options;
  const Url url;
  const TlsContextPtr tls;

  asio::io_context io{1};
  std::thread thread;

  // ---- any thread ----
  std::atomic<bool> serving{false};  // the breaker is closed; written by the I/O thread
  std::atomic<BreakerState> breaker_state{BreakerState::kOpen};
  std::atomic<std::uint32_t> ready_count{0};
  std::atomic<std::uint32_t> in_flight{0};
  std::atomic<Nanos> offset{0}, offset_round_trip{0};
  Counters counters;

  // ---- under mutex ----
  std::mutex mutex;
  std::condition_variable started;
  bool first_word = false;  // the server answered, or an attempt failed
  std::vector<std::unique_ptr<Submission>> queue;

  // ---- the I/O thread ----
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work{io.get_executor()};
  std::set<const Connection*> loading;  // a SCRIPT LOAD is under way; outlives the exchanges that connections hold
  std::vector<std::shared_ptr<Connection>> connections;
  Breaker breaker;
  asio::steady_timer probe_timer{io}, clock_timer{io};
  ClockOffset clock_offset;
  std::mt19937_64 random{std::random_device{}()};
  std::vector<std::unique_ptr<Submission>> taken;  // the queue's other half
  bool reported_down = false;
  bool stopping = false;
  Nanos last_error_log = INT64_MIN / 2;
};

// ---- exchanges ------------------------------------------------------------------------------------------------------

// SCRIPT LOAD. What it answers does not matter: a plan finds out by itself.
class RedisStore::Parts::ScriptExchange final : public Exchange {
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

class RedisStore::Parts::PlanExchange final : public Exchange {
 public:
  PlanExchange(Parts& parts, Batch& batch, Plan& plan, Nanos now, Nanos deadline, int attempt = 0)
      : parts_(parts), batch_(batch), plan_(plan), now_(now), deadline_(deadline), attempt_(attempt) {}

  void OnReply(Connection& connection, Reply reply) override {
    if (reply.IsError()) return OnError(connection, reply.text);
    if (!DecodePlan(reply, now_, plan_)) {
      Bump(parts_.counters.malformed);
      return parts_.AnswerUnavailable(plan_, batch_);
    }
    connection.Proven();
    parts_.breaker.OnSuccess();
    parts_.Complete(batch_);
  }

  void OnFailure(Failure failure) override {
    Bump(failure == Failure::kTimeout ? parts_.counters.timeouts : parts_.counters.lost);
    parts_.PlanFailed(failure == Failure::kTimeout ? "no reply in time" : "the connection was lost");
    parts_.AnswerUnavailable(plan_, batch_);
  }

 private:
  void OnError(Connection& connection, const std::string& text) {
    const ErrorKind kind = Classify(text);
    Bump(parts_.counters.errors[static_cast<std::size_t>(kind)]);
    if (kind == ErrorKind::kNoScript && attempt_ < 2) return TryAgain(connection);
    // A fault of this plan alone (a key of another type, say) tells nothing about the server.
    if (kind != ErrorKind::kOther) parts_.PlanFailed(text);
    if (const Nanos now = SteadyNow(); now - parts_.last_error_log > 10 * kSecond) {
      parts_.last_error_log = now;
      log::Warn("redis refused a plan", {{"url", Describe(parts_.url)}, {"error", text}});
    }
    parts_.AnswerUnavailable(plan_, batch_);
    // It was demoted: the name may lead to the new primary by now.
    if (kind == ErrorKind::kReadOnly) connection.Drop(text);
  }

  // Loads the script and asks again; where SCRIPT is forbidden to us, the second time with the script's whole text.
  void TryAgain(Connection& connection) {
    Bump(parts_.counters.script_loads);
    const Encoding encoding{parts_.options.key_prefix, parts_.options.ttl_margin};
    const ScriptBy by = attempt_ == 0 ? ScriptBy::kSha : ScriptBy::kText;
    if (by == ScriptBy::kSha) parts_.LoadScript(connection);
    Command command;
    EncodePlan(plan_, now_, encoding, by, command);
    std::string bytes;
    command.AppendTo(bytes);
    std::unique_ptr<Exchange> again[] = {
        std::make_unique<PlanExchange>(parts_, batch_, plan_, now_, deadline_, attempt_ + 1)};
    connection.Send(bytes, again, deadline_);
    Bump(parts_.counters.plans_sent);
  }

  Parts& parts_;
  Batch& batch_;
  Plan& plan_;
  const Nanos now_, deadline_;
  const int attempt_;
};

// A write, so that a replica, a full server and one that cannot persist are told from one that serves.
class RedisStore::Parts::ProbeExchange final : public Exchange {
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

class RedisStore::Parts::TimeExchange final : public Exchange {
 public:
  explicit TimeExchange(Parts& parts) : parts_(parts), sent_(SteadyNow()) {}
  void OnReply(Connection&, Reply reply) override {
    const std::optional<Nanos> server = ParseServerTime(reply);
    if (!server) return;
    const Nanos received = SteadyNow();
    parts_.clock_offset.Add({.sent = sent_, .received = received, .server = *server, .wall = SystemClock().Now()});
    parts_.offset = parts_.clock_offset.offset();
    parts_.offset_round_trip = parts_.clock_offset.round_trip();
  }
  void OnFailure(Failure) override {}

 private:
  Parts& parts_;
  const Nanos sent_;
};

// ---- any thread -----------------------------------------------------------------------------------------------------

// How many of `wanted` plans may be sent now.
std::size_t RedisStore::Parts::Admit(std::size_t wanted) {
  if (wanted == 0) return 0;
  if (!serving.load(std::memory_order_acquire)) {
    Bump(counters.refused_breaker, wanted);
    return 0;
  }
  std::uint32_t taken_now = in_flight.load(std::memory_order_relaxed);
  std::size_t admitted = 0;
  do {
    admitted = std::min<std::size_t>(wanted, options.max_in_flight - std::min(taken_now, options.max_in_flight));
    // relaxed: a bound on a number, which orders nothing
  } while (admitted > 0 && !in_flight.compare_exchange_weak(taken_now, taken_now + static_cast<std::uint32_t>(admitted),
                                                            std::memory_order_relaxed));
  Bump(counters.refused_in_flight, wanted - admitted);
  return admitted;
}

void RedisStore::Parts::RefuseNow(Plan& plan) {
  plan.status = PlanStatus::kUnavailable;
  plan.admitted = false;
  Bump(counters.unavailable);
}

void RedisStore::Parts::Submit(std::unique_ptr<Submission> submission) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex);
    wake = queue.empty();
    queue.push_back(std::move(submission));
  }
  // One wake-up takes all that was queued until then.
  if (wake) asio::post(io, [this] { Dispatch(); });
}

// ---- the I/O thread -------------------------------------------------------------------------------------------------

void RedisStore::Parts::Start() {
  ConnectionOptions each{.url = url,
                         .connect_timeout = options.connect_timeout,
                         .stall = std::max(kSecond, 4 * options.command_timeout),
                         .backoff_min = options.backoff_min,
                         .backoff_max = options.backoff_max,
                         .max_reply_bytes = options.max_reply_bytes,
                         .jitter = [this] { return Jitter(); }};
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    connections.push_back(MakeConnection(io, each, tls.get(), *this));
    connections.back()->Start();
  }
  if (options.clock == ClockSource::kServer) LookAtClocks();
}

void RedisStore::Parts::Stop() {
  stopping = true;
  serving = false;
  probe_timer.cancel();
  clock_timer.cancel();
  Dispatch();
  for (const auto& connection : connections) connection->Stop();
  work.reset();
}

void RedisStore::Parts::Dispatch() {
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

Connection* RedisStore::Parts::LeastLoaded() const {
  Connection* best = nullptr;
  for (const auto& connection : connections) {
    if (connection->ready() && (best == nullptr || connection->waiting() < best->waiting())) best = connection.get();
  }
  return best;
}

void RedisStore::Parts::OnReady(Connection& connection) {
  Bump(counters.connects);
  ready_count.fetch_add(1, std::memory_order_relaxed);
  // Before anything else on this connection: the clock is known and the script is there when the first plan comes.
  if (options.clock == ClockSource::kServer) SendTime(connection);
  LoadScript(connection);
  breaker.Hasten(SteadyNow());
  SendProbe();
  connection.Flush();
}

void RedisStore::Parts::OnLost(Connection&, bool was_ready, std::string_view why) {
  if (was_ready) {
    ready_count.fetch_sub(1, std::memory_order_relaxed);
  } else {
    Bump(counters.connect_failures);
  }
  if (LeastLoaded() == nullptr && breaker.state() != BreakerState::kOpen) breaker.Trip(SteadyNow(), Jitter());
  BreakerChanged(why);
  const std::lock_guard lock(mutex);
  first_word = true;
  started.notify_all();
}

void RedisStore::Parts::SendOne(Connection& connection, const Command& command, std::unique_ptr<Exchange> exchange) {
  std::string bytes;
  command.AppendTo(bytes);
  connection.Send(bytes, {&exchange, 1}, SteadyNow() + std::max(options.command_timeout, 100 * kMillisecond));
}

// What is sent after it finds the script there; many plans that miss it share one.
void RedisStore::Parts::LoadScript(Connection& connection) {
  if (loading.contains(&connection)) return;
  SendOne(connection, {"SCRIPT", "LOAD", PlanScript().text}, std::make_unique<ScriptExchange>(*this, connection));
}

void RedisStore::Parts::SendTime(Connection& connection) {
  SendOne(connection, {"TIME"}, std::make_unique<TimeExchange>(*this));
}

void RedisStore::Parts::SendProbe() {
  Connection* connection = LeastLoaded();
  if (connection == nullptr || !breaker.AllowProbe(SteadyNow())) return;
  breaker_state = breaker.state();
  SendOne(*connection, {"SET", options.key_prefix + "v1:probe", "1", "PX", "1000"},
          std::make_unique<ProbeExchange>(*this));
  connection->Flush();
}

void RedisStore::Parts::ProbeDone(bool alive, std::string_view why) {
  breaker.OnProbe(alive, SteadyNow(), Jitter());
  BreakerChanged(why);
  const std::lock_guard lock(mutex);
  first_word = true;
  started.notify_all();
}

void RedisStore::Parts::PlanFailed(std::string_view why) {
  breaker.OnFailure(SteadyNow(), Jitter());
  BreakerChanged(why);
}

// Publishes what became of the breaker, and sees to the next probe.
void RedisStore::Parts::BreakerChanged(std::string_view why) {
  if (stopping) return;
  const BreakerState state = breaker.state();
  breaker_state = state;
  counters.breaker_opened = breaker.opened();
  serving.store(state == BreakerState::kClosed, std::memory_order_release);
  if (state == BreakerState::kClosed && reported_down) {
    reported_down = false;
    log::Info("redis store is serving again", {{"url", Describe(url)}});
  }
  if (state != BreakerState::kOpen) return;
  if (!reported_down) {
    reported_down = true;
    log::Warn("redis store is not serving", {{"url", Describe(url)}, {"why", std::string(why)}});
  }
  probe_timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(breaker.probe_at())));
  probe_timer.async_wait([this](const boost::system::error_code& fault) {
    if (!fault && !stopping) SendProbe();
  });
}

void RedisStore::Parts::LookAtClocks() {
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

void RedisStore::Parts::AnswerUnavailable(Plan& plan, Batch& batch) {
  RefuseNow(plan);
  Complete(batch);
}

void RedisStore::Parts::Complete(Batch& batch) {
  in_flight.fetch_sub(1, std::memory_order_relaxed);
  if (--batch.left > 0) return;
  Completion* done = batch.done;
  delete &batch;
  done->Done();
}

// ---- the store ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<RedisStore>> RedisStore::Create(const RedisStoreOptions& options) {
  if (auto valid = Validate(options); !valid) return std::unexpected(valid.error());
  auto url = ParseUrl(options.url);
  if (!url) return std::unexpected(url.error());
  TlsContextPtr tls;
  if (url->transport == Transport::kTls) {
    auto made = MakeTlsContext(*url);
    if (!made) return std::unexpected(made.error());
    tls = std::move(*made);
  }
  auto parts = std::make_unique<Parts>(options, std::move(*url), std::move(tls));
  Parts* raw = parts.get();
  parts->thread = std::thread([raw] { raw->io.run(); });
  asio::post(raw->io, [raw] { raw->Start(); });
  {
    std::unique_lock lock(raw->mutex);
    raw->started.wait_for(lock, std::chrono::nanoseconds(options.connect_timeout), [raw] { return raw->first_word; });
  }
  return std::unique_ptr<RedisStore>(new RedisStore(std::move(parts)));
}

RedisStore::RedisStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RedisStore::~RedisStore() {
  asio::post(parts_->io, [raw = parts_.get()] { raw->Stop(); });
  parts_->thread.join();
}

bool RedisStore::Apply(std::span<Plan> plans, Nanos now, Completion* done) {
  Parts& parts = *parts_;
  const Nanos decided = parts.options.clock == ClockSource::kServer ? SaturatingAdd(now, parts.offset.load()) : now;
  const Encoding encoding{parts.options.key_prefix, parts.options.ttl_margin};

  std::size_t admitted = parts.Admit(static_cast<std::size_t>(std::ranges::count_if(plans, NeedsStore)));
  auto submission =
      admitted == 0 ? nullptr : std::make_unique<Submission>(done, admitted, parts.options.command_timeout);
  Command command;
  for (Plan& plan : plans) {
    if (!NeedsStore(plan)) {
      DecideWithoutStore(plan);
    } else if (admitted == 0) {
      parts.RefuseNow(plan);
    } else {
      --admitted;
      command.Clear();
      EncodePlan(plan, decided, encoding, ScriptBy::kSha, command);
      command.AppendTo(submission->bytes);
      submission->exchanges.push_back(
          std::make_unique<Parts::PlanExchange>(parts, *submission->batch, plan, decided, submission->deadline));
    }
  }
  if (!submission) return true;
  parts.Submit(std::move(submission));
  return false;
}

StoreStats RedisStore::Stats() const {
  const RedisStats stats = parts_->counters.Read();
  return {.failures = stats.unavailable, .round_trips = stats.plans_sent};
}

Health RedisStore::GetHealth() const {
  if (!parts_->serving) return Health::kDown;
  return parts_->ready_count.load() == parts_->options.connections ? Health::kUp : Health::kDegraded;
}

RedisStats RedisStore::DetailedStats() const {
  RedisStats stats = parts_->counters.Read();
  stats.connections_ready = parts_->ready_count.load();
  stats.in_flight = parts_->in_flight.load();
  stats.breaker = parts_->breaker_state.load();
  stats.clock_offset = parts_->offset.load();
  stats.clock_round_trip = parts_->offset_round_trip.load();
  return stats;
}

}  // namespace weir::storage::redis
