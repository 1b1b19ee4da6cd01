#include "storage/memory/word_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "algorithms/word.h"

namespace weir::storage::memory {
namespace {

// One item's word, before and after the plan.
struct WordBucket {
  Cell* cell;
  Word before;  // as read, or kUncounted
  Word after;   // with this plan's charge, 0 when that has expired
  bool allowed;
};
// Of an item that has a lane, `before` and `after` are counts.
struct LaneBucket : WordBucket {
  LaneView view;
  Nanos fits_at;  // of one that is denied
};

// The number of items is known to the compiler, so that a plan of one or two stays in registers; and whether any of
// them has a lane, so that plans of words do without the question.
template <std::size_t kItems, bool kLanes>
class WordPlan {
 public:
  WordPlan(States& states, Plan& plan, Nanos now)
      : states_(states), plan_(plan), items_(plan.items.data()), now_(now) {}

  bool Run() {
    if (!IsPlain()) return false;
    while (true) {
      bool admitted = true;
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kItems; ++i) {
        if (!Read(i)) return false;
        admitted &= buckets_[i].allowed || items_[i].shadow;
      }
      if (!admitted) return Deny();
      // Enforced items first: once they are charged nothing can deny any more.
      bool any_shadow = false;
      Charged charged = Charged::kDone;
      std::size_t tried = 0;
#pragma GCC unroll 4
      for (; tried < kItems; ++tried) {
        any_shadow |= items_[tried].shadow;
        if (items_[tried].shadow) continue;
        charged = Charge(tried);
        if (charged != Charged::kDone) [[unlikely]] {
          break;
        }
      }
      if (charged == Charged::kDone) [[likely]] {
        if (any_shadow) ChargeShadows();
        return Admit();
      }
      GiveBack(tried);
      if (charged == Charged::kFull || charged == Charged::kClosed) return false;
    }
  }

 private:
  using Bucket = std::conditional_t<kLanes, LaneBucket, WordBucket>;
  static constexpr Word kUncounted = -1;  // there was no room for it; no word is negative
  // kClosed: the lane was closed meanwhile, so the state has to be asked.
  enum class Charged : std::uint8_t { kDone, kDenied, kFull, kClosed };

  bool HasLane(std::size_t i) const { return kLanes && ShapeOf(items_[i].limit->kind) == Shape::kList; }

  [[gnu::always_inline]] bool IsPlain() const {
    if constexpr (kLanes) return true;  // RunLanePlan() has looked
    bool plain = true;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kItems; ++i) {
      const Item& item = items_[i];
      plain &= ShapeOf(item.limit->kind) == Shape::kWord;
      for (std::size_t k = 0; k < i; ++k) plain &= items_[k].key.hi != item.key.hi;
      if (item.previous != nullptr) [[unlikely]] {
        plain &= !states_.MayCarryOver(item, now_);
        for (std::size_t k = 0; k < kItems; ++k) plain &= items_[k].key.hi != item.previous_key.hi;
      }
    }
    return plain;
  }

  // False: the item has no lane, or its lane cannot answer.
  [[gnu::always_inline]] bool Read(std::size_t i) {
    if constexpr (kLanes) {
      if (HasLane(i)) return ReadLane(i);
    }
    ReadWord(i);
    return true;
  }

  bool ReadLane(std::size_t i) {
    const Item& item = items_[i];
    const Limit& limit = *item.limit;
    Bucket& bucket = buckets_[i];
    const auto& frame = bucket.view.frame;
    if (!states_.lanes().Read(item.key, bucket.view) || !sub_window::IsOf(frame, limit, now_)) return false;
    bucket.before = bucket.after = bucket.view.count();
    bucket.allowed = item.cost == 0 || sub_window::Fits(limit, frame, bucket.before, item.cost, now_);
    if (item.cost == 0 || !bucket.allowed) return true;
    if (frame.newest != frame.index) return false;
    bucket.after += static_cast<Word>(item.cost);
    return true;
  }

  [[gnu::always_inline]] void ReadWord(std::size_t i) {
    const Item& item = items_[i];
    const Limit& limit = *item.limit;
    const CellTable::Found found = states_.cells().Find(FingerprintOf(item.key));
    Bucket& bucket = buckets_[i];
    bucket.cell = found.cell;
    bucket.before = found.word;
    bucket.after = words::Kept(limit, found.word, now_);
    bucket.allowed = true;
    if (item.cost == 0) return;
    Word word = found.word;
    bucket.allowed = words::Try(limit, item.cost, now_, word);
    if (bucket.allowed) bucket.after = word;
  }

  [[gnu::always_inline]] Charged Charge(std::size_t i) {
    const Bucket& bucket = buckets_[i];
    if (bucket.after == bucket.before) return Charged::kDone;
    if constexpr (kLanes) {
      if (HasLane(i)) return ChargeLane(i);
    }
    if (bucket.before != 0 && bucket.after != 0) [[likely]] {
      const std::uint64_t owner = FingerprintOf(items_[i].key);
      // In use before and after: nothing but the word changes.
      if (CompareAndSwap(bucket.cell, {owner, bucket.before}, {owner, bucket.after})) return Charged::kDone;
      states_.counters().Add(Count::kCollisions);
      ReadWord(i);
    }
    return ChargeAgain(i);
  }

  Charged ChargeLane(std::size_t i) {
    Bucket& bucket = buckets_[i];
    while (!states_.lanes().Swap(bucket.view, bucket.after)) {
      states_.counters().Add(Count::kCollisions);
      if (!ReadLane(i)) return Charged::kClosed;
      if (!bucket.allowed) return Charged::kDenied;
    }
    return Charged::kDone;
  }

  void GiveBackLane(std::size_t i) {
    const Bucket& bucket = buckets_[i];
    LaneView view;
    while (states_.lanes().Read(items_[i].key, view) && bucket.view.IsOpeningOf(view)) {
      if (states_.lanes().Swap(view, view.count() - static_cast<std::int64_t>(items_[i].cost))) return;
    }
    states_.GiveBackList(items_[i], now_);
  }

  // A new state, one that has expired, or one that another thread is changing too.
  [[gnu::noinline]] Charged ChargeAgain(std::size_t i) {
    Bucket& bucket = buckets_[i];
    const std::uint64_t owner = FingerprintOf(items_[i].key);
    CellTable& cells = states_.cells();
    while (bucket.after != bucket.before) {
      if (bucket.cell != nullptr) {
        if (cells.Swap(bucket.cell, owner, bucket.before, bucket.after)) break;
      } else {
        const CellTable::Inserted inserted = cells.Insert(owner, bucket.after, now_, states_.policy());
        if (inserted == CellTable::Inserted::kDone) break;
        if (inserted == CellTable::Inserted::kFull) return Full(bucket, items_[i].shadow);
      }
      states_.counters().Add(Count::kCollisions);
      ReadWord(i);
    }
    return bucket.allowed ? Charged::kDone : Charged::kDenied;
  }

  // Goes on uncounted, if the policy or a shadow rule wants that.
  Charged Full(Bucket& bucket, bool shadow) {
    if (states_.policy() == FullPolicy::kDenyNew && !shadow) return Charged::kFull;
    (void)states_.NoRoom();
    plan_.untracked |= !shadow;
    bucket.before = kUncounted;
    return Charged::kDone;
  }

  [[gnu::noinline]] void ChargeShadows() {
    for (std::size_t i = 0; i < kItems; ++i) {
      if (items_[i].shadow) (void)Charge(i);
    }
  }

  // The enforced ones among the first `tried` items were charged, and the next could not be. Restores the old word
  // if no other thread has changed it since, else takes this plan's part out of the present word.
  [[gnu::noinline]] void GiveBack(std::size_t tried) {
    bool any = false;
    for (std::size_t i = 0; i < tried; ++i) {
      const Bucket& bucket = buckets_[i];
      if (items_[i].shadow || bucket.after == bucket.before || bucket.before == kUncounted) continue;
      any = true;
      if constexpr (kLanes) {
        if (HasLane(i)) {
          GiveBackLane(i);
          continue;
        }
      }
      const std::uint64_t owner = FingerprintOf(items_[i].key);
      const CellTable::Found found = states_.cells().Find(owner);
      if (found.cell == nullptr) continue;
      const Word before = words::Kept(*items_[i].limit, bucket.before, now_);
      if (found.word == bucket.after && states_.cells().Swap(found.cell, owner, found.word, before)) continue;
      states_.GiveBack(items_[i], bucket.after, now_);
    }
    if (any) states_.counters().Add(Count::kRollbacks);
  }

  [[gnu::always_inline]] bool Admit() {
    plan_.status = PlanStatus::kOk;
    plan_.admitted = true;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kItems; ++i) Describe(i);
    return true;
  }

  // Enforced items are charged nothing; shadow items are decided by themselves.
  [[gnu::always_inline]] bool Deny() {
    if constexpr (kLanes) {
      if (!KnowsWhenLanesFit()) return false;
    }
    plan_.status = PlanStatus::kOk;
    plan_.admitted = false;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kItems; ++i) {
      if (items_[i].shadow) [[unlikely]] {
        (void)states_.ApplyWord(items_[i], Op::kCheck, now_, Keep::kAlways, plan_.outcomes[i]);
        continue;
      }
      Bucket& bucket = buckets_[i];
      if constexpr (kLanes) {
        if (HasLane(i)) {
          bucket.after = bucket.before;
          DescribeLane(i);
          continue;
        }
      }
      if (!bucket.allowed && states_.cells().crowded()) [[unlikely]] {
        states_.cells().NoteDenied(bucket.cell, now_);
      }
      if (bucket.allowed) {
        bucket.after = bucket.before;
      } else if (bucket.after != bucket.before) [[unlikely]] {
        (void)ChargeAgain(i);  // removes what has expired
      }
      Describe(i);
    }
    return true;
  }

  bool KnowsWhenLanesFit() {
    for (std::size_t i = 0; i < kItems; ++i) {
      if (!HasLane(i) || buckets_[i].allowed || items_[i].cost > items_[i].limit->capacity) continue;
      LaneBucket& bucket = buckets_[i];
      const LaneView& view = bucket.view;
      // When little room is left, the state has to note that it denied: once a second, which is as fine as it notes.
      if (view.denial.second != NotedDenial::SecondOf(now_) && states_.ListsAreCrowded()) return false;
      const auto at = sub_window::FitsAt(*items_[i].limit, view.frame, view.count(), items_[i].cost);
      const bool known =
          view.count() == 0 && view.denial.asked == NotedDenial::Asked(items_[i].limit->capacity, items_[i].cost);
      if (!at && !known) return false;
      bucket.fits_at = at ? *at : view.denial.fits_at;
    }
    return true;
  }

  void DescribeLane(std::size_t i) {
    const Item& item = items_[i];
    const LaneBucket& bucket = buckets_[i];
    Outcome& outcome = plan_.outcomes[i];
    Fill(outcome, [&] { return sub_window::Describe(*item.limit, bucket.view.frame, bucket.after, now_); });
    if (bucket.allowed) return;
    const bool never = item.cost > item.limit->capacity;
    outcome.verdict = never ? Verdict::kNever : Verdict::kLater;
    if (!never) outcome.retry_after_ns = std::max<Nanos>(1, bucket.fits_at - now_);
  }

  [[gnu::always_inline]] void Describe(std::size_t i) {
    if constexpr (kLanes) {
      if (HasLane(i)) return DescribeLane(i);
    }
    const Limit& limit = *items_[i].limit;
    const Bucket& bucket = buckets_[i];
    Outcome& outcome = plan_.outcomes[i];
    Fill(outcome, [&] { return words::Describe(limit, bucket.after, now_); });
    if (!bucket.allowed) {
      words::Deny(limit, items_[i].cost, outcome);
    } else if (limit.shape && items_[i].cost != 0 && bucket.after != bucket.before) {
      outcome.delay_ns = words::Delay(limit, bucket.before, bucket.after, now_);
    }
  }

  States& states_;
  Plan& plan_;
  const Item* const items_;
  const Nanos now_;
  Bucket buckets_[kItems];
};

}  // namespace

bool RunWordPlan(States& states, Plan& plan, Nanos now) {
  if (plan.op != Op::kCheck) return false;
  switch (plan.items.size()) {
    case 1:
      return WordPlan<1, false>(states, plan, now).Run();
    case 2:
      return WordPlan<2, false>(states, plan, now).Run();
    case 3:
      return WordPlan<3, false>(states, plan, now).Run();
    case 4:
      return WordPlan<4, false>(states, plan, now).Run();
    default:
      return false;
  }
}

bool MayRunInLanes(const Plan& plan) {
  if (plan.op != Op::kCheck || plan.items.size() > kMostLanesAPlan) return false;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    if (item.previous != nullptr) return false;
    if (ShapeOf(item.limit->kind) != Shape::kWord && (item.limit->kind != Kind::kSlidingWindow || item.shadow)) {
      return false;
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (plan.items[k].key.hi == item.key.hi) return false;
    }
  }
  return true;
}

bool RunLanePlan(States& states, Plan& plan, Nanos now) {
  if (!MayRunInLanes(plan)) return false;
  switch (plan.items.size()) {
    case 1:
      return WordPlan<1, true>(states, plan, now).Run();
    case 2:
      return WordPlan<2, true>(states, plan, now).Run();
    case 3:
      return WordPlan<3, true>(states, plan, now).Run();
    case 4:
      return WordPlan<4, true>(states, plan, now).Run();
    default:
      return false;
  }
}

}  // namespace weir::storage::memory
