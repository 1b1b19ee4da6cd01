#include "algorithms/aligned_window.h"

#include <algorithm>

#include "algorithms/anchored_window.h"
#include "algorithms/instant.h"
#include "algorithms/time_zone.h"

namespace weir::algorithms::aligned_window {
namespace {

Nanos RoundedUp(Nanos instant, Nanos grid) { return (instant + grid - 1) / grid * grid; }

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

Nanos EndOfNew(const Limit& limit, Nanos now) {
  if (limit.kind != Kind::kAnchoredWindow) return CalendarBounds(limit, now).end;
  return RoundedUp(now + limit.window, Grid(limit));
}

Nanos StartOfNew(const Limit& limit, Nanos now) {
  if (limit.kind != Kind::kAnchoredWindow) return CalendarBounds(limit, now).start;
  return EndOfNew(limit, now) - limit.window;
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
  // As of all counts that are joined, the window in which more was used is kept. `end` lies on this grid: limits that
  // are alike have one (CarriesOver).
  if (end > now && count > window.count) window.end = end;
  return WordOf(limit, window, window.count + std::min(count, kMaxCount), now);
}

Outcome Apply(const Limit& limit, const Ask& ask, Word& word) {
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
      return Admit(limit, ask.cost, now, word);
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

Word FromStartAndCount(const Limit& limit, Nanos start, Word count) {
  if (count <= 0) return 0;
  Nanos end = anchored_window::WindowEnd(limit, ClampInstant(start));
  // One that was written before ends were rounded, or for another grid.
  if (limit.kind == Kind::kAnchoredWindow) end = RoundedUp(end, Grid(limit));
  return WordOf(limit, {.end = end, .count = 0}, static_cast<std::uint64_t>(count), 0);
}

}  // namespace weir::algorithms::aligned_window
