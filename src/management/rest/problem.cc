#include "management/rest/problem.h"

#include <boost/json.hpp>

#include "http/response.h"

namespace weir::management::rest {

namespace json = boost::json;

Problem ProblemOf(const Error& error) {
  struct Known {
    int status;
    std::string_view code;
  };
  const auto known = [&]() -> Known {
    switch (error.code) {
      case ErrorCode::kInvalidArgument:
        return {422, "invalid_value"};
      case ErrorCode::kNotFound:
        return {404, "not_found"};
      case ErrorCode::kAlreadyExists:
        return {409, "already_exists"};
      case ErrorCode::kFailedPrecondition:
        return {409, "conflict"};
      case ErrorCode::kResourceExhausted:
        return {507, "storage_full"};
      case ErrorCode::kUnavailable:
        return {503, "unavailable"};
      case ErrorCode::kDeadlineExceeded:
        return {504, "timeout"};
      case ErrorCode::kDataLoss:
        return {500, "damaged_data"};
      case ErrorCode::kInternal:
        break;
    }
    return {500, "internal"};
  }();
  Problem problem{.status = known.status, .code = std::string(known.code), .detail = error.message};
  if (known.status == 503) problem.headers.emplace_back("Retry-After", "1");
  return problem;
}

ApiResponse ToResponse(const Problem& problem, std::string_view request_id) {
  json::object body;
  body["type"] = "about:blank";
  body["title"] = http::ReasonPhrase(problem.status);
  body["status"] = problem.status;
  body["code"] = problem.code;
  body["detail"] = problem.detail;
  body["request_id"] = request_id;
  if (!problem.errors.empty()) {
    json::array errors;
    for (const BodyFault& fault : problem.errors) {
      json::object one;
      one["path"] = fault.path;
      if (fault.line > 0) one["line"] = fault.line;
      if (fault.column > 0) one["column"] = fault.column;
      one["message"] = fault.message;
      if (!fault.hint.empty()) one["hint"] = fault.hint;
      errors.push_back(std::move(one));
    }
    body["errors"] = std::move(errors);
  }
  ApiResponse response;
  response.status = problem.status;
  response.content_type = http::kProblemJson;
  response.body = json::serialize(body);
  response.headers = problem.headers;
  return response;
}

Problem NotFound(std::string detail) { return {.status = 404, .code = "not_found", .detail = std::move(detail)}; }

Problem BadRequest(std::string code, std::string detail) {
  return {.status = 400, .code = std::move(code), .detail = std::move(detail)};
}

Problem InvalidBody(std::vector<BodyFault> errors) {
  std::string detail = "the body has a fault";
  if (!errors.empty())
    detail = (errors.front().path.empty() ? "" : errors.front().path + ": ") + errors.front().message;
  if (errors.size() > 1) detail += " (and " + std::to_string(errors.size() - 1) + " more)";
  return {.status = 422, .code = "invalid_body", .detail = std::move(detail), .errors = std::move(errors)};
}

}  // namespace weir::management::rest
