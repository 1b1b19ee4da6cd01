#include "frontends/http/response.h"

#include <array>
#include <limits>
#include <utility>

#include "engine/rate_limit_headers.h"
#include "frontends/http/answer_body.h"

namespace weir::http {
namespace {

using engine::AppendNumber;
using engine::AppendRateLimitHeaders;

constexpr std::string_view kJson = "application/json";
// RFC 9110 15.5.2: a 401 names a scheme.
constexpr std::string_view kChallenge = "WWW-Authenticate: RateLimit\r\n";
constexpr std::string_view kProblemJson = "application/problem+json";

void PutDigits(unsigned value, std::size_t digits, char* at) {
  for (std::size_t i = digits; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

// "Sun, 06 Nov 1994 08:49:37 GMT", written again when the second changes.
std::string_view DateText(Nanos now) {
  thread_local std::array<char, 29> text{};
  thread_local Nanos written = std::numeric_limits<Nanos>::min();
  const Nanos second = now < 0 ? 0 : now / kSecond;
  if (second == written) return {text.data(), text.size()};
  written = second;
  constexpr std::string_view kDays = "ThuFriSatSunMonTueWed";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const Nanos days = second / 86'400;
  const auto of_day = static_cast<unsigned>(second % 86'400);
  // Civil date from days since 1970, in eras of 400 years that start on 1 March.
  const Nanos shifted = days + 719'468;
  const Nanos era = shifted / 146'097;
  const auto day_of_era = static_cast<unsigned>(shifted % 146'097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned march_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
  const auto year = static_cast<unsigned>(era) * 400 + year_of_era + (month <= 2 ? 1 : 0);
  constexpr std::string_view kForm = "DDD, 00 MMM 0000 00:00:00 GMT";
  kForm.copy(text.data(), text.size());
  kDays.copy(text.data(), 3, static_cast<std::size_t>(days % 7) * 3);
  PutDigits(day, 2, text.data() + 5);
  kMonths.copy(text.data() + 8, 3, (month - 1) * 3);
  PutDigits(year, 4, text.data() + 12);
  PutDigits(of_day / 3'600, 2, text.data() + 17);
  PutDigits(of_day / 60 % 60, 2, text.data() + 20);
  PutDigits(of_day % 60, 2, text.data() + 23);
  return {text.data(), text.size()};
}

void Begin(int status, Nanos now, std::string* out) {
  out->append("HTTP/1.1 ");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->push_back(' ');
  out->append(ReasonPhrase(status));
  out->append("\r\nDate: ");
  out->append(DateText(now));
  out->append("\r\n");
}

void End(std::string_view content_type, std::string_view body, const Framing& framing, std::string* out) {
  if (!content_type.empty()) {
    out->append("Content-Type: ");
    out->append(content_type);
    out->append("\r\n");
  }
  out->append("Content-Length: ");
  AppendNumber(body.size(), out);
  if (framing.close) {
    out->append("\r\nConnection: close");
  } else if (framing.minor_version == 0) {
    out->append("\r\nConnection: keep-alive");
  }
  out->append("\r\n\r\n");
  if (!framing.head_only) out->append(body);
}

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
  Begin(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
  End(content_type, **body, FramingOf(pending), out);
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
  Begin(200, now, out);
  End(kJson, **body, FramingOf(pending), out);
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
  Begin(status, now, out);
  AppendRateLimitHeaders(decision, now, out);
  out->append(decision.allowed ? "X-Weir-Allowed: 1\r\n" : "X-Weir-Allowed: 0\r\n");
  if (status != meant) {
    out->append("X-Weir-Status: ");
    AppendNumber(static_cast<std::uint64_t>(meant), out);
    out->append("\r\n");
  }
  if (status == 401) out->append(kChallenge);
  End(content_type, **body, FramingOf(pending), out);
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

void AppendSettledAnswer(const engine::Call& call, const Pending& pending, Nanos now, std::string* out) {
  Scratch body;
  if (call.status.has_value()) {
    if (pending.form == AnswerForm::kHeard) {
      (*body)->append("{\"heard\":");
      AppendNumber(call.heard, *body);
      (*body)->append("}");
    } else {
      (*body)->append("{\"");
      (*body)->append(pending.done);
      (*body)->append("\":true}");
    }
    Begin(200, now, out);
    End(kJson, **body, FramingOf(pending), out);
    return;
  }
  const int status = StatusOf(call.status.error().code);
  AppendProblem(status, call.status.error().message, *body);
  Begin(status, now, out);
  if (status == 503) out->append("Retry-After: 1\r\n");
  End(kProblemJson, **body, FramingOf(pending), out);
}

}  // namespace

Plain MakeText(int status, std::string text) {
  Plain plain;
  plain.status = status;
  plain.body = std::move(text);
  return plain;
}

Plain MakeProblem(int status, std::string_view detail) {
  Plain plain{.status = status, .content_type = kProblemJson, .body = {}, .headers = {}};
  AppendProblem(status, detail, &plain.body);
  return plain;
}

Plain MakeForgeryDenial(int deny_status, std::string_view detail) {
  Plain plain = MakeProblem(deny_status == 429 ? 400 : deny_status, detail);
  plain.headers = "Cache-Control: no-store\r\nX-Weir-Allowed: 0\r\n";
  if (plain.status != 400) plain.headers += "X-Weir-Status: 400\r\n";
  if (plain.status == 401) plain.headers += kChallenge;
  return plain;
}

void AppendPlain(const Plain& plain, const Framing& framing, Nanos now, std::string* out) {
  Begin(plain.status, now, out);
  out->append(plain.headers);
  End(plain.content_type, plain.body, framing, out);
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
    case AnswerForm::kSettled:
    case AnswerForm::kHeard:
      AppendSettledAnswer(batch.call(pending.first_call), pending, now, out);
      return;
  }
}

}  // namespace weir::http
