// Candidates: changes of the policy that are kept and do not hold yet.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analytics/recorder.h"
#include "config/source/config_store.h"
#include "engine/engine.h"
#include "management/rest/comparison.h"
#include "management/rest/live_config.h"
#include "management/rest/problem.h"

namespace weir::management::rest {

class Api;
struct Context;

// What a candidate would write. kNotFound; kFailedPrecondition: it is none (any more).
Result<std::vector<config::RecordWrite>> WritesOfCandidate(config::ConfigStore& store, std::uint64_t number);

// `changes` (as in a bulk call) or `document` (as in PUT /config) of a body: what they would write, checked as if it
// were to be in force. Only the policy: users, tenants and keys are changed one at a time.
std::expected<std::vector<config::RecordWrite>, Problem> ReadCandidate(Api& api, Context& context,
                                                                       const boost::json::object& body);

// What is compared, and of what.
struct TrialParts {
  config::ConfigStore* store = nullptr;
  LiveConfig* live = nullptr;
  engine::Engine* engine = nullptr;
  const analytics::Recorder* recorder = nullptr;  // nullptr: nothing is recorded
  Comparison::MakeStore make_store;
};
TrialParts PartsOf(const Api& api);
// The candidate beside what is in force, over all that is recorded.
Result<std::unique_ptr<Comparison>> TryOut(const TrialParts& parts, std::uint64_t number);
// Its figures, and of how much they are.
boost::json::object DryRunJson(const TrialParts& parts, const Comparison& comparison);

}  // namespace weir::management::rest
