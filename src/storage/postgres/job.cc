#include "storage/postgres/job.h"

#include <algorithm>

#include "storage/postgres/bucket_batch.h"
#include "storage/postgres/working_set.h"

namespace weir::storage::postgres {

void Classify(Job& job) {
  bool all_peek = true, all_buckets = true;
  for (const Plan* const plan : job.plans) {
    all_peek &= plan->op == Op::kPeek;
    all_buckets &= IsBucketPlan(*plan);
    AddKeysOf(*plan, job.keys);
  }
  SortKeys(job.keys);
  if (all_peek) {
    job.lane = Lane::kReads;
  } else if (all_buckets && job.keys.size() == job.plans.size()) {
    job.lane = Lane::kBuckets;
  }
}

bool NeedsStore(const Plan& plan) {
  return std::ranges::any_of(
      plan.items, [](const Item& item) { return algorithms::Of(item.limit->kind).shape != algorithms::Shape::kNone; });
}

void DecideWithoutStore(Plan& plan) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    plan.outcomes[i] = {};
    plan.outcomes[i].limit = plan.outcomes[i].remaining = UINT64_MAX;
    if (plan.op == Op::kTake) plan.outcomes[i].granted = std::min(plan.items[i].cost, algorithms::kMaxCount);
  }
  if (plan.copies != nullptr) std::fill_n(plan.copies, plan.items.size(), StateCopy{});
  plan.status = PlanStatus::kOk;
  plan.admitted = true;
}

}  // namespace weir::storage::postgres
