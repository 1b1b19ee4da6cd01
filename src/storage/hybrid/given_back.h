// What a refund has really given back in a store that completes inline: of a window that is over, or of what a bucket
// has drained, it is less than what was asked for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/store.h"

namespace weir::storage::hybrid {

// Applies a kRefund plan, and says of each item how much it was. No other refund of its subjects may be under way: it
// would be taken for this one's. A charge meanwhile only makes it less. Empty: the plan was not applied.
inline std::vector<std::uint64_t> GiveBack(Store& store, Plan& plan, Nanos now) {
  std::vector<Item> items(plan.items.begin(), plan.items.end());
  for (Item& item : items) {
    item.cost = 0;
    item.charge = nullptr;
  }
  std::vector<Outcome> before(items.size());
  Plan peek{.op = Op::kPeek, .items = items, .outcomes = before};
  (void)store.Apply({&peek, 1}, now, nullptr);
  (void)store.Apply({&plan, 1}, now, nullptr);
  std::vector<std::uint64_t> given;
  if (plan.status != PlanStatus::kOk) return given;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Item& item = plan.items[i];
    std::uint64_t used = before[i].used;
    for (std::size_t j = 0; j < i; ++j) {
      if (items[j].key == item.key) used = plan.outcomes[j].used;
    }
    const std::uint64_t asked = item.charge == nullptr ? item.cost : std::min(item.cost, item.charge->cost);
    given.push_back(std::min(asked, used - std::min(used, plan.outcomes[i].used)));
  }
  return given;
}

}  // namespace weir::storage::hybrid
