#include "frontends/http/answer.h"

#include <utility>

#include "base/append_number.h"
#include "frontends/http/answer_body.h"
#include "headers/rate_limit_headers.h"
#include "http/response.h"

namespace weir::http {
namespace {

using headers::AppendRateLimitHeaders;

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

void AppendDecisionAnswer(const engine::Call& call, const AnswerOptions& options, const Pending& pending, Nanos now,
                          std::string* out) {
  const Decision& decision = call.decision;
  const bool denied = !decision.allowed && !options.deny_as_200 && pending.form != AnswerForm::kPeek;
  const int status = denied ? 429 : 200;
  Scratch body;
  std::string_view content_type = kJson;
  if (denied && WantsBasicBody(decision)) {
    AppendBasicDenial(decision, *body);
  } else if (denied) {
    AppendDenial(decision, status, Audience::kApi, options, call.trace, *body);
    content_type = kProblemJson;
  } else {
    AppendDecision(decision, options, call.trace, *body);
  }
  BeginResponse(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
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

void AppendAuthAnswer(const Decision& decision, const Pending& pending, Nanos now, std::string* out) {
  // A blocked client is not one that came too often.
  const int meant = decision.allowed ? 200 : decision.reason == Reason::kBlocked ? 403 : 429;
  const int status = decision.allowed ? 200 : pending.deny_status == 429 ? meant : pending.deny_status;
  Scratch body;
  std::string_view content_type;
  if (!decision.allowed && status != 200) {
    if (status == 429 && WantsBasicBody(decision)) {
      AppendBasicDenial(decision, *body);
      content_type = kJson;
    } else {
      AppendDenial(decision, status, Audience::kEndUser, {}, nullptr, *body);
      content_type = kProblemJson;
    }
  }
  BeginResponse(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
  out->append(decision.allowed ? "X-Weir-Allowed: 1\r\n" : "X-Weir-Allowed: 0\r\n");
  if (status != meant) {
    out->append("X-Weir-Status: ");
    AppendNumber(static_cast<std::uint64_t>(meant), out);
    out->append("\r\n");
  }
  if (status == 401) out->append(kChallenge);
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
      (*body)->append("{\"heard\":");
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
