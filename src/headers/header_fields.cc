#include <string_view>

#include "headers/denial.h"
#include "headers/rate_limit_headers.h"
#include "weir/headers.h"

namespace weir {

std::vector<HeaderField> RateLimitHeaders(const Decision& decision, const Clock& clock) {
  std::string lines;
  headers::AppendRateLimitHeaders(decision, clock.Wall(), &lines);
  if (!decision.allowed) headers::AppendDenialHeaders(decision, &lines);
  std::vector<HeaderField> fields;
  headers::ForEachHeader(lines, [&](std::string_view name, std::string_view value) {
    fields.push_back({.name = std::string(name), .value = std::string(value)});
  });
  return fields;
}

std::optional<std::chrono::seconds> RetryAfter(const Decision& decision) {
  const std::uint64_t seconds = headers::RetryAfterSeconds(decision);
  if (seconds == 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

DenialResponse RenderDenial(const Decision& decision) {
  DenialResponse response;
  response.status = headers::StatusOfDenial(decision);
  if (headers::WantsBasicBody(decision)) {
    response.content_type = "application/json";
    headers::AppendBasicDenial(decision, &response.body);
    return response;
  }
  response.content_type = headers::ContentTypeOf(headers::BodyOf(decision));
  headers::AppendDenialBody(decision, response.status, {}, &response.body);
  return response;
}

}  // namespace weir
