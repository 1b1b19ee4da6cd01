#include "storage/redis/redis_store.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "algorithms/instant.h"
#include "base/log.h"
#include "io/steady.h"
#include "storage/redis/connection.h"
#include "storage/redis/counters.h"
#include "storage/redis/plan_codec.h"
#include "storage/redis/pool.h"
#include "storage/redis/redis_admin.h"

namespace weir::storage::redis {
namespace {

// One Apply() that did not complete inline. Touched by the I/O thread only, once it is submitted.
struct Batch {
  Completion* done;
  std::size_t left;  // plans without an answer
};

}  // namespace

struct RedisStore::Parts {
  class PlanExchange;

  // ---- any thread ----
  std::size_t Admit(std::size_t wanted);
  void Refuse(Plan& plan);

  // ---- the I/O thread ----
  void AnswerUnavailable(Plan& plan, Batch& batch);
  void Complete(Batch& batch);

  const RedisStoreOptions options;
  Counters counters{};
  std::atomic<std::uint32_t> in_flight{0};  // plans
  Nanos last_error_log = INT64_MIN / 2;     // the I/O thread's
  std::unique_ptr<Pool> pool{};             // its exchanges use what stands before it
  std::optional<RedisAdmin> admin{};
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
    parts_.pool->Succeeded(connection);
    parts_.Complete(batch_);
  }

  void OnFailure(Failure failure) override {
    Bump(failure == Failure::kTimeout ? parts_.counters.timeouts : parts_.counters.lost);
    parts_.pool->Failed(failure == Failure::kTimeout ? "no reply in time" : "the connection was lost");
    parts_.AnswerUnavailable(plan_, batch_);
  }

 private:
  void OnError(Connection& connection, const std::string& text) {
    const ErrorKind kind = Classify(text);
    Bump(parts_.counters.errors[static_cast<std::size_t>(kind)]);
    if (kind == ErrorKind::kNoScript && attempt_ < 2) return TryAgain(connection);
    // A fault of this plan alone (a key of another type, say) tells nothing about the server.
    if (kind != ErrorKind::kOther) parts_.pool->Failed(text);
    if (const Nanos now = io::SteadyNow(); now - parts_.last_error_log > 10 * kSecond) {
      parts_.last_error_log = now;
      log::Warn("redis refused a plan", {{"error", text}});
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
    if (by == ScriptBy::kSha) parts_.pool->LoadScript(connection);
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

// ---- any thread -----------------------------------------------------------------------------------------------------

// How many of `wanted` plans may be sent now.
std::size_t RedisStore::Parts::Admit(std::size_t wanted) {
  if (wanted == 0) return 0;
  if (!pool->serving()) {
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

void RedisStore::Parts::Refuse(Plan& plan) {
  plan.status = PlanStatus::kUnavailable;
  plan.admitted = false;
  Bump(counters.unavailable);
}

// ---- the I/O thread -------------------------------------------------------------------------------------------------

void RedisStore::Parts::AnswerUnavailable(Plan& plan, Batch& batch) {
  Refuse(plan);
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
  auto parts = std::make_unique<Parts>(options);
  auto pool = Pool::Create(options, parts->counters);
  if (!pool) return std::unexpected(pool.error());
  parts->pool = std::move(*pool);
  parts->admin.emplace(*parts->pool, parts->options);
  return std::unique_ptr<RedisStore>(new RedisStore(std::move(parts)));
}

RedisStore::RedisStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RedisStore::~RedisStore() = default;

void RedisStore::Close() { parts_->pool->Close(); }

Admin* RedisStore::GetAdmin() { return &*parts_->admin; }

bool RedisStore::Apply(std::span<Plan> plans, Nanos now, Completion* done) {
  Parts& parts = *parts_;
  const Nanos decided =
      parts.options.clock == ClockSource::kServer ? algorithms::SaturatingAdd(now, parts.pool->clock_offset()) : now;
  const Encoding encoding{parts.options.key_prefix, parts.options.ttl_margin};

  std::size_t admitted = parts.Admit(static_cast<std::size_t>(std::ranges::count_if(plans, NeedsStore)));
  const bool sends = admitted > 0;
  auto submission = std::make_unique<Submission>();
  submission->deadline = io::SteadyNow() + parts.options.command_timeout;
  submission->exchanges.reserve(admitted);
  Batch* const batch = sends ? new Batch{done, admitted} : nullptr;  // deleted with the answer to its last plan
  Command command;
  for (Plan& plan : plans) {
    if (!NeedsStore(plan)) {
      DecideWithoutStore(plan);
    } else if (admitted == 0) {
      parts.Refuse(plan);
    } else {
      --admitted;
      command.Clear();
      EncodePlan(plan, decided, encoding, ScriptBy::kSha, command);
      command.AppendTo(submission->bytes);
      submission->exchanges.push_back(
          std::make_unique<Parts::PlanExchange>(parts, *batch, plan, decided, submission->deadline));
    }
  }
  if (!sends) return true;
  const auto sent = static_cast<std::uint32_t>(submission->exchanges.size());
  if (parts.pool->Submit(std::move(submission))) return false;
  // Closed since it was found serving. The first `sent` that need the store are those that are not refused yet.
  std::uint32_t left = sent;
  for (Plan& plan : plans) {
    if (left > 0 && NeedsStore(plan)) {
      --left;
      parts.Refuse(plan);
    }
  }
  parts.in_flight.fetch_sub(sent, std::memory_order_relaxed);
  delete batch;
  return true;
}

StoreStats RedisStore::Stats() const {
  const RedisStats stats = parts_->counters.Read();
  return {.failures = stats.unavailable, .round_trips = stats.plans_sent};
}

Health RedisStore::GetHealth() const {
  if (!parts_->pool->serving()) return Health::kDown;
  return parts_->pool->ready_count() == parts_->options.connections ? Health::kUp : Health::kDegraded;
}

RedisStats RedisStore::DetailedStats() const {
  const Pool& pool = *parts_->pool;
  RedisStats stats = parts_->counters.Read();
  stats.connections_ready = pool.ready_count();
  stats.in_flight = parts_->in_flight.load();
  stats.breaker = pool.breaker_state();
  stats.clock_offset = pool.clock_offset();
  stats.clock_round_trip = pool.clock_round_trip();
  return stats;
}

}  // namespace weir::storage::redis
