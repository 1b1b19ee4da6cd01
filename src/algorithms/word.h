// All algorithms whose state is one word behind one face, for the memory store. The buckets' arithmetic is inline: a
// call through the table of algorithms would cost as much again. Pure; thread-safe. `now` clamped (ClampNow)
// everywhere.
#pragma once

#include <algorithm>
#include <cstdint>

#include "algorithms/algorithm.h"
#include "algorithms/aligned_window.h"
#include "algorithms/gcra.h"
#include "algorithms/take.h"

namespace weir::algorithms {

// As Of(kind).shape, without a table look-up (a test holds the two together).
constexpr Shape ShapeOf(Kind kind) {
  switch (kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
    case Kind::kAlignedWindow:
    case Kind::kAnchoredWindow:
      return Shape::kWord;
    case Kind::kUnlimited:
      return Shape::kNone;
    default:
      return Shape::kList;
  }
}

namespace words {

inline bool IsWindow(const Limit& limit) { return IsWordWindow(limit.kind); }

// As Algorithm::apply_word.
inline Outcome Apply(const Limit& limit, const Ask& ask, Word& word) {
  if (ask.op == Op::kTake) [[unlikely]] {
    return IsWindow(limit) ? Take(aligned_window::Apply, limit, ask, word) : Take(gcra::Apply, limit, ask, word);
  }
  return IsWindow(limit) ? aligned_window::Apply(limit, ask, word) : gcra::Apply(limit, ask, word);
}

// kCheck of cost > 0 without its outcome: false, and `word` as it was, when it is denied.
inline bool Try(const Limit& limit, std::uint64_t cost, Nanos now, Word& word) {
  if (IsWindow(limit)) return aligned_window::Try(limit, cost, now, word);
  const gcra::Terms terms = gcra::MakeTerms(limit, cost);
  if (!terms.fits_ever || !gcra::Fits(terms, word, now)) return false;
  word = gcra::Charged(word, now, terms.increment);
  return true;
}

// The outcome is put together from what there is of the state...
inline Outcome Describe(const Limit& limit, Word word, Nanos now) {
  return IsWindow(limit) ? aligned_window::Describe(limit, word, now) : gcra::Describe(limit, word, now);
}
// ... that an ask of `cost` was denied in it...
inline void Deny(const Limit& limit, std::uint64_t cost, Outcome& outcome) {
  if (IsWindow(limit)) return aligned_window::Deny(limit, cost, outcome);
  const gcra::Terms terms = gcra::MakeTerms(limit, cost);
  outcome.verdict = terms.fits_ever ? Verdict::kLater : Verdict::kNever;
  if (terms.fits_ever) outcome.retry_after_ns = outcome.reset_after_ns - (terms.burst - terms.increment);
}
// ... and, when Limit::shape is set, how long what was allowed is held: by the states before and after it.
inline Nanos Delay(const Limit& limit, Word before, Word after, Nanos now) {
  return IsWindow(limit) ? 0 : gcra::Delay(limit, before, after, now);
}

// The word to keep: 0 for one that has expired.
inline Word Kept(const Limit& limit, Word word, Nanos now) {
  if (IsWindow(limit)) return aligned_window::Used(limit, word, now) == 0 ? 0 : word;
  return word > now ? word : 0;
}

// Amounts are what words are moved by: a bucket's ns, a window's units.
inline Nanos AmountOf(const Limit& limit, std::uint64_t cost) {
  return IsWindow(limit) ? static_cast<Nanos>(std::min(cost, kMaxCount)) : gcra::Increment(limit, cost);
}
// `amount` more, as carry_over.h says; `end`: Carried::end.
inline Word Joined(const Limit& limit, Word word, Nanos now, Nanos amount, Nanos end) {
  if (IsWindow(limit)) return aligned_window::Joined(limit, word, now, static_cast<std::uint64_t>(amount), end);
  return gcra::Charged(word, now, amount);
}
// Takes `amount` back that was charged before, which left the state `charged`, of what this has become since.
inline Word Withdrawn(const Limit& limit, Word word, Word charged, Nanos now, Nanos amount) {
  if (IsWindow(limit)) return aligned_window::Withdrawn(limit, word, charged, static_cast<std::uint64_t>(amount));
  return gcra::Refunded(word, now, amount);
}

}  // namespace words
}  // namespace weir::algorithms
