// The one interface of all algorithms: pure functions (limit, state, ask) -> (state, outcome). No clock, no I/O, no
// allocation for word states. Total: any state bytes, any cost, any time give a sane outcome.
//
// A new algorithm is one file pair foo.{h,cc} and one line in registry.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "algorithms/limit.h"
#include "weir/outcome.h"

namespace weir::algorithms {

enum class Op : std::uint8_t {
  kCheck,   // admit if `cost` fits, and charge it. cost 0 peeks. concurrency: acquire a slot named `token`
  kPeek,    // what kCheck would answer; changes nothing
  kCharge,  // charge `cost` whether it fits or not (a commit above its reservation: debt). Always kAllowed. penalty: a
            // strike
  kRefund,  // give `cost` back, never beyond empty; of the charge that the ask names, no more than that one still
            // occupies. concurrency: release the slot named `token`; unknown token = no-op
  kReset,   // forget everything that was used
  kAssign,  // make what was used equal to `cost` as of `now` (conversion; taking over another store's count)
  kTake,    // charge as much of `cost` as fits now (take.h): what leases are cut from. Outcome::granted says how much
};

// One earlier charge (kCheck that was admitted, kCharge), as a refund names it.
struct PastCharge {
  std::uint64_t cost = 0;  // what of it is still charged
  Nanos at = 0;            // `now` of the ask that charged it
};

struct Ask {
  Op op = Op::kCheck;
  std::uint64_t cost = 1;
  // Since the Unix epoch; may be smaller than in an earlier ask: then nothing is restored. Before 1970 counts as 1970,
  // after 2200 as 2200 (instant.h).
  Nanos now = 0;
  std::uint64_t token = 0;  // concurrency: names the slot. adaptive: feedback (adaptive.h)
  // kRefund: the charge that is settled. What is given back is then at most what this charge still occupies at `now`:
  // never room that drained meanwhile, never what another was charged. Windows and logs know which part of their state
  // that is; a bucket knows only a sum and gives back what must be the charge's own (gcra.h). nullptr: names no charge,
  // and gives back at most what the state holds. Lives as long as the ask.
  const PastCharge* charge = nullptr;
};

// How much a refund asks for.
constexpr std::uint64_t RefundOf(const Ask& ask) {
  return ask.charge == nullptr ? ask.cost : std::min(ask.cost, ask.charge->cost);
}

// A state is either one word (0 = fresh) or a list of words (empty = fresh).
// kWord: fits the memory store's 16-byte cell; kept lock-free with one compare-and-swap.
enum class Shape : std::uint8_t { kNone, kWord, kList };

using Word = std::int64_t;
// Grows and shrinks by the algorithm; at most MaxWords(limit) entries.
using Words = std::vector<Word>;

struct Algorithm {
  Kind kind{};
  std::string_view name;  // as in configuration: "token_bucket"
  Shape shape = Shape::kNone;
  // Exactly one of the two is set (none for kNone). The state is changed in place.
  Outcome (*apply_word)(const Limit&, const Ask&, Word& state) = nullptr;
  Outcome (*apply_list)(const Limit&, const Ask&, Words& state) = nullptr;
  // What counts as used at `now`, 0..kMaxCount; conversion to another limit is kAssign of this number there.
  std::uint64_t (*used_word)(const Limit&, Word state, Nanos now) = nullptr;
  std::uint64_t (*used_list)(const Limit&, const Words& state, Nanos now) = nullptr;
  // The time from which the state says the same as a fresh one, so that a store may drop it. kMinNanos for fresh.
  Nanos (*expires_word)(const Limit&, Word state) = nullptr;
  Nanos (*expires_list)(const Limit&, const Words& state) = nullptr;
};

inline constexpr Nanos kMinNanos = INT64_MIN;

// Most words a list state of this limit may hold; 0 for words and kNone. A state longer than this is damaged.
std::size_t MaxWords(const Limit& limit);

// When a rule's numbers change: whether a state of `from` is as good a state of `to`, and may be copied as it is. It
// then keeps what a count cannot say (when it was used, which tokens hold a slot, what was learned). Always possible is
// to carry over what was used by number (carry_over.h does either). Same algorithm only: buckets of one rate, anchored
// and calendar windows of one kind (of words also of one length and grid), sub-windows of one precision; logs,
// concurrency, adaptive and penalty always.
bool CarriesOver(const Limit& from, const Limit& to);

// What a list state of this kind counts in all, whatever its limit is; 0 for an empty or damaged one. Only good for
// telling two states of one subject apart.
Word CountIn(Kind kind, const Words& state);

// The table of all algorithms, indexed by Kind. Constant; thread-safe.
const Algorithm& Of(Kind kind);
std::span<const Algorithm> All();

}  // namespace weir::algorithms
