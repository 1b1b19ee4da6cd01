#include "engine/counters/count.h"

#include <optional>

#include "engine/counters/detail.h"

namespace weir::engine {
namespace {

// What a reason counts as besides allowed or denied.
std::optional<Tally> TallyOf(Reason reason) {
  switch (reason) {
    case Reason::kOk:
    case Reason::kOverLimit:
    case Reason::kNeverFits:
    case Reason::kUnknownDomain:      // counted when it was looked up
    case Reason::kMissingIdentifier:  // counted when nothing was found
      break;
    case Reason::kExempt:
      return Tally::kExempt;
    case Reason::kNoLimit:
    case Reason::kUnlimited:
      return Tally::kNoLimit;
    case Reason::kBanned:
      return Tally::kBanned;
    case Reason::kBlocked:
      return Tally::kBlocked;
    case Reason::kStoreAllowed:
      return Tally::kStoreAllow;
    case Reason::kStoreDenied:
      return Tally::kStoreDeny;
    case Reason::kStoreLocal:
      return Tally::kStoreLocal;
    case Reason::kStoreFull:
      return Tally::kStoreFull;
  }
  return std::nullopt;
}

void CountDetail(Counters& counters, const Call& call, const RuleUse& use, RuleTally kind) {
  DetailBuffer buffer;
  counters.Add(use.counter, DetailOf(*use.rule->descriptor, call.request.attributes, buffer), kind);
}

}  // namespace

void CountDecision(Counters& counters, const Call& call, std::span<const ItemContext> contexts, bool charged) {
  const Decision& decision = call.decision;
  const Counters::Mine mine = counters.Here();
  mine.Add(decision.allowed ? Tally::kAllowed : Tally::kDenied);
  if (decision.reason != Reason::kOk) {
    if (const auto tally = TallyOf(decision.reason)) mine.Add(*tally);
  }
  const bool passed = decision.allowed && charged;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    const bool fits = rule.outcome.verdict == Verdict::kAllowed;
    if (fits && !passed) continue;
    const RuleTally kind = fits ? RuleTally::kAllowed : rule.shadow ? RuleTally::kShadowDenied : RuleTally::kDenied;
    const RuleUse& use = *contexts[i].use;
    if (use.detailed) [[unlikely]] {
      CountDetail(counters, call, use, kind);
    } else {
      mine.Add(use.counter, kind);
    }
  }
}

}  // namespace weir::engine
