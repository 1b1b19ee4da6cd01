#include "algorithms/carry_over.h"

#include <utility>

#include "algorithms/adaptive.h"
#include "algorithms/concurrency.h"
#include "algorithms/gcra.h"
#include "algorithms/instant.h"
#include "algorithms/penalty.h"
#include "algorithms/sliding_window_log.h"
#include "algorithms/word.h"

namespace weir::algorithms {
namespace {

std::uint64_t UsedOf(const Previous& previous, Nanos now) {
  const Algorithm& algorithm = Of(previous.limit.kind);
  if (algorithm.shape == Shape::kWord) return algorithm.used_word(previous.limit, previous.word, now);
  return algorithm.used_list(previous.limit, *previous.words, now);
}

void Charge(const Limit& limit, std::uint64_t cost, Nanos now, std::uint64_t token, Words& state) {
  if (cost == 0) return;
  Of(limit.kind).apply_list(limit, {.op = Op::kCharge, .cost = cost, .now = now, .token = token}, state);
}

// Of two states of one limit, the one that says more is kept, and the other one's count is charged to it.
void KeepRicher(const Limit& limit, const Words& there, Nanos now, std::uint64_t token, Words& here) {
  std::uint64_t used_there = Of(limit.kind).used_list(limit, there, now);
  std::uint64_t used_here = Of(limit.kind).used_list(limit, here, now);
  const bool richer = limit.kind == Kind::kAdaptive ? adaptive::Samples(limit, there) > adaptive::Samples(limit, here)
                                                    : used_there > used_here;
  if (richer) {
    here = there;
    std::swap(used_there, used_here);
  }
  Charge(limit, used_there, now, token, here);
}

void CarryAlike(const Limit& to, const Words& there, Nanos now, std::uint64_t token, Words& here) {
  const Algorithm& algorithm = Of(to.kind);
  if (algorithm.expires_list(to, there) <= now) return;
  if (algorithm.expires_list(to, here) <= now) {
    here = there;
  } else if (to.kind == Kind::kConcurrency) {
    concurrency::Join(there, now, here);
  } else if (to.kind == Kind::kPenalty) {
    penalty::Join(to, there, now, here);
  } else {
    KeepRicher(to, there, now, token, here);
  }
}

}  // namespace

Carried CarriedTo(const Limit& to, const Previous& previous, Nanos now) {
  now = ClampNow(now);
  const bool alike = CarriesOver(previous.limit, to);
  if (words::IsWindow(to)) {
    return {.amount = static_cast<Nanos>(UsedOf(previous, now)),
            .end = alike ? aligned_window::Expires(previous.limit, previous.word) : 0};
  }
  return {.amount = alike ? gcra::Spent(previous.word, now) : gcra::Increment(to, UsedOf(previous, now)), .end = 0};
}

void CarryOver(const Limit& to, const Previous& previous, Nanos now, Word& state) {
  const Carried carried = CarriedTo(to, previous, now);
  if (carried.amount > 0) state = words::Joined(to, state, ClampNow(now), carried.amount, carried.end);
}

void CarryOver(const Limit& to, const Previous& previous, Nanos now, std::uint64_t token, Words& state) {
  now = ClampNow(now);
  if (CarriesOver(previous.limit, to)) {
    if (to.kind == Kind::kSlidingWindowLog && previous.limit.retention > previous.limit.window) {
      Words there = *previous.words;
      sliding_window_log::Widen(previous.limit, to, now, there);
      return CarryAlike(to, there, now, token, state);
    }
    return CarryAlike(to, *previous.words, now, token, state);
  }
  const std::uint64_t used = UsedOf(previous, now);
  if (used == 0) return;
  if (Of(to.kind).expires_list(to, state) > now) return Charge(to, used, now, token, state);
  state.clear();
  Of(to.kind).apply_list(to, {.op = Op::kAssign, .cost = used, .now = now, .token = token}, state);
}

}  // namespace weir::algorithms
