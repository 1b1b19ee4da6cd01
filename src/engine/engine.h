// The hot path: snapshot -> exemptions -> resolve -> clock once -> store.Apply -> failure policy -> observe -> return.
// What front ends see of weir. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/assignment.h"
#include "base/clock.h"
#include "config/snapshot/snapshot.h"
#include "config/source/revision.h"
#include "engine/identify/fact_source.h"
#include "engine/observer.h"
#include "storage/store.h"
#include "weir/decision.h"
#include "weir/rate_limiter.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::engine {

// kCharge counts whatever the limits say, and its decision tells whether it was within them;
// retry_after_ns is then the time until all is restored. Concurrency slots are not taken so. kFeedback tells the
// request's adaptive rules, those in shadow too, how its upstream fared; it charges and counts nothing, and is no
// decision. kExtend reserves request.cost more for an open reservation, all or nothing over the rules that it has
// charged, or with `partial` as much of it as there is; it is no decision either. A reservation that is being extended
// is not there for anybody else until that is answered.
enum class CallKind : std::uint8_t {
  kCheck,
  kPeek,
  kReserve,
  kCommit,
  kCancel,
  kRefund,
  kReset,
  kCharge,
  kFeedback,
  kExtend
};

// How a call belongs to the one before it in the same Submit. kSameRequest: it is another descriptor of the same
// request, so that `replaces` is heeded, but counts for itself. kAllOrNothing: and moreover either all that are so
// joined are charged or none is; each still gets a decision of its own, by its own rules: `allowed` says that these had
// room, also when another call of the group was denied and so nothing was charged. Joined in this way are kCheck,
// kPeek, kReserve and kCharge, each only to its own kind (another kind before it: as kSameRequest); kCommit and kCancel
// are never joined. Replaced rules are not counted; a call that has none left is allowed, kNoLimit. Of calls that are
// joined all-or-nothing the first one with a request_id names the ask.
enum class Join : std::uint8_t { kNone, kSameRequest, kAllOrNothing };

// One question and its answer, in memory of the caller, which must stay until the batch is complete.
struct Call {
  CallKind kind = CallKind::kCheck;
  Request request;                // kCheck, kPeek, kReserve, kRefund, kReset, kCharge, kFeedback (its cost is ignored)
  std::uint64_t reservation = 0;  // kCommit, kCancel, kExtend
  std::uint64_t actual_cost = 0;  // kCommit
  Nanos latency = 0;              // kFeedback: of the upstream; bounded as algorithms::adaptive::FeedbackToken has it
  bool failed = false;            // kFeedback: the upstream could not do it
  // kReserve: what is not settled after this is cancelled. At most Reservations::kLongestHold; 0: never, and after
  // Reservations::kLife it is forgotten, and stays charged.
  // kExtend: one that had such an end, and got more, ends this much from now; 0: as before. Each extension that adds
  // something begins its hour (Reservations::kLife) anew.
  Nanos life = 0;
  bool partial = false;  // kExtend: less than request.cost will do
  // kRefund: of what was charged at that time (`decided_at`), so that no more is given back than this charge still
  // occupies. 0: names no charge; at most what is held is given back.
  Nanos charged_at = 0;
  // The request is a descriptor of request.domain, its entries the request's attributes, in order: resolved by the
  // domain's tree, and by the hierarchy only if the domain says so. A domain that is not in the document is decided by
  // envoy.unknown_domain: kUnknownDomain in the decision, or (error) kNotFound in `status`.
  bool descriptor = false;
  Join join = Join::kNone;
  // A bucket whose numbers the client brings (CL.THROTTLE and its kin): `client_limit` for `throttle_key`, under the
  // built-in rule "throttle"; no rule of the document is consulted, nor is the request but for its cost. One of kCheck,
  // kPeek and kRefund; a refund gets a decision too, which tells what is left. A key whose limit changes keeps what it
  // has used. Never joined.
  bool throttle = false;
  std::string_view throttle_key{};
  // descriptor: a limit that the client brings, instead of the domain's; throttle: the limit. Sanitized.
  const algorithms::Limit* client_limit = nullptr;
  std::vector<ExplainStep>* trace = nullptr;  // set: every step is written down (allocates)
  // Set: whom each rule of the decision counts, in the order of its rules; emptied when there are none (allocates).
  std::vector<std::string>* subjects = nullptr;

  Decision decision;  // kCheck, kPeek, kReserve, kCharge
  // The others: done, or why not (kNotFound: no such reservation). Those above: why there is no true decision
  // (kNotFound: unknown domain; kResourceExhausted: too many open reservations); `decision` then refuses.
  Result<> status;
  // kFeedback: how many rules were told, 0 when no adaptive rule holds for the request or the store has no room left
  // for what it would teach. While the store does not answer: those that go on with a local state.
  std::uint32_t rules_updated = 0;
  // Of decisions that a store made: when, by its clock. Written for calls that are joined.
  Nanos decided_at = 0;
  // kExtend: how much was added, and, when there was no room (0, and no fault), when the whole would fit; 0: never.
  std::uint64_t granted = 0;
  Nanos retry_after_ns = 0;
};

struct EngineOptions {
  const Clock* clock = nullptr;  // nullptr: DecisionClock()
  std::vector<std::pair<std::string, Extractor>> extractors = {};
  std::vector<Observer*> observers = {};  // at most Observers::kMost; they outlive the engine
  // Asked for what the configuration needs to know of requests; outlives the engine. nullptr: nothing is known.
  const FactSource* facts = nullptr;
  // Decides by this instance's share while `store` does not answer, for rules with on_store_failure local. Must
  // complete inline and be bounded (a small memory store). nullptr: such rules let requests pass then, and say
  // kStoreAllowed.
  std::unique_ptr<storage::Store> local = {};
  // What the first configuration follows, as a change does, with when that came into force (0: now): counts of an
  // earlier process then follow their rules. nullptr: nothing.
  std::shared_ptr<const config::Snapshot> follows = {};
  Nanos since = 0;
  // Told of each accepted ApplyEntities and ReplaceEntities: what was changed, what came of it, and when. Called while
  // no other change can be applied, in their order; must not apply one itself.
  std::function<void(std::span<const config::EntityChange>, const config::Snapshot&, Nanos)> entities_changed = {};
  // The same of each policy that has come into force since, by Apply or PromoteCandidate: the policy as it was given,
  // what was made of it, and when. While there is a candidate, a copy of its policy is kept for this.
  std::function<void(const EnterpriseRateLimitConfig&, const config::Snapshot&, Nanos)> policy_changed = {};
  // Open at once: a reservation more is refused (kResourceExhausted).
  std::size_t most_reservations = std::size_t{1} << 18;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(const EnterpriseRateLimitConfig& config,
                                                std::unique_ptr<storage::Store> store, EngineOptions options = {});
  ~Engine();

  // Whom the request is probably counted for, whose states a store in memory now begins to fetch: they lie together, so
  // that need not wait until it is known which rules apply. For Submit of one call of this very request, which does it
  // itself when it is not told. Borrows from the request. No lock, no allocation.
  HashedSubject Expect(const Request& request) const;

  // Runs the calls as one batch, in order. True: all complete on return. False: `done->Done()` follows, on a thread of
  // the store. `done` may be nullptr only when the store is known to complete inline.
  // `expected`: of the one call's request, by a caller who could ask early.
  [[nodiscard]] bool Submit(std::span<Call> calls, storage::Completion* done, const HashedSubject& expected = {});
  // The same for a caller that may wait: returns when complete.
  void Run(std::span<Call> calls, const HashedSubject& expected = {});

  // Swaps the configuration; readers never wait. An invalid one changes nothing. A change of `storage.kind` is refused
  // with kFailedPrecondition: it needs a restart. Must not be called by an observer. A candidate is dropped: it was
  // made of what was in force. Entities that ApplyEntities brought stay, and hold before those of the document that
  // have their names.
  Result<> Apply(const config::Revision& revision, EnterpriseRateLimitConfig policy);
  Result<> Apply(const EnterpriseRateLimitConfig& config) { return Apply({}, config); }
  // Changes some users, tenants and API keys (Snapshot::With), all of them or none, also in the candidate. Takes as
  // long however many there are.
  Result<> ApplyEntities(const config::Revision& revision, std::span<const config::EntityChange> changes);
  // The same, and every entity that was applied before and is not among them is removed: for a store of entities that
  // begins or was restored, so that what is in force is what it has. Looks at all entities.
  Result<> ReplaceEntities(const config::Revision& revision, std::vector<config::EntityChange> all);
  // Of the latest change that is in force.
  std::shared_ptr<const config::Revision> revision() const;

  // Lets another policy hold for a share of the subjects; the rest go on as before. A subject that moves to it takes
  // its counts along, and stays as long as the share does not shrink below it. Counts that many subjects share (of a
  // tenant, of all) are kept apart for the two policies where their limits differ. Replaces an earlier candidate.
  Result<> SetCandidate(const config::Revision& revision, EnterpriseRateLimitConfig policy, const SubjectShare& share);
  // The same policy for another share; kNotFound: there is no candidate.
  Result<> SetCandidateShare(const SubjectShare& share);
  // Lets it hold for all; kNotFound likewise.
  Result<> PromoteCandidate();
  // Nothing happens when there is none.
  void DropCandidate();
  // The snapshot in force; hold it as briefly as possible.
  std::shared_ptr<const config::Snapshot> snapshot() const;
  // Its version(); cheap enough to ask for each request whether what was made of the document still holds.
  std::uint64_t version() const;

  // Gives back what was reserved for a time that is over. Every Submit of calls does so, too: this is for when nobody
  // asks.
  void Tick();

  storage::Store& store();
  const Clock& clock() const;

  // Decisions since start, gathered over all threads. Slow: for scrapes. kCheck, kReserve and kCharge with a cost are
  // counted; peeks are not.
  struct RuleCounts {
    // The rule's path. Those of users and tenants are told together, by tier: "users.*.rule".
    std::string rule;
    Level level = Level::kGlobal;
    std::string tier = {};  // that these users or tenants name
    std::uint64_t allowed = 0, denied = 0, shadow_denied = 0;
    // Of a rule with detailed metrics: the descriptors counted here (detail.h), "other" when there are too many. What
    // is counted so is not in the rule's entry without a detail.
    std::string detail = {};
  };
  struct Counts {
    std::uint64_t allowed = 0,
                  denied = 0;  // every decision is one of the two; the others below tell some of them apart
    std::uint64_t waits = 0;   // of those allowed: passed with a delay
    std::uint64_t challenges = 0, charges = 0;  // of those denied
    std::uint64_t exempt = 0, no_limit = 0, blocked = 0, banned = 0;
    std::uint64_t shadow_denied = 0;  // a rule that does not deny would have
    std::uint64_t store_failures_local = 0, store_failures_allow = 0, store_failures_deny = 0;
    std::uint64_t store_full = 0;
    std::uint64_t unknown_domain = 0;  // calls of a domain that the document does not have, however decided
    // Rules that found no subject, by what on_missing said: skip, ip, deny. Any number in one request.
    std::uint64_t unidentified = 0, counted_by_address = 0, denied_unidentified = 0;
    std::uint64_t script_failures = 0;  // identifiers whose script failed, under the configuration in force
    std::uint64_t reservations_open = 0;
    std::uint64_t slots_untracked = 0;         // concurrency slots given without a reservation, as their table was full
    std::uint64_t request_ids_repeated = 0;    // decisions that repeated an earlier answer; nowhere else counted
    std::uint64_t request_ids_remembered = 0;  // in this process now, also those that ran out and are still there
    std::uint64_t request_ids_evicted = 0;     // forgotten before their time: there were too many
    std::vector<RuleCounts> rules;
  };
  Counts GetCounts() const;
  // The same without `rules`, which are what is slow. Takes no lock.
  Counts GetTotals() const;

 private:
  struct Parts;
  bool SubmitAt(Nanos now, std::span<Call> calls, storage::Completion* done);
  void CancelEnded(Nanos now);
  Result<> ChangeEntities(const config::Revision& revision, std::span<const config::EntityChange> changes);
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::engine
