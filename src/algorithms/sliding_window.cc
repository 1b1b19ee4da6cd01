#include "algorithms/sliding_window.h"

#include <algorithm>
#include <limits>

#include "algorithms/anchored_window.h"
#include "algorithms/instant.h"

namespace weir::algorithms::sliding_window {
namespace {

__extension__ typedef __int128 Int128;

constexpr auto kMostCount = static_cast<std::int64_t>(kMaxCount);
// No index of a whole state is larger: the latest instant in sub-windows of 1 ms.
constexpr std::int64_t kMostIndex = std::int64_t{1} << 44;

std::int64_t FloorDivide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::int64_t CeilDivide(Int128 a, std::int64_t b) { return static_cast<std::int64_t>((a + b - 1) / b); }

// How many sub-windows a window touches, without the interpolated one: ceil(window / precision).
std::int64_t SubWindows(const Limit& limit) { return (limit.window - 1) / limit.precision + 1; }

// The entries of a state, guarded: a damaged one may hold anything.
class Entries {
 public:
  explicit Entries(const Words& state) : state_(state), size_(IsWhole(state) ? (state.size() - 1) / 2 : 0) {}
  std::size_t size() const { return size_; }
  std::int64_t index(std::size_t i) const { return std::clamp(state_[1 + 2 * i], -kMostIndex, kMostIndex); }
  std::int64_t count(std::size_t i) const { return std::clamp<std::int64_t>(state_[2 + 2 * i], 1, kMostCount); }
  std::int64_t total() const { return size_ == 0 ? 0 : std::clamp<std::int64_t>(state_[0], 0, kMostCount); }
  std::int64_t newest() const { return index(size_ - 1); }

 private:
  static bool IsWhole(const Words& state) { return state.size() >= 3 && state.size() % 2 == 1; }
  const Words& state_;
  std::size_t size_;
};

// Where the count stands at an instant.
struct View {
  Position at;             // as of `now`, or the beginning of the newest entry when the clock went back
  std::size_t first = 0;   // first live entry
  std::int64_t total = 0;  // sum of the live counts
  std::int64_t used = 0;   // the same, with the oldest sub-window in proportion
};

View ViewAt(const Limit& limit, const Entries& entries, Nanos now) {
  View view;
  view.at = Locate(limit, now);
  if (entries.size() == 0) return view;
  if (entries.newest() > view.at.current) view.at = LocateIndex(limit, entries.newest());
  view.total = entries.total();
  while (view.first < entries.size() && entries.index(view.first) < view.at.oldest) {
    view.total -= std::min(view.total, entries.count(view.first));
    ++view.first;
  }
  if (view.first == entries.size()) view.total = 0;
  view.used = view.total;
  if (view.first < entries.size() && entries.index(view.first) == view.at.oldest) {
    const std::int64_t count = std::min(view.total, entries.count(view.first));
    view.used += Part(count, view.at.weight) - count;
  }
  return view;
}

// The instant at which `cost` (<= capacity) fits, if nothing else happens; there is a live entry.
Nanos FitsAt(const Limit& limit, const Entries& entries, const View& view, std::uint64_t cost) {
  const auto room = static_cast<std::int64_t>(limit.capacity - cost);
  std::int64_t rest = view.total;
  for (std::size_t i = view.first; i < entries.size(); ++i) {
    const bool last = i + 1 == entries.size();
    // The total of a damaged state may exceed its counts; after the last entry nothing is left all the same.
    rest = last ? 0 : rest - std::min(rest, entries.count(i));
    if (room < rest) continue;
    const auto weight = static_cast<Int128>(room - rest) * kWeightOne / entries.count(i);
    return TimeOfWeight(limit, entries.index(i), static_cast<std::int64_t>(std::min<Int128>(weight, kWeightOne)));
  }
  return 0;
}

void DropExpired(const View& view, Words& state) {
  if (view.first == 0) return;
  state.erase(state.begin() + 1, state.begin() + 1 + static_cast<std::ptrdiff_t>(2 * view.first));
  state[0] = view.total;
}

void Add(const View& view, std::uint64_t cost, Words& state) {
  if (Entries(state).size() == 0) state.assign(1, 0);
  DropExpired(view, state);
  const auto room = static_cast<std::uint64_t>(kMostCount - view.total);
  const auto added = static_cast<std::int64_t>(std::min(cost, room));
  if (added == 0) return;
  state[0] = view.total + added;
  const bool same = state.size() >= 3 && state[state.size() - 2] == view.at.current;
  if (same) {
    state.back() = std::min(kMostCount, std::clamp<std::int64_t>(state.back(), 0, kMostCount) + added);
  } else {
    state.insert(state.end(), {view.at.current, added});
  }
}

// Up to `most` from the entry at `place` (the word of its index); one that is emptied is removed. How many.
std::int64_t TakeFrom(std::size_t place, std::int64_t most, Words& state) {
  const std::int64_t count = std::clamp<std::int64_t>(state[place + 1], 1, kMostCount);
  const std::int64_t taken = std::min(most, count);
  if (taken < count) {
    state[place + 1] = count - taken;
  } else {
    const auto entry = state.begin() + static_cast<std::ptrdiff_t>(place);
    state.erase(entry, entry + 2);
  }
  return taken;
}

// The word of the index of that sub-window's entry; 0 when there is none.
std::size_t PlaceOf(std::int64_t index, const Words& state) {
  for (std::size_t place = state.size() - 2; place >= 1 && state[place] >= index; place -= 2) {
    if (state[place] == index) return place;
    if (place == 1) break;
  }
  return 0;
}

void TakeBack(const Limit& limit, const View& view, const Ask& ask, Words& state) {
  DropExpired(view, state);
  auto left = static_cast<std::int64_t>(std::min(RefundOf(ask), kMaxCount));
  std::int64_t total = view.total;
  if (ask.charge != nullptr) {
    const std::size_t place =
        state.size() >= 3 ? PlaceOf(FloorDivide(ClampNow(ask.charge->at), limit.precision), state) : 0;
    if (place != 0) total -= std::min(total, TakeFrom(place, left, state));
    left = 0;
  }
  while (left > 0 && state.size() >= 3) {
    const std::int64_t taken = TakeFrom(state.size() - 2, left, state);
    left -= taken;
    total -= std::min(total, taken);
  }
  if (state.size() < 3) {
    state.clear();
  } else {
    state[0] = total;
  }
}

Outcome Describe(const Limit& limit, const Words& state, Nanos now) {
  const Entries entries(state);
  const View view = ViewAt(limit, entries, now);
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = static_cast<std::uint64_t>(view.used);
  outcome.remaining = outcome.used < limit.capacity ? limit.capacity - outcome.used : 0;
  if (view.first < entries.size()) outcome.reset_after_ns = std::max<Nanos>(0, Expires(limit, state) - now);
  return outcome;
}

Outcome Deny(const Limit& limit, const Words& state, std::uint64_t cost, Nanos now) {
  Outcome outcome = Describe(limit, state, now);
  outcome.verdict = cost > limit.capacity ? Verdict::kNever : Verdict::kLater;
  if (outcome.verdict == Verdict::kLater) {
    const Entries entries(state);
    const Nanos at = FitsAt(limit, entries, ViewAt(limit, entries, now), cost);
    outcome.retry_after_ns = std::max<Nanos>(1, at - now);
  }
  return outcome;
}

Outcome Check(const Limit& limit, std::uint64_t cost, Nanos now, Words& state) {
  if (cost == 0) return Describe(limit, state, now);
  const View view = ViewAt(limit, Entries(state), now);
  const bool fits = cost <= limit.capacity && static_cast<std::uint64_t>(view.used) + cost <= limit.capacity;
  if (fits || limit.count_denied) Add(view, cost, state);
  return fits ? Describe(limit, state, now) : Deny(limit, state, cost, now);
}

// What Check would answer. Copies the state only where the answer depends on what would be written.
Outcome Peek(const Limit& limit, std::uint64_t cost, Nanos now, const Words& state) {
  const View view = ViewAt(limit, Entries(state), now);
  const bool fits = cost <= limit.capacity && static_cast<std::uint64_t>(view.used) + cost <= limit.capacity;
  if (cost == 0) return Describe(limit, state, now);
  if (!fits && !limit.count_denied) return Deny(limit, state, cost, now);
  if (fits) {
    Outcome outcome = Describe(limit, state, now);
    const std::uint64_t added = std::min(cost, static_cast<std::uint64_t>(kMostCount - view.total));
    outcome.used += added;
    outcome.remaining = limit.capacity - outcome.used;
    if (added > 0) outcome.reset_after_ns = TimeOfWeight(limit, view.at.current, 0) - now;
    return outcome;
  }
  Words copy = state;
  return Check(limit, cost, now, copy);
}

}  // namespace

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) {
  if (IsAnchored(limit)) return anchored_window::Apply(limit, ask, state);
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
      return Check(limit, ask.cost, now, state);
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek:
      return Peek(limit, ask.cost, now, state);
    case Op::kCharge:
      if (ask.cost > 0) Add(ViewAt(limit, Entries(state), now), ask.cost, state);
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
      if (ask.cost > 0) Add(ViewAt(limit, Entries(state), now), ask.cost, state);
      break;
  }
  return Describe(limit, state, now);
}

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  if (IsAnchored(limit)) return anchored_window::Used(limit, state, now);
  return static_cast<std::uint64_t>(ViewAt(limit, Entries(state), ClampNow(now)).used);
}

Nanos Expires(const Limit& limit, const Words& state) {
  if (IsAnchored(limit)) return anchored_window::Expires(limit, state);
  const Entries entries(state);
  return entries.size() == 0 ? kMinNanos : TimeOfWeight(limit, entries.newest(), 0);
}

Position Locate(const Limit& limit, Nanos now) {
  const Nanos begin = now - limit.window;
  Position position;
  position.current = FloorDivide(now, limit.precision);
  position.oldest = FloorDivide(begin, limit.precision);
  const Nanos gone = begin - position.oldest * limit.precision;
  position.weight = CeilDivide(static_cast<Int128>(limit.precision - gone) * kWeightOne, limit.precision);
  return position;
}

Position LocateIndex(const Limit& limit, std::int64_t index) {
  const std::int64_t sub_windows = SubWindows(limit);
  const Nanos left = limit.window - (sub_windows - 1) * limit.precision;
  return {.current = index,
          .oldest = index - sub_windows,
          .weight = CeilDivide(static_cast<Int128>(left) * kWeightOne, limit.precision)};
}

Nanos TimeOfWeight(const Limit& limit, std::int64_t index, std::int64_t weight) {
  const Int128 time = (static_cast<Int128>(index) + 1) * limit.precision + limit.window -
                      static_cast<Int128>(weight) * limit.precision / kWeightOne;
  return static_cast<Nanos>(std::clamp<Int128>(time, 0, std::numeric_limits<Nanos>::max()));
}

std::int64_t Part(std::int64_t count, std::int64_t weight) {
  const std::int64_t high = count / kWeightOne;
  const std::int64_t low = count % kWeightOne;
  return high * weight + (low * weight + kWeightOne - 1) / kWeightOne;
}

}  // namespace weir::algorithms::sliding_window
