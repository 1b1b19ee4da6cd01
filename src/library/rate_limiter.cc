#include "weir/rate_limiter.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "analytics/event_log.h"
#include "base/anchored_clock.h"
#include "config/document/document.h"
#include "engine/engine.h"
#include "library/fault_injection.h"
#include "library/internals.h"
#include "library/make_store.h"
#include "library/owned_request.h"
#include "library/rule_history.h"
#include "storage/memory/persistence.h"
#include "weir/management.h"
#include "weir/testing.h"

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
  const storage::Store* local = nullptr;  // the engine's; nullptr: there is none
  std::unique_ptr<ManagementApi> management;

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

// What `config` names or, where faults are injected, a store in memory behind them.
Result<library::Stores> MakeStores(StorageConfig config, std::shared_ptr<library::FaultState> faults) {
  if (faults == nullptr) return library::MakeStores(config);
  if (!std::holds_alternative<MemoryStorage>(config.kind)) config.kind = MemoryStorage{};
  auto stores = library::MakeStores(config);
  if (!stores) return stores;
  stores->main = std::make_unique<library::FaultInjectingStore>(std::move(stores->main), std::move(faults));
  auto local = library::MakeLocalStore();
  if (!local) return std::unexpected(std::move(local).error());
  stores->local = std::move(*local);
  return stores;
}

StoreState StateOf(storage::Health health) {
  switch (health) {
    case storage::Health::kUp:
      return StoreState::kUp;
    case storage::Health::kDegraded:
      return StoreState::kDegraded;
    case storage::Health::kDown:
      break;
  }
  return StoreState::kDown;
}

Stats::Store FiguresOf(const storage::Store& store) {
  const storage::StoreStats stats = store.Stats();
  return {.name = store.Name(),
          .state = StateOf(store.GetHealth()),
          .entries = stats.entries,
          .capacity = stats.capacity,
          .memory_bytes = stats.bytes,
          .reclaimed = stats.reclaimed,
          .evicted_live = stats.evicted_live,
          .refused_new = stats.refused_new,
          .admitted_untracked = stats.admitted_untracked,
          .failures = stats.failures,
          .round_trips = stats.round_trips};
}

// A check whose caller does not wait. Frees itself when it is answered.
class PendingCheck final : public storage::Completion {
 public:
  PendingCheck(const Request& request, DecisionCallback callback) : request_(request), callback_(std::move(callback)) {
    call_.request = request_.request();
  }
  std::span<Call> calls() { return {&call_, 1}; }
  void Done() noexcept override {
    DecisionCallback callback = std::move(callback_);
    Decision decision = std::move(call_.decision);
    delete this;
    callback(std::move(decision));
  }

 private:
  ~PendingCheck() = default;
  const library::OwnedRequest request_;
  DecisionCallback callback_;
  Call call_;
};

}  // namespace

std::string_view ToString(StoreState state) {
  switch (state) {
    case StoreState::kUp:
      return "up";
    case StoreState::kDegraded:
      return "degraded";
    case StoreState::kDown:
      break;
  }
  return "down";
}

RateLimiter::RateLimiter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
RateLimiter::~RateLimiter() = default;

Result<std::unique_ptr<RateLimiter>> RateLimiter::Create(const EnterpriseRateLimitConfig& config,
                                                         RateLimiterOptions options) {
  if (auto valid = config::CheckConfig(config); !valid) return std::unexpected(std::move(valid).error());
  auto stores = MakeStores(config.storage, options.store_faults == nullptr ? nullptr : options.store_faults->state_);
  if (!stores) return std::unexpected(std::move(stores).error());
  auto parts = std::make_unique<Parts>();
  const auto show = [&](const storage::Store& store, std::string_view as) {
    parts->internals.describe.push_back([&store, as](MetricSink& sink) { store.Describe(sink, as); });
  };
  show(*stores->main, stores->main->Name());
  if (stores->local != nullptr) show(*stores->local, "local");
  parts->local = stores->local.get();
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
  decltype(engine::EngineOptions::entities_changed) entities_changed;
  decltype(engine::EngineOptions::policy_changed) policy_changed;
  if (parts->history != nullptr) {
    entities_changed = [history = parts->history.get()](std::span<const config::EntityChange> changes,
                                                        const config::Snapshot& after,
                                                        Nanos now) { history->AddEntities(changes, after, now); };
    policy_changed = [history = parts->history.get()](const EnterpriseRateLimitConfig& policy,
                                                      const config::Snapshot& after,
                                                      Nanos now) { history->Add(policy, after, now); };
  }
  std::vector<engine::Observer*> observers = std::move(options.observers);
  observers.push_back(&parts->events);
  auto engine = engine::Engine::Create(config, std::move(stores->main),
                                       {.clock = options.clock,
                                        .extractors = std::move(options.extractors),
                                        .observers = std::move(observers),
                                        .local = std::move(stores->local),
                                        .follows = std::move(follows),
                                        .since = since,
                                        .entities_changed = std::move(entities_changed),
                                        .policy_changed = std::move(policy_changed)});
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
  std::unique_ptr<RateLimiter> limiter(new RateLimiter(std::move(parts)));
  limiter->parts_->management.reset(new ManagementApi(*limiter));
  return limiter;
}

Decision RateLimiter::Check(const Request& request) { return parts_->Run(CallKind::kCheck, request).decision; }

void RateLimiter::CheckAsync(const Request& request, DecisionCallback callback) {
  if (parts_->engine->store().CompletesInline()) {
    callback(Check(request));
    return;
  }
  auto* const pending = new PendingCheck(request, std::move(callback));
  bool answered = false;
  {
    const library::AnswersMayComeLater later;
    answered = parts_->engine->Submit(pending->calls(), pending);
  }
  if (answered) pending->Done();
}

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
  if (auto valid = config::CheckConfig(config); !valid) return valid;
  return parts_->engine->Apply(config);
}

Stats RateLimiter::GetStats() const {
  const engine::Engine::Counts counts = parts_->engine->GetTotals();
  Stats stats;
  stats.allowed = counts.allowed;
  stats.denied = counts.denied;
  stats.shadow_denied = counts.shadow_denied;
  stats.exempt = counts.exempt;
  stats.no_limit = counts.no_limit;
  stats.blocked = counts.blocked;
  stats.banned = counts.banned;
  stats.store_failures_local = counts.store_failures_local;
  stats.store_failures_allow = counts.store_failures_allow;
  stats.store_failures_deny = counts.store_failures_deny;
  stats.store_full = counts.store_full;
  stats.reservations_open = counts.reservations_open;
  stats.store = FiguresOf(parts_->engine->store());
  if (parts_->local != nullptr) stats.local = FiguresOf(*parts_->local);
  return stats;
}

library::Internals RateLimiter::internals() const { return parts_->internals; }

ManagementApi& RateLimiter::management_api() { return *parts_->management; }

engine::Engine& RateLimiter::engine() { return *parts_->engine; }

}  // namespace weir
