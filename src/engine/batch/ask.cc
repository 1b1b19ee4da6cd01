// The first half of a batch: from calls to plans.
#include <algorithm>
#include <utility>

#include "algorithms/adaptive.h"
#include "engine/batch/ask_rule.h"
#include "engine/batch/batch.h"
#include "engine/counters/count.h"
#include "engine/decide/decide.h"
#include "engine/decide/explain.h"
#include "engine/identify/identify.h"

namespace weir::engine {
namespace {

using storage::Item;
using storage::Op;

Op OpOf(CallKind kind) {
  switch (kind) {
    case CallKind::kPeek:
      return Op::kPeek;
    case CallKind::kRefund:
      return Op::kRefund;
    case CallKind::kReset:
      return Op::kReset;
    case CallKind::kCharge:
    case CallKind::kFeedback:
      return Op::kCharge;
    default:
      return Op::kCheck;
  }
}

// A slot is released whatever it cost; elsewhere the difference to the true cost is charged or given back.
Op SettlingOp(const Charge& charge, std::uint64_t actual) {
  return !IsConcurrency(charge.limit) && actual > charge.cost ? Op::kCharge : Op::kRefund;
}

// Of a client's limit beside the rule whose count it shares: what is denied counts or does not, whichever denied it,
// and the count is held as the rule holds it.
algorithms::Limit CountingAs(const config::Rule& rule, algorithms::Limit limit) {
  limit.count_denied = rule.limit.count_denied;
  limit.kind = rule.limit.kind;
  return limit;
}

void FillSettlement(const Charge& charge, std::uint64_t id, std::uint64_t actual, Item& item) {
  item.limit = &charge.limit;
  item.key = charge.key;
  item.rule = charge.generation;
  item.subject = charge.subject;
  item.token = id;
  if (IsConcurrency(charge.limit)) {
    item.cost = charge.cost;
  } else {
    item.cost = actual > charge.cost ? actual - charge.cost : charge.cost - actual;
  }
}

}  // namespace

Batch::Question& Batch::Begin(Call& call) {
  Question& question = questions_.emplace_back();
  question.call = &call;
  question.first_item = plans_.item_count();
  call.status = {};
  call.rules_updated = 0;
  if (call.subjects != nullptr) call.subjects->clear();
  return question;
}

void Batch::Ask(Call& call) {
  Question& question = Begin(call);
  if (call.throttle) return AskThrottle(question);
  open_plan_ = kNoPlan;
  if (call.kind == CallKind::kCommit || call.kind == CallKind::kCancel) return AskSettlement(question);
  Resolved resolved;
  if (!Resolve(call, resolved, false)) return;
  AskRules(question, resolved);
  if (question.plan != kNoPlan && !TakeReservations({&question, 1})) Refuse({&question, 1});
  LookAtLearned(question);
}

void Batch::AskThrottle(Question& question) {
  ClearDecision(question.call->decision);
  question.plan = plans_.Open(OpOf(question.call->kind));
  plans_.Add(ThrottleItem(*rules_, *question.call));
  contexts_.push_back({.use = &rules_->throttle()});
  question.rules = question.items = 1;
}

// False: the call is decided already.
bool Batch::Resolve(Call& call, Resolved& to, bool domain_counted) {
  to.facts = FactsOf(*rules_, call, now_, arena_);
  to.facts.domain_counted = domain_counted;
  ResolveCall(*rules_, call, to);
  return BeginDecision(*core_, *rules_, call, to);
}

void Batch::AskRules(Question& question, const Resolved& resolved) {
  const Call& call = *question.call;
  const Op op = OpOf(call.kind);
  Identify identify(rules_->snapshot(), rules_->extractors(), call.request, resolved.facts, resolved.resolution.tenant,
                    arena_);
  question.first_item = plans_.item_count();
  for (const config::Rule* rule : resolved.resolution.rules) {
    AddRule(question, rules_->UseOf(*rule), resolved.resolution, identify, op);
  }
  if (question.plan == kNoPlan) return;
  question.rules = plans_.item_count() - question.first_item;
  if (op != Op::kRefund && op != Op::kCharge) AddBans(question);
  question.items = plans_.item_count() - question.first_item;
}

void Batch::AddRule(Question& question, const RuleUse& use, const Resolution& resolution, Identify& identify, Op op) {
  const config::Rule& rule = *use.rule;
  const Call& call = *question.call;
  const bool feedback = call.kind == CallKind::kFeedback;
  if (feedback && rule.limit.kind != algorithms::Kind::kAdaptive) return;
  // A slot is given back by its name, which a refund does not know; and one that is merely charged has none.
  const bool nameless = op == Op::kRefund || op == Op::kCharge;
  auto [subjects, limit, counted] = AskRule(use, call, resolution, identify);
  if (nameless && IsConcurrency(*limit)) return;
  if (subjects.quota) limit = plans_.Own(WithQuota(rule.limit, *subjects.quota));
  const bool counts_alike = counted->limit.count_denied == limit->count_denied && counted->limit.kind == limit->kind;
  if (counted != &rule && !counts_alike) {
    limit = plans_.Own(CountingAs(*counted, *limit));
  }
  if (call.trace != nullptr) ExplainSubjects(rule, subjects.all(), *limit, *call.trace);
  if (subjects.count == 0) {
    core_->counters.Add(Tally::kUnidentified);
    return;
  }
  if (open_plan_ == kNoPlan) open_plan_ = plans_.Open(op);
  question.plan = open_plan_;
  for (const std::string_view subject : subjects.all()) {
    const std::uint64_t cost = feedback ? 0 : call.request.cost;
    Item& item = plans_.Add(ItemOf(use, *counted, *limit, subject, cost, identify));
    if (feedback) item.token = algorithms::adaptive::FeedbackToken(call.latency, call.failed);
    CarryOver(counted->previous.get(), item);
    contexts_.push_back({.use = &use});
  }
}

// What the previous form of a rule (or of its penalty) holds for the item's subject goes with the item.
void Batch::CarryOver(const config::PreviousRule* previous, Item& item) {
  if (previous == nullptr || now_ > previous->until) return;
  item.previous = &previous->limit;
  item.previous_key = HashKey(previous->seed, item.subject);
  item.previous_rule = previous->generation;
  if (previous->before != nullptr) CarryAlong(*previous, item.subject);
}

// A rule that has changed twice before its subject asked again: what was used is first client_limit to the latest
// previous self, step by step, so that the plan finds it there. A charge of nothing moves it and does no more.
void Batch::CarryAlong(const config::PreviousRule& previous, std::string_view subject) {
  if (previous.before == nullptr || now_ > previous.before->until) return;
  CarryAlong(*previous.before, subject);
  carries_.Open(Op::kCharge);
  Item& item = carries_.Add();
  item.limit = &previous.limit;
  item.key = HashKey(previous.seed, subject);
  item.rule = previous.generation;
  item.subject = subject;
  item.previous = &previous.before->limit;
  item.previous_key = HashKey(previous.before->seed, subject);
  item.previous_rule = previous.before->generation;
  item.cost = 0;
}

void Batch::AddBans(Question& question) {
  for (std::uint32_t i = 0; i < question.rules; ++i) {
    ItemContext& context = contexts_[question.first_item + i];
    const config::Rule& rule = *context.use->rule;
    if (!rule.penalty || context.use->shadow) continue;
    context.partner = plans_.item_count() - question.first_item;
    const std::string_view subject = plans_.item(question.first_item + i).subject;
    Item& item = plans_.Add();
    item.limit = &*rule.penalty;
    item.key = HashKey(rule.penalty_seed, subject);
    item.rule = rule.penalty_generation;
    item.subject = subject;
    CarryOver(rule.penalty_previous.get(), item);
    contexts_.push_back({.use = context.use, .partner = i, .ban = true});
  }
}

// Of a decision that is to be explained: what its adaptive rules have learned is asked for in the same batch.
void Batch::LookAtLearned(Question& question) {
  const Call& call = *question.call;
  if (call.trace == nullptr || question.plan == kNoPlan || !IsDecision(call.kind)) return;
  std::size_t looked = 0;
  for (std::uint32_t i = 0; i < question.rules; ++i) {
    Item item = plans_.item(question.first_item + i);
    if (item.limit->kind != algorithms::Kind::kAdaptive) continue;
    item.cost = 0;
    if (looked++ == 0) question.look = plans_.Open(Op::kPeek);
    plans_.Add(item);
    contexts_.push_back({.use = contexts_[question.first_item + i].use});
  }
  if (looked == 0) return;
  question.copies = std::make_unique<storage::StateCopy[]>(looked);
  plans_.plan(question.look).copies = question.copies.get();
}

// A reservation for a call that asks for one, and for one that takes a concurrency slot. False: refused.
bool Batch::TakeReservation(Question& question) {
  const bool asked = question.call->kind == CallKind::kReserve;
  bool slot = false;
  for (std::uint32_t i = 0; i < question.rules; ++i) slot |= IsConcurrency(*plans_.item(question.first_item + i).limit);
  if (!asked && !slot) return true;
  const bool room = core_->reservations.TakeRoom(now_);
  if (asked && !room) return false;
  const std::uint64_t id = RandomId();
  for (std::uint32_t i = 0; i < question.rules; ++i) plans_.item(question.first_item + i).token = id;
  if (room) {
    question.id = id;
  } else {
    core_->counters.Add(Tally::kUntracked);  // the slot is held all the same, until its lease ends
  }
  return true;
}

// All of those that a plan is made for, or none.
bool Batch::TakeReservations(std::span<Question> group) {
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Call& call = *group[i].call;
    const bool charges = group[i].charges && OpOf(call.kind) == Op::kCheck && call.request.cost > 0;
    if (group[i].plan == kNoPlan || !charges || TakeReservation(group[i])) continue;
    for (Question& taken : group.first(i)) {
      if (std::exchange(taken.id, 0) != 0) core_->reservations.GiveUp();
    }
    return false;
  }
  return true;
}

// Charges of the fallback store are settled there and then, whatever their rules say by now: they are nowhere else.
void Batch::SettleLocally(std::vector<Charge>& charges, std::uint64_t id, std::uint64_t actual) {
  PlanSet set;
  for (const Charge& charge : charges) {
    if (!charge.local) continue;
    set.Open(SettlingOp(charge, actual));
    Item& item = set.Add();
    FillSettlement(charge, id, actual, item);
    item.limit = set.Own(ShareOf(charge.limit, rules_->instances()));
  }
  if (set.empty()) return;
  set.Seal();
  (void)core_->failure.ApplyLocal(set.plans(), now_);
  std::erase_if(charges, [](const Charge& charge) { return charge.local; });
}

// One plan a charge: changes are unconditional, so nothing is gained by joining them.
void Batch::AskSettlement(Question& question) {
  Call& call = *question.call;
  question.settled = core_->reservations.Take(call.reservation, now_);
  if (!question.settled) {
    call.status = Fail(ErrorCode::kNotFound, "no such reservation: unknown, settled or expired");
    return;
  }
  const std::uint64_t actual = call.kind == CallKind::kCommit ? call.actual_cost : 0;
  SettleLocally(question.settled->charges, call.reservation, actual);
  question.first_item = plans_.item_count();
  question.plan = plans_.plan_count();
  for (const Charge& charge : question.settled->charges) {
    plans_.Open(SettlingOp(charge, actual));
    Item& item = plans_.Add();
    FillSettlement(charge, call.reservation, actual, item);
    const RuleUse* const use = rules_->FindCounting(charge.generation);
    contexts_.push_back({.use = use});
    if (use == nullptr || use->rule->generation == charge.generation || IsClientLimit(*use->rule)) continue;
    // The rule has changed since: what was used has moved, or is about to move, to its new state.
    item.previous = item.limit;
    item.previous_key = item.key;
    item.previous_rule = item.rule;
    item.limit = &use->rule->limit;
    item.key = HashKey(use->rule->seed, charge.subject);
    item.rule = use->rule->generation;
  }
  question.items = plans_.item_count() - question.first_item;
}

}  // namespace weir::engine
