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
#include "management/rest/live_config.h"
#include "management/rest/problem.h"
#include "management/rest/rollouts/comparison.h"

namespace weir::management::rest {

class Api;
struct Context;

// Whether the policy is another one with it: a record of the policy, or an override of one.
bool ChangesPolicy(const config::RecordWrite& write);
// Whether it is a record of the policy itself: what can be tried first. An override goes by itself.
bool IsPolicyRecord(const config::RecordWrite& write);

// What a candidate would write. kNotFound; kFailedPrecondition: it is none (any more).
Result<std::vector<config::RecordWrite>> WritesOfCandidate(config::ConfigStore& store, std::uint64_t number);

// `changes` (as in a bulk call) or `document` (as in PUT /config) of a body: what they would write, checked as if it
// were to be in force. Only the policy: users, tenants and keys are changed one at a time.
std::expected<std::vector<config::RecordWrite>, Problem> ReadCandidate(Api& api, Context& context,
                                                                       const boost::json::object& body);

// What became of a candidate that was promoted.
struct Promotion {
  // kPending: it is kept, and the store cannot be read at the moment. kRefused: the engine did not take it, and what it
  // changed is as before again.
  enum class Outcome : std::uint8_t { kInForce, kPending, kRefused };
  std::uint64_t revision = 0;  // that it became
  Outcome outcome = Outcome::kInForce;
  std::string why = {};  // it is not in force
};
// Returns when that is known. The errors are those of ConfigStore::Promote: nothing has changed.
Result<Promotion> PromoteCandidate(config::ConfigStore& store, LiveConfig& live, std::uint64_t number,
                                   const config::Origin& origin);
// Makes what a revision changed as it was before it, and leaves alone what else was changed since; returns the revision
// that does so when it is in force. kFailedPrecondition: some of it was changed again since, and nothing is done.
Result<std::uint64_t> TakeBack(config::ConfigStore& store, LiveConfig& live, std::uint64_t revision,
                               config::Origin origin);

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
