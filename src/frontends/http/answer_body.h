// JSON bodies. Everything is appended to a string that its owner keeps, so that the hot path allocates nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontends/http/check_body.h"
#include "weir/decision.h"

namespace weir::http {

// {"allowed":true,"limit":100,...}. `trace`: nullptr, or the steps that led to it.
void AppendDecision(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                    std::string* out);

// The body of a denial with status `status`: an RFC 9457 problem. For the API its members and those of AppendDecision
// are one object; for an end user (forward auth) it names the policy and the time to wait.
enum class Audience : std::uint8_t { kApi, kEndUser };
void AppendDenial(const Decision& decision, int status, Audience audience, const AnswerOptions& options,
                  const std::vector<ExplainStep>* trace, std::string* out);

// The deciding rule wants a denial's body as the basic limiter wrote it.
bool WantsBasicBody(const Decision& decision);
// {"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Rate limit exceeded. Try again in 42
// seconds.","limit":1,"current":2,
//  "reset_time":42}}
void AppendBasicDenial(const Decision& decision, std::string* out);

}  // namespace weir::http
