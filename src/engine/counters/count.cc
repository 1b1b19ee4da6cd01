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
    case Reason::kChallenged:         // counted by its action
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

std::optional<Tally> TallyOf(Action action) {
  switch (action) {
    case Action::kWait:
      return Tally::kWaits;
    case Action::kChallenge:
      return Tally::kChallenges;
    case Action::kCharge:
      return Tally::kCharges;
    case Action::kAllow:
    case Action::kDeny:
      break;
  }
  return std::nullopt;
}

void CountDetail(Counters& counters, const Call& call, const RuleUse& use, std::uint32_t place, RuleTally kind) {
  DetailBuffer buffer;
  counters.Add(place, DetailOf(*use.rule->descriptor, call.request.attributes, buffer), kind);
}

}  // namespace

std::uint32_t InterestOf(const Call& call) {
  switch (call.kind) {
    case CallKind::kFeedback:
      return kFeedback;
    case CallKind::kCommit:
    case CallKind::kCancel:
    case CallKind::kExtend:
    case CallKind::kRefund:
      return kSettlements;
    case CallKind::kReset:
      return kResets;
    default:
      return !Counts(call) ? kPeeks : call.decision.allowed ? kAllowedDecisions : kDeniedDecisions;
  }
}

void CountDecision(Counters& counters, const Ruleset& rules, const Call& call, std::span<const ItemContext> contexts,
                   bool charged) {
  const Decision& decision = call.decision;
  const Counters::Mine mine = counters.Here();
  mine.Add(decision.allowed ? Tally::kAllowed : Tally::kDenied);
  if (decision.reason != Reason::kOk) {
    if (const auto tally = TallyOf(decision.reason)) mine.Add(*tally);
  }
  if (decision.action != Action::kAllow && decision.action != Action::kDeny) [[unlikely]] {
    if (const auto tally = TallyOf(decision.action)) mine.Add(*tally);
  }
  const bool passed = decision.allowed && charged;
  bool shadow_denied = false;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    const bool fits = rule.outcome.verdict == Verdict::kAllowed;
    if (fits && !passed) continue;
    shadow_denied |= !fits && rule.shadow;
    const RuleTally kind = fits ? RuleTally::kAllowed : rule.shadow ? RuleTally::kShadowDenied : RuleTally::kDenied;
    const RuleUse& use = *contexts[i].use;
    const std::uint32_t place = rules.CounterOf(*use.rule);
    if (use.detailed) [[unlikely]] {
      CountDetail(counters, call, use, place, kind);
    } else {
      mine.Add(place, kind);
    }
  }
  if (shadow_denied) [[unlikely]]
    mine.Add(Tally::kShadowDenied);
}

}  // namespace weir::engine
