// The store contract: where counter states live. Asynchronous and batched; memory completes inline, a remote store
// later.
//
// Promises of every store (tests/conformance holds each to them):
//  1. kCheck is all-or-nothing over a plan's enforced items: either every one is charged, or none.
//  2. Shadow items never take part in 1: each is charged on its own verdict.
//  3. Every outcome is filled in, also those of a denied plan (they then tell what was left, nothing consumed).
//  4. Two stores given the same plans at the same times answer the same, to the nanosecond.
//  5. A state that would change a decision is never forgotten silently: what is dropped live is counted.
//  6. A store that remembers (Remembers) writes down a plan's Once together with what it charges, both or neither.
//  While
//     it lives, a plan with the same id is not decided: it is given the first one's verdicts and outcomes (Aged until
//     now) and `decided_at`, and changes nothing. What was not admitted is not remembered.
//
// How a plan is decided, to the letter (tests/conformance/reference_store.h is this text as a program):
//  a. A state is absent when there is none under its key, or when it has expired at `now`: the two are never told
//     apart.
//  b. Carry-over. An item with `previous` (another key, and both limits of kinds that count) whose state under
//     `previous_key` is not absent: that state is added here, as algorithms::CarryOver does it (algorithms/carry_over.h
//     has the arithmetic; an absent state counts as fresh), and removed there. Moved, not copied: it can neither be
//     counted twice nor be lost, also when the change is rolled back while requests of both forms are in flight. Done
//     in order, before anything else and whatever the verdict is; only kPeek (also that of c) decides on what would be
//     there and moves nothing.
//  c. kCheck. The items are tried in order, each on the states as the items before it would leave them (so the same
//     subject twice in a plan counts twice). When all enforced items are allowed, this is the result and is kept. When
//     one is denied, all this is undone, and in order again: a shadow item is applied (its outcome is this one); an
//     enforced item that was denied is applied too, so that algorithms that learn from denials do, but should it be
//     allowed now (only an earlier item for the same subject can have been in its way) nothing of it is kept; its
//     outcome is the first one. An enforced item that was allowed is not applied; its outcome is that of kPeek with
//     cost 0, with the verdict kAllowed: what is left.
//  d. kPeek: each item for itself, on the stored states. Nothing changes, and nothing is stored. With `copies`, what an
//     adaptive item was decided on is handed out too: the state, carried over if that is due (b), when it is not
//     absent.
//  e. Other ops: each item applied for itself, in order; `shadow` plays no part; admitted is true. Of kTake each
//  outcome
//     says how much was granted (algorithms/take.h): maybe nothing, and not the same for all items. Who needs one
//     amount of all takes the least and refunds the rest.
//  f. A state that is applied and is then the same as a fresh one (expires <= now) is removed.
//  g. One key is only ever used with limits whose states have one shape. A list state of another kind than its limit's
//     counts as absent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "algorithms/algorithm.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/metric_sink.h"
#include "weir/outcome.h"
#include "weir/result.h"

namespace weir::storage {

using algorithms::Limit;
using algorithms::Op;

// One counter state and how it counts. What is pointed to lives until the plan completes.
struct Item {
  const Limit* limit = nullptr;
  Key key;                // HashKey(rule.seed, subject)
  std::string_view rule;  // stable name of the rule with its generation: stores that need names key by rule + subject
  std::string_view subject;
  // When the rule's numbers or algorithm changed lately: its previous form. What a store has under `previous_key` it
  // moves to `key` (b). nullptr: nothing to carry over.
  const Limit* previous = nullptr;
  Key previous_key;
  std::string_view previous_rule;
  std::uint64_t cost = 1;
  std::uint64_t token = 0;  // concurrency
  bool shadow = false;
  // kRefund: the charge that is settled (algorithms::Ask::charge), by the store's clock: Plan::decided_at.
  const algorithms::PastCharge* charge = nullptr;
};

// What an item asks of its state.
inline algorithms::Ask AskOf(const Item& item, Op op, Nanos now) {
  return {.op = op, .cost = item.cost, .now = now, .token = item.token, .charge = item.charge};
}

enum class PlanStatus : std::uint8_t {
  kOk,
  kUnavailable,  // the store did not answer (in time): outcomes are meaningless, the failure policy decides
  kFull,         // a new state was needed, the store is full of live ones and its policy is to say so (deny_new)
};

// The state that an item of a kPeek plan was decided on. Of adaptive items only: no other kind has more to tell than
// its outcome says.
struct StateCopy {
  algorithms::Words words;  // empty: absent, or an item of another kind
  Nanos now = 0;            // when it was decided, by the clock that the store goes by; other kinds: 0
  friend bool operator==(const StateCopy&, const StateCopy&) = default;
};

// An outcome that is told a while after it was decided: the same moments, as durations from now.
inline Outcome Aged(Outcome outcome, Nanos elapsed) {
  for (std::int64_t* const time : {&outcome.reset_after_ns, &outcome.retry_after_ns, &outcome.delay_ns}) {
    if (elapsed > 0) *time = *time > elapsed ? *time - elapsed : 0;
  }
  return outcome;
}

// A kCheck plan that is charged once, however often it is asked for (Plan::once; promise 6). What it points to lives
// until the plan completes.
struct Once {
  Key id;          // of the ask: equal ids are asks of the same items, whose limits alone may have changed since
  Nanos life = 0;  // for how long its answer is remembered, if it was admitted; at least a millisecond
  // What each caller would call what it takes (its reservation; 0: nothing). Of a repeated answer: what the first one
  // called it, as long as there are as many.
  std::span<std::uint64_t> tokens;
  bool repeated = false;  // written by the store: this is the answer to an earlier plan, and nothing was charged
};

struct Plan {
  Op op = Op::kCheck;
  std::span<const Item> items;
  std::span<Outcome> outcomes;  // same length as items; written by the store
  PlanStatus status = PlanStatus::kOk;
  bool admitted = false;  // kCheck, kPeek: every enforced item allowed
  // kPeek only: nullptr, or one for each item, written by the store. Meaningless with kUnavailable.
  StateCopy* copies = nullptr;
  // Written by a store that goes by another clock than its caller's: `now` by that one, at which a refund finds what
  // this plan charges. 0: by the caller's.
  Nanos decided_at = 0;
  // Set by the store, never cleared: an enforced item needed a new state, there was no room, and the policy is to go on
  // without its count (allow_new). Everything else is as if the state were there.
  bool untracked = false;
  // nullptr, or what makes two asks the same. Only for stores that remember (Store::Remembers); others do not read it.
  Once* once = nullptr;
};

// Told once when a batch that did not complete inline has completed, on the store's own thread.
class Completion {
 public:
  virtual void Done() noexcept = 0;

 protected:
  ~Completion() = default;
};

struct StoreStats {
  std::uint64_t entries = 0;             // states held now (approximate)
  std::uint64_t capacity = 0;            // 0 = unbounded
  std::uint64_t bytes = 0;               // memory taken by states
  std::uint64_t reclaimed = 0;           // expired states dropped
  std::uint64_t evicted_live = 0;        // live states dropped because the store was full (policy evict)
  std::uint64_t refused_new = 0;         // kFull answers (policy deny_new)
  std::uint64_t admitted_untracked = 0;  // new subjects let through uncounted (policy allow_new)
  std::uint64_t collisions = 0;          // compare-and-swaps lost and tried again
  std::uint64_t rollbacks = 0;           // plans undone half-way because another request won
  std::uint64_t failures = 0;            // plans answered kUnavailable
  std::uint64_t round_trips = 0;
};

enum class Health : std::uint8_t { kUp, kDegraded, kDown };

class Admin;

// Thread-safe: every method may be called from any thread at any time.
class Store {
 public:
  virtual ~Store() = default;

  // Runs the plans, in order within the batch. Returns true when all are complete on return (then `done` is not used);
  // false when `done->Done()` will be told later. Plans, items and what they point to stay alive until then.
  // `now` is the time of the decision; the store never reads a clock for arithmetic.
  [[nodiscard]] virtual bool Apply(std::span<Plan> plans, Nanos now, Completion* done) = 0;

  // Decides the plan on return, or nothing happens: false, the plan is as it was, and Apply is the way. A store in
  // memory always can; one before another store can for what it holds itself (a lease, a subject known to be spent).
  // Never waits for anybody.
  [[nodiscard]] virtual bool TryApply(Plan& plan, Nanos now) {
    return CompletesInline() && Apply({&plan, 1}, now, nullptr);
  }
  // Whether TryApply is worth the question: false, it never decides. Constant.
  virtual bool TriesInline() const { return CompletesInline(); }
  // Whether Apply always returns true. Constant.
  virtual bool CompletesInline() const { return false; }

  // Whether it heeds Plan::once. Constant. False: whoever asks remembers by itself.
  virtual bool Remembers() const { return false; }

  // Ends what the store does by itself. What waits is completed first (kUnavailable, where no answer is there yet);
  // after the return no Done() is told any more and none is under way, and every Apply completes inline: in a store
  // that needs others, kUnavailable. Counts and stats can still be asked for. Not from within Done(). A second call
  // returns when the first has; the destructor closes too.
  virtual void Close() {}

  // This key, or another one of its subject (base/hash.h), will be asked about in a moment: a store in memory begins to
  // fetch what it will read.
  virtual void Expect(const Key& /*key*/) const noexcept {}

  // What operators may do with the states themselves; nullptr: nothing. Lives as long as the store.
  virtual Admin* GetAdmin() { return nullptr; }

  virtual StoreStats Stats() const = 0;
  virtual Health GetHealth() const = 0;
  // "memory", "redis": for logs, metrics and explanations.
  virtual std::string_view Name() const = 0;

  // Writes down how the store fares, for metrics: what Stats() and GetHealth() say, labelled store=`as` (Name(), or the
  // part that it plays: "local"), and whatever else it counts. A store made of others describes them too.
  virtual void Describe(MetricSink& sink, std::string_view as) const;
};

// The parts of Describe() that all stores have in common: all that is counted, but for how full the store is ...
void DescribeStats(const StoreStats& stats, Health health, std::string_view as, MetricSink& sink);
// ... and how full it is, or one of the tables that it is made of; `table` is empty for a store of one.
void DescribeRoom(std::uint64_t entries, std::uint64_t capacity, std::string_view as, std::string_view table,
                  MetricSink& sink);

}  // namespace weir::storage
