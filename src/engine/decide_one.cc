#include "engine/decide_one.h"

#include <array>
#include <cstddef>
#include <new>
#include <span>

#include "engine/batch/ask_rule.h"
#include "engine/counters/count.h"
#include "engine/decide/decide.h"
#include "engine/identify/identify.h"
#include "engine/resolve/resolve_call.h"

namespace weir::engine {
namespace {

using storage::Item;
using storage::Op;
using storage::Plan;
using storage::PlanStatus;

// InlineArray for the plan, not touched before it is needed.
template <typename T>
struct InlineArray {
  alignas(T) std::byte bytes[kInlineRules * sizeof(T)];
  T* at(std::size_t i) { return reinterpret_cast<T*>(bytes) + i; }
};

// Whether the rules' items need nothing besides one plan, and fit it.
bool ArePlain(const Ruleset& rules, const Call& call, const Resolution& resolution, Nanos now) {
  if (resolution.shared != nullptr) return false;
  std::size_t most = 0;
  for (const config::Rule* rule : resolution.rules) {
    const RuleUse& use = rules.UseOf(*rule);
    if (!use.plain || (rule->previous != nullptr && now <= rule->previous->until)) return false;
    if (call.client_limit != nullptr && IsClientLimit(*rule) && IsConcurrency(*call.client_limit)) return false;
    most += use.most_subjects;
  }
  return most <= kInlineRules;
}

// False: the store cannot decide it by itself.
bool AskStore(Core& core, Nanos now, Plan& plan, std::span<const ItemContext> contexts, Call& call) {
  DescribeRules(plan.items, contexts, core.subject_secret, call.decision);
  if (!core.store->TryApply(plan, now)) return false;
  const bool available = plan.status != PlanStatus::kUnavailable;
  core.failure.Seen(available, now);
  core.failure.Note({&plan, 1}, contexts, now);
  const Reason failed = available ? Reason::kOk : core.failure.Decide(plan, contexts, now);
  Decide(plan, contexts, static_cast<std::uint32_t>(plan.items.size()), failed, call.decision);
  return true;
}

void NotifyObservers(Core& core, const Ruleset& rules, Nanos now, std::span<const Item> items,
                     std::span<const ItemContext> contexts, const Resolved* resolved, const Call& call) {
  if (Counts(call)) CountDecision(core.counters, rules, call, contexts, true);
  if (core.observers.any()) [[unlikely]] {
    const bool asked = resolved != nullptr;
    core.observers.Notify(InterestOf(call), {.call = call,
                                             .facts = asked ? &resolved->facts : nullptr,
                                             .resolution = asked ? &resolved->resolution : nullptr,
                                             .now = now,
                                             .items = items,
                                             .subject_key = core.subject_secret,
                                             .revision = rules.revision().get()});
  }
}

Op OpOf(const Call& call) { return call.kind == CallKind::kPeek ? Op::kPeek : Op::kCheck; }

bool DecideThrottle(Core& core, const Ruleset& rules, Nanos now, Call& call) {
  Item item = ThrottleItem(rules, call);
  const ItemContext context{.use = &rules.throttle()};
  Outcome outcome;
  Plan plan{.op = OpOf(call), .items = {&item, 1}, .outcomes = {&outcome, 1}};
  ClearDecision(call.decision);
  call.status = {};
  if (!AskStore(core, now, plan, {&context, 1}, call)) return false;
  NotifyObservers(core, rules, now, plan.items, {&context, 1}, nullptr, call);
  return true;
}

}  // namespace

bool DecideOne(Core& core, const Ruleset& rules, Nanos now, const HashedSubject& expected, Call& call) {
  if (call.throttle) return DecideThrottle(core, rules, now, call);
  Arena arena;
  Resolved resolved(rules, call, core.WallAt(now), arena);
  ResolveCall(rules, call, resolved);
  if (!ArePlain(rules, call, resolved.resolution, now)) return false;
  // Beginning counts such a call, which must not happen twice.
  if (resolved.resolution.unknown_domain && !core.store->CompletesInline()) return false;
  const bool asks = BeginDecision(core, rules, call, resolved);

  InlineArray<Item> items;
  InlineArray<ItemContext> contexts;
  InlineArray<Outcome> outcomes;
  std::uint32_t count = 0;
  // Counted when the store has decided: what it cannot decide now is asked again from the beginning.
  std::array<OnMissing, kInlineRules> missed;
  std::uint32_t missed_count = 0;
  if (asks) {
    Identify identify(rules.snapshot(), rules.extractors(), call.request, resolved.facts, resolved.resolution.tenant,
                      resolved.resolution.ancestors, arena, expected);
    for (const config::Rule* rule : resolved.resolution.rules) {
      const RuleUse& use = rules.UseOf(*rule);
      const auto add = [&](const algorithms::Limit& limit, std::string_view subject) {
        new (items.at(count)) Item(ItemOf(use, *rule, limit, subject, CostOf(*rule, call.request), identify));
        // The rest goes on while the line of another subject than the expected one comes.
        if (subject.data() != expected.text.data() && rules.keeps_words()) core.store->Expect(items.at(count)->key);
        new (contexts.at(count)) ItemContext{.use = &use};
        new (outcomes.at(count)) Outcome;
        ++count;
      };
      bool missing = false;
      if (use.simple) [[likely]] {
        const std::string_view subject = identify.FindSimple(*rule);
        missing = subject.data() == nullptr;
        if (!missing) [[likely]] {
          add(rule->limit, subject);
        } else if (use.on_missing == OnMissing::kIp) {
          add(rule->limit, identify.FindInstead());
        }
      } else {
        const Asked asked = AskRule(use, call, resolved.resolution, identify);
        missing = asked.missing;
        for (const std::string_view subject : asked.subjects.all()) add(*asked.limit, subject);
      }
      if (missing) [[unlikely]] {
        missed[missed_count++] = use.on_missing;
        if (use.on_missing != OnMissing::kDeny) continue;
        DenyUnidentified(*rule, call.decision);
        count = 0;
        break;
      }
    }
  }
  const std::span<const ItemContext> all_contexts(contexts.at(0), count);
  if (count > 0) {
    Plan plan{.op = OpOf(call), .items = {items.at(0), count}, .outcomes = {outcomes.at(0), count}};
    if (!AskStore(core, now, plan, all_contexts, call)) return false;
  }
  for (std::uint32_t i = 0; i < missed_count; ++i) core.counters.Add(TallyOf(missed[i]));
  NotifyObservers(core, rules, now, {items.at(0), count}, all_contexts, &resolved, call);
  return true;
}

}  // namespace weir::engine
