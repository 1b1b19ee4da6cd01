// A request to be decided, as bodies of the API describe it: /v1/check's fields.
#pragma once

#include <boost/json/value.hpp>
#include <deque>
#include <expected>
#include <string>
#include <vector>

#include "management/rest/problem.h"
#include "weir/request.h"

namespace weir::management::rest {

// Owns what the request borrows. Not copied.
struct OwnedRequest {
  OwnedRequest() = default;
  OwnedRequest(OwnedRequest&&) = default;
  OwnedRequest& operator=(OwnedRequest&&) = default;

  std::deque<std::string> texts;  // stay where they are
  std::vector<Attribute> headers, attributes;
  Request request;
};

// `path`: where it stands in the body ("request").
std::expected<OwnedRequest, Problem> ReadRequest(const boost::json::value& value, const std::string& path);

}  // namespace weir::management::rest
