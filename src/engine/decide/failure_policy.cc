#include "engine/decide/failure_policy.h"

#include <algorithm>
#include <string>

#include "base/log.h"

namespace weir::engine {
namespace {

using storage::Item;
using storage::Op;
using storage::Plan;
using storage::PlanStatus;

constexpr Nanos kQuiet = 10 * kSecond;

Outcome PassedBy(const Item& item) { return {.limit = item.limit->capacity, .remaining = item.limit->capacity}; }

Outcome RefusedBy(const Item& item) {
  return {.verdict = Verdict::kLater,
          .limit = item.limit->capacity,
          .reset_after_ns = FailurePolicy::kRetryAfter,
          .retry_after_ns = FailurePolicy::kRetryAfter};
}

std::uint64_t ShareOfUsed(std::uint64_t used, std::uint32_t instances) {
  return used / instances + (used % instances != 0 ? 1 : 0);
}

// The item as the local store sees it: with this instance's share, and nothing to carry over.
Item LocalItem(const Item& item, const ItemContext& context, PlanSet& set) {
  Item local = item;
  local.previous = nullptr;
  if (context.ban) return local;
  const bool by_rule = item.limit == &context.use->rule->limit;
  local.limit = by_rule ? &context.use->share : set.Own(ShareOf(*item.limit, context.use->instances));
  return local;
}

// What the local store should take over of an answer. Ban boxes that hold nothing are not worth a state.
bool WorthNoting(const ItemContext& context, const Outcome& outcome) { return !context.ban || outcome.used > 0; }

}  // namespace

bool FailurePolicy::IsLocal(const ItemContext& context) const {
  return local_ != nullptr && context.use != nullptr &&
         context.use->rule->on_store_failure == StoreFailurePolicy::kLocal;
}

bool FailurePolicy::ApplyLocal(std::span<Plan> plans, Nanos now) {
  return local_ != nullptr && local_->Apply(plans, now, nullptr);
}

Reason FailurePolicy::Decide(Plan& plan, std::span<const ItemContext> contexts, Nanos now) {
  bool refused = false;
  bool any_local = false;
  PlanSet set;
  set.Open(plan.op);
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    const bool deny = contexts[i].use->rule->on_store_failure == StoreFailurePolicy::kDeny && !contexts[i].ban;
    plan.outcomes[i] = deny ? RefusedBy(item) : PassedBy(item);
    refused |= deny && !item.shadow;
    if (!IsLocal(contexts[i])) continue;
    set.Add(LocalItem(item, contexts[i], set));
    any_local |= !item.shadow;
  }
  plan.admitted = !refused;
  if (refused) return Reason::kStoreDenied;
  if (set.item_count() == 0) return Reason::kStoreAllowed;

  set.Seal();
  const Plan& local = set.plan(0);
  if (!ApplyLocal(set.plans(), now) || local.status != PlanStatus::kOk) {
    // Even the small store is full and refuses new subjects: there is nothing left to decide by.
    return Reason::kStoreAllowed;
  }
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    if (IsLocal(contexts[i])) plan.outcomes[i] = local.outcomes[next++];
  }
  plan.admitted = local.admitted;
  return any_local ? Reason::kStoreLocal : Reason::kStoreAllowed;
}

bool FailurePolicy::Change(Plan& plan, std::span<const ItemContext> contexts, Nanos now) {
  bool all_local = true;
  PlanSet set;
  set.Open(plan.op);
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    if (IsLocal(contexts[i])) {
      set.Add(LocalItem(plan.items[i], contexts[i], set));
    } else {
      all_local &= contexts[i].use->rule->on_store_failure == StoreFailurePolicy::kAllow;
    }
  }
  if (set.item_count() > 0) {
    set.Seal();
    all_local &= ApplyLocal(set.plans(), now);
  }
  return all_local && plan.op != Op::kReset;
}

void FailurePolicy::Note(std::span<const Plan> plans, std::span<const ItemContext> contexts, Nanos now) {
  if (local_ == nullptr) return;
  PlanSet set;
  for (const Plan& plan : plans) {
    const bool told = plan.status == PlanStatus::kOk && plan.op != Op::kPeek;
    for (std::size_t i = 0; i < plan.items.size() && told; ++i) {
      if (!IsLocal(contexts[i]) || !WorthNoting(contexts[i], plan.outcomes[i])) continue;
      set.Open(Op::kAssign);
      Item& item = set.Add(LocalItem(plan.items[i], contexts[i], set));
      item.cost =
          contexts[i].ban ? plan.outcomes[i].used : ShareOfUsed(plan.outcomes[i].used, contexts[i].use->instances);
    }
    contexts = contexts.subspan(plan.items.size());
  }
  if (set.empty()) return;
  set.Seal();
  (void)ApplyLocal(set.plans(), now);
}

void FailurePolicy::Seen(bool available, Nanos now) noexcept {
  // Nearly always nothing has changed, and then this only reads.
  if (away_.load(std::memory_order_relaxed) != available) return;
  if (away_.exchange(!available, std::memory_order_relaxed) == !available) return;
  std::atomic<Nanos>& logged = available ? logged_back_ : logged_away_;
  Nanos last = logged.load(std::memory_order_relaxed);
  if (last != INT64_MIN && now >= last && now - last < kQuiet) return;
  if (!logged.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
  if (available) {
    log::Info("store answers again", {{"store", std::string(store_name_)}});
  } else {
    log::Warn("store does not answer; each rule goes on by its on_store_failure",
              {{"store", std::string(store_name_)}, {"local_store", local_ != nullptr ? "yes" : "no"}});
  }
}

}  // namespace weir::engine
