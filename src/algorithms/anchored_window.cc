#include "algorithms/anchored_window.h"

#include <algorithm>
#include <limits>

#include "algorithms/instant.h"
#include "algorithms/time_zone.h"

namespace weir::algorithms::anchored_window {
namespace {

bool IsCalendar(const Limit& limit) { return IsFixedWindow(limit.kind) && limit.calendar != Calendar::kNone; }

// The window in force at `now`: the one in the state while it lives, else one that would open now with nothing in it.
struct Window {
  Nanos start = 0;
  Nanos end = 0;
  std::uint64_t count = 0;
};

Window WindowAt(const Limit& limit, const Words& state, Nanos now) {
  const bool present = state.size() == 2 && state[1] > 0;
  const Nanos stored_start = present ? ClampInstant(state[0]) : 0;
  const auto stored_count = present ? std::min(static_cast<std::uint64_t>(state[1]), kMaxCount) : 0;
  if (IsCalendar(limit)) {
    const WindowBounds bounds = CalendarBounds(limit, now);
    if (present && WallWasSet() && limit.calendar != Calendar::kEpoch) [[unlikely]] {
      // The bounds have moved under the state.
      const bool over = PresentEnd(limit, stored_start, now) < bounds.start;
      return {bounds.start, bounds.end, over ? 0 : stored_count};
    }
    if (!present || stored_start < bounds.start) return {bounds.start, bounds.end, 0};
    const Nanos end = stored_start == bounds.start ? bounds.end : WindowEnd(limit, stored_start);
    return {stored_start, end, stored_count};
  }
  if (!present || stored_start < LiveFrom(limit, now)) return {now, now + limit.window, 0};
  return {stored_start, stored_start + limit.window, stored_count};
}

Outcome Describe(const Limit& limit, const Window& window, Nanos now) {
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = window.count;
  outcome.remaining = window.count < limit.capacity ? limit.capacity - window.count : 0;
  outcome.reset_after_ns = window.count > 0 ? window.end - now : 0;
  return outcome;
}

std::uint64_t AddCapped(std::uint64_t count, std::uint64_t cost) {
  return cost > kMaxCount - count ? kMaxCount : count + cost;
}

void Write(const Window& window, Words& state) {
  if (window.count == 0) {
    state.clear();
    return;
  }
  state.assign({window.start, static_cast<Word>(window.count)});
}

// Whether the charge that a refund names, if any, was made in this window: it opened by then, and is open still.
bool StillCounts(const Window& window, const Ask& ask) {
  return ask.charge == nullptr || window.start <= ClampNow(ask.charge->at);
}

// Decides, and leaves in `window` what is to be written if anything is. Returns the outcome and sets `changed`.
Outcome Admit(const Limit& limit, std::uint64_t cost, Nanos now, Window& window, bool& changed) {
  const bool never = cost > limit.capacity;
  const bool fits = !never && window.count + cost <= limit.capacity;
  changed = cost > 0 && (fits || limit.count_denied);
  if (changed) window.count = AddCapped(window.count, cost);
  Outcome outcome = Describe(limit, window, now);
  if (cost == 0 || fits) return outcome;
  outcome.verdict = never ? Verdict::kNever : Verdict::kLater;
  // Not reset_after: that is 0 while nothing was used, which a denial with kLater excludes.
  outcome.retry_after_ns = never ? 0 : window.end - now;
  return outcome;
}

}  // namespace

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) {
  const Nanos now = ClampNow(ask.now);
  Window window = WindowAt(limit, state, now);
  bool changed = false;
  switch (ask.op) {
    case Op::kCheck: {
      const Outcome outcome = Admit(limit, ask.cost, now, window, changed);
      if (changed) Write(window, state);
      return outcome;
    }
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek:
      return Admit(limit, ask.cost, now, window, changed);
    case Op::kCharge:
      window.count = AddCapped(window.count, ask.cost);
      changed = ask.cost > 0;
      break;
    case Op::kRefund:
      changed = RefundOf(ask) > 0 && window.count > 0 && StillCounts(window, ask);
      if (changed) window.count -= std::min(window.count, RefundOf(ask));
      break;
    case Op::kReset:
      window.count = 0;
      changed = true;
      break;
    case Op::kAssign:
      window.start = WindowStart(limit, now);
      window.end = WindowEnd(limit, window.start);
      window.count = std::min(ask.cost, kMaxCount);
      changed = true;
      break;
  }
  if (changed) Write(window, state);
  return Describe(limit, window, now);
}

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  return WindowAt(limit, state, ClampNow(now)).count;
}

Nanos Expires(const Limit& limit, const Words& state) {
  if (state.size() != 2 || state[1] <= 0) return kMinNanos;
  return WindowEnd(limit, ClampInstant(state[0]));
}

Nanos LiveFrom(const Limit& limit, Nanos now) {
  if (IsCalendar(limit)) return CalendarBounds(limit, now).start;
  return limit.window == 0 ? std::numeric_limits<Nanos>::max() : now - limit.window + 1;
}

Nanos WindowEnd(const Limit& limit, Nanos start) {
  if (!IsCalendar(limit)) return start + limit.window;
  if (WallWasSet() && limit.calendar != Calendar::kEpoch) [[unlikely]] {
    start = PresentEnd(limit, start, start);
  }
  return CalendarBounds(limit, start).end;
}

Nanos WindowStart(const Limit& limit, Nanos now) { return IsCalendar(limit) ? CalendarBounds(limit, now).start : now; }

}  // namespace weir::algorithms::anchored_window
