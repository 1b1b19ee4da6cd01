// What a response to a limited request says, as the rule that decided wants it (`headers` and `denial` of the rule):
// the IETF's RateLimit and RateLimit-Policy, drafts 06 and 07, X-RateLimit-*, Retry-After, `Cache-Control: no-store`
// and the rule's own fields on a denial, and its status and body. Thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "weir/clock.h"
#include "weir/decision.h"

namespace weir {

struct HeaderField {
  std::string name;
  std::string value;  // ASCII without line breaks, also where the rule's name has other characters
  friend bool operator==(const HeaderField&, const HeaderField&) = default;
};

// The fields in the order in which to send them; empty when no rule decided or the rule wants none. For the decision of
// a Check, Peek or Reserve, soon after it: the numbers count from the time of the decision. `clock`: the limiter's, if
// it was given one. Only X-RateLimit-Reset as epoch seconds needs it.
std::vector<HeaderField> RateLimitHeaders(const Decision& decision, const Clock& clock = SystemClock());

// When a denied request is worth another try, as Retry-After says it: whole seconds, rounded up, at least 1. Nothing
// when the request was allowed, or when it can never pass.
std::optional<std::chrono::seconds> RetryAfter(const Decision& decision);

// The response to a request that was not allowed, besides its fields.
struct DenialResponse {
  int status = 429;  // the rule's own, else 429, 402 (charge) or 403 (challenge, block)
  std::string content_type;
  std::string body;
};
// For a denied decision; soon after it.
DenialResponse RenderDenial(const Decision& decision);

}  // namespace weir
