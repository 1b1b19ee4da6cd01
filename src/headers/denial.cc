#include "headers/denial.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "base/append_number.h"
#include "base/utf8.h"
#include "headers/rate_limit_headers.h"
#include "http/json_writer.h"
#include "http/response.h"

namespace weir::headers {
namespace {

using http::AppendJsonString;

// The problem types that draft 11 registers.
std::string_view ProblemType(const Decision& decision) {
  switch (decision.reason) {
    case Reason::kBanned:
    case Reason::kBlocked:
    case Reason::kChallenged:
      return "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
    case Reason::kStoreDenied:
    case Reason::kStoreFull:
      return "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    default:
      return "https://iana.org/assignments/http-problem-types#quota-exceeded";
  }
}

void AppendLimit(const Decision& decision, std::string* out) {
  const RuleOutcome* const rule = decision.decider();
  out->append("Limit of ");
  AppendNumber(rule == nullptr ? 0 : rule->outcome.limit, out);
  if (rule != nullptr && rule->window_seconds > 0) {
    out->append(" in ");
    AppendNumber(rule->window_seconds, out);
    out->append(" seconds");
  }
  out->append(" exceeded.");
}

void AppendReason(const Decision& decision, std::string* out) {
  switch (decision.reason) {
    case Reason::kBanned:
      return void(out->append("Banned for repeated violations."));
    case Reason::kBlocked:
      return void(out->append("Requests from this address are not accepted."));
    case Reason::kChallenged:
      return void(out->append("Requests from this address have to pass a challenge."));
    case Reason::kStoreDenied:
      return void(out->append("The limit cannot be checked at the moment."));
    case Reason::kStoreFull:
      return void(out->append("No further client can be counted at the moment."));
    case Reason::kMissingIdentifier:
      return void(out->append("The request does not say whom to count it for."));
    case Reason::kUnknownDomain:
      return void(out->append("Requests of this domain are not accepted."));
    case Reason::kNeverFits:
      return void(out->append("This request costs more than the limit ever allows."));
    default:
      return AppendLimit(decision, out);
  }
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

void AppendEscapedHtml(std::string_view text, std::string* out) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out->append("&amp;");
        break;
      case '<':
        out->append("&lt;");
        break;
      case '>':
        out->append("&gt;");
        break;
      case '"':
        out->append("&quot;");
        break;
      case '\'':
        out->append("&#39;");
        break;
      default:
        out->push_back(c);
    }
  }
}

// Of the message: U+FFFD for what is no UTF-8.
std::string Message(const Decision& decision) {
  std::string message;
  AppendMessage(decision, &message);
  return ReplaceInvalidUtf8(message);
}

void AppendHtml(const Decision& decision, int status, std::string* out) {
  const std::string_view title = http::ReasonPhrase(status);
  out->append("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->append(" ").append(title).append("</title>\n<h1>").append(title).append("</h1>\n<p>");
  AppendEscapedHtml(Message(decision), out);
  out->append("</p>\n</html>\n");
}

// What OpenAI's clients look at.
std::string_view OpenaiCode(const Decision& decision) {
  if (decision.action == Action::kCharge) return "insufficient_quota";
  if (decision.action == Action::kChallenge) return "challenge_required";
  return decision.reason == Reason::kBlocked ? "access_denied" : "rate_limit_exceeded";
}

void AppendOpenai(const Decision& decision, std::string* out) {
  const std::string_view code = OpenaiCode(decision);
  const boost::json::object error{{"message", Message(decision)}, {"type", code}, {"param", nullptr}, {"code", code}};
  out->append(boost::json::serialize(boost::json::object{{"error", error}}));
}

// As a client wrote it: a number, else text.
boost::json::value RpcId(std::string_view text) {
  if (text.empty()) return nullptr;
  std::int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault == std::errc{} && end == text.data() + text.size()) return number;
  return boost::json::value(ReplaceInvalidUtf8(text));
}

void AppendJsonrpc(const Decision& decision, std::string_view rpc_id, std::string* out) {
  constexpr int kLimitExceeded = -32005;  // as EIP-1474 names it, in the range that JSON-RPC leaves to servers
  boost::json::object data{{"action", ToString(decision.action)}, {"reason", ToString(decision.reason)}};
  if (const std::uint64_t wait = RetryAfterMilliseconds(decision); wait > 0) data["retry_after_ms"] = wait;
  const boost::json::object error{{"code", kLimitExceeded}, {"message", Message(decision)}, {"data", std::move(data)}};
  out->append(boost::json::serialize(boost::json::object{{"jsonrpc", "2.0"}, {"error", error}, {"id", RpcId(rpc_id)}}));
}

}  // namespace

int StatusOfDenial(const Decision& decision) {
  if (const ResponseStyle* const style = decision.style(); style != nullptr && style->denial_status != 0) {
    return style->denial_status;
  }
  return UsualStatusOf(decision);
}

int UsualStatusOf(const Decision& decision) {
  switch (decision.action) {
    case Action::kCharge:
      return 402;
    case Action::kChallenge:
      return 403;
    default:
      // A blocked client is not one that came too often.
      return decision.reason == Reason::kBlocked ? 403 : 429;
  }
}

bool WantsBasicBody(const Decision& decision) {
  const RuleOutcome* const rule = decision.decider();
  return !decision.allowed && rule != nullptr && rule->headers.basic_body;
}

DenialBody BodyOf(const Decision& decision) {
  const ResponseStyle* const style = decision.style();
  return style == nullptr ? DenialBody::kProblem : style->denial_body;
}

std::string_view ContentTypeOf(DenialBody body) {
  switch (body) {
    case DenialBody::kProblem:
      return http::kProblemJson;
    case DenialBody::kPlain:
      return "text/plain; charset=utf-8";
    case DenialBody::kHtml:
      return "text/html; charset=utf-8";
    case DenialBody::kOpenai:
    case DenialBody::kJsonrpc:
      return http::kJson;
  }
  return http::kProblemJson;
}

void AppendMessage(const Decision& decision, std::string* out) {
  if (const ResponseStyle* const style = decision.style(); style != nullptr && !style->denial_message.empty()) {
    out->append(style->denial_message);
    return;
  }
  AppendReason(decision, out);
  if (decision.action == Action::kChallenge && decision.reason != Reason::kChallenged) {
    out->append(" Pass a challenge to go on.");
  } else if (decision.action == Action::kCharge) {
    out->append(" Further requests have to be paid for.");
  }
  const std::uint64_t seconds = RetryAfterSeconds(decision);
  if (seconds == 0) return;
  out->append(decision.action == Action::kDeny ? " Try again in " : " Or try again in ");
  AppendNumber(seconds, out);
  out->append(seconds == 1 ? " second." : " seconds.");
}

void BeginProblem(const Decision& decision, int status, std::string* out) {
  out->append("{\"type\":\"");
  out->append(ProblemType(decision));
  out->append("\",\"title\":\"");
  out->append(http::ReasonPhrase(status));
  out->append("\",\"status\":");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->append(",\"detail\":");
  thread_local std::string detail;
  detail.clear();
  AppendMessage(decision, &detail);
  AppendJsonString(detail, out);
  AppendViolatedPolicies(decision, out);
}

void AppendDenialBody(const Decision& decision, int status, std::string_view rpc_id, std::string* out) {
  switch (BodyOf(decision)) {
    case DenialBody::kProblem:
      BeginProblem(decision, status, out);
      if (const std::uint64_t wait = RetryAfterMilliseconds(decision); wait > 0) {
        out->append(",\"retry_after_ms\":");
        AppendNumber(wait, out);
      }
      out->push_back('}');
      return;
    case DenialBody::kPlain:
      AppendMessage(decision, out);
      out->push_back('\n');
      return;
    case DenialBody::kHtml:
      return AppendHtml(decision, status, out);
    case DenialBody::kOpenai:
      return AppendOpenai(decision, out);
    case DenialBody::kJsonrpc:
      return AppendJsonrpc(decision, rpc_id, out);
  }
}

void AppendBasicDenial(const Decision& decision, std::string* out) {
  const Outcome& outcome = decision.decider()->outcome;
  const std::uint64_t seconds = RetryAfterSeconds(decision);
  out->append("{\"error\":{\"code\":\"RATE_LIMIT_EXCEEDED\",\"message\":\"Rate limit exceeded. Try again in ");
  AppendNumber(seconds, out);
  out->append(" seconds.\",\"limit\":");
  AppendNumber(outcome.limit, out);
  out->append(",\"current\":");
  AppendNumber(outcome.used, out);
  out->append(",\"reset_time\":");
  AppendNumber(seconds, out);
  out->append("}}");
}

void AppendDenialHeaders(const Decision& decision, std::string* out) {
  if (const ResponseStyle* const style = decision.style(); style != nullptr && !decision.allowed) {
    out->append(style->denial_headers);
  }
}

void AppendActionHeaders(const Decision& decision, std::string* out) {
  if (decision.action == Action::kAllow || decision.action == Action::kDeny) [[likely]]
    return;
  out->append("X-Weir-Action: ");
  out->append(ToString(decision.action));
  out->append("\r\n");
  if (decision.action != Action::kWait) return;
  out->append("X-Weir-Delay-Ms: ");
  AppendNumber(CeilMilliseconds(decision.delay_ns()), out);
  out->append("\r\n");
}

std::uint64_t RetryAfterMilliseconds(const Decision& decision) {
  if (decision.allowed) return 0;
  const RuleOutcome* const rule = decision.decider();
  if (rule == nullptr) {
    return decision.reason == Reason::kStoreDenied || decision.reason == Reason::kStoreFull ? 1'000 : 0;
  }
  if (rule->outcome.verdict == Verdict::kNever) return 0;
  return std::max<std::uint64_t>(CeilMilliseconds(rule->outcome.retry_after_ns), 1);
}

}  // namespace weir::headers
