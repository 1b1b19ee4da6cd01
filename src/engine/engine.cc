#include "engine/engine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/anchored_clock.h"
#include "base/publication.h"
#include "config/snapshot/key_name.h"
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

  const FactSource* facts = nullptr;
  decltype(EngineOptions::entities_changed) entities_changed;
  decltype(EngineOptions::policy_changed) policy_changed;
  // Guarded by `applying`. Of the candidate, for policy_changed; nullptr: there is no candidate, or nobody to tell.
  std::shared_ptr<const EnterpriseRateLimitConfig> candidate_policy;

  Result<std::shared_ptr<Ruleset>> Make(const config::Revision& revision,
                                        std::shared_ptr<const config::Snapshot> snapshot, const Ruleset* previous) {
    auto made = Ruleset::Create(std::move(snapshot), registered, core->counters, previous, facts);
    if (made) (*made)->SetRevision(std::make_shared<const config::Revision>(revision));
    return made;
  }
  Result<std::shared_ptr<Ruleset>> Compile(const config::Revision& revision, EnterpriseRateLimitConfig config,
                                           Nanos now, const Ruleset& previous) {
    return CompileAfter(revision, std::move(config), &previous.snapshot(), now, &previous);
  }
  // `follows`: what the rules follow, of `previous` or of an earlier process.
  Result<std::shared_ptr<Ruleset>> CompileAfter(const config::Revision& revision, EnterpriseRateLimitConfig config,
                                                const config::Snapshot* follows, Nanos now, const Ruleset* previous) {
    auto snapshot = config::Snapshot::Compile(std::move(config), follows, now, registered_names);
    if (!snapshot) return std::unexpected(snapshot.error());
    return Make(revision, std::move(*snapshot), previous);
  }
  // A change waits until no decision reads the configuration any more: one of this very thread would never end.
  Result<> CheckOutside() const {
    if (!rules->HeldHere()) return {};
    return Fail(ErrorCode::kFailedPrecondition,
                "a configuration cannot be applied from within a decision (an extractor, an observer)");
  }
  std::shared_ptr<const Ruleset> Current() const { return rules->Read().Hold(); }
  // What is in force, once more, to be published with another candidate.
  std::shared_ptr<Ruleset> Again() const { return std::make_shared<Ruleset>(*Current()); }
  // What is set by the document beside its rules.
  void Settle(const Ruleset& next) const {
    core->failure.SetInstances(next.instances());
    const RequestIdsConfig& ids = next.snapshot().document().request_ids;
    core->request_ids.SetBounds(ids.max_entries, ids.ttl_seconds * kSecond);
  }
  void Publish(const std::shared_ptr<const Ruleset>& next) {
    Settle(*next);
    rules->Publish(next);
  }
  // A copy for policy_changed; nullptr: nobody is told.
  std::shared_ptr<const EnterpriseRateLimitConfig> CopyToTell(const EnterpriseRateLimitConfig& policy) const {
    return policy_changed ? std::make_shared<const EnterpriseRateLimitConfig>(policy) : nullptr;
  }
  // `policy`, if anybody is to be told, is in force now.
  void NotifyOfPolicy(const EnterpriseRateLimitConfig* policy, const Ruleset& in_force, Nanos now) const {
    if (policy != nullptr) policy_changed(*policy, in_force.snapshot(), now);
    NotifyOfRevision(in_force);
  }
  void NotifyOfRevision(const Ruleset& in_force) const {
    core->observers.Notify(*in_force.revision(), in_force.snapshot());
  }
};

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Engine::~Engine() {
  // While it is still there: what it completes now asks it again, and reads the rules and the rest of the core.
  if (parts_ != nullptr) parts_->core->store->Close();
}

Result<std::unique_ptr<Engine>> Engine::Create(const EnterpriseRateLimitConfig& config,
                                               std::unique_ptr<storage::Store> store, EngineOptions options) {
  if (options.observers.size() > Observers::kMost) {
    return Fail(ErrorCode::kInvalidArgument, "there are more observers than the engine has room for");
  }
  auto parts = std::make_unique<Parts>();
  for (const auto& [name, function] : options.extractors) parts->registered_names.push_back(name);
  parts->registered = std::move(options.extractors);
  parts->core = std::make_unique<Core>(options.clock != nullptr ? *options.clock : DecisionClock(), options.observers,
                                       SipKey{RandomId(), RandomId()}, std::move(options.local), std::move(store),
                                       options.most_reservations);
  parts->facts = options.facts;
  parts->entities_changed = std::move(options.entities_changed);
  parts->policy_changed = std::move(options.policy_changed);
  const Nanos since = options.since != 0 ? options.since : parts->core->clock.Now();
  auto rules = parts->CompileAfter({}, config, options.follows.get(), since, nullptr);
  if (!rules) return std::unexpected(rules.error());
  parts->Settle(**rules);
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
  if (one && DecideOne(core, rules->For(calls[0].request), now, expected, calls[0])) return true;
  return SubmitAt(now, calls, done);
}

bool Engine::SubmitAt(Nanos now, std::span<Call> calls, storage::Completion* done) {
  Core& core = *parts_->core;
  const auto rules = parts_->rules->Read();
  Batch::Trip trip{.core = core, .rules = rules, .chosen = &*rules, .now = now, .done = done};
  while (!calls.empty()) {
    trip.chosen = &rules->For(calls.front().request);
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
    } while (asked < most && !calls.empty() && &rules->For(calls.front().request) == trip.chosen);
    if (batch->Go()) Batch::GiveBack(batch);
  }
  return trip.group == nullptr || trip.group->Leave();
}

// Cancels reservations whose time is over, before the present calls are decided. A few at a time, since the caller
// waits for it.
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

namespace {

Result<> CheckSameStore(const Ruleset& in_force, const EnterpriseRateLimitConfig& next) {
  if (in_force.snapshot().document().storage.kind == next.storage.kind) return {};
  return Fail(ErrorCode::kFailedPrecondition, "storage: a change of the store needs a restart");
}

}  // namespace

Result<> Engine::Apply(const config::Revision& revision, EnterpriseRateLimitConfig policy) {
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  const auto current = parts_->Current();
  if (auto same = CheckSameStore(*current, policy); !same) return same;
  const auto to_tell = parts_->CopyToTell(policy);
  const Nanos now = parts_->core->clock.Now();
  auto next = parts_->Compile(revision, std::move(policy), now, *current);
  if (!next) return std::unexpected(next.error());
  parts_->Publish(*next);
  parts_->candidate_policy = nullptr;
  parts_->NotifyOfPolicy(to_tell.get(), **next, now);
  return {};
}

Result<> Engine::ApplyEntities(const config::Revision& revision, std::span<const config::EntityChange> changes) {
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  return ChangeEntities(revision, changes);
}

Result<> Engine::ReplaceEntities(const config::Revision& revision, std::vector<config::EntityChange> all) {
  using Kind = config::EntityChange::Kind;
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  std::array<std::unordered_set<std::string>, 3> stay;
  for (const config::EntityChange& one : all) {
    auto& names = stay[static_cast<std::size_t>(one.kind)];
    if (one.kind != Kind::kApiKey) {
      names.insert(one.name);
    } else if (auto digest = config::DigestOfKeyName(one.name)) {
      names.insert(std::move(*digest));
    }
  }
  const auto current = parts_->Current();
  const auto remove = [&](Kind kind, const auto& entity) {
    if (!entity.live || stay[static_cast<std::size_t>(kind)].contains(std::string(entity.name))) return;
    all.push_back(config::EntityChange::Remove(
        kind, kind == Kind::kApiKey ? config::KeyNameOfDigest(entity.name) : std::string(entity.name)));
  };
  const config::Snapshot& snapshot = current->snapshot();
  snapshot.VisitTenants([&](const config::TenantEntry& one) { remove(Kind::kTenant, one); });
  snapshot.VisitUsers([&](const config::UserEntry& one) { remove(Kind::kUser, one); });
  snapshot.VisitApiKeys([&](const config::ApiKeyEntry& one) { remove(Kind::kApiKey, one); });
  return ChangeEntities(revision, all);
}

Result<> Engine::ChangeEntities(const config::Revision& revision, std::span<const config::EntityChange> changes) {
  const auto current = parts_->Current();
  const Nanos now = parts_->core->clock.Now();
  const auto changed = [&](const Ruleset& rules) -> Result<std::shared_ptr<Ruleset>> {
    auto snapshot = rules.snapshot().With(changes, now, parts_->registered_names);
    if (!snapshot) return std::unexpected(snapshot.error());
    return parts_->Make(revision, std::move(*snapshot), &rules);
  };
  auto next = changed(*current);
  if (!next) return std::unexpected(next.error());
  if (const auto& candidate = current->candidate(); candidate != nullptr) {
    auto next_candidate = changed(*candidate->rules);
    if (!next_candidate) return std::unexpected(next_candidate.error());
    (*next_candidate)->SetRevision(candidate->rules->revision());
    (*next)->SetCandidate(std::make_shared<const Ruleset::Candidate>(std::move(*next_candidate), candidate->share));
  }
  parts_->Publish(*next);
  if (parts_->entities_changed) parts_->entities_changed(changes, (*next)->snapshot(), now);
  parts_->NotifyOfRevision(**next);
  return {};
}

Result<> Engine::SetCandidate(const config::Revision& revision, EnterpriseRateLimitConfig policy,
                              const SubjectShare& share) {
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  const auto next = parts_->Again();
  if (auto same = CheckSameStore(*next, policy); !same) return same;
  auto to_tell = parts_->CopyToTell(policy);
  auto candidate = parts_->Compile(revision, std::move(policy), parts_->core->clock.Now(), *next);
  if (!candidate) return std::unexpected(candidate.error());
  next->SetCandidate(std::make_shared<const Ruleset::Candidate>(std::move(*candidate), share));
  parts_->Publish(next);
  parts_->candidate_policy = std::move(to_tell);
  return {};
}

Result<> Engine::SetCandidateShare(const SubjectShare& share) {
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  const auto next = parts_->Again();
  if (next->candidate() == nullptr) return Fail(ErrorCode::kNotFound, "there is no candidate");
  next->SetCandidate(std::make_shared<const Ruleset::Candidate>(next->candidate()->rules, share));
  parts_->Publish(next);
  return {};
}

Result<> Engine::PromoteCandidate() {
  if (auto outside = parts_->CheckOutside(); !outside) return outside;
  const std::lock_guard lock(parts_->applying);
  const auto current = parts_->Current();
  if (current->candidate() == nullptr) return Fail(ErrorCode::kNotFound, "there is no candidate");
  const auto next = current->candidate()->rules;
  parts_->Publish(next);
  const auto policy = std::exchange(parts_->candidate_policy, nullptr);
  parts_->NotifyOfPolicy(policy.get(), *next, parts_->core->clock.Now());
  return {};
}

void Engine::DropCandidate() {
  const std::lock_guard lock(parts_->applying);
  const auto next = parts_->Again();
  if (next->candidate() == nullptr) return;
  next->SetCandidate(nullptr);
  parts_->Publish(next);
  parts_->candidate_policy = nullptr;
}

std::shared_ptr<const config::Revision> Engine::revision() const { return parts_->rules->Read()->revision(); }

std::shared_ptr<const config::Snapshot> Engine::snapshot() const { return parts_->rules->Read()->shared_snapshot(); }

std::uint64_t Engine::version() const { return parts_->rules->Read()->snapshot().version(); }

storage::Store& Engine::store() { return *parts_->core->store; }

const Clock& Engine::clock() const { return parts_->core->clock; }

Engine::Counts Engine::GetTotals() const {
  const Core& core = *parts_->core;
  const Counters& counters = core.counters;
  Counts counts;
  counts.allowed = counters.Sum(Tally::kAllowed);
  counts.denied = counters.Sum(Tally::kDenied);
  counts.exempt = counters.Sum(Tally::kExempt);
  counts.no_limit = counters.Sum(Tally::kNoLimit);
  counts.waits = counters.Sum(Tally::kWaits);
  counts.challenges = counters.Sum(Tally::kChallenges);
  counts.charges = counters.Sum(Tally::kCharges);
  counts.blocked = counters.Sum(Tally::kBlocked);
  counts.banned = counters.Sum(Tally::kBanned);
  counts.shadow_denied = counters.Sum(Tally::kShadowDenied);
  counts.store_failures_local = counters.Sum(Tally::kStoreLocal);
  counts.store_failures_allow = counters.Sum(Tally::kStoreAllow);
  counts.store_failures_deny = counters.Sum(Tally::kStoreDeny);
  counts.store_full = counters.Sum(Tally::kStoreFull);
  counts.unknown_domain = counters.Sum(Tally::kUnknownDomain);
  counts.unidentified = counters.Sum(Tally::kUnidentified);
  counts.counted_by_address = counters.Sum(Tally::kCountedByAddress);
  counts.denied_unidentified = counters.Sum(Tally::kDeniedUnidentified);
  counts.slots_untracked = counters.Sum(Tally::kUntracked);
  counts.script_failures = parts_->rules->Read()->extractors().failures();
  counts.reservations_open = core.reservations.open();
  counts.request_ids_repeated = counters.Sum(Tally::kRepeated);
  counts.request_ids_remembered = core.request_ids.entries();
  counts.request_ids_evicted = core.request_ids.evicted();
  return counts;
}

Engine::Counts Engine::GetCounts() const {
  Counts counts = GetTotals();
  for (Counters::RuleSum& sum : parts_->core->counters.SumRules()) {
    // Most families are never asked.
    const bool family = sum.level == Level::kUser || sum.level == Level::kTenant || sum.level == Level::kApiKey;
    if (family && std::ranges::all_of(sum.counts, [](std::uint64_t count) { return count == 0; })) continue;
    counts.rules.push_back({.rule = std::move(sum.path),
                            .level = sum.level,
                            .tier = std::move(sum.tier),
                            .allowed = sum.counts[static_cast<std::size_t>(RuleTally::kAllowed)],
                            .denied = sum.counts[static_cast<std::size_t>(RuleTally::kDenied)],
                            .shadow_denied = sum.counts[static_cast<std::size_t>(RuleTally::kShadowDenied)],
                            .detail = std::move(sum.detail)});
  }
  return counts;
}

}  // namespace weir::engine
