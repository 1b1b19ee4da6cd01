// The arithmetic of both buckets: the generic cell rate algorithm on one word. Inline, for the memory store's hot path
// calls it directly; pure; thread-safe.
//
// State: TAT, the theoretical arrival time: the instant (ns since the epoch) at which everything used will have been
// restored. 0 = fresh; TAT <= now says the same as fresh. With `now` clamped (ClampNow) and T = rate_period/rate_count,
// the time one unit takes:
//   increment(cost) = ceil(cost * rate_period / rate_count)          Increment()
//   burst           = increment(capacity)                            Burst()
//   spent           = max(0, TAT - now)                              Spent()
//   cost > capacity                    -> kNever
//   spent + increment(cost) <= burst   -> kAllowed, TAT' = max(TAT, now) + increment(cost)
//   else                               -> kLater, retry_after = spent + increment(cost) - burst; TAT unchanged
// With Limit::max_wait that much more is admitted (burst + max_wait stands for burst in these three lines, and nowhere
// else), and delay = max(0, spent' - burst): when that has passed, what is spent is within the burst again. While
// requests wait the bucket is in debt.
//   remaining = min(capacity, floor((burst - spent') * rate_count / rate_period)), 0 in debt; used = capacity -
//   remaining, in debt min(2^53, capacity + ceil((spent' - burst) * rate_count / rate_period)); reset_after = spent'
// (spent' = spent after the decision; with rate_count 1, used is simply ceil(spent' / rate_period).) kCharge adds the
// increment regardless (TAT saturates at INT64_MAX), kRefund subtracts it but not below now, kAssign sets TAT = now +
// increment(cost). A TAT <= now is written as 0.
//
// Settling. A refund that names a charge of C units made at `at` gives back at most
//   GivenBack = max(0, min(increment(C) - increment(C - cost), increment(C) - (now - at)))
// as if the bucket had drained this charge before all else. Why no more: the word is a sum and does not tell whose ns
// it holds. Let L be what is spent, and L* what would be spent if all that was ever given back had never been charged;
// the promise (in any t at most capacity + t * rate stays charged) holds as long as L >= L* at every ask, since each
// was admitted with L + increment <= burst. Giving g back lowers L by g. It lowers L* by g less the time for which the
// bucket without those g would have stood empty since `at`; g <= increment(C) - (now - at) leaves so much of the charge
// that it could not have been empty at all. So L* too falls by g, and L >= L* stays. Of anything more there are
// histories in which the bucket had drained it, and it would be another's. The price: a charge that lay behind others
// (the bucket was busy) is given back less than it still occupies, by at most (now - at) * rate units, which is what
// the bucket has drained meanwhile. What is not given back drains like everything else. Where long reservations are to
// be given back in full, use a window or a log. (A reset in between is not known here: reset is for what went wrong.)
// bucket_settling_test.cc goes through every history of a small bucket: of equal words, the one in which the charge
// occupies least leaves exactly this much of it, so no more is safe and no less is needed.
//
// Sanitize() makes rate_count 1 for every rate up to 1,000,000 units a second, by rounding rate_period up to whole
// nanoseconds: then increments add up exactly, a full bucket admits exactly `capacity` however the costs are split, and
// the rate is at most 0.1% (at 1,000/s: 0.0001%) below the one that was written, never above. Faster rates keep their
// fraction; there each charge rounds up to a whole nanosecond, and at most what one nanosecond restores fits beyond
// capacity.
//
// Division: none to decide when rate_count is 1, one to describe the outcome. A remote store sends `Terms` and `now`
// as (seconds, nanoseconds) pairs, adds and compares there, and calls Describe() on the TAT that comes back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "algorithms/algorithm.h"
#include "algorithms/instant.h"
#include "algorithms/limit.h"

namespace weir::algorithms::gcra {

// Longest time a bucket takes to fill (36 years); Sanitize() lowers capacity to it.
inline constexpr Nanos kLongestBurst = Nanos{1} << 60;
inline constexpr Nanos kLatestTat = std::numeric_limits<Nanos>::max();

// ceil(cost * rate_period / rate_count) for rate_count != 1; saturates at kLatestTat. Out of line: rare.
Nanos IncrementOfFraction(const Limit& limit, std::uint64_t cost);
// `used` for rate_count != 1.
std::uint64_t UnitsOfFraction(const Limit& limit, Nanos spent);

// How long `cost` units take to be restored, in ns, rounded up; saturates at kLatestTat.
inline Nanos Increment(const Limit& limit, std::uint64_t cost) {
  if (limit.rate_count != 1) [[unlikely]] {
    return IncrementOfFraction(limit, cost);
  }
  std::uint64_t product = 0;
  const bool overflow = __builtin_mul_overflow(cost, static_cast<std::uint64_t>(limit.rate_period), &product);
  return overflow || product > static_cast<std::uint64_t>(kLatestTat) ? kLatestTat : static_cast<Nanos>(product);
}

inline Nanos Burst(const Limit& limit) { return Increment(limit, limit.capacity); }

// Everything about (limit, cost) that deciding needs: compute once, use for many asks.
struct Terms {
  Nanos increment = 0;
  Nanos burst = 0;         // with Limit::max_wait
  bool fits_ever = false;  // cost <= capacity; then increment <= burst
};
inline Terms MakeTerms(const Limit& limit, std::uint64_t cost) {
  return {
      .increment = Increment(limit, cost), .burst = Burst(limit) + limit.max_wait, .fits_ever = cost <= limit.capacity};
}

// `now` clamped, here and below.
inline Nanos Spent(Word tat, Nanos now) { return tat > now ? tat - now : 0; }

// For terms that fit ever (and cost 0, which always does: its increment is 0, so debt is excepted by the caller).
inline bool Fits(const Terms& terms, Word tat, Nanos now) { return Spent(tat, now) <= terms.burst - terms.increment; }

inline Word Charged(Word tat, Nanos now, Nanos increment) { return SaturatingAdd(std::max(tat, now), increment); }

inline Word Refunded(Word tat, Nanos now, Nanos increment) {
  return Spent(tat, now) <= increment ? 0 : tat - increment;
}

// What a kRefund takes off; see "Settling" above. `now` clamped.
inline Nanos GivenBack(const Limit& limit, const Ask& ask, Nanos now) {
  if (ask.charge == nullptr) return Increment(limit, ask.cost);
  const Nanos whole = Increment(limit, ask.charge->cost);
  const Nanos kept = Increment(limit, ask.charge->cost - RefundOf(ask));
  const Nanos drained = std::max<Nanos>(0, now - ClampNow(ask.charge->at));
  return std::max<Nanos>(0, whole - std::max(kept, drained));
}

// How many of `cost` units that were charged `elapsed` ns ago are theirs to give back: GivenBack() in whole units.
std::uint64_t UnitsLeft(const Limit& limit, std::uint64_t cost, Nanos elapsed);

// `used`, at most kMaxCount.
inline std::uint64_t Units(const Limit& limit, Nanos spent) {
  if (limit.rate_count != 1) [[unlikely]] {
    return UnitsOfFraction(limit, spent);
  }
  const auto whole = static_cast<std::uint64_t>(spent);
  const auto period = static_cast<std::uint64_t>(limit.rate_period);
  return std::min(kMaxCount, whole / period + (whole % period != 0 ? 1 : 0));
}

// What is left and used when `tat` is the state; verdict kAllowed, no retry, no delay.
inline Outcome Describe(const Limit& limit, Word tat, Nanos now) {
  Outcome outcome;
  const Nanos spent = Spent(tat, now);
  outcome.limit = limit.capacity;
  outcome.used = Units(limit, spent);
  outcome.remaining = outcome.used < limit.capacity ? limit.capacity - outcome.used : 0;
  outcome.reset_after_ns = spent;
  return outcome;
}

// The same for an ask that was not admitted in state `tat`.
inline Outcome DescribeDenied(const Limit& limit, const Terms& terms, Word tat, Nanos now) {
  Outcome outcome = Describe(limit, tat, now);
  if (!terms.fits_ever) {
    outcome.verdict = Verdict::kNever;
    return outcome;
  }
  outcome.verdict = Verdict::kLater;
  // spent > burst - increment >= 0, so this is positive and cannot overflow.
  outcome.retry_after_ns = outcome.reset_after_ns - (terms.burst - terms.increment);
  return outcome;
}

// Of a limit with `shape`: how long what was admitted is held, by the states before and after it.
inline Nanos Delay(const Limit& limit, Word before, Word after, Nanos now) {
  return limit.max_wait == 0 ? Spent(before, now) : std::max<Nanos>(0, Spent(after, now) - Burst(limit));
}

// kCheck and kPeek: the outcome, and in `tat` the state after it.
inline Outcome Admit(const Limit& limit, const Terms& terms, std::uint64_t cost, Nanos now, Word& tat) {
  if (cost == 0) return Describe(limit, tat, now);
  if (!terms.fits_ever || !Fits(terms, tat, now)) return DescribeDenied(limit, terms, tat, now);
  const Word before = tat;
  tat = Charged(tat, now, terms.increment);
  Outcome outcome = Describe(limit, tat, now);
  if (limit.shape) outcome.delay_ns = Delay(limit, before, tat, now);
  return outcome;
}

// All operations, as Algorithm::apply_word.
inline Outcome Apply(const Limit& limit, const Ask& ask, Word& tat) {
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
      return Admit(limit, MakeTerms(limit, ask.cost), ask.cost, now, tat);
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek: {
      Word copy = tat;
      return Admit(limit, MakeTerms(limit, ask.cost), ask.cost, now, copy);
    }
    case Op::kCharge:
      if (ask.cost != 0) tat = Charged(tat, now, Increment(limit, ask.cost));
      break;
    case Op::kRefund:
      if (ask.cost != 0) tat = Refunded(tat, now, GivenBack(limit, ask, now));
      break;
    case Op::kReset:
      tat = 0;
      break;
    case Op::kAssign:
      tat = ask.cost == 0 ? 0 : Charged(0, now, Increment(limit, ask.cost));
      break;
  }
  return Describe(limit, tat, now);
}

inline std::uint64_t Used(const Limit& limit, Word tat, Nanos now) { return Units(limit, Spent(tat, ClampNow(now))); }

inline Nanos Expires(Word tat) { return tat <= 0 ? kMinNanos : tat; }

}  // namespace weir::algorithms::gcra
