// Settling, held against what was truly used: random histories of charges, commits above and below, cancels and
// waiting, over every algorithm. The oracle knows every charge and what of it was given up, and works out from the
// definitions (algorithms/oracle.h) what would count if that had never been charged.
//
// A part of store_conformance.h; include it after that.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "algorithms/aligned_window.h"
#include "algorithms/oracle.h"
#include "algorithms/time_zone.h"
#include "tests/conformance/plans.h"
#include "tests/conformance/store_conformance.h"

namespace weir::storage::conformance {

// What one subject was charged, and what ought to count of it.
class TrueUse {
 public:
  explicit TrueUse(const Limit& limit) : limit_(limit) {}

  struct Made {
    Nanos at = 0;
    std::uint64_t cost = 0;  // what was not given up
    std::uint64_t window = 0;
    std::uint64_t token = 0;
  };

  void Charge(std::uint64_t cost, Nanos now, std::uint64_t token) {
    if (IsRolling()) {
      if (!open_ || now >= End()) {
        ++window_;
        start_ = now;
      }
      open_ = true;
    }
    made_.push_back({now, cost, window_, token});
  }
  void GiveUp(std::size_t i, std::uint64_t cost, Nanos now) {
    made_[i].cost -= cost;
    // A fixed window with nothing in it is closed; the next request opens one. An adaptive one stays open.
    if (limit_.kind != Kind::kAdaptive && IsRolling() && Used(now) == 0) open_ = false;
  }
  const std::vector<Made>& made() const { return made_; }

  std::uint64_t Used(Nanos now) const {
    std::uint64_t used = 0;
    switch (limit_.kind) {
      case Kind::kTokenBucket:
      case Kind::kLeakyBucket:
        return Vessel(now).used(now);
      case Kind::kSlidingWindow:
        if (limit_.precision >= limit_.window) break;
        return static_cast<std::uint64_t>(algorithms::testing::Interpolated(Events(), limit_, now));
      case Kind::kSlidingWindowLog:
        return static_cast<std::uint64_t>(algorithms::testing::InTrailingWindow(Events(), limit_.window, now));
      case Kind::kConcurrency:
        for (const Made& made : made_) used += made.at + limit_.lease > now ? made.cost : 0;
        return used;
      default:
        break;
    }
    for (const Made& made : made_) used += Counts(made, now) ? made.cost : 0;
    return used;
  }
  // Whether the cost may be admitted, to the letter of the promise.
  bool Fits(std::uint64_t cost, std::uint64_t limit, Nanos now) const {
    if (!IsBucket()) return Used(now) + cost <= limit;
    const auto vessel = Vessel(now);
    return vessel.level(now) + static_cast<algorithms::testing::Int128>(cost) * limit_.rate_period <=
           vessel.brim() + vessel.grain();
  }
  bool IsBucket() const { return limit_.kind == Kind::kTokenBucket || limit_.kind == Kind::kLeakyBucket; }

 private:
  // Of a rolling window.
  Nanos End() const {
    if (limit_.kind == Kind::kAnchoredWindow) return algorithms::aligned_window::EndOfNew(limit_, start_);
    return start_ + limit_.window;
  }
  bool IsRolling() const {
    return limit_.kind == Kind::kAdaptive || limit_.kind == Kind::kAnchoredWindow ||
           (limit_.kind == Kind::kFixedWindow && limit_.calendar == Calendar::kNone) ||
           (limit_.kind == Kind::kSlidingWindow && limit_.precision >= limit_.window);
  }
  bool Counts(const Made& made, Nanos now) const {
    if (IsRolling()) return open_ && made.window == window_ && now < End();
    return algorithms::CalendarBounds(limit_, made.at) == algorithms::CalendarBounds(limit_, now);
  }
  std::vector<algorithms::testing::Event> Events() const {
    std::vector<algorithms::testing::Event> events;
    for (const Made& made : made_) {
      if (made.cost > 0) events.push_back({made.at, static_cast<std::int64_t>(made.cost)});
    }
    return events;
  }
  algorithms::testing::VesselOracle Vessel(Nanos /*now*/) const {
    algorithms::testing::VesselOracle vessel(limit_);
    for (const auto& event : Events()) vessel.Pour(event.cost, event.at);
    return vessel;
  }

  Limit limit_;
  std::vector<Made> made_;
  std::uint64_t window_ = 0;
  Nanos start_ = 0;
  bool open_ = false;
};

inline Limit SettlingLimit(Kind kind, Dice& dice) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = 5 + dice.Below(40);
  limit.rate_count = 1 + dice.Below(9);
  limit.rate_period = static_cast<Nanos>(1 + dice.Below(20)) * 100 * kMillisecond;
  limit.window = static_cast<Nanos>(1 + dice.Below(40)) * 250 * kMillisecond;
  limit.precision = dice.OneIn(3) ? limit.window : limit.window / static_cast<Nanos>(2 + dice.Below(10));
  if (kind == Kind::kFixedWindow && dice.OneIn(2))
    limit.calendar = dice.OneIn(2) ? Calendar::kEpoch : Calendar::kMinute;
  limit.lease = limit.window;
  limit.learning_window = 10 * limit.window;
  limit.min_capacity = limit.capacity / 2;
  limit.max_capacity = limit.capacity * 2;
  return algorithms::Sanitize(limit);
}

// How long something is worth waiting for.
inline Nanos SettlingScale(const Limit& limit) {
  if (limit.kind == Kind::kTokenBucket || limit.kind == Kind::kLeakyBucket) {
    return static_cast<Nanos>(limit.capacity) * limit.rate_period / static_cast<Nanos>(limit.rate_count);
  }
  return limit.calendar == Calendar::kMinute ? kMinute : limit.window;
}

inline std::string SettledHistory(Store& store, const Limit& limit, const std::string& subject, Nanos start, int steps,
                                  Dice& dice) {
  TrueUse truth(limit);
  Nanos now = start;
  std::uint64_t drained = 0;  // buckets: what had drained, at most, when it was asked back
  bool debt = false;
  const auto item = [&](std::uint64_t cost, std::uint64_t token) {
    Item made = ItemOf(limit, "settled", subject, cost);
    made.token = token;
    return made;
  };
  const auto tell = [&](int step, std::string_view what, std::uint64_t used) {
    return fmt::format("{}\nstep {}, {} ns in: {}; used {}, truly {}", Describe(limit), step, now - start, what, used,
                       truth.Used(now));
  };
  for (int step = 0; step < steps; ++step) {
    if (!dice.OneIn(3)) now += static_cast<Nanos>(dice.Below(static_cast<std::uint64_t>(SettlingScale(limit)) / 3 + 1));
    const std::uint64_t token = static_cast<std::uint64_t>(step) + 1;
    const std::uint64_t what = dice.Below(10);
    if (what < 5 || truth.made().empty()) {
      const std::uint64_t cost = 1 + dice.Below(dice.OneIn(4) ? limit.capacity : 5);
      const bool empty = truth.Used(now) == 0;
      const Outcome outcome = Do(store, Op::kCheck, {item(cost, token)}, now).outcomes[0];
      const bool fits = truth.Fits(cost, outcome.limit, now);
      // An adaptive window that is empty lets one larger ask in.
      const bool lenient = limit.kind == Kind::kAdaptive && empty;
      if (outcome.verdict == Verdict::kAllowed) {
        if (!fits && !lenient) return tell(step, "admitted beyond the promise", outcome.used);
        truth.Charge(cost, now, token);
      } else if (fits && !truth.IsBucket() && !(debt && limit.kind == Kind::kSlidingWindowLog)) {
        return tell(step, fmt::format("{} denied though there is room", cost), outcome.used);
      }
    } else {
      // Mostly a late one: those are still going on.
      const std::size_t back = dice.Below(std::min<std::size_t>(truth.made().size(), dice.OneIn(4) ? 50 : 6));
      const std::size_t i = truth.made().size() - 1 - back;
      const TrueUse::Made made = truth.made()[i];
      if (what == 9 && limit.kind != Kind::kConcurrency) {  // committed above what was reserved
        const std::uint64_t more = 1 + dice.Below(6);
        Do(store, Op::kCharge, {item(more, made.token)}, now);
        truth.Charge(more, now, made.token);
        debt = true;
      } else {
        const bool whole = what < 7 || limit.kind == Kind::kConcurrency;
        const std::uint64_t cost = whole ? made.cost : dice.Below(made.cost + 1);
        Item back_item = item(cost, made.token);
        const algorithms::PastCharge charge{.cost = made.cost, .at = made.at};
        back_item.charge = &charge;
        Do(store, Op::kRefund, {back_item}, now);
        truth.GiveUp(i, cost, now);
        if (truth.IsBucket()) {
          const auto elapsed = static_cast<std::uint64_t>(now - made.at);
          drained += std::min(cost, elapsed * limit.rate_count / static_cast<std::uint64_t>(limit.rate_period) + 1);
        }
      }
    }
    const std::uint64_t used = UsedNow(store, item(0, 0), now);
    const std::uint64_t truly = truth.Used(now);
    if (truth.IsBucket()) {
      // Each charge is rounded up to whole ns; that is far below a unit here, but may make one look begun.
      if (used + 1 < truly) return tell(step, "room that was never given up", used);
      if (used > truly + drained + 1) return tell(step, "less was given back than is certain", used);
    } else if (debt && limit.kind == Kind::kSlidingWindowLog) {
      // Beyond its bound a log in debt moves charges to later instants, where nobody finds them again.
      if (used < truly) return tell(step, "room that was never given up", used);
    } else if (used != truly) {
      return tell(step, "another count than the true one", used);
    }
  }
  return "";
}

TEST_P(StoreConformance, WhatIsSettledGivesBackItsOwnAndNoMore) {
  constexpr std::array kKinds = {Kind::kTokenBucket, Kind::kLeakyBucket, Kind::kSlidingWindow, Kind::kSlidingWindowLog,
                                 Kind::kFixedWindow, Kind::kConcurrency, Kind::kAdaptive};
  Dice seeds(GetParam().seed);
  for (const Kind kind : kKinds) {
    const auto store = Make();
    for (int i = 0; i < GetParam().histories; ++i) {
      const std::uint64_t seed = seeds.Below(UINT64_MAX);
      Dice dice(seed);
      const Limit limit = SettlingLimit(kind, dice);
      const std::string fault =
          SettledHistory(*store, limit, fmt::format("{}-{}", static_cast<int>(kind), i), start(), 80, dice);
      ASSERT_EQ(fault, "") << "seed " << seed;
    }
  }
}

// Reserved long ago, given up now, one after the other.
TEST_P(StoreConformance, OldReservationsCreditNothingToThePresent) {
  const Nanos window = 4 * kSecond, pause = 4300 * kMillisecond;
  Limit sliding = WindowOf(100, window), anchored = sliding, adaptive = LearnedOf(100);
  sliding.kind = anchored.kind = Kind::kSlidingWindow;
  sliding.precision = kSecond;
  anchored.precision = window;
  adaptive.window = window;
  adaptive.min_capacity = adaptive.max_capacity = 100;
  for (const Limit& limit : {BucketOf(100, 1500), WindowOf(100, window), EpochWindowOf(100, window), LogOf(100, window),
                             algorithms::Sanitize(sliding), algorithms::Sanitize(anchored),
                             algorithms::Sanitize(adaptive), SlotsOf(100, window)}) {
    SCOPED_TRACE(Describe(limit));
    const auto store = Make();
    const auto item = [&](std::uint64_t token) {
      Item made = ItemOf(limit, "rule", "a", 100);
      made.token = token;
      return made;
    };
    Nanos now = start();
    std::vector<algorithms::PastCharge> reserved;
    for (std::uint64_t token = 1; token <= 4; ++token) {
      ASSERT_TRUE(Do(*store, Op::kCheck, {item(token)}, now).admitted);
      reserved.push_back({.cost = 100, .at = now});
      now += 2 * pause;
    }
    ASSERT_TRUE(Do(*store, Op::kCheck, {item(5)}, now).admitted);
    for (std::size_t i = 0; i < reserved.size(); ++i) {
      Item cancelled = item(i + 1);
      cancelled.charge = &reserved[i];
      Do(*store, Op::kRefund, {cancelled}, ++now);
      EXPECT_FALSE(Do(*store, Op::kCheck, {item(10 + i)}, now).admitted);
    }
    // The same of one that is still there.
    const algorithms::PastCharge latest{.cost = 100, .at = now - 4};
    Item cancelled = item(5);
    cancelled.charge = &latest;
    Do(*store, Op::kRefund, {cancelled}, now);
    EXPECT_LE(UsedNow(*store, item(0), now), 1u);
  }
}

// A plain refund names no charge.
TEST_P(StoreConformance, APlainRefundGivesBackAtMostWhatIsHeld) {
  for (const Limit& limit : {BucketOf(10), WindowOf(10), EpochWindowOf(10), LogOf(10)}) {
    const auto store = Make();
    const Item four = ItemOf(limit, "rule", "a", 4), ten = ItemOf(limit, "rule", "a", 10);
    Do(*store, Op::kCheck, {four}, start());
    Do(*store, Op::kRefund, {ten}, start());
    EXPECT_EQ(UsedNow(*store, ten, start()), 0u);
    EXPECT_TRUE(Do(*store, Op::kCheck, {ten}, start()).admitted);
    EXPECT_FALSE(Do(*store, Op::kCheck, {four}, start()).admitted);
  }
}

}  // namespace weir::storage::conformance
