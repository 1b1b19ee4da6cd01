// What happens while a store does not answer: the one place where `on_store_failure` is read.
//
//   local   decide with this instance's share of the limit, in a small store of its own, going on from the last state
//           that the store reported. Without such a store (EngineOptions::local) this is `allow`, and says so
//   allow   let the request pass
//   deny    refuse it
// A request under several rules is refused when one of them says deny; else the local ones decide; else it passes.
// Shadow rules have no say.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "engine/batch/item_context.h"
#include "engine/batch/plan_set.h"
#include "engine/counters/counters.h"
#include "engine/resolve/ruleset.h"
#include "storage/store.h"
#include "weir/decision.h"

namespace weir::engine {

// Thread-safe.
class FailurePolicy {
 public:
  // `local`: completes inline; nullptr: there is none. `store_name` is for logs.
  FailurePolicy(std::unique_ptr<storage::Store> local, std::string_view store_name)
      : local_(std::move(local)), store_name_(store_name) {}

  // Answers a kCheck, kPeek or kCharge plan, or a throttle's kRefund, that came back kUnavailable: fills in outcomes and `admitted`. The reason
  // is one of kStoreLocal, kStoreAllowed, kStoreDenied.
  Reason Decide(storage::Plan& plan, std::span<const ItemContext> contexts, Nanos now);

  // The same for changes (kCharge, kRefund, kReset): carried out on local states. True: that is all there is to change
  // for now. False: the caller must be told to try again (a rule is not local; a reset must reach the store).
  bool Change(storage::Plan& plan, std::span<const ItemContext> contexts, Nanos now);

  // After answers of the store: what they said was used is noted, so that local decisions can go on from there. Costs
  // nothing without a local store. `contexts`: those of all the plans' items in a row.
  void Note(std::span<const storage::Plan> plans, std::span<const ItemContext> contexts, Nanos now);

  // Runs plans that concern states of the local store only; false when there is none.
  bool ApplyLocal(std::span<storage::Plan> plans, Nanos now);

  // Whether this item is decided by the local store while the store is away.
  bool IsLocal(const ItemContext& context) const;

  // Told of each answer of the store; logs when it goes away and when it comes back, at most every ten seconds each.
  void Seen(bool available, Nanos now) noexcept;

  // How long to wait before asking again after a refusal by policy.
  static constexpr Nanos kRetryAfter = kSecond;

 private:
  std::unique_ptr<storage::Store> local_;
  std::string_view store_name_;
  std::atomic<bool> away_{false};
  std::atomic<Nanos> logged_away_{INT64_MIN};
  std::atomic<Nanos> logged_back_{INT64_MIN};
};

}  // namespace weir::engine
