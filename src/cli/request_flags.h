// From flags to a request: what check and explain share.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "weir/config.h"
#include "weir/decision.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::cli {

// The request that flags describe. Views point into `options` and into this object.
class FlaggedRequest {
 public:
  // kInvalidArgument names a header, attribute or entry that is not of its form.
  static Result<FlaggedRequest> Create(const RequestOptions& options);
  Request request() const;
  // It is a descriptor: its entries are the request's attributes.
  bool is_descriptor() const { return !options_->descriptor.empty(); }

 private:
  const RequestOptions* options_ = nullptr;
  std::vector<Attribute> headers_;
  std::vector<Attribute> attributes_;
  std::vector<Attribute> entries_;
};

// The document of `file`, or the built-in sample when it is empty. Warnings go to standard error.
Result<EnterpriseRateLimitConfig> LoadOrSample(const std::string& file);

// A decision as a table with a closing sentence, or as one JSON object in the words of POST /v1/check. `subjects`: whom
// each of its rules counts (engine::Call::subjects).
std::string DecisionText(const Decision& decision, const std::vector<std::string>& subjects);
boost::json::object DecisionJson(const Decision& decision, const std::vector<std::string>& subjects);

}  // namespace weir::cli
