#include "algorithms/penalty.h"

#include <algorithm>

#include "algorithms/instant.h"

namespace weir::algorithms::penalty {
namespace {

struct Box {
  Nanos banned_until = 0;
  std::int64_t level = 0;
  Nanos decay_from = 0;
  std::int64_t strikes = 0;
  Nanos strikes_from = 0;
};

Box Read(const Limit& limit, const Words& state) {
  if (state.size() != 5) return {};
  return {.banned_until = ClampInstant(state[0]),
          .level = std::clamp<Word>(state[1], 0, kMostLevel),
          .decay_from = ClampInstant(state[2]),
          .strikes = std::clamp<Word>(state[3], 0, static_cast<Word>(limit.threshold) - 1),
          .strikes_from = ClampInstant(state[4])};
}

Nanos ExpiresBox(const Limit& limit, const Box& box) {
  Nanos expires = box.banned_until;
  if (box.level > 0) {
    // decay <= 10 years and level <= 64: the product does fit, the sum may not.
    const bool far = limit.decay > (INT64_MAX - box.decay_from) / box.level;
    expires = std::max(expires, far ? INT64_MAX : box.decay_from + limit.decay * box.level);
  }
  if (box.strikes > 0) expires = std::max(expires, box.strikes_from + limit.window);
  return expires;
}

void Write(const Limit& limit, const Box& box, Nanos now, Words& state) {
  if (ExpiresBox(limit, box) <= now) {
    state.clear();
    return;
  }
  state.assign({box.banned_until, box.level, box.decay_from, box.strikes, box.strikes_from});
}

bool IsBanned(const Box& box, Nanos now) { return now < box.banned_until; }

std::int64_t LiveStrikes(const Limit& limit, const Box& box, Nanos now) {
  return now - box.strikes_from >= limit.window ? 0 : box.strikes;
}

std::int64_t LevelAt(const Limit& limit, const Box& box, Nanos now) {
  if (now <= box.decay_from) return box.level;
  return box.level - std::min(box.level, (now - box.decay_from) / limit.decay);
}

void Ban(const Limit& limit, Nanos now, Box& box) {
  const std::int64_t level = LevelAt(limit, box, now);
  box.banned_until = now + BanLength(limit, level);
  box.decay_from = box.banned_until;
  box.level = std::min(level + 1, kMostLevel);
  box.strikes = 0;
  box.strikes_from = 0;
}

void Strike(const Limit& limit, Nanos now, Box& box) {
  if (IsBanned(box, now)) return;
  box.strikes = LiveStrikes(limit, box, now);
  if (box.strikes == 0) box.strikes_from = now;
  ++box.strikes;
  if (box.strikes >= static_cast<std::int64_t>(limit.threshold)) Ban(limit, now, box);
}

void Forgive(const Limit& limit, Nanos now, Box& box) {
  box.strikes = std::max<std::int64_t>(0, LiveStrikes(limit, box, now) - 1);
  if (box.strikes == 0) box.strikes_from = 0;
}

Box Assigned(const Limit& limit, std::uint64_t cost, Nanos now) {
  Box box;
  if (cost >= limit.threshold) {
    Ban(limit, now, box);
  } else if (cost > 0) {
    box.strikes = static_cast<std::int64_t>(cost);
    box.strikes_from = now;
  }
  return box;
}

std::uint64_t UsedOf(const Limit& limit, const Box& box, Nanos now) {
  return IsBanned(box, now) ? limit.threshold : static_cast<std::uint64_t>(LiveStrikes(limit, box, now));
}

Outcome Describe(const Limit& limit, const Box& box, Nanos now) {
  Outcome outcome;
  outcome.limit = limit.threshold;
  outcome.used = UsedOf(limit, box, now);
  outcome.remaining = limit.threshold - outcome.used;
  outcome.reset_after_ns = std::max<Nanos>(0, ExpiresBox(limit, box) - now);
  return outcome;
}

}  // namespace

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) {
  const Nanos now = ClampNow(ask.now);
  Box box = Read(limit, state);
  switch (ask.op) {
    case Op::kCheck:
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek: {
      Outcome outcome = Describe(limit, box, now);
      if (IsBanned(box, now)) {
        outcome.verdict = Verdict::kLater;
        outcome.retry_after_ns = box.banned_until - now;
      }
      return outcome;
    }
    case Op::kCharge:
      Strike(limit, now, box);
      break;
    case Op::kRefund:
      Forgive(limit, now, box);
      break;
    case Op::kReset:
      box = {};
      break;
    case Op::kAssign:
      box = Assigned(limit, ask.cost, now);
      break;
  }
  Write(limit, box, now, state);
  return Describe(limit, box, now);
}

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  return UsedOf(limit, Read(limit, state), ClampNow(now));
}

Nanos Expires(const Limit& limit, const Words& state) {
  return state.size() == 5 ? ExpiresBox(limit, Read(limit, state)) : kMinNanos;
}

void Join(const Limit& limit, const Words& other, Nanos now, Words& state) {
  const Box here = Read(limit, state), there = Read(limit, other);
  const bool there_is_later = there.banned_until > here.banned_until;
  const Box& earlier = there_is_later ? here : there;
  Box box = there_is_later ? there : here;
  box.level = std::min(box.level + LevelAt(limit, earlier, box.decay_from), kMostLevel);
  const std::int64_t strikes_here = LiveStrikes(limit, here, now);
  box.strikes = IsBanned(box, now) ? 0 : strikes_here + LiveStrikes(limit, there, now);
  box.strikes_from = box.strikes == 0 ? 0 : strikes_here > 0 ? here.strikes_from : there.strikes_from;
  if (box.strikes >= static_cast<std::int64_t>(limit.threshold)) Ban(limit, now, box);
  Write(limit, box, now, state);
}

Nanos BanLength(const Limit& limit, std::int64_t level) {
  const std::int64_t longest = limit.longest_ban / kMillisecond;
  std::int64_t ban = std::min(longest, limit.first_ban / kMillisecond);
  for (std::int64_t i = 0; i < std::min(level, kMostLevel) && ban < longest; ++i) {
    ban = std::min(longest, ban * static_cast<std::int64_t>(limit.ban_factor_pct) / 100);
  }
  return ban * kMillisecond;
}

}  // namespace weir::algorithms::penalty
