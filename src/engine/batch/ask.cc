// The first half of a batch: from calls to plans.
#include <algorithm>
#include <utility>

#include "algorithms/adaptive.h"
#include "algorithms/gcra.h"
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

// What settles one charge when `actual` is the true cost. A slot is released whatever it cost; elsewhere the difference
// is charged, or given back: of several charges of one counter, the latest first, for they occupy most.
struct Settling {
  Op op;
  std::uint64_t cost;
};
Settling SettlingOf(const Charge& charge, std::uint64_t actual) {
  const std::uint64_t charged = charge.charged.cost;
  if (IsConcurrency(charge.limit)) return {Op::kRefund, charged};
  const std::uint64_t own = actual - std::min(actual, charge.before);
  if (own > charged && charge.last) return {Op::kCharge, own - charged};
  return {Op::kRefund, charged - std::min(own, charged)};
}

bool IsBucket(const algorithms::Limit& limit) {
  return limit.kind == algorithms::Kind::kTokenBucket || limit.kind == algorithms::Kind::kLeakyBucket;
}

// How much of a refund still holds after the charge's rule has changed, perhaps more than once. Buckets: what is left
// at the fastest of the rates. States of a kind know what they count and since when, also after a change of their
// numbers. A count that was carried over from one kind to another does not: then nothing is given back, unless it all
// happens at one instant.
std::uint64_t LeftAfterChange(const Charge& charge, const config::Rule& rule, std::uint64_t cost, Nanos now) {
  const Nanos elapsed = now - charge.since;
  if (elapsed <= 0) return cost;
  bool alike = true, buckets = IsBucket(charge.limit);
  std::uint64_t left = buckets ? algorithms::gcra::UnitsLeft(charge.limit, charge.charged.cost, elapsed) : 0;
  const auto see = [&](const algorithms::Limit& limit) {
    alike = alike && algorithms::CarriesOver(charge.limit, limit);
    buckets = buckets && IsBucket(limit);
    if (buckets) left = std::min(left, algorithms::gcra::UnitsLeft(limit, charge.charged.cost, elapsed));
  };
  see(rule.limit);
  for (const config::PreviousRule* p = rule.previous.get(); p != nullptr && now <= p->until; p = p->before.get()) {
    see(p->limit);
  }
  if (buckets) return std::min(cost, left);
  return alike ? cost : 0;
}

// Of a client's limit beside the rule whose count it shares: what is denied counts or does not, whichever denied it,
// and the count is held as the rule holds it.
algorithms::Limit CountingAs(const config::Rule& rule, algorithms::Limit limit) {
  limit.count_denied = rule.limit.count_denied;
  limit.kind = rule.limit.kind;
  return limit;
}

// What a charge is to be in the end. Only those of rules that count the cost follow what a commit says.
std::uint64_t ActualOf(const Charge& charge, const Call& call) {
  if (call.kind != CallKind::kCommit) return 0;
  return charge.counts == CountedUnit::Kind::kCost ? call.actual_cost : charge.before + charge.charged.cost;
}

void FillSettlement(const Charge& charge, std::uint64_t id, std::uint64_t cost, Item& item) {
  item.limit = &charge.limit;
  item.key = charge.key;
  item.rule = charge.generation;
  item.subject = charge.subject;
  item.token = id;
  item.cost = cost;
  item.charge = &charge.charged;
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
  if (call.kind == CallKind::kExtend) return AskExtension(question);
  Resolved resolved;
  if (!Resolve(call, resolved, false)) return Keep(question, resolved);
  AskRules(question, resolved);
  Keep(question, resolved);
  if (question.plan != kNoPlan && !TakeReservations({&question, 1})) Refuse({&question, 1});
  NamePlan({&question, 1}, 0);
  LookAtLearned(question);
}

// Observers are told how a call was resolved.
void Batch::Keep(Question& question, Resolved& resolved) {
  if (!core_->observers.any()) [[likely]]
    return;
  question.kept = static_cast<std::uint32_t>(kept_.size());
  kept_.push_back(std::move(resolved));
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
  to.facts = FactsOf(*rules_, call, core_->WallAt(now_), arena_);
  to.facts.domain_counted = domain_counted;
  ResolveCall(*rules_, call, to);
  return BeginDecision(*core_, *rules_, call, to);
}

void Batch::AskRules(Question& question, const Resolved& resolved) {
  const Call& call = *question.call;
  const Op op = OpOf(call.kind);
  Identify identify(rules_->snapshot(), rules_->extractors(), call.request, resolved.facts, resolved.resolution.tenant,
                    resolved.resolution.ancestors, arena_);
  question.first_item = plans_.item_count();
  if (DeniesUnidentified(question, resolved, identify) && op != Op::kCharge) return;
  for (const config::Rule* rule : resolved.resolution.rules) {
    AddRule(question, rules_->UseOf(*rule), resolved.resolution, identify, op);
  }
  if (question.plan == kNoPlan) return;
  question.rules = plans_.item_count() - question.first_item;
  if (op != Op::kRefund && op != Op::kCharge) AddBans(question);
  question.items = plans_.item_count() - question.first_item;
}

// Looked at before anything is asked: such a request consumes nothing. (What is charged is charged all the same.)
bool Batch::DeniesUnidentified(Question& question, const Resolved& resolved, Identify& identify) {
  Call& call = *question.call;
  if (!IsDecision(call.kind)) return false;
  for (const config::Rule* rule : resolved.resolution.rules) {
    const RuleUse& use = rules_->UseOf(*rule);
    if (use.on_missing != OnMissing::kDeny) [[likely]]
      continue;
    const Asked asked = AskRule(use, call, resolved.resolution, identify);
    if (!asked.missing) continue;
    question.unidentified = rule;
    DenyUnidentified(*rule, call.decision);
    if (call.kind == CallKind::kCharge) return true;
    core_->counters.Add(Tally::kDeniedUnidentified);
    if (call.trace != nullptr) ExplainSubjects(use, asked, *asked.limit, *call.trace);
    return true;
  }
  return false;
}

void Batch::AddRule(Question& question, const RuleUse& use, const Resolution& resolution, Identify& identify, Op op) {
  const config::Rule& rule = *use.rule;
  const Call& call = *question.call;
  const bool feedback = call.kind == CallKind::kFeedback;
  if (feedback && rule.limit.kind != algorithms::Kind::kAdaptive) return;
  // A slot is given back by its name, which a refund does not know; and one that is merely charged has none.
  const bool nameless = op == Op::kRefund || op == Op::kCharge;
  const Asked asked = AskRule(use, call, resolution, identify);
  auto [subjects, missing, limit, counted] = asked;
  if (nameless && IsConcurrency(*limit)) return;
  if (subjects.quota) limit = plans_.Own(WithQuota(rule.limit, *subjects.quota));
  const bool counts_alike = counted->limit.count_denied == limit->count_denied && counted->limit.kind == limit->kind;
  if (counted != &rule && !counts_alike) {
    limit = plans_.Own(CountingAs(*counted, *limit));
  }
  if (call.trace != nullptr) ExplainSubjects(use, asked, *limit, *call.trace);
  if (missing) core_->counters.Add(TallyOf(use.on_missing));
  if (subjects.count == 0) return;
  if (open_plan_ == kNoPlan) open_plan_ = plans_.Open(op);
  question.plan = open_plan_;
  for (const std::string_view subject : subjects.all()) {
    const std::uint64_t cost = feedback ? 0 : CostOf(*counted, call.request);
    Item& item = plans_.Add(ItemOf(use, *counted, *limit, subject, cost, identify));
    if (call.charged_at != 0 && op == Op::kRefund) item.charge = plans_.Own({.cost = cost, .at = call.charged_at});
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
void Batch::SettleLocally(std::vector<Charge>& charges, const Call& call) {
  PlanSet set;
  const std::uint64_t id = call.reservation;
  for (const Charge& charge : charges) {
    if (!charge.local) continue;
    const Settling settling = SettlingOf(charge, ActualOf(charge, call));
    set.Open(settling.op);
    Item& item = set.Add();
    FillSettlement(charge, id, settling.cost, item);
    item.limit = set.Own(ShareOf(charge.limit, rules_->instances()));
  }
  if (set.empty()) return;
  set.Seal();
  (void)core_->failure.ApplyLocal(set.plans(), now_);
  std::erase_if(charges, [](const Charge& charge) { return charge.local; });
}

// If the charge's rule has changed since, what was used has moved, or is about to move, to its new state: the item is
// of that one. The rule, unless it is gone or its limit comes with the requests.
const RuleUse* Batch::ToPresentRule(const Charge& charge, Item& item) const {
  const RuleUse* const use = rules_->FindCounting(charge.generation);
  if (use == nullptr || IsClientLimit(*use->rule)) return nullptr;
  if (use->rule->generation == charge.generation) return use;
  item.previous = item.limit;
  item.previous_key = item.key;
  item.previous_rule = item.rule;
  item.limit = &use->rule->limit;
  item.key = HashKey(use->rule->seed, charge.subject);
  item.rule = use->rule->generation;
  return use;
}

// One plan a charge: changes are unconditional, so nothing is gained by joining them.
void Batch::AskSettlement(Question& question) {
  Call& call = *question.call;
  question.settled = core_->reservations.Take(call.reservation, now_);
  if (!question.settled) {
    call.status = Fail(ErrorCode::kNotFound, "no such reservation: unknown, settled or expired");
    return;
  }
  SettleLocally(question.settled->charges, call);
  question.first_item = plans_.item_count();
  question.plan = plans_.plan_count();
  for (const Charge& charge : question.settled->charges) {
    const Settling settling = SettlingOf(charge, ActualOf(charge, call));
    plans_.Open(settling.op);
    Item& item = plans_.Add();
    FillSettlement(charge, call.reservation, settling.cost, item);
    const RuleUse* const use = ToPresentRule(charge, item);
    contexts_.push_back({.use = rules_->FindCounting(charge.generation)});
    if (use == nullptr || settling.op != Op::kRefund || IsConcurrency(charge.limit)) continue;
    if (item.previous != nullptr || use->rule->previous != nullptr) {
      item.cost = LeftAfterChange(charge, *use->rule, item.cost, now_);
    }
  }
  question.items = plans_.item_count() - question.first_item;
}

}  // namespace weir::engine
