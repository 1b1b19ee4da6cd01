#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/publication.h"
#include "engine/batch/batch.h"
#include "engine/core.h"
#include "engine/decide_one.h"
#include "engine/identify/subject.h"
#include "engine/resolve/ruleset.h"

namespace weir::engine {
namespace {

// For callers that wait.
class Wait final : public storage::Completion {
 public:
  void Done() noexcept override {
    done_.store(true, std::memory_order_release);
    done_.notify_one();
    gone_.store(true, std::memory_order_release);
  }
  void Await() const {
    done_.wait(false, std::memory_order_acquire);
    // The other thread may still be inside notify_one, which must not outlive this object.
    while (!gone_.load(std::memory_order_acquire)) {
    }
  }

 private:
  std::atomic<bool> done_{false};
  std::atomic<bool> gone_{false};
};

// How many of the calls belong together with the first; at least 1.
std::size_t JoinedAtFront(std::span<const Call> calls) {
  std::size_t joined = 1;
  while (joined < calls.size() && calls[joined].join != Join::kNone) ++joined;
  return joined;
}

}  // namespace

struct Engine::Parts {
  Extractors::Registered registered;
  std::vector<std::string> registered_names;
  std::mutex applying;  // one configuration at a time
  std::unique_ptr<Core> core;
  std::unique_ptr<Published<Ruleset>> rules;

  Result<std::shared_ptr<const Ruleset>> Compile(const EnterpriseRateLimitConfig& config,
                                                 const config::Snapshot* previous) const {
    auto snapshot = config::Snapshot::Compile(config, previous, core->clock.Now(), registered_names);
    if (!snapshot) return std::unexpected(snapshot.error());
    return Ruleset::Create(std::move(*snapshot), registered, core->counters);
  }
};

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Engine::~Engine() {
  // The store first: what it still completes reads the rules and the rest of the core.
  if (parts_ != nullptr) parts_->core->store.reset();
}

Result<std::unique_ptr<Engine>> Engine::Create(const EnterpriseRateLimitConfig& config,
                                               std::unique_ptr<storage::Store> store, EngineOptions options) {
  auto parts = std::make_unique<Parts>();
  for (const auto& [name, function] : options.extractors) parts->registered_names.push_back(name);
  parts->registered = std::move(options.extractors);
  parts->core = std::make_unique<Core>(options.clock != nullptr ? *options.clock : SystemClock(), options.observer,
                                       RandomId(), std::move(options.local), std::move(store));
  auto rules = parts->Compile(config, nullptr);
  if (!rules) return std::unexpected(rules.error());
  parts->rules = std::make_unique<Published<Ruleset>>(std::move(*rules));
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

void Engine::Tick() {
  const Nanos now = parts_->core->clock.Now();
  if (parts_->core->reservations.AnyEnded(now)) CancelEnded(now);
}

HashedSubject Engine::Expect(const Request& request) const {
  const auto rules = parts_->rules->Read();
  const std::string_view subject = rules->LikelySubject(request);
  if (subject.empty() || subject.size() > kLongestSubject) return {};
  const HashedSubject expected{.text = subject, .hash = HashSubject(subject)};
  // Memory that nothing was ever written to is slow to ask for.
  if (rules->keeps_words()) parts_->core->store->Expect(KeyOf(0, expected.hash));
  return expected;
}

bool Engine::Submit(std::span<Call> calls, storage::Completion* done, const HashedSubject& told) {
  Core& core = *parts_->core;
  const bool one = calls.size() == 1 && MayDecideOne(core, calls[0]);
  // Never kept in the call: its memory may be used again for another subject of the same length.
  const bool expects = one && !calls[0].throttle;
  const HashedSubject expected = !expects ? HashedSubject() : told.text.empty() ? Expect(calls[0].request) : told;
  const auto rules = parts_->rules->Read();
  const Nanos now = core.clock.Now();
  if (core.reservations.AnyEnded(now)) [[unlikely]]
    CancelEnded(now);
  if (one && DecideOne(core, *rules, now, expected, calls[0])) return true;
  return SubmitAt(now, calls, done);
}

bool Engine::SubmitAt(Nanos now, std::span<Call> calls, storage::Completion* done) {
  Core& core = *parts_->core;
  const auto rules = parts_->rules->Read();
  Batch::Trip trip{.core = core, .rules = rules, .now = now, .done = done};
  while (!calls.empty()) {
    Batch* const batch = Batch::Take(trip);
    const std::size_t most = calls.front().throttle ? Batch::kMostThrottles : Batch::kMostCalls;
    std::size_t asked = 0;
    do {
      const std::size_t joined = JoinedAtFront(calls);
      if (joined == 1) [[likely]] {
        batch->Ask(calls.front());
      } else {
        batch->AskJoined(calls.first(joined));
      }
      asked += joined;
      calls = calls.subspan(joined);
    } while (asked < most && !calls.empty());
    if (batch->Go()) Batch::GiveBack(batch);
  }
  return trip.group == nullptr || trip.group->Leave();
}

// Cancels what was reserved for a time that is over, before what is asked now. Some at a time: whoever asks pays for
// it.
void Engine::CancelEnded(Nanos now) {
  // Owns its calls until they are answered; nobody waits for them.
  struct Cancels final : storage::Completion {
    std::vector<Call> calls;
    void Done() noexcept override { delete this; }
  };
  constexpr std::size_t kAtOnce = 64;
  const std::vector<std::uint64_t> ended = parts_->core->reservations.TakeEnded(now, kAtOnce);
  if (ended.empty()) return;
  auto cancels = std::make_unique<Cancels>();
  cancels->calls.resize(ended.size());
  for (std::size_t i = 0; i < ended.size(); ++i) {
    cancels->calls[i].kind = CallKind::kCancel;
    cancels->calls[i].reservation = ended[i];
  }
  Cancels* const pending = cancels.release();
  if (SubmitAt(now, pending->calls, pending)) delete pending;
}

void Engine::Run(std::span<Call> calls, const HashedSubject& expected) {
  Wait wait;
  if (!Submit(calls, &wait, expected)) wait.Await();
}

Result<> Engine::Apply(const EnterpriseRateLimitConfig& config) {
  const std::lock_guard lock(parts_->applying);
  const auto previous = snapshot();
  if (!(previous->document().storage.kind == config.storage.kind)) {
    return Fail(ErrorCode::kFailedPrecondition, "storage: a change of the store needs a restart");
  }
  auto next = parts_->Compile(config, previous.get());
  if (!next) return std::unexpected(next.error());
  parts_->rules->Publish(std::move(*next));
  return {};
}

std::shared_ptr<const config::Snapshot> Engine::snapshot() const { return parts_->rules->Read()->shared_snapshot(); }

std::uint64_t Engine::version() const { return parts_->rules->Read()->snapshot().version(); }

storage::Store& Engine::store() { return *parts_->core->store; }

const Clock& Engine::clock() const { return parts_->core->clock; }

Engine::Counts Engine::GetCounts() const {
  const Core& core = *parts_->core;
  const Counters& counters = core.counters;
  Counts counts;
  counts.allowed = counters.Sum(Tally::kAllowed);
  counts.denied = counters.Sum(Tally::kDenied);
  counts.exempt = counters.Sum(Tally::kExempt);
  counts.no_limit = counters.Sum(Tally::kNoLimit);
  counts.blocked = counters.Sum(Tally::kBlocked);
  counts.banned = counters.Sum(Tally::kBanned);
  counts.store_failures_local = counters.Sum(Tally::kStoreLocal);
  counts.store_failures_allow = counters.Sum(Tally::kStoreAllow);
  counts.store_failures_deny = counters.Sum(Tally::kStoreDeny);
  counts.store_full = counters.Sum(Tally::kStoreFull);
  counts.unknown_domain = counters.Sum(Tally::kUnknownDomain);
  counts.unidentified = counters.Sum(Tally::kUnidentified);
  counts.slots_untracked = counters.Sum(Tally::kUntracked);
  counts.script_failures = parts_->rules->Read()->extractors().failures();
  counts.reservations_open = core.reservations.open();
  for (Counters::RuleSum& sum : counters.SumRules()) {
    counts.rules.push_back({.rule = sum.path,
                            .level = sum.level,
                            .allowed = sum.counts[static_cast<std::size_t>(RuleTally::kAllowed)],
                            .denied = sum.counts[static_cast<std::size_t>(RuleTally::kDenied)],
                            .shadow_denied = sum.counts[static_cast<std::size_t>(RuleTally::kShadowDenied)],
                            .detail = std::move(sum.detail)});
  }
  return counts;
}

}  // namespace weir::engine
