// JSON bodies. Everything is appended to a string that its owner keeps, so that the hot path allocates nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontends/http/check_body.h"
#include "weir/decision.h"

namespace weir::http {

// {"allowed":true,"action":"allow","limit":100,...}. `trace`: nullptr, or the steps that led to it.
void AppendDecision(const Decision& decision, const AnswerOptions& options, const std::vector<ExplainStep>* trace,
                    std::string* out);

// The body of a denial for the API: an RFC 9457 problem whose members and those of AppendDecision are one object.
void AppendDecisionProblem(const Decision& decision, int status, const AnswerOptions& options,
                           const std::vector<ExplainStep>* trace, std::string* out);

}  // namespace weir::http
