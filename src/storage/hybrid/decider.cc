#include "storage/hybrid/decider.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::storage::hybrid {
namespace {

bool CarriesOver(const Item& item) { return item.previous != nullptr && item.previous_key != item.key; }
bool IsUnlimited(const Item& item) { return item.limit->kind == algorithms::Kind::kUnlimited; }

// Whether the item can ever be decided here.
bool CanLease(const Item& item) { return item.cost > 0 && !CarriesOver(item) && FormOf(*item.limit) != Form::kNone; }

// Whether another item of the plan charges the same state, or moves it away.
bool NamedTwice(std::span<const Item> items, std::size_t i) {
  for (std::size_t j = 0; j < items.size(); ++j) {
    if (j == i) continue;
    if (items[j].key == items[i].key) return true;
    if (CarriesOver(items[j]) && items[j].previous_key == items[i].key) return true;
  }
  return false;
}

Outcome Unlimited() {
  Outcome outcome;
  outcome.limit = outcome.remaining = UINT64_MAX;
  return outcome;
}

// The last instant (store) that names what was spent of this part as well as its own does: of a window the last one of
// it, of a bucket as far as a refund is named earlier anyway.
Nanos LastNameOf(const Limit& limit, const Part& part, Nanos life) {
  switch (FormOf(limit)) {
    case Form::kBucket:
      return HomeAt(Form::kBucket, part, life) + 2 * (life - 1);
    case Form::kSubWindow:
      return part.at - part.at % limit.precision + limit.precision - 1;
    default:
      return part.end == 0 ? INT64_MAX : part.end - 1;
  }
}

}  // namespace

struct Decider::Look {
  Standing standing = Standing::kUnknown;
  Subject* subject = nullptr;
  Outcome outcome;
};

// What is known of a plan's items; under their locks.
struct Decider::View {
  std::array<Look, kMostItems> looks;
  bool denied = false;           // an enforced item is known to be
  bool unknown = false;          // an item is needed whose state is not known, or not well enough to be charged
  bool known_for_denial = true;  // all outcomes of a denial can be told
  bool any_covered = false;
};

void Decider::LookAt(const Plan& plan, Nanos now, View& view) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    Look& look = view.looks[i];
    if (IsUnlimited(item)) {
      look = {.standing = Standing::kCovered, .subject = nullptr, .outcome = Unlimited()};
      continue;
    }
    if (CanLease(item) && !NamedTwice(plan.items, i)) {
      look.subject = table_.Find(item.key);
      if (look.subject != nullptr && look.subject->lease.limit() == *item.limit) {
        look.standing = look.subject->lease.Consider(item.cost, now, look.outcome);
      }
    }
    const bool settled = look.standing == Standing::kCovered || look.standing == Standing::kDenied;
    view.any_covered |= look.standing == Standing::kCovered;
    if (!item.shadow && look.standing == Standing::kDenied) view.denied = true;
    if (!settled) view.unknown = true;
    if (item.shadow ? !settled : look.standing == Standing::kUnknown) view.known_for_denial = false;
  }
}

// Counts an ask, and finds out whether more should be taken. `renew`: only when little is left.
void Decider::Ask(const Item& item, Subject& subject, Nanos now, bool renew, std::vector<Want>& wants) {
  if (subject.taking || is_shut() || now < subject.no_take_before || !subject.IsHot(options_)) return;
  const std::uint64_t worth = subject.Worth(options_);
  if (worth == 0) return;
  const std::uint64_t spendable = subject.lease.Spendable(now);
  if (renew && spendable > worth / 4) return;
  // What is over and has not gone home yet still counts in the store, but for what of a bucket drains.
  const std::uint64_t held = subject.lease.form() == Form::kBucket ? spendable : subject.lease.Held();
  const std::uint64_t units = worth - std::min(worth, held);
  if (units < options_.least_lease) return;
  subject.taking = true;
  wants.push_back({.key = item.key,
                   .limit = *item.limit,
                   .rule = std::string(item.rule),
                   .subject = std::string(item.subject),
                   .units = units});
}

void Decider::Admit(Plan& plan, Nanos now, View& view, std::vector<Want>& wants) {
  plan.status = PlanStatus::kOk;
  plan.admitted = true;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    Look& look = view.looks[i];
    plan.outcomes[i] = look.outcome;
    if (look.subject == nullptr) continue;
    look.subject->CountAsk(now, options_.lease_life);
    if (look.standing != Standing::kCovered) continue;
    look.subject->CountUnits(plan.items[i].cost);
    look.subject->lease.Spend(plan.items[i].cost, now);
    Ask(plan.items[i], *look.subject, now, true, wants);
  }
}

void Decider::Deny(Plan& plan, Nanos now, View& view, std::vector<Want>& wants) {
  plan.status = PlanStatus::kOk;
  plan.admitted = false;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    Look& look = view.looks[i];
    plan.outcomes[i] = look.outcome;
    if (look.subject == nullptr) continue;
    look.subject->CountAsk(now, options_.lease_life);
    if (look.standing == Standing::kDenied) continue;
    if (!plan.items[i].shadow) {
      plan.outcomes[i] = look.subject->lease.Peek(now);
    } else {
      look.subject->CountUnits(plan.items[i].cost);
      look.subject->lease.Spend(plan.items[i].cost, now);
      Ask(plan.items[i], *look.subject, now, true, wants);
    }
  }
  Add(counters_.denied_here);
}

// Decides on what was seen, if that is enough.
bool Decider::Settle(Plan& plan, Nanos now, View& view, std::vector<Want>& wants) {
  if (view.denied ? !view.known_for_denial : view.unknown) return false;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Subject* const subject = view.looks[i].subject;
    if (subject == nullptr || subject->lease.offset() == 0) continue;
    plan.decided_at = now + subject->lease.offset();
    break;
  }
  if (view.denied) {
    Deny(plan, now, view, wants);
  } else {
    Admit(plan, now, view, wants);
  }
  Add(counters_.decided_here);
  return true;
}

bool Decider::Try(Plan& plan, Nanos now, std::vector<Want>& wants) {
  if (plan.op != Op::kCheck || plan.once != nullptr || plan.items.empty() || plan.items.size() > kMostItems ||
      is_shut()) {
    return false;
  }
  ShardLocks locks(table_);
  for (const Item& item : plan.items) locks.Want(item.key);
  locks.Acquire();
  View view;
  LookAt(plan, now, view);
  return Settle(plan, now, view, wants);
}

bool Decider::Send(Plan& plan, Nanos now, Errand& errand, std::vector<Want>& wants) {
  ShardLocks locks(table_);
  for (const Item& item : plan.items) {
    locks.Want(item.key);
    if (CarriesOver(item)) locks.Want(item.previous_key);
  }
  locks.Acquire();
  const bool is_check =
      plan.op == Op::kCheck && plan.once == nullptr && !plan.items.empty() && plan.items.size() <= kMostItems;
  errand.plan = &plan;
  View view;
  if (is_check && !is_shut()) {
    LookAt(plan, now, view);
    if (Settle(plan, now, view, wants)) return false;
    Watch(plan, now, errand);
  }
  Add(counters_.asked);
  if (is_check && !view.denied && view.any_covered) {
    SendPart(plan, now, view, errand);
  } else {
    SendWhole(plan, now, view, errand);
  }
  return true;
}

// Counts the asks, and notes the items whose outcome is worth looking at.
void Decider::Watch(const Plan& plan, Nanos now, Errand& errand) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    if (!CanLease(item) || NamedTwice(plan.items, i)) continue;
    Subject* const subject = table_.Get(item.key, *item.limit, now, options_);
    if (subject == nullptr) continue;
    subject->CountAsk(now, options_.lease_life);
    errand.counted.push_back(static_cast<std::uint32_t>(i));
    if (subject->IsHot(options_)) errand.watched.push_back(static_cast<std::uint32_t>(i));
  }
}

// What is held of the subject goes to the store, so that this decides on all that there is.
void Decider::Empty(const Key& key, const Subject& subject, const Parts& parts, Nanos now,
                    std::vector<Homeward>& home) {
  const Lease& lease = subject.lease;
  const Nanos store_now = now + lease.offset();
  for (const Part& part : parts) {
    if (!IsWorthReturning(lease.limit(), lease.form(), part, store_now, options_)) {
      Add(counters_.lapsed, part.units);
      continue;
    }
    home.push_back({.key = key,
                    .limit = lease.limit(),
                    .rule = subject.rule,
                    .subject = subject.subject,
                    .part = part,
                    .offset = lease.offset()});
  }
}

void Decider::TakeHome(const Item& item, Nanos now, Errand& errand) {
  const Op op = errand.plan->op;
  const bool anew = op == Op::kReset || op == Op::kAssign;
  if (Subject* const subject = table_.Find(item.key)) {
    Empty(item.key, *subject, anew ? subject->lease.Clear() : subject->lease.GiveUp(now), now, errand.home);
    if (anew) subject->Forget();
  }
  if (CarriesOver(item)) TakePreviousHome(item, now, errand);
}

// Another instance may have moved the state to the new name already: it is looked for under both.
void Decider::TakePreviousHome(const Item& item, Nanos now, Errand& errand) {
  Subject* const subject = table_.Find(item.previous_key);
  if (subject == nullptr) return;
  const std::size_t first = errand.home.size();
  Empty(item.previous_key, *subject, subject->lease.Clear(), now, errand.home);
  subject->Forget();
  // A peek moves nothing. What is no state of the new limit is carried over by number, and nothing says what of it was
  // the lease's: it can only go home while it is under the old name.
  if (errand.plan->op == Op::kPeek || !algorithms::CarriesOver(*item.previous, *item.limit)) return;
  // Moved before it comes home, the state may keep another of two windows than if it were moved after.
  if (options_.exact_answers) return;
  for (std::size_t i = first; i < errand.home.size(); ++i) {
    Homeward& home = errand.home[i];
    home.previous = *item.previous;
    home.previous_key = item.previous_key;
    home.previous_rule = item.previous_rule;
    home.key = item.key;
    home.limit = *item.limit;
    home.rule = item.rule;
    home.subject = item.subject;
  }
}

void Decider::Sift(std::vector<Homeward>& home, Nanos now) {
  std::erase_if(home, [&](const Homeward& one) {
    const Limit& limit = one.previous ? *one.previous : one.limit;
    if (IsWorthReturning(limit, FormOf(limit), one.part, now + one.offset, options_)) return false;
    Add(counters_.lapsed, one.part.units);
    return true;
  });
}

void Decider::SendWhole(Plan& plan, Nanos now, const View& view, Errand& errand) {
  // What is held while this ends goes home by itself, as the store may not answer this plan any more; but not of a
  // state that is set anew.
  if (!is_shut()) {
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
      // Of a bucket's lease some is lost each time, so it does not go where another item decides.
      const bool stays = view.denied && view.looks[i].standing == Standing::kCovered;
      if (stays && FormOf(*plan.items[i].limit) == Form::kBucket && !CarriesOver(plan.items[i])) continue;
      TakeHome(plan.items[i], now, errand);
    }
  } else if (plan.op == Op::kReset || plan.op == Op::kAssign) {
    for (const Item& item : plan.items) {
      if (Subject* const subject = table_.Find(item.key)) {
        (void)subject->lease.Clear();
        subject->Forget();
      }
    }
  }
  errand.sent = plan;
  // What was spent from a lease was charged a while before, and the store must not give back more than is certain.
  if (plan.op != Op::kRefund || options_.exact_answers) return;
  const auto waits = [](const Item& item) { return item.charge != nullptr && FormOf(*item.limit) == Form::kBucket; };
  if (std::ranges::none_of(plan.items, waits)) return;
  errand.items.assign(plan.items.begin(), plan.items.end());
  errand.charges.reserve(plan.items.size());
  for (Item& item : errand.items) {
    if (!waits(item)) continue;
    errand.charges.push_back(*item.charge);
    errand.charges.back().at = SettledAt(Form::kBucket, item.charge->at, options_.lease_life);
    item.charge = &errand.charges.back();
  }
  errand.sent.items = errand.items;
}

// Spends what is covered and asks the store for the rest.
void Decider::SendPart(Plan& plan, Nanos now, View& view, Errand& errand) {
  errand.partly = true;
  for (std::uint32_t i = 0; i < plan.items.size(); ++i) {
    Look& look = view.looks[i];
    if (look.standing == Standing::kCovered) {
      plan.outcomes[i] = look.outcome;
      if (look.subject == nullptr) continue;
      ++look.subject->lent;
      errand.spent.push_back(
          {i, look.subject->lease.Spend(plan.items[i].cost, now), look.subject->epoch, look.subject->lease.offset()});
    } else if (look.standing == Standing::kDenied) {
      plan.outcomes[i] = look.outcome;  // a shadow item's
    } else {
      TakeHome(plan.items[i], now, errand);
      errand.places.push_back(i);
      errand.items.push_back(plan.items[i]);
    }
  }
  std::erase_if(errand.watched, [&](std::uint32_t i) { return view.looks[i].standing == Standing::kCovered; });
  errand.outcomes.resize(errand.items.size());
  errand.sent = plan;
  errand.sent.items = errand.items;
  errand.sent.outcomes = errand.outcomes;
}

void Decider::Finish(Errand& errand, Nanos now, std::vector<Want>& wants) {
  Plan& plan = *errand.plan;
  const Plan& sent = errand.sent;
  plan.status = sent.status;
  plan.admitted = sent.admitted;
  plan.untracked = sent.untracked;
  plan.decided_at = sent.decided_at;
  for (std::size_t i = 0; i < errand.places.size(); ++i) plan.outcomes[errand.places[i]] = errand.outcomes[i];
  // What was spent here was charged before, and may be of an earlier window than the rest. Only then it says when: a
  // log finds what it is to give back by the instant that the store told, and the store's clock is not this one's.
  for (const Errand::Spent& spent : errand.spent) {
    const Nanos decided = sent.decided_at == 0 ? now : sent.decided_at;
    for (const Part& part : spent.parts) {
      const Nanos last = LastNameOf(*plan.items[spent.place].limit, part, options_.lease_life);
      if (decided <= last) continue;
      const Nanos at = std::min(now + spent.offset, last);
      plan.decided_at = std::min(plan.decided_at == 0 ? now : plan.decided_at, at);
    }
  }
  if (!errand.partly && errand.counted.empty()) return;
  const Nanos offset = sent.decided_at == 0 ? 0 : sent.decided_at - now;
  const bool answered = sent.status == PlanStatus::kOk;
  ShardLocks locks(table_);
  for (const Errand::Spent& spent : errand.spent) locks.Want(plan.items[spent.place].key);
  for (const std::uint32_t i : errand.counted) locks.Want(plan.items[i].key);
  locks.Acquire();
  for (const std::uint32_t i : errand.counted) {
    const Item& item = plan.items[i];
    const bool used = answered && (sent.admitted || (item.shadow && plan.outcomes[i].verdict == Verdict::kAllowed));
    if (Subject* const subject = used ? table_.Find(item.key) : nullptr) subject->CountUnits(item.cost);
  }
  for (Errand::Spent& spent : errand.spent) {
    const Item& item = plan.items[spent.place];
    Subject* const subject = table_.Find(item.key);
    if (subject == nullptr) continue;  // it stays while it is lent
    --subject->lent;
    const bool stays_spent = answered && (sent.admitted || item.shadow);
    if (stays_spent) {
      Ask(item, *subject, now, true, wants);
      continue;
    }
    for (const Part& part : spent.parts) {
      if (subject->epoch == spent.epoch) {
        subject->lease.Put(part);
      } else {
        Add(counters_.lapsed, part.units);
      }
    }
    if (answered) plan.outcomes[spent.place] = subject->lease.Peek(now);
  }
  if (!answered || is_shut()) return;
  for (const std::uint32_t i : errand.watched) {
    const Item& item = plan.items[i];
    Subject* const subject = table_.Find(item.key);
    if (subject == nullptr) continue;
    if (subject->lease.limit() != *item.limit) {
      if (subject->IsInUse()) continue;
      subject->lease = Lease(*item.limit, options_.lease_life);
    }
    if (options_.exact_answers && subject->lease.form() == Form::kSubWindow) continue;
    subject->rule = item.rule;
    subject->subject = item.subject;
    if (subject->lease.Learn(plan.outcomes[i], item.cost, now, offset)) Ask(item, *subject, now, true, wants);
  }
}

void Decider::Granted(const Want& want, const Plan& plan, const Outcome& outcome, Nanos now,
                      std::vector<Homeward>& home) {
  ShardLocks locks(table_);
  locks.Want(want.key);
  locks.Acquire();
  Subject* const subject = table_.Find(want.key);
  if (subject == nullptr) return;  // it stays while it is taken for
  subject->taking = false;
  if (plan.status != PlanStatus::kOk) {
    subject->no_take_before = now + options_.lease_life / 4;
    return;
  }
  Add(counters_.granted, outcome.granted);
  if (std::exchange(subject->forget_grant, false)) {
    Add(counters_.lapsed, outcome.granted);
    return;
  }
  const Nanos offset = plan.decided_at == 0 ? 0 : plan.decided_at - now;
  const bool useful = subject->lease.Learn(outcome, outcome.granted > 0 ? outcome.granted : 1, now, offset);
  if (outcome.granted == 0) return;
  if (useful) {
    subject->lease.Add(outcome, now);
    Empty(want.key, *subject, subject->lease.TakeOver(now), now, home);
    return;
  }
  // Nothing that it could be spent by: it goes home at once.
  Empty(want.key, *subject,
        {Part{.units = outcome.granted,
              .at = now + offset,
              .until = now,
              .end = outcome.reset_after_ns > 0 ? EndOf(subject->lease.form(), outcome, now + offset) : 0}},
        now, home);
}

void Decider::Collect(Nanos now, bool all, std::vector<Homeward>& home) {
  const Nanos life = options_.lease_life;
  for (std::size_t i = 0; i < SubjectTable::kShards; ++i) {
    SubjectTable::Shard& shard = table_.shard(i);
    const std::lock_guard lock(shard.mutex);
    for (auto it = shard.subjects.begin(); it != shard.subjects.end();) {
      Subject& subject = it->second;
      Empty(it->first, subject, all ? subject.lease.Clear() : subject.lease.TakeOver(now), now, home);
      const bool idle = now < subject.period || now - subject.period >= 4 * life;
      if (!subject.IsInUse() && idle) {
        it = shard.subjects.erase(it);
      } else {
        ++it;
      }
    }
  }
}

void Decider::CollectOf(const StateName& name, bool reset, Nanos now, std::vector<Homeward>& home) {
  for (std::size_t i = 0; i < SubjectTable::kShards; ++i) {
    SubjectTable::Shard& shard = table_.shard(i);
    const std::lock_guard lock(shard.mutex);
    for (auto& [key, subject] : shard.subjects) {
      // A store may know a state by half its key only; one too many does no harm.
      const bool named = key.hi == name.key.hi || (subject.rule == name.rule && subject.subject == name.subject);
      if (!named) continue;
      if (reset) {
        subject.Forget();
        for (const Part& part : subject.lease.Clear()) Add(counters_.lapsed, part.units);
      } else {
        Empty(key, subject, subject.lease.Clear(), now, home);
      }
    }
  }
}

}  // namespace weir::storage::hybrid
