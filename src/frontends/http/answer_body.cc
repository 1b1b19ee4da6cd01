#include "frontends/http/answer_body.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/append_number.h"
#include "headers/rate_limit_headers.h"
#include "http/json_writer.h"
#include "http/response.h"

namespace weir::http {
namespace {

using headers::CeilMilliseconds;
using headers::RetryAfterSeconds;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

void AppendMember(std::string_view name_and_colon, std::uint64_t value, std::string* out) {
  out->append(name_and_colon);
  AppendNumber(value, out);
}

void AppendLimited(std::string_view name_and_colon, std::uint64_t value, std::string* out) {
  out->append(name_and_colon);
  if (value == kUnlimited) {
    out->append("null");
  } else {
    AppendNumber(value, out);
  }
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAllowed:
      return "allowed";
    case Verdict::kLater:
      return "later";
    case Verdict::kNever:
      return "never";
  }
  return "unknown";
}

// The outcome says something: it was counted somewhere.
bool HasOutcome(const Decision& decision) {
  return decision.reason != Reason::kStoreDenied && decision.reason != Reason::kStoreAllowed;
}

void AppendRule(const RuleOutcome& rule, std::string* out) {
  out->append("{\"rule\":");
  AppendJsonString(rule.rule, out);
  out->append(",\"policy\":");
  AppendJsonString(rule.policy, out);
  out->append(",\"level\":\"");
  out->append(ToString(rule.level));
  out->append("\",\"shadow\":");
  out->append(rule.shadow ? "true" : "false");
  out->append(",\"verdict\":\"");
  out->append(VerdictName(rule.outcome.verdict));
  out->push_back('"');
  AppendLimited(",\"limit\":", rule.outcome.limit, out);
  AppendLimited(",\"remaining\":", rule.outcome.remaining, out);
  AppendMember(",\"used\":", rule.outcome.used, out);
  AppendMember(",\"window_seconds\":", rule.window_seconds, out);
  AppendMember(",\"reset_after_ms\":", CeilMilliseconds(rule.outcome.reset_after_ns), out);
  AppendMember(",\"retry_after_ms\":", CeilMilliseconds(rule.outcome.retry_after_ns), out);
  AppendMember(",\"delay_ms\":", CeilMilliseconds(rule.outcome.delay_ns), out);
  out->push_back('}');
}

void AppendRules(const Decision& decision, std::string* out) {
  out->append(",\"rules\":[");
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    if (i > 0) out->push_back(',');
    AppendRule(decision.rules()[i], out);
  }
  out->push_back(']');
}

void AppendSteps(const std::vector<ExplainStep>& steps, std::string* out) {
  out->append(",\"explain\":[");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    out->append(i > 0 ? ",{\"stage\":" : "{\"stage\":");
    AppendJsonString(steps[i].stage, out);
    out->append(",\"detail\":");
    AppendJsonString(steps[i].detail, out);
    out->push_back('}');
  }
  out->push_back(']');
}

std::int64_t LongestDelay(const Decision& decision) {
  std::int64_t delay = 0;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    if (!rule.shadow) delay = std::max(delay, rule.outcome.delay_ns);
  }
  return delay;
}

// Milliseconds until a denied request may be tried again; 0 with nothing to wait for.
std::uint64_t RetryAfterMilliseconds(const Decision& decision) {
  if (decision.allowed) return 0;
  const RuleOutcome* rule = decision.decider();
  if (rule == nullptr) {
    return decision.reason == Reason::kStoreDenied || decision.reason == Reason::kStoreFull ? 1'000 : 0;
  }
  if (rule->outcome.verdict == Verdict::kNever) return 0;
  return std::max<std::uint64_t>(CeilMilliseconds(rule->outcome.retry_after_ns), 1);
}

// The members of a decision, without braces.
void AppendMembers(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                   std::string* out) {
  out->append(decision.allowed ? "\"allowed\":true" : "\"allowed\":false");
  const RuleOutcome* rule = decision.decider();
  if (rule != nullptr && HasOutcome(decision)) {
    AppendLimited(",\"limit\":", rule->outcome.limit, out);
    AppendLimited(",\"remaining\":", rule->outcome.remaining, out);
    AppendMember(",\"reset_after_ms\":", CeilMilliseconds(rule->outcome.reset_after_ns), out);
  } else {
    out->append(",\"limit\":null,\"remaining\":null,\"reset_after_ms\":0");
  }
  const bool never = !decision.allowed && RetryAfterMilliseconds(decision) == 0;
  if (never) {
    out->append(",\"retry_after_ms\":null");
  } else {
    AppendMember(",\"retry_after_ms\":", RetryAfterMilliseconds(decision), out);
  }
  if (rule != nullptr) {
    out->append(",\"rule\":");
    AppendJsonString(rule->rule, out);
    out->append(",\"level\":\"");
    out->append(ToString(rule->level));
    out->push_back('"');
  } else {
    out->append(",\"rule\":null,\"level\":null");
  }
  out->append(",\"reason\":\"");
  out->append(ToString(decision.reason));
  out->push_back('"');
  AppendMember(",\"delay_ms\":", CeilMilliseconds(LongestDelay(decision)), out);
  if (decision.reservation != 0) {
    // As text: readers of JSON hold numbers as doubles.
    AppendMember(",\"reservation\":\"", decision.reservation, out);
    out->push_back('"');
  }
  if (options.rules) AppendRules(decision, out);
  if (trace != nullptr) AppendSteps(*trace, out);
}

// The problem types that draft 11 registers.
std::string_view ProblemType(Reason reason) {
  switch (reason) {
    case Reason::kBanned:
    case Reason::kBlocked:
      return "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
    case Reason::kStoreDenied:
    case Reason::kStoreFull:
      return "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    default:
      return "https://iana.org/assignments/http-problem-types#quota-exceeded";
  }
}

void AppendDetail(const Decision& decision, std::string* out) {
  const RuleOutcome* rule = decision.decider();
  const std::uint64_t seconds = RetryAfterSeconds(decision);
  std::string detail;
  switch (decision.reason) {
    case Reason::kBanned:
      detail = "Banned for repeated violations.";
      break;
    case Reason::kBlocked:
      detail = "Requests from this address are not accepted.";
      break;
    case Reason::kStoreDenied:
      detail = "The limit cannot be checked at the moment.";
      break;
    case Reason::kStoreFull:
      detail = "No further client can be counted at the moment.";
      break;
    case Reason::kMissingIdentifier:
      detail = "The request does not say whom to count it for.";
      break;
    case Reason::kNeverFits:
      detail = "This request costs more than the limit ever allows.";
      break;
    default:
      detail = "Limit of ";
      AppendNumber(rule == nullptr ? 0 : rule->outcome.limit, &detail);
      if (rule != nullptr && rule->window_seconds > 0) {
        detail += " in ";
        AppendNumber(rule->window_seconds, &detail);
        detail += " seconds";
      }
      detail += " exceeded.";
  }
  if (seconds > 0) {
    detail += " Try again in ";
    AppendNumber(seconds, &detail);
    detail += seconds == 1 ? " second." : " seconds.";
  }
  AppendJsonString(detail, out);
}

void AppendViolatedPolicies(const Decision& decision, std::string* out) {
  out->append(",\"violated-policies\":[");
  bool first = true;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    const RuleOutcome& rule = decision.rules()[i];
    const bool violated =
        rule.outcome.verdict != Verdict::kAllowed || static_cast<std::int32_t>(i) == decision.deciding;
    if (rule.shadow || !violated) continue;
    if (!first) out->push_back(',');
    first = false;
    AppendJsonString(rule.policy, out);
  }
  out->push_back(']');
}

}  // namespace

void AppendDecision(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                    std::string* out) {
  out->push_back('{');
  AppendMembers(decision, options, trace, out);
  out->push_back('}');
}

void AppendDenial(const Decision& decision, int status, Audience audience, const AnswerOptions& options,
                  const std::vector<ExplainStep>* trace, std::string* out) {
  out->append("{\"type\":\"");
  out->append(ProblemType(decision.reason));
  out->append("\",\"title\":\"");
  out->append(ReasonPhrase(status));
  out->append("\",\"status\":");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->append(",\"detail\":");
  AppendDetail(decision, out);
  AppendViolatedPolicies(decision, out);
  if (audience == Audience::kApi) {
    out->push_back(',');
    AppendMembers(decision, options, trace, out);
  } else if (const std::uint64_t wait = RetryAfterMilliseconds(decision); wait > 0) {
    AppendMember(",\"retry_after_ms\":", wait, out);
  }
  out->push_back('}');
}

bool WantsBasicBody(const Decision& decision) {
  const RuleOutcome* rule = decision.decider();
  return !decision.allowed && rule != nullptr && rule->headers.basic_body;
}

void AppendBasicDenial(const Decision& decision, std::string* out) {
  const Outcome& outcome = decision.decider()->outcome;
  const std::uint64_t seconds = RetryAfterSeconds(decision);
  AppendMember("{\"error\":{\"code\":\"RATE_LIMIT_EXCEEDED\",\"message\":\"Rate limit exceeded. Try again in ", seconds,
               out);
  AppendMember(" seconds.\",\"limit\":", outcome.limit, out);
  AppendMember(",\"current\":", outcome.used, out);
  AppendMember(",\"reset_time\":", seconds, out);
  out->append("}}");
}

}  // namespace weir::http
