#include "frontends/http/answer_body.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <limits>

#include "base/append_number.h"
#include "base/utf8.h"
#include "headers/denial.h"
#include "headers/rate_limit_headers.h"
#include "http/json_writer.h"

namespace weir::http {
namespace {

using headers::CeilMilliseconds;
using headers::RetryAfterMilliseconds;

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

// Written with Boost.JSON: explanations are rare, so speed does not matter here.
void AppendSteps(const std::vector<ExplainStep>& steps, std::string* out) {
  boost::json::array explain;
  explain.reserve(steps.size());
  for (const ExplainStep& step : steps) {
    explain.push_back({{"stage", step.stage}, {"detail", ReplaceInvalidUtf8(step.detail)}});
  }
  out->append(",\"explain\":").append(boost::json::serialize(explain));
}

// The members of a decision, without braces.
void AppendMembers(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                   std::string* out) {
  out->append(decision.allowed ? "\"allowed\":true,\"action\":\"" : "\"allowed\":false,\"action\":\"");
  out->append(ToString(decision.action));
  out->push_back('"');
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
  AppendMember(",\"delay_ms\":", CeilMilliseconds(decision.delay_ns()), out);
  if (decision.repeated) out->append(",\"repeated\":true");
  if (decision.reservation != 0) {
    // As text: readers of JSON hold numbers as doubles.
    AppendMember(",\"reservation\":\"", decision.reservation, out);
    out->push_back('"');
  }
  if (options.rules) AppendRules(decision, out);
  if (trace != nullptr) AppendSteps(*trace, out);
}

}  // namespace

void AppendDecision(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                    std::string* out) {
  out->push_back('{');
  AppendMembers(decision, options, trace, out);
  out->push_back('}');
}

void AppendDecisionProblem(const Decision& decision, int status, const AnswerOptions& options,
                           const std::vector<ExplainStep>* trace, std::string* out) {
  headers::BeginProblem(decision, status, out);
  out->push_back(',');
  AppendMembers(decision, options, trace, out);
  out->push_back('}');
}

}  // namespace weir::http
