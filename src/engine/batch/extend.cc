// More of the same budget for a reservation whose work goes on: charged all or nothing to the counters that it has
// charged, by their rules as they are now, and settled with it.
#include <algorithm>
#include <utility>

#include "engine/batch/ask_rule.h"
#include "engine/batch/batch.h"

namespace weir::engine {
namespace {

using storage::Item;
using storage::Op;
using storage::Plan;
using storage::PlanStatus;

// A slot is held already; it is not a budget of which there could be more. Nor is a count of requests or of an
// attribute: an extension is more cost of the same request.
bool CanGrow(const Charge& charge) {
  return charge.last && !IsConcurrency(charge.limit) && charge.counts == CountedUnit::Kind::kCost;
}

}  // namespace

// While the store is asked the reservation is out of the table: who settles it then finds none.
void Batch::AskExtension(Question& question) {
  Call& call = *question.call;
  call.granted = 0;
  call.retry_after_ns = 0;
  question.settled = core_->reservations.Take(call.reservation, now_);
  if (!question.settled) {
    call.status = Fail(ErrorCode::kNotFound, "no such reservation: unknown, settled or expired");
    return;
  }
  std::vector<Charge>& charges = question.settled->charges;
  const auto grows = static_cast<std::size_t>(std::ranges::count_if(charges, CanGrow));
  if (std::ranges::any_of(charges, [](const Charge& charge) { return charge.local; })) {
    call.status = Fail(ErrorCode::kUnavailable, "reserved while the store was away: it cannot be extended");
  } else if (charges.size() + grows > Reservations::kMostCharges) {
    call.status = Fail(ErrorCode::kResourceExhausted, "the reservation was extended too often");
  } else if (grows > 0 && call.request.cost > 0) {
    charges.reserve(charges.size() + 2 * grows);  // items point into it until all is answered
    question.first_item = plans_.item_count();
    question.plan = plans_.Open(Op::kCheck);
    for (const Charge& charge : charges) {
      if (!CanGrow(charge)) continue;
      AddMore(charge, call.request.cost, plans_.Add());
      contexts_.push_back({.use = rules_->FindCounting(charge.generation)});
    }
    question.items = plans_.item_count() - question.first_item;
  } else {
    call.granted = call.request.cost;
  }
}

void Batch::AddMore(const Charge& charge, std::uint64_t cost, Item& item) {
  item.limit = &charge.limit;
  item.key = charge.key;
  item.rule = charge.generation;
  item.subject = charge.subject;
  item.cost = cost;
  item.shadow = charge.shadow;
  ToPresentRule(charge, item);
  if (IsConcurrency(*item.limit)) item.cost = 0;  // it has become a rule of slots
  if (item.limit->max_wait == 0) return;
  // An extension cannot say how long it is to be held: it gets what is there now.
  item.limit = plans_.Own(algorithms::WithoutWaiting(*item.limit));
}

void Batch::AnswerExtension(Question& question) {
  if (!question.settled) return;
  if (question.plan == kNoPlan) return KeepExtended(question);
  Call& call = *question.call;
  const Plan& plan = plans_.plan(question.plan);
  TakeExtension(question, plan, false);
  if (!call.partial || call.granted > 0 || plan.status != PlanStatus::kOk) return KeepExtended(question);
  std::uint64_t most = call.request.cost;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    if (!plan.items[i].shadow) most = std::min(most, plan.outcomes[i].remaining);
  }
  if (most == 0) return KeepExtended(question);
  // As much as there is, if nobody takes it meanwhile. Shadow rules have had their say.
  question.again = again_.Open(Op::kCheck);
  for (const Item& item : plan.items) {
    if (!item.shadow) again_.Add(item).cost = std::min(item.cost, most);
  }
}

void Batch::AnswerAgain(Question& question) {
  if (question.again == kNoPlan) return;
  TakeExtension(question, again_.plan(question.again), true);
  KeepExtended(question);
}

// What the plan has charged becomes the reservation's. `enforced`: the plan leaves shadow rules out.
void Batch::TakeExtension(Question& question, const Plan& plan, bool enforced) {
  Call& call = *question.call;
  if (plan.status != PlanStatus::kOk) {
    call.status = plan.status == PlanStatus::kUnavailable
                      ? Fail(ErrorCode::kUnavailable, "the store does not answer; nothing was added")
                      : Fail(ErrorCode::kResourceExhausted, "the store is full; nothing was added");
    return;
  }
  std::vector<Charge>& charges = question.settled->charges;
  const std::size_t before = charges.size();
  std::size_t next = 0;
  for (std::size_t i = 0; i < before; ++i) {
    if (!CanGrow(charges[i]) || (enforced && charges[i].shadow)) continue;
    const Item& item = plan.items[next];
    const Outcome& outcome = plan.outcomes[next++];
    if (!item.shadow) call.retry_after_ns = std::max(call.retry_after_ns, outcome.retry_after_ns);
    if (!plan.admitted && !item.shadow) continue;
    if (outcome.verdict != Verdict::kAllowed) continue;
    Charge more = charges[i];
    more.generation = item.rule;
    more.key = item.key;
    more.limit = *item.limit;
    more.charged = {.cost = item.cost, .at = plan.decided_at == 0 ? now_ : plan.decided_at};
    more.since = now_;
    more.before += charges[i].charged.cost;
    charges[i].last = false;
    charges.push_back(std::move(more));
  }
  if (!plan.admitted) return;
  for (const Item& item : plan.items) call.granted = std::max(call.granted, item.cost);
  call.retry_after_ns = 0;
}

void Batch::KeepExtended(Question& question) {
  Call& call = *question.call;
  Reservation& reservation = *question.settled;
  if (call.granted > 0) {
    reservation.since = now_;
    if (reservation.until != 0 && call.life > 0) {
      reservation.until = now_ + std::min(call.life, Reservations::kLongestHold);
    }
  }
  core_->reservations.PutBack(call.reservation, std::move(reservation), now_);
}

}  // namespace weir::engine
