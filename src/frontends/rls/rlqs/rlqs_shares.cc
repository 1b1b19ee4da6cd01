#include "frontends/rls/rlqs/rlqs_shares.h"

#include <algorithm>
#include <numeric>

namespace weir::rls {

std::vector<std::uint64_t> FairShares(std::uint64_t budget, std::span<const std::uint64_t> demands) {
  const std::size_t count = demands.size();
  std::vector<std::uint64_t> shares(count);
  if (count == 0) return shares;
  const std::uint64_t floor = std::max<std::uint64_t>(1, budget / count / 10);
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  // Those that want least first; of equals the last first, so that what does not divide goes to the first.
  std::ranges::sort(
      order, [&](std::size_t a, std::size_t b) { return demands[a] != demands[b] ? demands[a] < demands[b] : a > b; });
  std::uint64_t left = budget;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t wanted = std::max(demands[order[i]], floor);
    const std::uint64_t equal = left / (count - i);
    shares[order[i]] = std::min(wanted, equal);
    left -= shares[order[i]];
  }
  for (std::size_t i = 0; i < count && left > 0; ++i) {
    const std::uint64_t equal = left / (count - i);
    shares[order[i]] += equal;
    left -= equal;
  }
  return shares;
}

}  // namespace weir::rls
