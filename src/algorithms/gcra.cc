#include "algorithms/gcra.h"

namespace weir::algorithms::gcra {
namespace {

__extension__ typedef unsigned __int128 Uint128;

}  // namespace

Nanos IncrementOfFraction(const Limit& limit, std::uint64_t cost) {
  const auto count = static_cast<Uint128>(limit.rate_count);
  const Uint128 product = static_cast<Uint128>(cost) * static_cast<std::uint64_t>(limit.rate_period);
  const Uint128 increment = product / count + (product % count != 0 ? 1 : 0);
  return increment > static_cast<Uint128>(kLatestTat) ? kLatestTat : static_cast<Nanos>(increment);
}

std::uint64_t UnitsOfFraction(const Limit& limit, Nanos spent) {
  const auto period = static_cast<Uint128>(limit.rate_period);
  const Nanos burst = Burst(limit);
  if (spent <= burst) {
    const Uint128 left = static_cast<Uint128>(burst - spent) * limit.rate_count / period;
    return left >= limit.capacity ? 0 : limit.capacity - static_cast<std::uint64_t>(left);
  }
  const Uint128 product = static_cast<Uint128>(spent - burst) * limit.rate_count;
  const Uint128 units = limit.capacity + product / period + (product % period != 0 ? 1 : 0);
  return units > kMaxCount ? kMaxCount : static_cast<std::uint64_t>(units);
}

std::uint64_t UnitsLeft(const Limit& limit, std::uint64_t cost, Nanos elapsed) {
  const Nanos left = Increment(limit, cost) - std::max<Nanos>(0, elapsed);
  if (left <= 0) return 0;
  const Uint128 units = static_cast<Uint128>(left) * limit.rate_count / static_cast<std::uint64_t>(limit.rate_period);
  return units >= cost ? cost : static_cast<std::uint64_t>(units);
}

}  // namespace weir::algorithms::gcra
