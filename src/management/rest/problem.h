// Errors of the management API: RFC 9457 with `code` (stable, for programs), `request_id`, and `errors[]` for bodies.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "management/rest/message.h"
#include "weir/result.h"

namespace weir::management::rest {

struct Problem {
  int status = 500;
  std::string code;    // "invalid_body"; part of the API
  std::string detail;  // one sentence
  std::vector<BodyFault> errors = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// With the status that an error of weir's has over HTTP.
Problem ProblemOf(const Error& error);
ApiResponse ToResponse(const Problem& problem, std::string_view request_id);

Problem NotFound(std::string detail);
Problem BadRequest(std::string code, std::string detail);
Problem InvalidBody(std::vector<BodyFault> errors);

}  // namespace weir::management::rest
