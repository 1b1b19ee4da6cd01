// Two policies on the same recorded decisions: what is in force and a candidate, each with counters of its own that
// begin empty. A dry run compares over the last hour; a rollout in shadow goes on with the decisions that come.
//
// Entities (users, tenants) are as they are in force, for both; of them only those are looked up that the recorded
// requests name, so that it costs as much as there are decisions, however many entities there are.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "analytics/recorder.h"
#include "base/clock.h"
#include "config/snapshot/snapshot.h"
#include "engine/engine.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::management::rest {

struct ComparisonFigures {
  std::uint64_t compared = 0;
  std::uint64_t denied_in_force = 0;     // by the policy in force, replayed
  std::uint64_t denied = 0;              // by the candidate
  std::uint64_t newly_denied = 0;        // by the candidate, and not by the policy in force
  std::uint64_t newly_allowed = 0;       // the reverse
  std::uint64_t replayed_otherwise = 0;  // the policy in force, replayed, says another thing than was said then
};

// One thread at a time.
class Comparison {
 public:
  // Rules and subjects that are told apart; what further ones did is counted together.
  static constexpr std::size_t kMostGroups = 10'000;
  static constexpr std::size_t kMostShown = 100;

  using MakeStore = std::function<std::unique_ptr<storage::Store>()>;
  // kInvalidArgument: the candidate is none that could be in force.
  static Result<std::unique_ptr<Comparison>> Create(const EnterpriseRateLimitConfig& in_force,
                                                    const EnterpriseRateLimitConfig& candidate,
                                                    const MakeStore& make_store);
  ~Comparison();

  // Takes what was recorded since the last time. `around`: what is in force, for its entities.
  void Follow(const analytics::Recorder& recorder, const config::Snapshot& around);
  // Goes on with the same counters and counts anew.
  void CountAnew();

  const ComparisonFigures& figures() const { return figures_; }
  // The figures, and by rule and subject who would be denied that is not, and the reverse: the most frequent ones.
  boost::json::object ToJson() const;

 private:
  class ReplayClock;
  struct Said {
    bool allowed = false;
    std::string rule = {}, subject = {};  // of a denial
  };
  struct Groups {
    std::map<std::pair<std::string, std::string>, std::uint64_t> counts;
    std::uint64_t others = 0;
    void Add(const Said& said);
    boost::json::array ToJson() const;
  };

  Comparison();
  void LearnEntities(const analytics::Recorder& recorder, const config::Snapshot& around);
  static Said Ask(engine::Engine& engine, const analytics::RecordedDecision& recorded);

  std::unique_ptr<ReplayClock> clock_;
  std::unique_ptr<engine::Engine> in_force_, candidate_;
  std::set<std::string, std::less<>> users_, tenants_;  // that were looked up
  std::uint64_t next_ = 0;                              // of the recorder
  ComparisonFigures figures_;
  Groups denied_, allowed_;
};

}  // namespace weir::management::rest
