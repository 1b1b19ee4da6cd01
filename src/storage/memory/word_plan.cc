#include "storage/memory/word_plan.h"

#include <cstddef>
#include <cstdint>

#include "algorithms/word.h"

namespace weir::storage::memory {
namespace {

// The number of items is known to the compiler, so that a plan of one or two stays in registers.
template <std::size_t kItems>
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
        Read(i);
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
      if (charged == Charged::kFull) return false;
    }
  }

 private:
  struct Bucket {
    Cell* cell;
    Word before;  // as read; kUncounted
    Word after;   // with this plan's charge, 0 when that has expired
    bool allowed;
  };
  static constexpr Word kUncounted = -1;  // no word is negative: there was no room for it
  enum class Charged : std::uint8_t { kDone, kDenied, kFull };

  [[gnu::always_inline]] bool IsPlain() const {
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

  [[gnu::always_inline]] void Read(std::size_t i) {
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
    if (bucket.before != 0 && bucket.after != 0) [[likely]] {
      const std::uint64_t owner = FingerprintOf(items_[i].key);
      // In use before and after: nothing but the word changes.
      if (CompareAndSwap(bucket.cell, {owner, bucket.before}, {owner, bucket.after})) return Charged::kDone;
      states_.counters().Add(Count::kCollisions);
      Read(i);
    }
    return ChargeAgain(i);
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
      Read(i);
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

  // The enforced ones among the first `tried` items were charged, and the next could not be. Puts back what was there
  // when nobody has touched it since, else takes this plan's part out of what it has become.
  [[gnu::noinline]] void GiveBack(std::size_t tried) {
    bool any = false;
    for (std::size_t i = 0; i < tried; ++i) {
      const Bucket& bucket = buckets_[i];
      if (items_[i].shadow || bucket.after == bucket.before || bucket.before == kUncounted) continue;
      any = true;
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

  // Enforced items consume nothing (a bucket learns nothing from a denial either); shadow items go their own way.
  [[gnu::always_inline]] bool Deny() {
    plan_.status = PlanStatus::kOk;
    plan_.admitted = false;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kItems; ++i) {
      if (items_[i].shadow) [[unlikely]] {
        (void)states_.ApplyWord(items_[i], Op::kCheck, now_, Keep::kAlways, plan_.outcomes[i]);
        continue;
      }
      Bucket& bucket = buckets_[i];
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

  [[gnu::always_inline]] void Describe(std::size_t i) {
    const Limit& limit = *items_[i].limit;
    const Bucket& bucket = buckets_[i];
    Outcome& outcome = plan_.outcomes[i];
    Fill(outcome, [&] { return words::Describe(limit, bucket.after, now_); });
    if (!bucket.allowed) {
      words::Deny(limit, items_[i].cost, outcome);
    } else if (limit.shape && items_[i].cost != 0 && bucket.after != bucket.before) {
      outcome.delay_ns = words::Delay(limit, bucket.before, now_);
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
      return WordPlan<1>(states, plan, now).Run();
    case 2:
      return WordPlan<2>(states, plan, now).Run();
    case 3:
      return WordPlan<3>(states, plan, now).Run();
    case 4:
      return WordPlan<4>(states, plan, now).Run();
    default:
      return false;
  }
}

}  // namespace weir::storage::memory
