#include "engine/decide_one.h"

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

void AskStore(Core& core, Nanos now, Plan& plan, std::span<const ItemContext> contexts, Call& call) {
  DescribeRules(plan.items, contexts, core.subject_secret, call.decision);
  (void)core.store->Apply({&plan, 1}, now, nullptr);
  const bool available = plan.status != PlanStatus::kUnavailable;
  core.failure.Seen(available, now);
  core.failure.Note({&plan, 1}, contexts, now);
  const Reason failed = available ? Reason::kOk : core.failure.Decide(plan, contexts, now);
  Decide(plan, contexts, static_cast<std::uint32_t>(plan.items.size()), failed, call.decision);
}

void Tell(Core& core, Nanos now, std::span<const ItemContext> contexts, const Call& call) {
  if (Counts(call)) CountDecision(core.counters, call, contexts, true);
  if (core.observer != nullptr) core.observer->OnDecision(call, now);
}

Op OpOf(const Call& call) { return call.kind == CallKind::kPeek ? Op::kPeek : Op::kCheck; }

void DecideThrottle(Core& core, const Ruleset& rules, Nanos now, Call& call) {
  Item item = ThrottleItem(rules, call);
  const ItemContext context{.use = &rules.throttle()};
  Outcome outcome;
  Plan plan{.op = OpOf(call), .items = {&item, 1}, .outcomes = {&outcome, 1}};
  ClearDecision(call.decision);
  call.status = {};
  AskStore(core, now, plan, {&context, 1}, call);
  Tell(core, now, {&context, 1}, call);
}

}  // namespace

bool DecideOne(Core& core, const Ruleset& rules, Nanos now, const HashedSubject& expected, Call& call) {
  if (call.throttle) {
    DecideThrottle(core, rules, now, call);
    return true;
  }
  Arena arena;
  Resolved resolved(rules, call, now, arena);
  ResolveCall(rules, call, resolved);
  if (!ArePlain(rules, call, resolved.resolution, now)) return false;
  const bool asks = BeginDecision(core, rules, call, resolved);

  InlineArray<Item> items;
  InlineArray<ItemContext> contexts;
  InlineArray<Outcome> outcomes;
  std::uint32_t count = 0;
  if (asks) {
    Identify identify(rules.snapshot(), rules.extractors(), call.request, resolved.facts, resolved.resolution.tenant,
                      arena, expected);
    for (const config::Rule* rule : resolved.resolution.rules) {
      const RuleUse& use = rules.UseOf(*rule);
      const auto add = [&](const algorithms::Limit& limit, std::string_view subject) {
        new (items.at(count)) Item(ItemOf(use, *rule, limit, subject, call.request.cost, identify));
        // The rest goes on while the line of another subject than the expected one comes.
        if (subject.data() != expected.text.data() && rules.keeps_words()) core.store->Expect(items.at(count)->key);
        new (contexts.at(count)) ItemContext{.use = &use};
        new (outcomes.at(count)) Outcome;
        ++count;
      };
      const std::uint32_t before = count;
      if (use.simple) [[likely]] {
        const std::string_view subject = identify.FindSimple(rule->identifier);
        if (subject.data() != nullptr) add(rule->limit, subject);
      } else {
        const Asked asked = AskRule(use, call, resolved.resolution, identify);
        for (const std::string_view subject : asked.subjects.all()) add(*asked.limit, subject);
      }
      if (count == before) core.counters.Add(Tally::kUnidentified);
    }
  }
  const std::span<const ItemContext> all_contexts(contexts.at(0), count);
  if (count > 0) {
    Plan plan{.op = OpOf(call), .items = {items.at(0), count}, .outcomes = {outcomes.at(0), count}};
    AskStore(core, now, plan, all_contexts, call);
  }
  Tell(core, now, all_contexts, call);
  return true;
}

}  // namespace weir::engine
