#include <array>

#include "algorithms/adaptive.h"
#include "algorithms/algorithm.h"
#include "algorithms/aligned_window.h"
#include "algorithms/anchored_window.h"
#include "algorithms/concurrency.h"
#include "algorithms/fixed_window.h"
#include "algorithms/leaky_bucket.h"
#include "algorithms/penalty.h"
#include "algorithms/sliding_window.h"
#include "algorithms/sliding_window_log.h"
#include "algorithms/token_bucket.h"

namespace weir::algorithms {
namespace {

constexpr Algorithm Unlimited() { return {.kind = Kind::kUnlimited, .name = "unlimited"}; }

constexpr Algorithm OnWord(Kind kind, std::string_view name, decltype(Algorithm::apply_word) apply,
                           decltype(Algorithm::used_word) used, decltype(Algorithm::expires_word) expires) {
  return {.kind = kind,
          .name = name,
          .shape = Shape::kWord,
          .apply_word = apply,
          .used_word = used,
          .expires_word = expires};
}

constexpr Algorithm OnList(Kind kind, std::string_view name, decltype(Algorithm::apply_list) apply,
                           decltype(Algorithm::used_list) used, decltype(Algorithm::expires_list) expires) {
  return {.kind = kind,
          .name = name,
          .shape = Shape::kList,
          .apply_list = apply,
          .used_list = used,
          .expires_list = expires};
}

// Indexed by Kind.
// clang-format off
constinit const std::array kTable = {
    Unlimited(),
    OnWord(Kind::kTokenBucket, "token_bucket", token_bucket::Apply, token_bucket::Used, token_bucket::Expires),
    OnWord(Kind::kLeakyBucket, "leaky_bucket", leaky_bucket::Apply, leaky_bucket::Used, leaky_bucket::Expires),
    OnList(Kind::kSlidingWindow, "sliding_window", sliding_window::Apply, sliding_window::Used, sliding_window::Expires),
    OnList(Kind::kSlidingWindowLog, "sliding_window_log", sliding_window_log::Apply, sliding_window_log::Used, sliding_window_log::Expires),
    OnList(Kind::kFixedWindow, "fixed_window", fixed_window::Apply, fixed_window::Used, fixed_window::Expires),
    OnList(Kind::kConcurrency, "concurrency", concurrency::Apply, concurrency::Used, concurrency::Expires),
    OnList(Kind::kAdaptive, "adaptive", adaptive::Apply, adaptive::Used, adaptive::Expires),
    OnList(Kind::kPenalty, "penalty", penalty::Apply, penalty::Used, penalty::Expires),
    OnWord(Kind::kAlignedWindow, "fixed_window", aligned_window::Apply, aligned_window::Used, aligned_window::Expires),
    OnWord(Kind::kAnchoredWindow, "sliding_window", aligned_window::Apply, aligned_window::Used, aligned_window::Expires),
};
// clang-format on

constexpr bool IsIndexedByKind() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].kind) != i) return false;
  }
  return true;
}

}  // namespace

const Algorithm& Of(Kind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return kTable[index < kTable.size() ? index : 0];
}

std::span<const Algorithm> All() { return kTable; }

std::size_t MaxWords(const Limit& limit) {
  switch (limit.kind) {
    case Kind::kSlidingWindow:
      return 1 + 2 * (3'600 + 1);
    case Kind::kSlidingWindowLog:
      // As many dropped entries as live ones may wait to be removed.
      return 2 + 2 * (2 * sliding_window_log::kMostEntries + 1);
    case Kind::kFixedWindow:
      return 2;
    case Kind::kConcurrency:
      return 1 + 3 * concurrency::kMostEntries;
    case Kind::kAdaptive:
      return adaptive::kWords;
    case Kind::kPenalty:
      return 5;
    default:
      return 0;
  }
}

bool CarriesOver(const Limit& from, const Limit& to) {
  if (from.kind != to.kind) return false;
  switch (from.kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
      return from.rate_count == to.rate_count && from.rate_period == to.rate_period;
    case Kind::kSlidingWindow:
      return sliding_window::IsAnchored(from) == sliding_window::IsAnchored(to) &&
             (sliding_window::IsAnchored(from) || from.precision == to.precision);
    case Kind::kAnchoredWindow:
      return from.window == to.window && aligned_window::Grid(from) == aligned_window::Grid(to);
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      if (from.calendar != to.calendar || from.calendar == Calendar::kNone) return from.calendar == to.calendar;
      return from.calendar == Calendar::kEpoch ? from.window == to.window : from.zone == to.zone;
    default:
      return true;
  }
}

}  // namespace weir::algorithms
