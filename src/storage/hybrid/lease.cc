#include "storage/hybrid/lease.h"

#include <algorithm>

#include "algorithms/aligned_window.h"
#include "algorithms/gcra.h"
#include "algorithms/instant.h"
#include "algorithms/sliding_window.h"
#include "algorithms/time_zone.h"

namespace weir::storage::hybrid {
namespace {

using algorithms::Kind;
namespace gcra = algorithms::gcra;

__extension__ typedef unsigned __int128 Wide;

// How many units fit that many ns of the line.
std::uint64_t UnitsIn(const Limit& limit, Nanos length) {
  if (length <= 0) return 0;
  const auto ns = static_cast<std::uint64_t>(length);
  if (limit.rate_count == 1) return ns / static_cast<std::uint64_t>(limit.rate_period);
  const Wide units = Wide{ns} * limit.rate_count / static_cast<std::uint64_t>(limit.rate_period);
  return units > algorithms::kMaxCount ? algorithms::kMaxCount : static_cast<std::uint64_t>(units);
}

// The latest end of a window that has opened by `now`. One that ends later opened after it: the clock went back, and
// what is charged now could not be named when it comes home.
Nanos LatestEnd(const Limit& limit, Nanos now) {
  if (algorithms::IsWordWindow(limit.kind)) return algorithms::aligned_window::EndOfNew(limit, now);
  if (IsFixedWindow(limit.kind) && limit.calendar != algorithms::Calendar::kNone) {
    return algorithms::CalendarBounds(limit, now).end;
  }
  return now + limit.window;
}

}  // namespace

Form FormOf(const Limit& limit) {
  if (limit.count_denied || limit.capacity == 0) return Form::kNone;
  switch (limit.kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
      return limit.shape || limit.max_wait > 0 ? Form::kNone : Form::kBucket;
    case Kind::kSlidingWindow:
      if (limit.window <= 0) return Form::kNone;
      return algorithms::sliding_window::IsAnchored(limit) ? Form::kWindow : Form::kSubWindow;
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
    case Kind::kAnchoredWindow:
      return limit.window > 0 ||
                     (limit.calendar != algorithms::Calendar::kNone && limit.calendar != algorithms::Calendar::kEpoch)
                 ? Form::kWindow
                 : Form::kNone;
    default:
      return Form::kNone;
  }
}

Nanos EndOf(Form form, const Outcome& outcome, Nanos store_now) {
  return form == Form::kWindow ? algorithms::SaturatingAdd(store_now, outcome.reset_after_ns) : 0;
}

bool Lease::Learn(const Outcome& outcome, std::uint64_t cost, Nanos now, Nanos offset) {
  known_ = false;
  if (form_ == Form::kNone || outcome.limit == UINT64_MAX) return false;
  seen_ = outcome;
  asked_ = cost;
  seen_at_ = now;
  offset_ = offset;
  valid_until_ = algorithms::SaturatingAdd(now, life_);
  if (form_ == Form::kBucket) {
    tat_ = algorithms::SaturatingAdd(now, outcome.reset_after_ns);
    return known_ = true;
  }
  // Nothing is used: there is no window yet, and none whose end could be told.
  if (outcome.used == 0 || outcome.reset_after_ns <= 0) return false;
  end_ = algorithms::SaturatingAdd(now, outcome.reset_after_ns);
  const Nanos store_now = algorithms::ClampNow(now + offset);
  Nanos over = end_;
  if (form_ == Form::kSubWindow) {
    // Sub-windows lie on multiples of their length, by the store's clock.
    over = now + (limit_.precision - store_now % limit_.precision);
    if (end_ > algorithms::SaturatingAdd(over, limit_.window)) return false;
  } else if (store_now + outcome.reset_after_ns > LatestEnd(limit_, store_now)) {
    return false;
  }
  valid_until_ = std::min(valid_until_, over);
  return known_ = true;
}

void Lease::Add(const Outcome& outcome, Nanos now) {
  Part part{.units = outcome.granted, .at = now + offset_, .until = valid_until_};
  part.end = EndOf(form_, outcome, part.at);
  if (form_ == Form::kBucket) {
    part.bound = tat_;
    part.next = std::max(now, tat_ - gcra::Increment(limit_, outcome.granted));
  }
  Put(part);
}

std::uint64_t Lease::SpendableOf(const Part& part, Nanos now) const {
  if (now >= part.until) return 0;
  if (form_ != Form::kBucket) return part.units;
  return std::min(part.units, UnitsIn(limit_, part.bound - std::max(part.next, now)));
}

std::uint64_t Lease::Spendable(Nanos now) const {
  std::uint64_t units = 0;
  for (const Part& part : parts_) units += SpendableOf(part, now);
  return units;
}

std::uint64_t Lease::Held() const {
  std::uint64_t units = 0;
  for (const Part& part : parts_) units += part.units;
  return units;
}

Nanos Lease::TatAt(Nanos now) const {
  Nanos tat = tat_;
  for (const Part& part : parts_) {
    if (now < part.until) tat -= std::max<Nanos>(0, part.bound - std::max(part.next, now));
  }
  return tat;
}

std::uint64_t Lease::UsedAt(Nanos now) const { return seen_.used - std::min(seen_.used, Spendable(now)); }

Outcome Lease::DescribeWindow(Nanos now, std::uint64_t used) const {
  Outcome outcome;
  outcome.limit = seen_.limit;
  outcome.used = used;
  outcome.remaining = used < outcome.limit ? outcome.limit - used : 0;
  outcome.reset_after_ns = used > 0 ? end_ - now : 0;
  return outcome;
}

Outcome Lease::Peek(Nanos now) const {
  if (form_ == Form::kBucket) return gcra::Describe(limit_, TatAt(now), algorithms::ClampNow(now));
  return DescribeWindow(now, UsedAt(now));
}

Standing Lease::Consider(std::uint64_t cost, Nanos now, Outcome& outcome) const {
  if (!Knows(now) || now != algorithms::ClampNow(now)) return Standing::kUnknown;
  const std::uint64_t spendable = Spendable(now);
  if (form_ == Form::kBucket) {
    // The store's state has expired: that is for the store to find, should the clock go back.
    if (tat_ <= now) return Standing::kUnknown;
    algorithms::Word tat = TatAt(now);
    outcome = gcra::Admit(limit_, gcra::MakeTerms(limit_, cost), cost, now, tat);
    if (outcome.verdict != Verdict::kAllowed) return Standing::kDenied;
    return cost <= spendable ? Standing::kCovered : Standing::kUnsure;
  }
  const std::uint64_t used = UsedAt(now);
  if (cost > seen_.limit) {
    outcome = DescribeWindow(now, used);
    outcome.verdict = Verdict::kNever;
    return Standing::kDenied;
  }
  if (cost <= spendable) {
    outcome = DescribeWindow(now, used + cost);
    return Standing::kCovered;
  }
  if (used + cost <= seen_.limit) {
    outcome = DescribeWindow(now, used);
    return Standing::kUnsure;
  }
  if (form_ == Form::kWindow) {
    outcome = DescribeWindow(now, used);
    outcome.verdict = Verdict::kLater;
    outcome.retry_after_ns = end_ - now;
    return Standing::kDenied;
  }
  // What the oldest sub-window counts for falls all the time; only the store can tell when this cost fits. A denial
  // that it has told holds until then, for whoever asks for no less.
  outcome = DescribeWindow(now, used);
  const Nanos left = seen_.retry_after_ns - (now - seen_at_);
  if (seen_.verdict != Verdict::kLater || left <= 0 || cost != asked_ || spendable > 0) return Standing::kUnsure;
  outcome.verdict = Verdict::kLater;
  outcome.retry_after_ns = left;
  return Standing::kDenied;
}

Parts Lease::Spend(std::uint64_t cost, Nanos now) {
  Parts spent;
  for (Part& part : parts_) {
    const std::uint64_t units = std::min(cost, SpendableOf(part, now));
    if (units == 0) continue;
    Part piece = part;
    piece.units = units;
    if (form_ == Form::kBucket) {
      piece.next = std::max(part.next, now);
      piece.bound = piece.next + gcra::Increment(limit_, units);
      part.next = piece.bound;
    }
    part.units -= units;
    cost -= units;
    spent.push_back(piece);
    if (cost == 0) break;
  }
  parts_.erase(std::remove_if(parts_.begin(), parts_.end(), [](const Part& part) { return part.units == 0; }),
               parts_.end());
  return spent;
}

Parts Lease::Clear() {
  Parts parts = std::move(parts_);
  parts_.clear();
  known_ = false;
  return parts;
}

Parts Lease::GiveUp(Nanos now) {
  if (form_ != Form::kBucket) return Clear();
  Parts home;
  Parts kept;
  for (Part& part : parts_) {
    if (part.until <= now) {
      home.push_back(part);
      continue;
    }
    const Nanos elapsed = now + offset_ - HomeAt(form_, part, life_);
    const std::uint64_t units = std::min(part.units, gcra::UnitsLeft(limit_, part.units, std::max<Nanos>(0, elapsed)));
    if (units > 0) {
      Part piece = part;
      piece.units = units;
      piece.charged = part.units;
      home.push_back(piece);
      part.units -= units;
      part.bound = std::min(part.bound, part.next + gcra::Increment(limit_, part.units));
    }
    if (part.units > 0) kept.push_back(part);
  }
  parts_ = std::move(kept);
  known_ = false;
  return home;
}

Parts Lease::TakeOver(Nanos now) {
  Parts over;
  Parts kept;
  for (const Part& part : parts_) (part.until <= now ? over : kept).push_back(part);
  parts_ = std::move(kept);
  while (parts_.size() > kMostParts) {
    over.push_back(parts_.front());
    parts_.erase(parts_.begin());
  }
  // Of a bucket what goes home is no longer ours to count off: its places stay in `tat_` and only deny sooner.
  return over;
}

bool IsWorthReturning(const Limit& limit, Form form, const Part& part, Nanos store_now, const HybridOptions& options) {
  if (part.units == 0) return false;
  if (form == Form::kWindow && part.end != 0) {
    // The store tells the windows of a rule from the first request apart by their ends, which lie on a grid: what was
    // taken in the last bit of one it could take off the next.
    const Nanos grid = limit.kind == Kind::kAnchoredWindow ? algorithms::aligned_window::Grid(limit) : 0;
    return store_now < part.end && (options.exact_answers || part.at + grid < part.end);
  }
  if (form != Form::kBucket) return true;
  const algorithms::PastCharge charge{.cost = ChargedOf(part), .at = HomeAt(form, part, options.lease_life)};
  const algorithms::Ask ask{.op = algorithms::Op::kRefund, .cost = part.units, .now = store_now, .charge = &charge};
  return gcra::GivenBack(limit, ask, algorithms::ClampNow(store_now)) > 0;
}

}  // namespace weir::storage::hybrid
