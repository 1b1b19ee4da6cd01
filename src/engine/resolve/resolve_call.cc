#include "engine/resolve/resolve_call.h"

#include <fmt/format.h>

#include "engine/decide/decide.h"
#include "engine/decide/explain.h"

namespace weir::engine {
namespace {

// Whether envoy.unknown_domain has decided the call.
bool AnswersUnknownDomain(Core& core, const Ruleset& rules, Call& call, const Resolved& resolved) {
  core.counters.Add(Tally::kUnknownDomain);
  core.unknown_domains.ShouldLog(call.request.domain, resolved.facts.now);
  if (resolved.resolution.kind != Resolution::Kind::kUnknownDomain) return false;
  const UnknownDomain policy = rules.snapshot().document().envoy.unknown_domain;
  call.decision.reason = Reason::kUnknownDomain;
  if (policy != UnknownDomain::kAllow) {
    DenyWithout(Reason::kUnknownDomain, Action::kDeny, rules.snapshot().denial_style(), call.decision);
  }
  if (policy == UnknownDomain::kError) {
    call.status = Fail(ErrorCode::kNotFound, fmt::format("unknown domain '{}'", call.request.domain.substr(0, 200)));
  }
  return true;
}

}  // namespace

Facts FactsOf(const Ruleset& rules, const Call& call, Nanos wall, Arena& arena) {
  Facts facts = rules.FactsOf(call.request, wall, arena);
  if (call.descriptor || !call.request.domain.empty()) [[unlikely]] {
    facts.domain = call.request.domain;
    facts.entries = call.request.attributes;
    facts.descriptor = call.descriptor;
    facts.client_limit = call.descriptor ? call.client_limit : nullptr;
  }
  if (call.trace != nullptr) [[unlikely]] {
    ExplainFacts(rules.snapshot(), call.request, facts, *call.trace);
  }
  return facts;
}

bool BeginDecision(Core& core, const Ruleset& rules, Call& call, const Resolved& resolved) {
  Decision& decision = call.decision;
  ClearDecision(decision);
  if (!call.status) [[unlikely]] {
    call.status = {};
  }
  const Resolution& resolution = resolved.resolution;
  if (resolution.unknown_domain && AnswersUnknownDomain(core, rules, call, resolved)) return false;
  if (resolution.kind != Resolution::Kind::kRules) {
    if (resolution.kind == Resolution::Kind::kExempt) {
      decision.reason = Reason::kExempt;
    } else {
      const bool challenged = resolution.kind == Resolution::Kind::kChallenged;
      DenyWithout(challenged ? Reason::kChallenged : Reason::kBlocked, challenged ? Action::kChallenge : Action::kDeny,
                  resolution.style, decision);
    }
    return false;
  }
  for (const config::Rule* const rule : resolution.domain_rules) {
    if (rule->unlimited) decision.reason = Reason::kUnlimited;
  }
  return true;
}

}  // namespace weir::engine
