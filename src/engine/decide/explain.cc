#include "engine/decide/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "algorithms/adaptive.h"
#include "algorithms/algorithm.h"
#include "base/address.h"

namespace weir::engine {
namespace {

std::string_view NameOf(config::Identifier::Kind kind) {
  using Kind = config::Identifier::Kind;
  switch (kind) {
    case Kind::kIp:
      return "ip_address";
    case Kind::kUser:
      return "user_id";
    case Kind::kApiKey:
      return "api_key";
    case Kind::kTenant:
      return "tenant_id";
    case Kind::kGlobal:
      return "global";
    case Kind::kExtractor:
      return "custom extractor";
    case Kind::kDescriptor:
      return "descriptor";
    case Kind::kCombine:
      return "composite (combine)";
    case Kind::kFirstAvailable:
      return "composite (first_available)";
    case Kind::kStrictest:
      return "composite (strictest_limit)";
  }
  return "identifier";
}

std::string DescribeOutcome(const Outcome& outcome, std::uint64_t cost, bool changed) {
  switch (outcome.verdict) {
    case Verdict::kNever:
      return fmt::format("a cost of {} never fits a limit of {}", cost, outcome.limit);
    case Verdict::kLater:
      return fmt::format("{} of {} are used, so a cost of {} does not fit for another {}", outcome.used, outcome.limit,
                         cost, FormatDuration(outcome.retry_after_ns));
    case Verdict::kAllowed:
      break;
  }
  const std::uint64_t before = outcome.used - std::min(outcome.used, cost);
  std::string text = fmt::format("{} of {} were used; with a cost of {} {} {}, which leaves {}", before, outcome.limit,
                                 cost, changed ? "it is now" : "it would be", outcome.used, outcome.remaining);
  if (outcome.reset_after_ns > 0)
    text += fmt::format("; all is restored in {}", FormatDuration(outcome.reset_after_ns));
  if (outcome.delay_ns > 0) text += fmt::format("; to be held for {}", FormatDuration(outcome.delay_ns));
  return text;
}

// "0.0213 ms", "21.3 ms", "2130 ms".
std::string FormatLatency(double ms) { return ms < 100 ? fmt::format("{:.3g} ms", ms) : fmt::format("{:.0f} ms", ms); }

// What is normal and what follows from it: one sentence, in which the rule comes first.
std::string DescribeNormal(const algorithms::Limit& limit, const algorithms::adaptive::View& view,
                           std::string_view subject) {
  const std::string mean_and_deviation = fmt::format("{:.1f} in a window, deviation {:.1f}", view.mean, view.deviation);
  if (view.learning) {
    const std::string so_far = view.samples == 0 ? "" : fmt::format(" ({})", mean_and_deviation);
    return fmt::format("still learns what {} normally uses, {} of {} windows so far{}; until then its limit is {}.",
                       subject, view.samples, view.samples_needed, so_far, view.learned_limit);
  }
  std::string text = fmt::format("has learned what {} normally uses: {}", subject, mean_and_deviation);
  if (view.seasonal) text += fmt::format("; at this hour of the day (UTC) {:.1f}, which is what counts", view.season);
  // What never varied may vary all the same.
  if (const double least = view.season / 8; view.deviation < least) {
    text += fmt::format("; the deviation is taken as {:.1f}", least);
  }
  return text + fmt::format("; so its limit is {}, within {} to {}.", view.learned_limit, limit.min_capacity,
                            limit.max_capacity);
}

// How its upstream fares, and the limit that results: another sentence.
std::string DescribeHealth(const algorithms::Limit& limit, const algorithms::adaptive::View& view) {
  if (view.latency_ms == 0) {
    return fmt::format("No recent feedback tells of the upstream, so the limit is {}.", view.effective_limit);
  }
  return fmt::format(
      "The upstream answers in {}, normally in {}, and {:.1f}% of requests fail: its health is {:.1f}%, so the limit "
      "is {}{}.",
      FormatLatency(view.latency_ms), FormatLatency(view.normal_latency_ms), 100 * view.error_share, 100 * view.health,
      view.effective_limit,
      view.effective_limit < view.learned_limit && view.effective_limit == limit.min_capacity ? ", the least" : "");
}

}  // namespace

std::string FormatDuration(std::int64_t nanos) {
  const auto seconds = nanos / kSecond;
  if (nanos < kMillisecond) return fmt::format("{} us", (nanos + kMicrosecond - 1) / kMicrosecond);
  if (nanos < kSecond) return fmt::format("{} ms", (nanos + kMillisecond - 1) / kMillisecond);
  if (nanos < kMinute) return fmt::format("{:.3g} s", static_cast<double>(nanos) / static_cast<double>(kSecond));
  if (nanos < kHour) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (nanos < 2 * kDay) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} days", seconds / 86400);
}

std::string QuoteForPeople(std::string_view text) {
  constexpr std::size_t kMost = 80;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kMost)) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c >= ' ' && c <= '~') {
      quoted += c;
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  quoted += text.size() > kMost ? "...\"" : "\"";
  return quoted;
}

void ExplainFacts(const config::Snapshot& snapshot, const Request& request, const Facts& facts, Trace& trace) {
  if (!facts.client) {
    const bool named = !request.peer_ip.empty();
    trace.push_back({"client", named ? fmt::format("The peer {} is not an address, so the client's address is unknown.",
                                                   QuoteForPeople(request.peer_ip))
                                     : std::string("The request names no peer, so the client's address is unknown.")});
  } else {
    std::array<char, 46> text;
    const std::string_view client = FormatAddress(*facts.client, text);
    const auto peer = ParseAddress(request.peer_ip);
    const bool is_peer = peer && snapshot.Canonical(*peer) == facts.client;
    trace.push_back({"client", is_peer ? fmt::format("The client is the peer, {}.", client)
                                       : fmt::format("The peer {} is a trusted proxy; by its headers the client is {}.",
                                                     QuoteForPeople(request.peer_ip), client)});
  }
  const bool of_key = facts.key != nullptr && facts.tier.data() == facts.key->tier().data();
  if (request.tier.empty() && !facts.tier.empty() && !of_key) {
    trace.push_back(
        {"tier", fmt::format("A tier_field of the request names the tier {}.", QuoteForPeople(facts.tier))});
  }
}

void ExplainSubjects(const RuleUse& use, const Asked& asked, const algorithms::Limit& limit, Trace& trace) {
  const config::Rule& rule = *use.rule;
  const auto subjects = asked.subjects.all();
  if (asked.missing) {
    const std::string nothing =
        fmt::format("its identifier ({}) finds no subject in the request", NameOf(rule.identifier.kind));
    if (subjects.empty()) {
      trace.push_back(
          {"identify", use.on_missing == OnMissing::kDeny
                           ? fmt::format("Rule {} denies the request: {} (on_missing: deny).", rule.path, nothing)
                           : fmt::format("Rule {} does not apply: {} (on_missing: skip).", rule.path, nothing)});
      return;
    }
    const std::string_view address = subjects.front().substr(subjects.front().find(':') + 1);
    trace.push_back({"identify", fmt::format("Rule {} counts {} (on_missing: ip), since {}.", rule.path,
                                             address == "unknown" ? "all requests without an address together"
                                                                  : fmt::format("the address {}", address),
                                             nothing)});
    return;
  }
  std::string names;
  for (const std::string_view subject : subjects) names += (names.empty() ? "" : " and ") + QuoteForPeople(subject);
  std::string text = fmt::format("Rule {} counts {} by {}{}.", rule.path, names, NameOf(rule.identifier.kind),
                                 rule.shadow ? ", in shadow" : "");
  if (limit.capacity != rule.limit.capacity && !IsClientLimit(rule)) {
    text += fmt::format(" Its quota_field sets the limit to {} for this request.", limit.capacity);
  }
  trace.push_back({"identify", std::move(text)});
}

void ExplainLearned(const storage::Plan& look, std::span<const ItemContext> contexts, std::string_view store,
                    Trace& trace) {
  for (std::size_t i = 0; i < look.items.size(); ++i) {
    const storage::Item& item = look.items[i];
    const std::string_view rule = contexts[i].use->rule->path;
    const std::string subject = QuoteForPeople(item.subject);
    if (look.status != storage::PlanStatus::kOk) {
      trace.push_back({"learned", fmt::format("What {} has learned of {} cannot be told: the {} store does not answer.",
                                              rule, subject, store)});
      continue;
    }
    const storage::StateCopy& copy = look.copies[i];
    const auto view = algorithms::adaptive::Explain(*item.limit, copy.words, copy.now);
    trace.push_back({"learned", fmt::format("{} {} {}", rule, DescribeNormal(*item.limit, view, subject),
                                            DescribeHealth(*item.limit, view))});
  }
}

void ExplainOutcomes(const storage::Plan& plan, std::span<const ItemContext> contexts, std::string_view store,
                     bool changed, Trace& trace) {
  if (plan.status == storage::PlanStatus::kFull) {
    trace.push_back({"apply", fmt::format("The {} store is full and takes no new subjects.", store)});
    return;
  }
  if (plan.status == storage::PlanStatus::kUnavailable) {
    trace.push_back({"apply", fmt::format("The {} store does not answer; on_store_failure decides.", store)});
  }
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const storage::Item& item = plan.items[i];
    const Outcome& outcome = plan.outcomes[i];
    if (contexts[i].ban) {
      trace.push_back({"apply", outcome.verdict == Verdict::kAllowed
                                    ? fmt::format("Penalty of {}: {} of {} strikes, not banned.",
                                                  contexts[i].use->rule->path, outcome.used, outcome.limit)
                                    : fmt::format("Penalty of {}: banned for another {}.", contexts[i].use->rule->path,
                                                  FormatDuration(outcome.retry_after_ns))});
      continue;
    }
    const bool charged = changed && outcome.verdict == Verdict::kAllowed && (plan.admitted || item.shadow);
    trace.push_back(
        {"apply", fmt::format("{} ({}) for {}: {}.", contexts[i].use->rule->path, algorithms::Of(item.limit->kind).name,
                              QuoteForPeople(item.subject), DescribeOutcome(outcome, item.cost, charged))});
  }
}

void ExplainDecision(const Decision& decision, Trace& trace) {
  const auto what = [&]() -> std::string {
    switch (decision.action) {
      case Action::kAllow:
        return "Allowed";
      case Action::kWait:
        return fmt::format("Allowed, to be held for {}", FormatDuration(decision.delay_ns()));
      case Action::kChallenge:
        return "Challenged";
      case Action::kCharge:
        return "To be paid for";
      case Action::kDeny:
        break;
    }
    return "Denied";
  };
  std::string text = fmt::format("{} ({})", what(), ToString(decision.reason));
  if (const RuleOutcome* decider = decision.decider()) {
    text += fmt::format("{} {}", decision.allowed ? "; nearest to denying is" : " by", decider->rule);
    if (decider->outcome.retry_after_ns > 0 && !decision.allowed) {
      text += fmt::format(", to be tried again after {}", FormatDuration(decider->outcome.retry_after_ns));
    }
  }
  trace.push_back({"decide", text + "."});
}

}  // namespace weir::engine
