#include "frontends/http/answer.h"

#include <algorithm>
#include <utility>

#include "base/append_number.h"
#include "base/ascii.h"
#include "frontends/http/answer_body.h"
#include "headers/denial.h"
#include "headers/rate_limit_headers.h"
#include "http/response.h"

namespace weir::http {
namespace {

using headers::AppendActionHeaders;
using headers::AppendBasicDenial;
using headers::AppendDenialBody;
using headers::AppendDenialHeaders;
using headers::AppendRateLimitHeaders;
using headers::BodyOf;
using headers::ContentTypeOf;
using headers::StatusOfDenial;
using headers::UsualStatusOf;
using headers::WantsBasicBody;

// RFC 9110 15.5.2: a 401 names a scheme.
constexpr std::string_view kChallenge = "WWW-Authenticate: RateLimit\r\n";

Framing FramingOf(const Pending& pending) { return {pending.close, pending.minor_version, pending.head_only}; }

// Room for bodies, whose length must be known before they are sent. A large one is not kept.
class Scratch {
 public:
  Scratch() { text().clear(); }
  ~Scratch() {
    if (text().capacity() > 262'144) std::string().swap(text());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string* operator*() { return &text(); }

 private:
  static std::string& text() {
    thread_local std::string text;
    return text;
  }
};

// Of a question for which 200 means that the request may pass.
int StatusForApi(const Decision& decision) {
  const ResponseStyle* const style = decision.style();
  if (style != nullptr && style->denial_status != 0 && style->denial_status != 200) return style->denial_status;
  return decision.action == Action::kDeny ? 429 : UsualStatusOf(decision);
}

// Which JSON-RPC call was denied: the caller may say so.
std::string_view RpcIdOf(const Request& request) {
  const auto found = std::ranges::find(request.attributes, "jsonrpc_id", &Attribute::name);
  return found == request.attributes.end() ? std::string_view() : found->value;
}

void AppendDecisionAnswer(const engine::Call& call, const AnswerOptions& options, const Pending& pending, Nanos now,
                          std::string* out) {
  const Decision& decision = call.decision;
  const bool denied = !decision.allowed && !options.deny_as_200 && pending.form != AnswerForm::kPeek;
  const int status = denied ? StatusForApi(decision) : 200;
  Scratch body;
  std::string_view content_type = kJson;
  if (!denied) {
    AppendDecision(decision, options, call.trace, *body);
  } else if (WantsBasicBody(decision)) {
    AppendBasicDenial(decision, *body);
  } else if (const DenialBody form = BodyOf(decision);
             form == DenialBody::kProblem || options.rules || call.trace != nullptr) {
    AppendDecisionProblem(decision, status, options, call.trace, *body);
    content_type = kProblemJson;
  } else {
    AppendDenialBody(decision, status, RpcIdOf(call.request), *body);
    content_type = ContentTypeOf(form);
  }
  BeginResponse(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
  AppendActionHeaders(decision, out);
  if (denied) AppendDenialHeaders(decision, out);
  EndResponse(content_type, **body, FramingOf(pending), out);
}

void AppendBatchAnswer(const Batch& batch, const Pending& pending, Nanos now, std::string* out) {
  Scratch body;
  (*body)->append("{\"results\":[");
  for (std::size_t i = 0; i < pending.call_count; ++i) {
    if (i > 0) (*body)->push_back(',');
    const engine::Call& call = batch.call(pending.first_call + i);
    AppendDecision(call.decision, batch.options(pending.first_call + i), call.trace, *body);
  }
  (*body)->append("]}");
  BeginResponse(200, now, out);
  EndResponse(kJson, **body, FramingOf(pending), out);
}

bool HasDenial(const Decision& decision) { return decision.style() != nullptr && decision.style()->denial; }

// Whether the rule names a scheme itself.
bool Authenticates(const Decision& decision) {
  bool any = false;
  if (const ResponseStyle* const style = decision.style(); style != nullptr) {
    headers::ForEachHeader(style->denial_headers, [&any](std::string_view name, std::string_view /*value*/) {
      any |= EqualsIgnoreCase(name, "WWW-Authenticate");
    });
  }
  return any;
}

void AppendAuthAnswer(const Decision& decision, const Pending& pending, Nanos now, std::string* out) {
  const int meant = decision.allowed ? 200 : StatusOfDenial(decision);
  // Only a proxy that asked for 200 looks further than at the status.
  const int denied = meant == 200 ? UsualStatusOf(decision) : meant;
  const int status = decision.allowed ? 200 : pending.deny_status == 429 ? denied : pending.deny_status;
  Scratch body;
  std::string_view content_type;
  if (!decision.allowed && (status != 200 || HasDenial(decision))) {
    if (status == 429 && WantsBasicBody(decision)) {
      AppendBasicDenial(decision, *body);
      content_type = kJson;
    } else {
      AppendDenialBody(decision, status == 200 ? denied : status, {}, *body);
      content_type = ContentTypeOf(BodyOf(decision));
    }
  }
  BeginResponse(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
  AppendActionHeaders(decision, out);
  AppendDenialHeaders(decision, out);
  out->append(decision.allowed ? "X-Weir-Allowed: 1\r\n" : "X-Weir-Allowed: 0\r\n");
  if (status != meant) {
    out->append("X-Weir-Status: ");
    AppendNumber(static_cast<std::uint64_t>(meant), out);
    out->append("\r\n");
  }
  if (status == 401 && !Authenticates(decision)) out->append(kChallenge);
  EndResponse(content_type, **body, FramingOf(pending), out);
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
      return 409;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

// What was added to a reservation; 429 when there was no room.
void AppendExtendedAnswer(const engine::Call& call, const Pending& pending, Nanos now, std::string* out) {
  const bool denied = call.granted == 0 && call.request.cost > 0;
  Scratch body;
  (*body)->append("{\"granted\":");
  AppendNumber(call.granted, *body);
  if (denied) {
    (*body)->append(",\"retry_after_ms\":");
    if (call.retry_after_ns > 0) {
      AppendNumber(static_cast<std::uint64_t>((call.retry_after_ns - 1) / kMillisecond + 1), *body);
    } else {
      (*body)->append("null");
    }
  }
  (*body)->append("}");
  BeginResponse(denied ? 429 : 200, now, out);
  if (denied) out->append("Cache-Control: no-store\r\n");
  if (denied && call.retry_after_ns > 0) {
    out->append("Retry-After: ");
    AppendNumber(static_cast<std::uint64_t>((call.retry_after_ns - 1) / kSecond + 1), out);
    out->append("\r\n");
  }
  EndResponse(kJson, **body, FramingOf(pending), out);
}

void AppendSettledAnswer(const engine::Call& call, const Pending& pending, Nanos now, std::string* out) {
  Scratch body;
  if (call.status.has_value()) {
    if (pending.form == AnswerForm::kFeedback) {
      (*body)->append("{\"rules_updated\":");
      AppendNumber(call.rules_updated, *body);
      (*body)->append("}");
    } else {
      (*body)->append("{\"");
      (*body)->append(pending.done);
      (*body)->append("\":true}");
    }
    BeginResponse(200, now, out);
    EndResponse(kJson, **body, FramingOf(pending), out);
    return;
  }
  const int status = StatusOf(call.status.error().code);
  AppendProblem(status, call.status.error().message, *body);
  BeginResponse(status, now, out);
  if (status == 503) out->append("Retry-After: 1\r\n");
  EndResponse(kProblemJson, **body, FramingOf(pending), out);
}

}  // namespace

Plain MakeForgeryDenial(int deny_status, std::string_view detail) {
  Plain plain = MakeProblem(deny_status == 429 ? 400 : deny_status, detail);
  plain.headers = "Cache-Control: no-store\r\nX-Weir-Allowed: 0\r\n";
  if (plain.status != 400) plain.headers += "X-Weir-Status: 400\r\n";
  if (plain.status == 401) plain.headers += kChallenge;
  return plain;
}

void AppendAnswer(const Batch& batch, const Pending& pending, Nanos now, std::string* out) {
  switch (pending.form) {
    case AnswerForm::kDecision:
    case AnswerForm::kPeek:
      AppendDecisionAnswer(batch.call(pending.first_call), batch.options(pending.first_call), pending, now, out);
      return;
    case AnswerForm::kBatch:
      AppendBatchAnswer(batch, pending, now, out);
      return;
    case AnswerForm::kAuth:
      AppendAuthAnswer(batch.call(pending.first_call).decision, pending, now, out);
      return;
    case AnswerForm::kExtended:
      if (batch.call(pending.first_call).status.has_value()) {
        AppendExtendedAnswer(batch.call(pending.first_call), pending, now, out);
        return;
      }
      [[fallthrough]];
    case AnswerForm::kSettled:
    case AnswerForm::kFeedback:
      AppendSettledAnswer(batch.call(pending.first_call), pending, now, out);
      return;
  }
}

}  // namespace weir::http
