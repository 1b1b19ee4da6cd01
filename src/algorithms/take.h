// kTake, the same for every algorithm: charges as much of the cost as fits now, and says in Outcome::granted how much
// that was. What an instance takes so it may spend by itself later (a lease), so nothing is granted that kCheck would
// not admit.
//
//   granted = min(cost, what kPeek of 0 says remains, 2^53); at least 1 where kCheck of 1 is allowed
//   granted > 0   the state and the outcome are those of kCheck of `granted`; verdict kAllowed
//   granted = 0   nothing changes, also where denials count or teach; the outcome is that of kPeek of 1 (kLater: when
//                 there is something again)
//   cost = 0      nothing changes; the outcome is that of kPeek of 0
// Adaptive: what the limit of this moment leaves. Concurrency: so many slots, all under `token`: one kRefund of it
// gives them all back, and the limit's lease takes them back from a client that is gone. Penalty counts nothing, so
// there is nothing to cut a lease from: all of the cost where there is no ban, 0 during one, and nothing changes.
// Unlimited: all of it. What is not spent comes back as kRefund, as with any charge. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "algorithms/algorithm.h"
#include "algorithms/aligned_window.h"

namespace weir::algorithms {

// `apply`: the algorithm's own.
// What is taken cannot wait: a limit with max_wait is asked as if it had none.
template <typename Apply, typename State>
Outcome Take(const Apply& apply, const Limit& limit, const Ask& ask, State& state) {
  if (limit.max_wait > 0) [[unlikely]] {
    return Take(apply, WithoutWaiting(limit), ask, state);
  }
  const auto with = [&](Op op, std::uint64_t cost) {
    return apply(limit, Ask{.op = op, .cost = cost, .now = ask.now, .token = ask.token}, state);
  };
  if (ask.cost == 0) return with(Op::kPeek, 0);
  Outcome one = with(Op::kPeek, 1);
  if (one.verdict != Verdict::kAllowed) return one;
  const std::uint64_t cost = std::min(ask.cost, kMaxCount);
  if (limit.kind == Kind::kPenalty) {
    one.granted = cost;
    return one;
  }
  const Outcome room = with(Op::kPeek, 0);
  std::uint64_t remaining = room.remaining;
  if (IsWordWindow(limit.kind)) {
    const std::uint64_t most = aligned_window::MostCount(limit);
    remaining = std::min(remaining, most - std::min(most, room.used));
  }
  const std::uint64_t granted = std::clamp<std::uint64_t>(remaining, 1, cost);
  Outcome outcome = with(Op::kCheck, granted);
  if (outcome.verdict == Verdict::kAllowed) outcome.granted = granted;
  return outcome;
}

}  // namespace weir::algorithms
