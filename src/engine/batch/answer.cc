// The second half of a batch: from what the store said to decisions.
#include <algorithm>
#include <utility>

#include "engine/batch/batch.h"
#include "engine/counters/count.h"
#include "engine/decide/decide.h"
#include "engine/decide/explain.h"

namespace weir::engine {
namespace {

using storage::Plan;
using storage::PlanStatus;

}  // namespace

void Batch::Answer(Question& question) {
  Call& call = *question.call;
  if (question.call->kind == CallKind::kExtend) return AnswerExtension(question);
  if (question.settled) return AnswerSettlement(question);
  if (question.plan == kNoPlan) return;
  if (!IsDecision(call.kind) && !call.throttle) return AnswerChange(question);

  Plan& whole = plans_.plan(question.plan);
  const bool shared = whole.items.size() != question.items;
  if (whole.status == PlanStatus::kUnavailable) AnswerByPolicy(question, whole);
  Plan plan = shared ? StretchOf(question, whole) : whole;
  question.admitted = question.charges && (!shared || whole.admitted);
  call.decided_at = whole.decided_at != 0 ? whole.decided_at : now_;
  DescribeRules(plan.items.first(question.rules), ContextsOf(question), core_->subject_secret, call.decision);
  if (call.subjects != nullptr) {
    for (const storage::Item& item : plan.items.first(question.rules)) call.subjects->emplace_back(item.subject);
  }
  Decide(plan, ContextsOf(question), question.rules, question.failed, call.decision);
  if (question.unidentified != nullptr) [[unlikely]]
    DenyUnidentified(*question.unidentified, call.decision);
  if (question.id != 0) KeepReservation(question, plan);
  if (question.shares) [[unlikely]]
    call.decision.repeated = true;
  if (call.trace != nullptr) {
    plan.admitted = plan.admitted && question.admitted;
    ExplainAnswer(question, plan);
  }
}

void Batch::ExplainAnswer(const Question& question, const Plan& plan) {
  const Call& call = *question.call;
  const std::string_view store = core_->store->Name();
  if (question.look != kNoPlan) {
    const Plan& look = plans_.plan(question.look);
    const auto contexts = std::span(contexts_).subspan(plans_.start_of(question.look), look.items.size());
    ExplainLearned(look, contexts, store, *call.trace);
  }
  ExplainOutcomes(plan, ContextsOf(question), store, Counts(call), *call.trace);
}

// The policy decides a plan once, when the first of its calls is answered; each call is told what became of its
// context.
void Batch::AnswerByPolicy(Question& question, Plan& whole) {
  const std::uint32_t first = plans_.start_of(question.plan);
  if (question.first_item == first) {
    failed_ = core_->failure.Decide(whole, std::span(contexts_).subspan(first, whole.items.size()), now_);
  }
  question.failed = failed_;
  if (whole.items.size() == question.items) return;
  if (failed_ == Reason::kStoreDenied && StretchOf(question, whole).admitted) question.failed = Reason::kStoreAllowed;
  if (failed_ != Reason::kStoreLocal) return;
  const auto decided = [&](const ItemContext& context) {
    return core_->failure.IsLocal(context) && !context.use->shadow;
  };
  if (std::ranges::none_of(ContextsOf(question), decided)) question.failed = Reason::kStoreAllowed;
}

// The call's own context of a plan that it shares, admitted when there was room for it.
Plan Batch::StretchOf(const Question& question, const Plan& whole) const {
  Plan stretch = whole;
  const std::uint32_t from = question.first_item - plans_.start_of(question.plan);
  stretch.items = whole.items.subspan(from, question.items);
  stretch.outcomes = whole.outcomes.subspan(from, question.items);
  stretch.admitted = true;
  for (std::uint32_t i = 0; i < question.items; ++i) {
    stretch.admitted &= stretch.items[i].shadow || stretch.outcomes[i].verdict == Verdict::kAllowed;
  }
  return stretch;
}

void Batch::AnswerChange(Question& question) {
  Call& call = *question.call;
  Plan& plan = plans_.plan(question.plan);
  if (plan.status == PlanStatus::kUnavailable && !core_->failure.Change(plan, ContextsOf(question), now_)) {
    call.status = Fail(ErrorCode::kUnavailable, "the store does not answer");
    return;
  }
  if (call.kind == CallKind::kFeedback) call.rules_updated = RulesUpdatedBy(question, plan);
}

// How many rules an item of the plan has told. A rule with several subjects has its items in a row.
std::uint32_t Batch::RulesUpdatedBy(const Question& question, const Plan& plan) const {
  if (plan.status == PlanStatus::kFull) return 0;
  std::uint32_t rules_updated = 0;
  const RuleUse* latest = nullptr;
  for (const ItemContext& context : ContextsOf(question)) {
    if (plan.status == PlanStatus::kUnavailable && !core_->failure.IsLocal(context)) continue;
    if (std::exchange(latest, context.use) != context.use) ++rules_updated;
  }
  return rules_updated;
}

void Batch::AnswerSettlement(Question& question) {
  std::vector<Charge>& charges = question.settled->charges;
  std::vector<Charge> open;
  for (std::uint32_t i = 0; i < charges.size(); ++i) {
    if (plans_.plan(question.plan + i).status == PlanStatus::kUnavailable) open.push_back(std::move(charges[i]));
  }
  if (open.empty()) return;
  charges = std::move(open);
  core_->reservations.PutBack(question.call->reservation, std::move(*question.settled), now_);
  question.call->status = Fail(ErrorCode::kUnavailable, "the store does not answer; the reservation stays open");
}

void Batch::KeepReservation(Question& question, const Plan& plan) {
  Reservation reservation{.charges = {}, .since = now_};
  if (const Nanos life = question.call->life; life > 0) {
    reservation.until = now_ + std::min(life, Reservations::kLongestHold);
  }
  const bool kept = question.call->decision.allowed && question.admitted;
  for (std::uint32_t i = 0; i < question.rules && kept; ++i) {
    const storage::Item& item = plan.items[i];
    const ItemContext& context = contexts_[question.first_item + i];
    const bool local = question.failed == Reason::kStoreLocal && core_->failure.IsLocal(context);
    const bool charged = question.failed == Reason::kOk ? plan.status == PlanStatus::kOk : local;
    if (!charged || (item.shadow && plan.outcomes[i].verdict != Verdict::kAllowed)) continue;
    reservation.charges.push_back(
        {.generation = std::string(item.rule),
         .key = item.key,
         .limit = *item.limit,
         .subject = std::string(item.subject),
         .charged = {.cost = item.cost, .at = local || plan.decided_at == 0 ? now_ : plan.decided_at},
         .since = now_,
         .counts = context.use->rule->counts,
         .local = local,
         .shadow = item.shadow});
  }
  if (reservation.charges.empty()) return core_->reservations.GiveUp();
  core_->reservations.Put(question.id, std::move(reservation));
  question.call->decision.reservation = question.id;
}

// Those of the decision's rules.
std::span<const storage::Item> Batch::ItemsOf(const Question& question) const {
  if (question.plan == kNoPlan || question.rules == 0 || !IsDecision(question.call->kind)) return {};
  return {&plans_.item(question.first_item), question.rules};
}

void Batch::Finish(Question& question) {
  Call& call = *question.call;
  if (core_->observers.any()) [[unlikely]] {
    const Resolved* const kept = question.kept == kNoPlan ? nullptr : &kept_[question.kept];
    const std::uint32_t interest = InterestOf(call);
    if (core_->observers.Want(interest)) {
      core_->observers.Notify(
          interest, {call, kept == nullptr ? nullptr : &kept->facts, kept == nullptr ? nullptr : &kept->resolution,
                     now_, ItemsOf(question), core_->subject_secret, rules_->revision().get()});
    }
  }
  if (!IsDecision(call.kind)) return;
  if (call.decision.repeated) core_->counters.Add(Tally::kRepeated);
  if (Counts(call)) CountDecision(core_->counters, *rules_, call, ContextsOf(question), question.admitted);
  if (call.trace != nullptr) ExplainDecision(call.decision, *call.trace);
}

}  // namespace weir::engine
