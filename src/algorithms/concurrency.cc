#include "algorithms/concurrency.h"

#include <algorithm>
#include <array>

#include "algorithms/instant.h"

namespace weir::algorithms::concurrency {
namespace {

constexpr auto kMostCount = static_cast<std::int64_t>(kMaxCount);
constexpr std::size_t kStride = 3;

// The held slots of a state, guarded: a damaged one may hold anything.
class Leases {
 public:
  explicit Leases(const Words& state)
      : state_(state),
        size_(state.size() > 1 && (state.size() - 1) % kStride == 0 ? (state.size() - 1) / kStride : 0) {}
  std::size_t size() const { return size_; }
  std::uint64_t token(std::size_t i) const { return static_cast<std::uint64_t>(state_[1 + kStride * i]); }
  std::int64_t slots(std::size_t i) const { return std::clamp<Word>(state_[2 + kStride * i], 1, kMostCount); }
  Nanos expiry(std::size_t i) const { return ClampInstant(state_[3 + kStride * i]); }
  std::int64_t total() const { return size_ == 0 ? 0 : std::clamp<Word>(state_[0], 0, kMostCount); }
  Nanos last_expiry() const { return expiry(size_ - 1); }

 private:
  const Words& state_;
  std::size_t size_;
};

struct View {
  std::size_t first = 0;  // first live lease
  std::int64_t used = 0;  // slots of the live ones
};

View ViewAt(const Leases& leases, Nanos now) {
  View view{.first = 0, .used = leases.total()};
  while (view.first < leases.size() && leases.expiry(view.first) <= now) {
    view.used -= std::min(view.used, leases.slots(view.first));
    ++view.first;
  }
  if (view.first == leases.size()) view.used = 0;
  return view;
}

Nanos FitsAt(const Limit& limit, const Leases& leases, const View& view, std::uint64_t cost) {
  const auto room = static_cast<std::int64_t>(limit.capacity - cost);
  std::int64_t rest = view.used;
  for (std::size_t i = view.first; i < leases.size(); ++i) {
    // The total of a damaged state may exceed its slots; after the last lease nothing is left all the same.
    rest = i + 1 == leases.size() ? 0 : rest - std::min(rest, leases.slots(i));
    if (rest <= room) return leases.expiry(i);
  }
  return 0;
}

void DropExpired(const View& view, Words& state) {
  state.erase(state.begin() + 1, state.begin() + 1 + static_cast<std::ptrdiff_t>(kStride * view.first));
  state[0] = view.used;
}

void Acquire(const Limit& limit, const Ask& ask, Nanos now, Words& state) {
  const View view = ViewAt(Leases(state), now);
  if (Leases(state).size() == 0) {
    state.assign(1, 0);
  } else {
    DropExpired(view, state);
  }
  const auto added = static_cast<std::int64_t>(std::min(ask.cost, static_cast<std::uint64_t>(kMostCount - view.used)));
  const Leases leases(state);
  if (added > 0 && leases.size() < kMostEntries) {
    const Nanos expiry = now + limit.lease;
    std::size_t place = leases.size();
    while (place > 0 && leases.expiry(place - 1) > expiry) --place;
    state[0] = view.used + added;
    state.insert(state.begin() + 1 + static_cast<std::ptrdiff_t>(kStride * place),
                 {static_cast<Word>(ask.token), added, expiry});
  }
  if (state.size() == 1) state.clear();
}

void Release(std::uint64_t token, Words& state) {
  const Leases leases(state);
  std::int64_t total = leases.total();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < leases.size(); ++i) {
    if (leases.token(i) == token) {
      total -= std::min(total, leases.slots(i));
      continue;
    }
    if (kept != i) {
      std::copy_n(state.begin() + 1 + static_cast<std::ptrdiff_t>(kStride * i), kStride,
                  state.begin() + 1 + static_cast<std::ptrdiff_t>(kStride * kept));
    }
    ++kept;
  }
  if (kept == leases.size()) return;
  if (kept == 0) {
    state.clear();
    return;
  }
  state[0] = total;
  state.resize(1 + kStride * kept);
}

Outcome Describe(const Limit& limit, std::uint64_t used, Nanos last_expiry, Nanos now) {
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = used;
  outcome.remaining = used < limit.capacity ? limit.capacity - used : 0;
  outcome.reset_after_ns = used > 0 ? std::max<Nanos>(0, last_expiry - now) : 0;
  return outcome;
}

Outcome Describe(const Limit& limit, const Words& state, Nanos now) {
  const Leases leases(state);
  const View view = ViewAt(leases, now);
  return Describe(limit, static_cast<std::uint64_t>(view.used), leases.size() == 0 ? now : leases.last_expiry(), now);
}

Outcome Check(const Limit& limit, const Ask& ask, Nanos now, Words& state) {
  if (ask.cost == 0) return Describe(limit, state, now);
  const Leases leases(state);
  const View view = ViewAt(leases, now);
  const auto used = static_cast<std::uint64_t>(view.used);
  const Nanos last = leases.size() == 0 ? now : leases.last_expiry();
  if (ask.cost > limit.capacity || used + ask.cost > limit.capacity) {
    Outcome outcome = Describe(limit, used, last, now);
    outcome.verdict = ask.cost > limit.capacity ? Verdict::kNever : Verdict::kLater;
    if (outcome.verdict == Verdict::kLater) {
      outcome.retry_after_ns = std::max<Nanos>(1, FitsAt(limit, leases, view, ask.cost) - now);
    }
    return outcome;
  }
  if (ask.op == Op::kCheck) Acquire(limit, ask, now, state);
  return Describe(limit, used + ask.cost, std::max(last, now + limit.lease), now);
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
      if (ask.cost > 0) Acquire(limit, ask, now, state);
      break;
    case Op::kRefund:
      Release(ask.token, state);
      break;
    case Op::kReset:
      state.clear();
      break;
    case Op::kAssign:
      state.clear();
      if (ask.cost > 0) Acquire(limit, ask, now, state);
      break;
  }
  return Describe(limit, state, now);
}

std::uint64_t Used(const Limit& /*limit*/, const Words& state, Nanos now) {
  return static_cast<std::uint64_t>(ViewAt(Leases(state), ClampNow(now)).used);
}

Nanos Expires(const Limit& /*limit*/, const Words& state) {
  const Leases leases(state);
  return leases.size() == 0 ? kMinNanos : leases.last_expiry();
}

void Join(const Words& other, Nanos now, Words& state) {
  const Words mine = state;
  const std::array<Leases, 2> sides = {Leases(mine), Leases(other)};
  std::array<std::size_t, 2> next = {ViewAt(sides[0], now).first, ViewAt(sides[1], now).first};
  state.assign(1, 0);
  while (state.size() < 1 + kStride * kMostEntries) {
    const bool left[] = {next[0] < sides[0].size(), next[1] < sides[1].size()};
    if (!left[0] && !left[1]) break;
    const bool from_other = !left[0] || (left[1] && sides[1].expiry(next[1]) < sides[0].expiry(next[0]));
    const Leases& side = sides[from_other ? 1 : 0];
    const std::size_t i = next[from_other ? 1 : 0]++;
    const std::int64_t added = std::min(side.slots(i), kMostCount - state[0]);
    if (added == 0) break;
    state[0] += added;
    state.insert(state.end(), {static_cast<Word>(side.token(i)), added, side.expiry(i)});
  }
  if (state.size() == 1) state.clear();
}

}  // namespace weir::algorithms::concurrency
