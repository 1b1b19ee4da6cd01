#include "engine/decide/decide.h"

#include <algorithm>

#include "config/compile/make_limit.h"
#include "engine/decide/failure_policy.h"
#include "engine/observer.h"

namespace weir::engine {
namespace {

// A store that has no room for the subject: its rule cannot be kept, so it counts as denying.
void FillFull(const storage::Plan& plan) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const std::uint64_t capacity = plan.items[i].limit->capacity;
    plan.outcomes[i] = {.verdict = Verdict::kLater,
                        .limit = capacity,
                        .reset_after_ns = FailurePolicy::kRetryAfter,
                        .retry_after_ns = FailurePolicy::kRetryAfter};
  }
}

// A charge is always carried out: whether it was within the limits, what is used since tells.
void JudgeCharge(storage::Plan& plan) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    Outcome& outcome = plan.outcomes[i];
    if (outcome.verdict != Verdict::kAllowed || outcome.used <= outcome.limit) continue;
    const bool never = plan.items[i].cost > outcome.limit;
    outcome.verdict = never ? Verdict::kNever : Verdict::kLater;
    outcome.retry_after_ns = never ? 0 : outcome.reset_after_ns;
    plan.admitted &= plan.items[i].shadow;
  }
}

bool Waits(const Outcome& outcome) { return outcome.verdict != Verdict::kAllowed; }

// Whether `a` keeps its request waiting longer than `b`.
bool Worse(const Outcome& a, const Outcome& b) {
  if (a.verdict != b.verdict) return a.verdict > b.verdict;  // allowed < later < never
  return a.retry_after_ns > b.retry_after_ns;
}

// Of rules that are exceeded. The answer has to say what would help: who passes a challenge, or pays, and is then
// denied by another rule has done so for nothing.
int Strictness(Action on_exceeded) {
  switch (on_exceeded) {
    case Action::kChallenge:
      return 0;
    case Action::kCharge:
      return 1;
    default:
      return 2;  // also what waits: it would have to wait for too long
  }
}

bool Worse(const RuleOutcome& a, const RuleOutcome& b) {
  const int mine = Strictness(a.on_exceeded), other = Strictness(b.on_exceeded);
  return mine != other ? mine > other : Worse(a.outcome, b.outcome);
}

Action ActionOf(const RuleOutcome& exceeded) {
  return Strictness(exceeded.on_exceeded) == 2 ? Action::kDeny : exceeded.on_exceeded;
}

bool NearerToDenying(const Outcome& a, const Outcome& b) {
  // a.remaining / a.limit < b.remaining / b.limit; a limit of 0 has nothing left.
  __extension__ typedef unsigned __int128 Wide;
  return Wide{a.remaining} * std::max<std::uint64_t>(b.limit, 1) <
         Wide{b.remaining} * std::max<std::uint64_t>(a.limit, 1);
}

}  // namespace

void ClearDecision(Decision& decision) {
  decision.allowed = true;
  decision.action = Action::kAllow;
  decision.repeated = false;
  decision.reason = Reason::kNoLimit;
  decision.deciding = -1;
  decision.reservation = 0;
  decision.own_style = nullptr;
  decision.rule_count = 0;
  decision.spilled_rules.clear();
}

void DescribeRules(std::span<const storage::Item> items, std::span<const ItemContext> contexts, const SipKey& secret,
                   Decision& decision) {
  decision.rule_count = static_cast<std::uint32_t>(items.size());
  if (items.size() > kInlineRules) decision.spilled_rules.resize(items.size());
  RuleOutcome* to = decision.rules();
  for (std::size_t i = 0; i < items.size(); ++i, ++to) {
    const RuleUse& use = *contexts[i].use;
    const config::Rule& rule = *use.rule;
    to->rule = rule.path;
    to->policy = rule.policy;
    to->level = rule.level;
    to->shadow = items[i].shadow;
    to->quota = use.quota;
    to->rule_index = rule.index;
    to->headers = use.headers;
    to->on_exceeded = rule.on_exceeded;
    to->style = rule.style;
    to->window_seconds = rule.window_seconds;
    if (IsClientLimit(rule)) [[unlikely]] {
      to->window_seconds = config::HeaderWindowSeconds(*items[i].limit);
    }
    to->subject_hash = 0;
    if (use.headers.partition_key) [[unlikely]] {
      to->subject_hash = HideSubject(secret, items[i].key);
    }
  }
}

void Decide(storage::Plan& plan, std::span<const ItemContext> contexts, std::uint32_t rules, Reason failed,
            Decision& decision) {
  const bool full = plan.status == storage::PlanStatus::kFull;
  if (full) FillFull(plan);
  if (plan.op == storage::Op::kCharge) JudgeCharge(plan);
  bool enforced = false, waits = false;
  for (std::uint32_t i = 0; i < rules; ++i) {
    decision.rules()[i].outcome = plan.outcomes[i];
    enforced |= !plan.items[i].shadow;
    waits |= !plan.items[i].shadow && plan.outcomes[i].delay_ns > 0;
  }
  decision.allowed = full ? !enforced : plan.admitted;
  decision.action = !decision.allowed ? Action::kDeny : waits ? Action::kWait : Action::kAllow;

  bool banned = false;
  for (std::size_t i = rules; i < plan.items.size() && !full; ++i) {
    if (!Waits(plan.outcomes[i])) continue;
    banned = true;
    RuleOutcome& rule = decision.rules()[contexts[i].partner];
    rule.on_exceeded = Action::kDeny;
    if (Worse(plan.outcomes[i], rule.outcome)) {
      rule.outcome.verdict = plan.outcomes[i].verdict;
      rule.outcome.retry_after_ns = plan.outcomes[i].retry_after_ns;
    }
  }
  ChooseDeciding(decision);
  const bool by_store = full || failed == Reason::kStoreDenied;
  if (by_store && !decision.allowed) decision.action = Action::kDeny;
  if (full && !decision.allowed) {
    decision.reason = Reason::kStoreFull;
  } else if (failed == Reason::kStoreAllowed || failed == Reason::kStoreDenied) {
    decision.reason = failed;
  } else if (banned && !decision.allowed) {
    decision.reason = Reason::kBanned;
  } else if (failed == Reason::kStoreLocal) {
    decision.reason = Reason::kStoreLocal;
  } else if (decision.allowed) {
    // allow_new: somebody passed who is not counted.
    decision.reason = plan.untracked ? Reason::kStoreFull : Reason::kOk;
  } else {
    const RuleOutcome* const decider = decision.decider();
    const bool never = decider != nullptr && decider->outcome.verdict == Verdict::kNever;
    decision.reason = never ? Reason::kNeverFits : Reason::kOverLimit;
  }
}

void ChooseDeciding(Decision& decision) {
  decision.deciding = -1;
  const RuleOutcome* chosen = nullptr;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    if (rule.shadow || (!decision.allowed && !Waits(rule.outcome))) continue;
    const bool better =
        chosen == nullptr || (decision.allowed ? NearerToDenying(rule.outcome, chosen->outcome) : Worse(rule, *chosen));
    if (!better) continue;
    chosen = &rule;
    decision.deciding = static_cast<std::int32_t>(i);
  }
  if (!decision.allowed && chosen != nullptr) decision.action = ActionOf(*chosen);
}

bool DenyOverdrawn(Decision& decision) {
  bool overdrawn = false;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    RuleOutcome& rule = decision.rules()[i];
    if (rule.shadow || rule.outcome.used <= rule.outcome.limit) continue;
    rule.outcome.verdict = Verdict::kLater;
    rule.outcome.retry_after_ns = rule.outcome.reset_after_ns;
    overdrawn = true;
  }
  if (!overdrawn) return false;
  decision.allowed = false;
  decision.reason = Reason::kOverLimit;
  ChooseDeciding(decision);
  return true;
}

bool Outranks(const Decision& a, const Decision& b) {
  if (a.allowed != b.allowed) return !a.allowed;
  const RuleOutcome* const mine = a.decider();
  const RuleOutcome* const other = b.decider();
  if (mine == nullptr || other == nullptr) return mine != nullptr;
  return a.allowed ? NearerToDenying(mine->outcome, other->outcome) : Worse(*mine, *other);
}

}  // namespace weir::engine
