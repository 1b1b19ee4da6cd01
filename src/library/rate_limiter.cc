#include "weir/rate_limiter.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "analytics/event_log.h"
#include "base/anchored_clock.h"
#include "engine/engine.h"
#include "library/internals.h"
#include "library/make_store.h"
#include "library/rule_history.h"
#include "storage/memory/persistence.h"

namespace weir {

using engine::Call;
using engine::CallKind;

struct RateLimiter::Parts {
  analytics::EventLog events;  // before the engine, which tells it
  std::unique_ptr<engine::Engine> engine;
  // After the engine, so that it goes first: its end is the last save of the engine's store.
  std::unique_ptr<storage::memory::Persistence> persistence;
  std::unique_ptr<library::RuleHistory> history;  // with persistence
  library::Internals internals;

  Call Run(CallKind kind, const Request& request) {
    const HashedSubject expected = engine->Expect(request);  // first of all, to have the longest head start
    Call call;
    call.kind = kind;
    call.request = request;
    engine->Run({&call, 1}, expected);
    return call;
  }
};

namespace {

using storage::memory::Persistence;

// Loads what an earlier process saved and keeps saving. nullptr: the configuration does not ask for it.
Result<std::unique_ptr<Persistence>> Persist(const StorageConfig& config, storage::memory::MemoryStore* store,
                                             const Clock& clock) {
  const auto* const memory = std::get_if<MemoryStorage>(&config.kind);
  if (store == nullptr || memory == nullptr || !memory->persist_to_disk) return nullptr;
  // A file that cannot be used was logged and set aside; counts then begin anew.
  const auto restored = storage::memory::RestoreSnapshot(*store, *memory->persist_to_disk, clock.Now());
  // The clock has been set back since: what was saved is not of the future, time goes on from there.
  if (restored && &clock == &DecisionClock()) DecisionClock().ContinueFrom(restored->created_at);
  storage::memory::PersistenceOptions options;
  options.path = *memory->persist_to_disk;
  options.interval = memory->persist_interval * kSecond;
  options.clock = &clock;
  return Persistence::Start(*store, std::move(options));
}

}  // namespace

RateLimiter::RateLimiter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
RateLimiter::~RateLimiter() = default;

Result<std::unique_ptr<RateLimiter>> RateLimiter::Create(const EnterpriseRateLimitConfig& config,
                                                         RateLimiterOptions options) {
  auto stores = library::MakeStores(config.storage);
  if (!stores) return std::unexpected(std::move(stores).error());
  auto parts = std::make_unique<Parts>();
  const auto show = [&](const storage::Store& store, std::string_view as) {
    parts->internals.describe.push_back([&store, as](MetricSink& sink) { store.Describe(sink, as); });
  };
  show(*stores->main, stores->main->Name());
  if (stores->local != nullptr) show(*stores->local, "local");
  const Clock& clock = options.clock != nullptr ? *options.clock : SystemClock();
  Nanos since = clock.Now();
  std::shared_ptr<const config::Snapshot> follows;
  const auto* const memory = std::get_if<MemoryStorage>(&config.storage.kind);
  if (memory != nullptr && memory->persist_to_disk) {
    parts->history = std::make_unique<library::RuleHistory>(*memory->persist_to_disk);
    parts->history->Load();
    std::vector<std::string> extractors;
    for (const auto& [name, function] : options.extractors) extractors.push_back(name);
    follows = parts->history->Follow(config, extractors, since);
  }
  auto engine = engine::Engine::Create(config, std::move(stores->main),
                                       {.clock = options.clock,
                                        .extractors = std::move(options.extractors),
                                        .observers = {&parts->events},
                                        .local = std::move(stores->local),
                                        .follows = std::move(follows),
                                        .since = since});
  if (!engine) return std::unexpected(std::move(engine).error());
  parts->engine = std::move(*engine);
  parts->events.Enable(config.analytics.event_logging);
  auto persistence = Persist(config.storage, stores->memory, parts->engine->clock());
  if (!persistence) return std::unexpected(std::move(persistence).error());
  parts->persistence = std::move(*persistence);
  if (parts->history != nullptr) parts->history->Add(config, *parts->engine->snapshot(), since);
  if (parts->persistence != nullptr) {
    parts->internals.describe.push_back(
        [saved = parts->persistence.get()](MetricSink& sink) { saved->Describe(sink); });
  }
  return std::unique_ptr<RateLimiter>(new RateLimiter(std::move(parts)));
}

Decision RateLimiter::Check(const Request& request) { return parts_->Run(CallKind::kCheck, request).decision; }

void RateLimiter::CheckBatch(std::span<const Request> requests, std::span<Decision> decisions) {
  constexpr std::size_t kSome = 16;
  if (requests.size() > kSome && !parts_->engine->store().CompletesInline()) {
    // Each wait is a round trip: as many as possible share one. Bounded, as each call takes memory.
    constexpr std::size_t kMany = 1024;
    std::vector<Call> many(std::min(kMany, requests.size()));
    while (!requests.empty()) {
      const std::span<Call> calls = std::span(many).first(std::min(many.size(), requests.size()));
      for (std::size_t i = 0; i < calls.size(); ++i) calls[i].request = requests[i];
      parts_->engine->Run(calls);
      for (std::size_t i = 0; i < calls.size(); ++i) decisions[i] = std::move(calls[i].decision);
      requests = requests.subspan(calls.size());
      decisions = decisions.subspan(calls.size());
    }
    return;
  }
  // A few at a time, so that the calls stay on the stack and the whole batch in the cache.
  std::array<Call, kSome> calls;
  for (std::size_t done = 0; done < requests.size(); done += kSome) {
    const std::size_t count = std::min(kSome, requests.size() - done);
    for (std::size_t i = 0; i < count; ++i) calls[i].request = requests[done + i];
    parts_->engine->Run({calls.data(), count});
    for (std::size_t i = 0; i < count; ++i) decisions[done + i] = std::move(calls[i].decision);
  }
}

Decision RateLimiter::Peek(const Request& request) { return parts_->Run(CallKind::kPeek, request).decision; }

Decision RateLimiter::Reserve(const Request& request) { return parts_->Run(CallKind::kReserve, request).decision; }

Result<> RateLimiter::Commit(std::uint64_t reservation, std::uint64_t actual_cost) {
  Call call;
  call.kind = CallKind::kCommit;
  call.reservation = reservation;
  call.actual_cost = actual_cost;
  parts_->engine->Run({&call, 1});
  return call.status;
}

Result<std::uint64_t> RateLimiter::Extend(std::uint64_t reservation, std::uint64_t more, bool partial) {
  Call call;
  call.kind = CallKind::kExtend;
  call.reservation = reservation;
  call.request.cost = more;
  call.partial = partial;
  parts_->engine->Run({&call, 1});
  if (!call.status) return std::unexpected(call.status.error());
  return call.granted;
}

Result<> RateLimiter::Cancel(std::uint64_t reservation) {
  Call call;
  call.kind = CallKind::kCancel;
  call.reservation = reservation;
  parts_->engine->Run({&call, 1});
  return call.status;
}

Result<> RateLimiter::Refund(const Request& request) { return parts_->Run(CallKind::kRefund, request).status; }

Result<> RateLimiter::Reset(const Request& request) { return parts_->Run(CallKind::kReset, request).status; }

Result<std::uint32_t> RateLimiter::Feedback(const Request& request, std::chrono::nanoseconds latency, bool failed) {
  if (latency.count() < 0) return Fail(ErrorCode::kInvalidArgument, "the latency must not be negative");
  Call call;
  call.kind = CallKind::kFeedback;
  call.request = request;
  call.latency = latency.count();
  call.failed = failed;
  parts_->engine->Run({&call, 1});
  if (!call.status) return std::unexpected(std::move(call.status).error());
  return call.rules_updated;
}

Explanation RateLimiter::Explain(const Request& request) {
  Explanation explanation;
  Call call;
  call.kind = CallKind::kPeek;
  call.request = request;
  call.trace = &explanation.steps;
  parts_->engine->Run({&call, 1});
  explanation.decision = std::move(call.decision);
  return explanation;
}

Result<> RateLimiter::Apply(const EnterpriseRateLimitConfig& config) {
  if (auto applied = parts_->engine->Apply(config); !applied) return applied;
  if (parts_->history != nullptr) {
    parts_->history->Add(config, *parts_->engine->snapshot(), parts_->engine->clock().Now());
  }
  parts_->events.Enable(config.analytics.event_logging);
  return {};
}

library::Internals RateLimiter::internals() const { return parts_->internals; }

engine::Engine& RateLimiter::engine() { return *parts_->engine; }

}  // namespace weir
