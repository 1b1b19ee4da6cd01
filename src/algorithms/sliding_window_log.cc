#include "algorithms/sliding_window_log.h"

#include <algorithm>

#include "algorithms/instant.h"

namespace weir::algorithms::sliding_window_log {
namespace {

constexpr auto kMostCount = static_cast<std::int64_t>(kMaxCount);
constexpr std::size_t kHeader = 2;

// The entries of a state, guarded: a damaged one may hold anything.
class Entries {
 public:
  explicit Entries(const Words& state)
      : state_(state), size_(state.size() >= 4 && state.size() % 2 == 0 ? (state.size() - kHeader) / 2 : 0) {}
  std::size_t size() const { return size_; }
  // Where entries begin that were not dropped.
  std::size_t head() const {
    return size_ == 0 ? 0 : static_cast<std::size_t>(std::clamp<Word>(state_[1], 0, static_cast<Word>(size_)));
  }
  Nanos at(std::size_t i) const { return ClampInstant(state_[kHeader + 2 * i]); }
  std::int64_t cost(std::size_t i) const { return std::clamp<Word>(state_[kHeader + 1 + 2 * i], 1, kMostCount); }
  std::int64_t total() const { return size_ == 0 ? 0 : std::clamp<Word>(state_[0], 0, kMostCount); }

 private:
  const Words& state_;
  std::size_t size_;
};

struct View {
  std::size_t first = 0;  // first live entry
  std::int64_t used = 0;  // sum of the live costs
};

View ViewAt(const Limit& limit, const Entries& entries, Nanos now) {
  View view{.first = entries.head(), .used = entries.total()};
  while (view.first < entries.size() && entries.at(view.first) <= now - limit.window) {
    view.used -= std::min(view.used, entries.cost(view.first));
    ++view.first;
  }
  if (view.first == entries.size()) view.used = 0;
  return view;
}

Nanos FitsAt(const Limit& limit, const Entries& entries, const View& view, std::uint64_t cost) {
  const auto room = static_cast<std::int64_t>(limit.capacity - cost);
  std::int64_t rest = view.used;
  for (std::size_t i = view.first; i < entries.size(); ++i) {
    // The total of a damaged state may exceed its costs; after the last entry nothing is left all the same.
    rest = i + 1 == entries.size() ? 0 : rest - std::min(rest, entries.cost(i));
    if (rest <= room) return entries.at(i) + limit.window;
  }
  return 0;
}

// Of the first `most` entries those at or before an instant. By halves: entries ascend.
std::size_t CountUntil(const Entries& entries, std::size_t most, Nanos instant) {
  std::size_t low = 0;
  while (low < most) {
    const std::size_t middle = low + (most - low) / 2;
    if (entries.at(middle) <= instant) {
      low = middle + 1;
    } else {
      most = middle;
    }
  }
  return low;
}

// How many of the `dropped` entries at the front are to be removed now.
std::size_t ToRemove(const Limit& limit, const Entries& entries, std::size_t dropped, Nanos now) {
  const std::size_t size = entries.size();
  const std::size_t too_many = std::min(dropped, size - std::min(size, kMostEntries));
  if (dropped == 0 || entries.at(0) > now - limit.retention - limit.cleanup) return too_many;
  const std::size_t outdated =
      limit.retention <= limit.window ? dropped : CountUntil(entries, dropped, now - limit.retention);
  // Each removal moves fewer words than were dropped since the one before.
  const bool worth_it = limit.cleanup > 0 || outdated > size - outdated;
  return worth_it ? std::max(outdated, too_many) : too_many;
}

// Moves the head to the first live entry, and removes what need not be kept any more.
void DropExpired(const Limit& limit, const View& view, Nanos now, Words& state) {
  const std::size_t removed = ToRemove(limit, Entries(state), view.first, now);
  state.erase(state.begin() + kHeader, state.begin() + static_cast<std::ptrdiff_t>(kHeader + 2 * removed));
  state[0] = view.used;
  state[1] = static_cast<Word>(view.first - removed);
}

void Add(const Limit& limit, const View& view, std::uint64_t cost, Nanos now, Words& state) {
  if (Entries(state).size() == 0) {
    state.assign(kHeader, 0);
  } else {
    DropExpired(limit, view, now, state);
    // Nothing is live, but the clock was set back behind what is kept: entries ascend.
    if (view.used == 0 && state.size() > kHeader && state[state.size() - 2] > now) state.assign(kHeader, 0);
  }
  const auto added = static_cast<std::int64_t>(std::min(cost, static_cast<std::uint64_t>(kMostCount - view.used)));
  if (added == 0) return;
  state[0] = view.used + added;
  const Entries entries(state);
  const std::size_t live = entries.size() - entries.head();
  const Nanos at = live == 0 ? now : std::max(now, entries.at(entries.size() - 1));
  const auto most = static_cast<std::size_t>(std::clamp<std::uint64_t>(limit.capacity, 1, kMostEntries));
  if (live > 0 && (at == entries.at(entries.size() - 1) || live >= most)) {
    state.back() = std::min(kMostCount, entries.cost(entries.size() - 1) + added);
    state[state.size() - 2] = at;
  } else {
    state.insert(state.end(), {at, added});
  }
}

// Up to `most` from the entry at `place` (the word of its instant); one that is emptied is removed. How many.
std::int64_t TakeFrom(std::size_t place, std::int64_t most, Words& state) {
  const std::int64_t held = std::clamp<Word>(state[place + 1], 1, kMostCount);
  const std::int64_t taken = std::min(most, held);
  state[0] -= std::min(state[0], taken);
  if (taken < held) {
    state[place + 1] = held - taken;
  } else {
    const auto entry = state.begin() + static_cast<std::ptrdiff_t>(place);
    state.erase(entry, entry + 2);
  }
  return taken;
}

// The word of the instant of the live entry with that instant; 0 when there is none. Live ones begin at word `from`.
std::size_t PlaceOf(Nanos at, std::size_t from, const Words& state) {
  std::size_t low = from, high = state.size();  // words of instants, ascending
  while (low < high) {
    const std::size_t middle = low + (high - low) / 4 * 2;
    if (state[middle] < at) {
      low = middle + 2;
    } else {
      high = middle;
    }
  }
  return low < state.size() && state[low] == at ? low : 0;
}

void TakeBack(const Limit& limit, const View& view, const Ask& ask, Words& state) {
  DropExpired(limit, view, ClampNow(ask.now), state);
  auto left = static_cast<std::int64_t>(std::min(RefundOf(ask), kMaxCount));
  const std::size_t end = kHeader + 2 * Entries(state).head();
  if (ask.charge != nullptr) {
    const std::size_t place = PlaceOf(ClampNow(ask.charge->at), end, state);
    if (place != 0) TakeFrom(place, left, state);
    left = 0;
  }
  while (left > 0 && state.size() > end) left -= TakeFrom(state.size() - 2, left, state);
  if (state.size() <= end && (end == kHeader || limit.retention <= limit.window)) state.clear();
}

Outcome Describe(const Limit& limit, std::uint64_t used, Nanos last, Nanos now) {
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = used;
  outcome.remaining = used < limit.capacity ? limit.capacity - used : 0;
  outcome.reset_after_ns = used > 0 ? std::max<Nanos>(0, last + limit.window - now) : 0;
  return outcome;
}

Outcome Describe(const Limit& limit, const Words& state, Nanos now) {
  const Entries entries(state);
  const View view = ViewAt(limit, entries, now);
  const Nanos last = view.first < entries.size() ? entries.at(entries.size() - 1) : now;
  return Describe(limit, static_cast<std::uint64_t>(view.used), last, now);
}

Outcome Check(const Limit& limit, const Ask& ask, Nanos now, Words& state) {
  if (ask.cost == 0) return Describe(limit, state, now);
  const Entries entries(state);
  const View view = ViewAt(limit, entries, now);
  const auto used = static_cast<std::uint64_t>(view.used);
  const bool empty = view.first == entries.size();
  const Nanos last = empty ? now : entries.at(entries.size() - 1);
  if (ask.cost > limit.capacity || used + ask.cost > limit.capacity) {
    Outcome outcome = Describe(limit, used, last, now);
    outcome.verdict = ask.cost > limit.capacity ? Verdict::kNever : Verdict::kLater;
    if (outcome.verdict == Verdict::kLater) {
      outcome.retry_after_ns = std::max<Nanos>(1, FitsAt(limit, entries, view, ask.cost) - now);
    }
    return outcome;
  }
  if (ask.op == Op::kCheck) Add(limit, view, ask.cost, now, state);
  return Describe(limit, used + ask.cost, std::max(now, last), now);
}

}  // namespace

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) {
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek:
      return Check(limit, ask, now, state);
    case Op::kCharge:
      if (ask.cost > 0) Add(limit, ViewAt(limit, Entries(state), now), ask.cost, now, state);
      break;
    case Op::kRefund:
      if (RefundOf(ask) > 0 && Entries(state).size() > 0)
        TakeBack(limit, ViewAt(limit, Entries(state), now), ask, state);
      break;
    case Op::kReset:
      state.clear();
      break;
    case Op::kAssign:
      state.clear();
      if (ask.cost > 0) Add(limit, View{}, ask.cost, now, state);
      break;
  }
  return Describe(limit, state, now);
}

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  return static_cast<std::uint64_t>(ViewAt(limit, Entries(state), ClampNow(now)).used);
}

Nanos Expires(const Limit& limit, const Words& state) {
  const Entries entries(state);
  if (entries.size() == 0 || (entries.head() == entries.size() && limit.retention <= limit.window)) return kMinNanos;
  return entries.at(entries.size() - 1) + limit.retention;
}

void Widen(const Limit& from, const Limit& to, Nanos now, Words& state) {
  const Entries entries(state);
  const Nanos span = std::min(to.window, from.retention);
  if (entries.size() == 0 || span <= from.window) return;
  std::size_t first = entries.head();
  std::int64_t total = entries.total();
  while (first > 0 && entries.at(first - 1) > ClampNow(now) - span) {
    --first;
    total = std::min(kMostCount, total + entries.cost(first));
  }
  state[0] = total;
  state[1] = static_cast<Word>(first);
}

}  // namespace weir::algorithms::sliding_window_log
