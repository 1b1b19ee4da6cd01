#include "frontends/rls/rlqs/rlqs_budget.h"

#include <algorithm>
#include <limits>

namespace weir::rls {
namespace {

__extension__ typedef unsigned __int128 Wide;
constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kFine = 1'000;           // tokens that are enough to divide
constexpr std::uint64_t kLongestInterval = 600;  // seconds to which an interval is stretched for that

std::uint32_t Clamped(Wide count) { return static_cast<std::uint32_t>(std::min<Wide>(count, kMost)); }

// `count` tokens every `period` ns, in whole seconds: never more than that.
void SetRate(std::uint64_t count, Nanos period, std::uint64_t seconds, Budget& budget) {
  const auto tokens_in = [&](std::uint64_t interval) {
    return Wide{count} * interval * static_cast<std::uint64_t>(kSecond) / static_cast<std::uint64_t>(period);
  };
  std::uint64_t interval = std::max<std::uint64_t>(seconds, 1);
  while (tokens_in(interval) < kFine && interval * 10 <= kLongestInterval) interval *= 10;
  if (tokens_in(interval) == 0) {
    const Wide one = (static_cast<std::uint64_t>(period) + Wide{count} - 1) / count;
    interval = static_cast<std::uint64_t>((one + kSecond - 1) / kSecond);
  }
  budget.tokens = Clamped(tokens_in(interval));
  budget.interval_seconds = Clamped(interval);
}

}  // namespace

Budget BudgetOf(const config::Rule* rule) {
  Budget budget;
  if (rule == nullptr || rule->unlimited || rule->shadow) return budget;
  if (rule->descriptor != nullptr && rule->descriptor->quota) return budget;
  const algorithms::Limit& limit = rule->limit;
  std::uint64_t count = limit.capacity;
  Nanos period = 0;
  switch (limit.kind) {
    case algorithms::Kind::kUnlimited:
      return budget;
    case algorithms::Kind::kConcurrency:
    case algorithms::Kind::kPenalty:
      budget.kind = Budget::Kind::kUnknown;
      return budget;
    case algorithms::Kind::kTokenBucket:
    case algorithms::Kind::kLeakyBucket:
      count = limit.rate_count;
      period = limit.rate_period;
      break;
    case algorithms::Kind::kSlidingWindow:
    case algorithms::Kind::kSlidingWindowLog:
    case algorithms::Kind::kFixedWindow:
    case algorithms::Kind::kAlignedWindow:
    case algorithms::Kind::kAnchoredWindow:
    case algorithms::Kind::kAdaptive:
      period = static_cast<Nanos>(std::max<std::uint64_t>(rule->window_seconds, 1)) * kSecond;
      break;
  }
  if (limit.capacity == 0 || count == 0) {
    budget.kind = Budget::Kind::kDenyAll;
    return budget;
  }
  budget.kind = Budget::Kind::kTokens;
  budget.burst = Clamped(limit.capacity);
  SetRate(count, std::max<Nanos>(period, 1), rule->window_seconds, budget);
  return budget;
}

Budget BudgetOfUnknownDomain(UnknownDomain policy) {
  Budget budget;
  if (policy == UnknownDomain::kDeny) budget.kind = Budget::Kind::kDenyAll;
  if (policy == UnknownDomain::kHierarchy || policy == UnknownDomain::kError) budget.kind = Budget::Kind::kUnknown;
  return budget;
}

Assignment PartOf(const Budget& budget, std::uint64_t share) {
  Assignment part;
  if (budget.kind == Budget::Kind::kDenyAll || (budget.kind == Budget::Kind::kTokens && share == 0)) {
    part.kind = Assignment::Kind::kDenyAll;
    return part;
  }
  if (budget.kind != Budget::Kind::kTokens) return part;
  part.kind = Assignment::Kind::kTokens;
  part.max_tokens = std::max<std::uint32_t>(1, Clamped(Wide{budget.burst} * share / budget.tokens));
  part.tokens_per_fill = Clamped(share);
  part.interval_seconds = budget.interval_seconds;
  return part;
}

std::uint64_t DemandOf(const Budget& budget, std::uint64_t requests, Nanos elapsed) {
  const auto length = static_cast<std::uint64_t>(std::max(elapsed, kSecond));
  const Wide needed =
      (Wide{requests} * budget.interval_seconds * static_cast<std::uint64_t>(kSecond) + length - 1) / length;
  return static_cast<std::uint64_t>(std::min<Wide>(needed, kMost));
}

}  // namespace weir::rls
