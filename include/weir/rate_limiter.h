// The limiter as a library. Thread-safe: every method may be called from any thread.
//
// One limit for each key:
//   auto limiter = weir::RateLimiter::PerKey({100, 60s}).value();
//   if (!limiter.Check("alice").allowed) { ... }
//
// Everything that a document can say:
//   auto limiter = weir::RateLimiter::Create(config).value();
//   weir::Decision d = limiter->Check({.peer_ip = "192.0.2.1", .method = "GET", .path = "/"});
//   if (!d.allowed) { ... 429, retry after d.decider()->outcome.retry_after_ns ... }
// Decision::action says more, where rules wait, challenge or charge.
//
// With the memory store no call blocks, and Check allocates nothing for up to 8 rules. With a remote store the calling
// thread waits for the answer, at most the store's command timeout.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weir/clock.h"
#include "weir/config.h"
#include "weir/decision.h"
#include "weir/request.h"
#include "weir/result.h"
#include "weir/stats.h"

namespace weir {

class KeyedLimiter;
class ManagementApi;
class StoreFaults;
namespace engine {
class Engine;
class Observer;
}  // namespace engine
namespace library {
struct Internals;
}

// An identifier written in C++: returns the subject, or an empty view when there is none. The view must live as long as
// the request or be static. Must be thread-safe, must not throw, and cannot call Apply (kFailedPrecondition): a new
// configuration waits until no decision under the old one is under way.
using Extractor = std::function<std::string_view(const Request&)>;

struct RateLimiterOptions {
  const Clock* clock = nullptr;  // nullptr: its own (weir/clock.h); outlives the limiter
  std::vector<std::pair<std::string, Extractor>> extractors = {};  // names usable as custom identifiers
  StoreFaults* store_faults = nullptr;                             // for tests (weir/testing.h)
  std::vector<engine::Observer*> observers = {};  // for what is inside this repository; they outlive the limiter
};

// For PerKey: so many requests in a window of whole seconds.
struct Limit {
  std::uint64_t max_requests = 0;
  std::chrono::seconds window{0};                    // 1 s to 10 years
  std::optional<RateLimitAlgorithm> algorithm = {};  // default: as a rule that names none
};

// Told the answer of a CheckAsync.
using DecisionCallback = std::move_only_function<void(Decision)>;

struct Explanation {
  Decision decision;
  std::vector<ExplainStep> steps;
};

class RateLimiter {
 public:
  // kInvalidArgument with every fault of the document; kUnavailable when its store cannot be set up.
  static Result<std::unique_ptr<RateLimiter>> Create(const EnterpriseRateLimitConfig& config,
                                                     RateLimiterOptions options = {});
  // A limiter in memory with one limit, which holds for each key by itself. kInvalidArgument: the limit is out of
  // range.
  static Result<KeyedLimiter> PerKey(Limit limit, RateLimiterOptions options = {});
  // Other calls have returned by then. What CheckAsync has not answered yet is answered now, by the rules' failure
  // policies; no callback is running any more when this returns.
  ~RateLimiter();

  Decision Check(const Request& request);
  // Decides as Check does, without waiting for a remote store: `callback` is called exactly once, also when the store
  // fails. With a memory store that is before the return, on this thread. Otherwise it may be later, on a thread of the
  // store, which serves all other requests too: the callback must be quick. It may call CheckAsync, but nothing that
  // waits for the store or for callbacks: no other method that asks the store, no Apply, not the destructor. It must
  // not throw. The request is copied if need be: nothing of it has to outlive the call. Bounded as a Check is: what the
  // store does not answer in its command timeout, and what exceeds its max_in_flight, is answered by the rules' failure
  // policies.
  void CheckAsync(const Request& request, DecisionCallback callback);
  // decisions.size() == requests.size(). Prefetched as one batch.
  void CheckBatch(std::span<const Request> requests, std::span<Decision> decisions);
  Decision Peek(const Request& request);  // what Check would answer; counts nothing

  // Charges request.cost now; Decision::reservation names it (0 when denied or nothing was counted).
  Decision Reserve(const Request& request);
  // Settles a reservation at its true cost: the difference is charged or given back. kNotFound: unknown, settled or
  // expired (a reservation lives for one hour; an expired one stays charged).
  Result<> Commit(std::uint64_t reservation, std::uint64_t actual_cost);
  Result<> Cancel(std::uint64_t reservation);
  // Reserves `more` for an open reservation while its work goes on; Commit settles the sum. All or nothing over the
  // rules that it has charged or, with `partial`, as much of it as there is. Returns how much was added: 0 when there
  // is no room now. Slots of concurrency rules are not concerned. What was added begins the reservation's hour anew.
  // kNotFound: as Commit; also while another extension of it is on its way. kUnavailable: the store does not answer, or
  // did not when this was reserved; nothing was added. kResourceExhausted: extended too often (hundreds of times), or
  // the store is full. From any thread; waits only for a remote store.
  Result<std::uint64_t> Extend(std::uint64_t reservation, std::uint64_t more, bool partial = false);
  // Gives request.cost back to every rule that applies to the request.
  Result<> Refund(const Request& request);
  // Forgets what the subjects of this request have used.
  Result<> Reset(const Request& request);

  // Reports how the upstream fared with this request, to be called when its answer is there: every adaptive rule that
  // applies to the request, in shadow or not, lowers its limit at once while the upstream is slow or failing, and
  // raises it again as the reports get better. Other rules are not concerned. Nothing is charged or counted, and
  // request.cost plays no part; describe the request as it was described to Check.
  //   latency  how long the upstream took, also when it failed, held to the microsecond: below 1 us counts as 1 us,
  //            above 2^27 us (134 s) as that. Negative: kInvalidArgument
  //   failed   the upstream could not do it: no connection, no answer in time, a status of 500 or above. A request that
  //            was wrong has not failed
  // Returns how many rules were told: 0 when no adaptive rule applies (to an exempt request none does), or when the
  // store is full and has no room for what one would learn.
  // kUnavailable: the store does not answer; go on, the next report will do. Rules with on_store_failure local hear of
  // it in their local state meanwhile. kNotFound: the document does not know request.domain, and is told to call that
  // an error. From any thread; waits only for a remote store.
  Result<std::uint32_t> Feedback(const Request& request, std::chrono::nanoseconds latency, bool failed);

  // Decides as Peek does and says why, step by step.
  Explanation Explain(const Request& request);

  // Replaces the configuration without losing a count; an invalid one changes nothing. A change of `storage` needs a
  // restart and is refused with kFailedPrecondition.
  Result<> Apply(const EnterpriseRateLimitConfig& config);

  // Changes of single limits; lives as long as the limiter.
  ManagementApi& management_api();

  // Cheap enough to ask every second: it reads some counters of each thread, and takes no lock that a decision takes.
  // Never asks a remote store.
  Stats GetStats() const;

  // For front ends and metrics inside this repository.
  engine::Engine& engine();
  library::Internals internals() const;

 private:
  struct Parts;
  explicit RateLimiter(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// One limit for each key, in memory. Made by RateLimiter::PerKey. Thread-safe; can be moved while nobody uses it.
class KeyedLimiter {
 public:
  // `cost` 0 only looks. An empty key is a key like others.
  Decision Check(std::string_view key, std::uint64_t cost = 1) { return limiter_->Check(RequestOf(key, cost)); }
  Decision Peek(std::string_view key, std::uint64_t cost = 1) { return limiter_->Peek(RequestOf(key, cost)); }
  // Gives `cost` back.
  Result<> Refund(std::string_view key, std::uint64_t cost = 1) { return limiter_->Refund(RequestOf(key, cost)); }
  // Forgets what the key has used.
  Result<> Reset(std::string_view key) { return limiter_->Reset(RequestOf(key, 1)); }

  // For everything else, with the key as Request::user.
  RateLimiter& limiter() { return *limiter_; }

 private:
  friend class RateLimiter;
  explicit KeyedLimiter(std::unique_ptr<RateLimiter> limiter) : limiter_(std::move(limiter)) {}
  static Request RequestOf(std::string_view key, std::uint64_t cost) { return {.user = key, .cost = cost}; }

  std::unique_ptr<RateLimiter> limiter_;
};

// The name that the specification gives it.
using EnterpriseRateLimit = RateLimiter;

}  // namespace weir
