#include "http/response.h"

#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/append_number.h"
#include "http/json_writer.h"

namespace weir::http {
namespace {

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

}  // namespace

void BeginResponse(int status, Nanos now, std::string* out) {
  out->append("HTTP/1.1 ");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->push_back(' ');
  out->append(ReasonPhrase(status));
  out->append("\r\nDate: ");
  out->append(DateText(now));
  out->append("\r\n");
}

void EndResponse(std::string_view content_type, std::string_view body, const Framing& framing, std::string* out) {
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

void AppendPlain(const Plain& plain, const Framing& framing, Nanos now, std::string* out) {
  BeginResponse(plain.status, now, out);
  out->append(plain.headers);
  EndResponse(plain.content_type, plain.body, framing, out);
}

void AppendProblem(int status, std::string_view detail, std::string* out) {
  out->append("{\"type\":\"about:blank\",\"title\":\"");
  out->append(ReasonPhrase(status));
  out->append("\",\"status\":");
  AppendNumber(static_cast<std::uint64_t>(status), out);
  out->append(",\"detail\":");
  AppendJsonString(detail, out);
  out->push_back('}');
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

}  // namespace weir::http
