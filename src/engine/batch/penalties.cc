// Progressive penalties: a denial by a rule with penalties is a strike in the rule's ban box, and enough strikes earn a
// ban. The box is asked within the request's own plan; strikes follow after the decision.
#include <algorithm>

#include "engine/batch/batch.h"
#include "engine/decide/decide.h"

namespace weir::engine {
namespace {

using storage::Item;
using storage::Op;
using storage::Plan;
using storage::PlanStatus;

// Charges a strike and reads the state again, so that the denial that earns a ban already says how long it is.
void AddStrike(const Item& ban, PlanSet& to) {
  to.Open(Op::kCharge);
  to.Add(ban).cost = 1;
  to.Open(Op::kPeek);
  to.Add(ban).cost = 1;
}

}  // namespace

void Batch::AddStrikes(std::uint32_t number) {
  const Question& question = questions_[number];
  const Call& call = *question.call;
  const bool counts = call.kind == CallKind::kCheck || call.kind == CallKind::kReserve;
  if (call.decision.allowed || call.decision.repeated || question.plan == kNoPlan || !counts || call.request.cost == 0)
    return;
  const bool by_rules = question.failed == Reason::kOk || question.failed == Reason::kStoreLocal;
  const Plan& whole = plans_.plan(question.plan);
  const Plan plan = whole.items.size() == question.items ? whole : StretchOf(question, whole);
  if (!by_rules || plan.status == PlanStatus::kFull) return;
  for (std::uint32_t i = 0; i < question.rules; ++i) {
    const ItemContext& context = contexts_[question.first_item + i];
    if (context.partner == ItemContext::kNone || plan.outcomes[i].verdict == Verdict::kAllowed) continue;
    if (plan.outcomes[context.partner].verdict != Verdict::kAllowed) continue;  // banned already
    const Item& ban = plan.items[context.partner];
    if (question.failed == Reason::kOk) {
      AddStrike(ban, strikes_);
      struck_.push_back({.question = number, .rule = i});
    } else if (core_->failure.IsLocal(context)) {
      PlanSet set;
      AddStrike(ban, set);
      set.Seal();
      if (core_->failure.ApplyLocal(set.plans(), now_)) TakeStrike(question, i, set.plan(1));
    }
  }
}

void Batch::TakeStrikes() {
  for (std::uint32_t i = 0; i < struck_.size(); ++i) {
    TakeStrike(questions_[struck_[i].question], struck_[i].rule, strikes_.plan(2 * i + 1));
  }
}

void Batch::TakeStrike(const Question& question, std::uint32_t rule, const Plan& ban) {
  if (ban.status != PlanStatus::kOk || ban.outcomes[0].verdict == Verdict::kAllowed) return;
  Decision& decision = question.call->decision;
  Outcome& outcome = decision.rules()[rule].outcome;
  if (outcome.verdict != Verdict::kLater) return;
  outcome.retry_after_ns = std::max(outcome.retry_after_ns, ban.outcomes[0].retry_after_ns);
  ChooseDeciding(decision);
}

}  // namespace weir::engine
