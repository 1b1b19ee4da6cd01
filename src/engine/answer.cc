// The second half of a batch: from what the store said to decisions.
#include "base/intern.h"
#include "engine/batch.h"
#include "engine/decide.h"
#include "engine/explain.h"

namespace weir::engine {
namespace {

using storage::Plan;
using storage::PlanStatus;

bool IsDecision(CallKind kind) {
  return kind == CallKind::kCheck || kind == CallKind::kPeek || kind == CallKind::kReserve;
}

// Peeks are answered, but nothing has happened that is worth counting.
bool Counts(const Call& call) {
  return (call.kind == CallKind::kCheck || call.kind == CallKind::kReserve) && call.request.cost > 0;
}

}  // namespace

void Batch::Answer(Question& question) {
  Call& call = *question.call;
  if (question.settled) return AnswerSettlement(question);
  if (question.plan == kNoPlan) return;
  if (!IsDecision(call.kind)) return AnswerChange(question);

  Plan& plan = plans_.plan(question.plan);
  if (plan.status == PlanStatus::kUnavailable) {
    question.failed = core_->failure.Decide(plan, PartsOf(question), now_);
  }
  Decide(plan, PartsOf(question), question.rules, question.failed, core_->subject_secret, call.decision);
  if (question.id != 0) KeepReservation(question, plan);
  if (call.trace != nullptr) {
    ExplainOutcomes(plan, PartsOf(question), core_->store->Name(), Counts(call), *call.trace);
  }
}

void Batch::AnswerChange(Question& question) {
  Plan& plan = plans_.plan(question.plan);
  if (plan.status != PlanStatus::kUnavailable || core_->failure.Change(plan, PartsOf(question), now_)) return;
  question.call->status = Fail(ErrorCode::kUnavailable, "the store does not answer");
}

void Batch::AnswerSettlement(Question& question) {
  std::vector<Charge>& charges = question.settled->charges;
  std::vector<Charge> open;
  for (std::uint32_t i = 0; i < charges.size(); ++i) {
    if (plans_.plan(question.plan + i).status == PlanStatus::kUnavailable) open.push_back(std::move(charges[i]));
  }
  if (open.empty()) return;
  charges = std::move(open);
  core_->reservations.PutBack(question.call->reservation, std::move(*question.settled));
  question.call->status = Fail(ErrorCode::kUnavailable, "the store does not answer; the reservation stays open");
}

void Batch::KeepReservation(Question& question, const Plan& plan) {
  Reservation reservation{.charges = {}, .since = now_};
  for (std::uint32_t i = 0; i < question.rules && question.call->decision.allowed; ++i) {
    const storage::Item& item = plan.items[i];
    const Part& part = parts_[question.first_item + i];
    const bool local = question.failed == Reason::kStoreLocal && core_->failure.IsLocal(part);
    const bool charged = question.failed == Reason::kOk ? plan.status == PlanStatus::kOk : local;
    if (!charged || (item.shadow && plan.outcomes[i].verdict != Verdict::kAllowed)) continue;
    reservation.charges.push_back({.rule = part.use->rule->path,
                                   .generation = item.rule,
                                   .key = item.key,
                                   .limit = *item.limit,
                                   .subject = std::string(item.subject),
                                   .cost = item.cost,
                                   .local = local});
  }
  if (reservation.charges.empty()) return core_->reservations.GiveUp();
  core_->reservations.Put(question.id, std::move(reservation));
  question.call->decision.reservation = question.id;
}

void Batch::Finish(Question& question) {
  Call& call = *question.call;
  if (!IsDecision(call.kind)) return;
  if (Counts(call)) Count(question);
  if (call.trace != nullptr) ExplainDecision(call.decision, *call.trace);
  if (core_->observer != nullptr) core_->observer->OnDecision(call, now_);
}

void Batch::Count(const Question& question) {
  Counters& counters = core_->counters;
  const Decision& decision = question.call->decision;
  counters.Add(decision.allowed ? Tally::kAllowed : Tally::kDenied);
  switch (decision.reason) {
    case Reason::kOk:
    case Reason::kOverLimit:
    case Reason::kNeverFits:
      break;
    case Reason::kExempt:
      counters.Add(Tally::kExempt);
      break;
    case Reason::kNoLimit:
      counters.Add(Tally::kNoLimit);
      break;
    case Reason::kBanned:
      counters.Add(Tally::kBanned);
      break;
    case Reason::kBlocked:
      counters.Add(Tally::kBlocked);
      break;
    case Reason::kStoreAllowed:
      counters.Add(Tally::kStoreAllow);
      break;
    case Reason::kStoreDenied:
      counters.Add(Tally::kStoreDeny);
      break;
    case Reason::kStoreLocal:
      counters.Add(Tally::kStoreLocal);
      break;
    case Reason::kStoreFull:
      counters.Add(Tally::kStoreFull);
      break;
  }
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    const std::uint32_t place = parts_[question.first_item + i].use->counter;
    const bool fits = rule.outcome.verdict == Verdict::kAllowed;
    if (!fits) {
      counters.Add(place, rule.shadow ? RuleTally::kShadowDenied : RuleTally::kDenied);
    } else if (decision.allowed) {
      counters.Add(place, RuleTally::kAllowed);
    }
  }
}

}  // namespace weir::engine
