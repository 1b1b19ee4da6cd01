#include "algorithms/aligned_window.h"

#include <algorithm>

#include "algorithms/anchored_window.h"
#include "algorithms/instant.h"
#include "algorithms/time_zone.h"

namespace weir::algorithms::aligned_window {
namespace {

// The window in force at `now`; end 0 when none is open.
struct Window {
  Nanos end = 0;
  std::uint64_t count = 0;
};

Window At(const Limit& limit, Word word, Nanos now) {
  if (word <= now) return {};
  const Nanos count = word % Grid(limit);
  if (word - count <= now) return {};
  return {word - count, std::min(kMaxCount, static_cast<std::uint64_t>(count))};
}

// The word of `count` units in `window`, or, when none is open, in the one that opens now.
Word WordOf(const Limit& limit, const Window& window, std::uint64_t count, Nanos now) {
  if (count == 0) return 0;
  const Nanos end = window.end != 0 ? window.end : CalendarBounds(limit, now).end;
  return SaturatingAdd(end, static_cast<Nanos>(std::min(count, MostCount(limit))));
}

std::uint64_t CapacityOf(const Limit& limit) { return std::min(limit.capacity, MostCount(limit)); }

Word Charged(const Limit& limit, Word word, Nanos now, std::uint64_t cost) {
  const Window window = At(limit, word, now);
  return WordOf(limit, window, window.count + std::min(cost, kMaxCount), now);
}

Word Refunded(const Limit& limit, Word word, Nanos now, std::uint64_t cost) {
  const Window window = At(limit, word, now);
  return WordOf(limit, window, window.count - std::min(window.count, cost), now);
}

Outcome Admit(const Limit& limit, std::uint64_t cost, Nanos now, Word& word) {
  const bool allowed = cost == 0 || Try(limit, cost, now, word);
  Outcome outcome = aligned_window::Describe(limit, word, now);
  if (!allowed) Deny(limit, cost, outcome);
  return outcome;
}

}  // namespace

bool Try(const Limit& limit, std::uint64_t cost, Nanos now, Word& word) {
  const Window window = At(limit, word, now);
  const std::uint64_t capacity = CapacityOf(limit);
  if (cost > capacity || window.count > capacity - cost) return false;
  word = WordOf(limit, window, window.count + cost, now);
  return true;
}

Outcome Describe(const Limit& limit, Word word, Nanos now) {
  const Window window = At(limit, word, now);
  Outcome outcome;
  outcome.limit = CapacityOf(limit);
  outcome.used = window.count;
  outcome.remaining = window.count < outcome.limit ? outcome.limit - window.count : 0;
  outcome.reset_after_ns = window.count > 0 ? window.end - now : 0;
  return outcome;
}

void Deny(const Limit& limit, std::uint64_t cost, Outcome& outcome) {
  const bool never = cost > CapacityOf(limit);
  outcome.verdict = never ? Verdict::kNever : Verdict::kLater;
  // What may pass ever and does not now is denied for what was used: reset_after is the time to the window's end.
  outcome.retry_after_ns = never ? 0 : outcome.reset_after_ns;
}

Word Withdrawn(const Limit& limit, Word word, Word charged, std::uint64_t cost) {
  const Nanos end = Expires(limit, charged);
  if (Expires(limit, word) != end) return word;
  return Refunded(limit, word, end - 1, cost);
}

Word Joined(const Limit& limit, Word word, Nanos now, std::uint64_t count, Nanos end) {
  Window window = At(limit, word, now);
  // As of all counts that are joined, the window in which more was used is kept.
  if (end > now && count > window.count) window.end = end;
  return WordOf(limit, window, window.count + std::min(count, kMaxCount), now);
}

Outcome Apply(const Limit& limit, const Ask& ask, Word& word) {
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
      return Admit(limit, ask.cost, now, word);
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek: {
      Word copy = word;
      return Admit(limit, ask.cost, now, copy);
    }
    case Op::kCharge:
      if (ask.cost != 0) word = Charged(limit, word, now, ask.cost);
      break;
    case Op::kRefund:
      if (ask.cost != 0) word = Refunded(limit, word, now, ask.cost);
      break;
    case Op::kReset:
      word = 0;
      break;
    case Op::kAssign:
      word = WordOf(limit, {}, ask.cost, now);
      break;
  }
  return Describe(limit, word, now);
}

std::uint64_t Used(const Limit& limit, Word word, Nanos now) { return At(limit, word, ClampNow(now)).count; }

Nanos Expires(const Limit& limit, Word word) { return word <= 0 ? kMinNanos : word - word % Grid(limit); }

Word FromStartAndCount(const Limit& limit, Nanos start, Word count) {
  if (count <= 0) return 0;
  const Nanos end = anchored_window::WindowEnd(limit, ClampInstant(start));
  return WordOf(limit, {.end = end, .count = 0}, static_cast<std::uint64_t>(count), 0);
}

}  // namespace weir::algorithms::aligned_window
