// Rollouts: a candidate is brought into force in stages, and given up when a guard is exceeded. One at a time; what it
// is and how far it is outlives the process.
//
// A rollout is this instance's: others follow when the candidate is in force.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analytics/decision_meter.h"
#include "management/audit/audit_log.h"
#include "management/auth/documents.h"
#include "management/rest/rollouts/candidates.h"
#include "management/rest/rollouts/comparison.h"
#include "management/rest/rollouts/rollout.h"

namespace weir::management::rest {

struct RolloutsOptions {
  const Clock* clock = nullptr;  // outlives it, as all here
  TrialParts trial = {};
  analytics::DecisionMeter* meter = nullptr;
  Documents* documents = nullptr;
  audit::AuditLog* audit = nullptr;
};

// Thread-safe. Calls may take as long as a replay of the last hour.
class Rollouts {
 public:
  static constexpr Nanos kKeepEvery = 5 * kSecond;  // how often figures are written down
  static constexpr std::size_t kMostKept = 200;     // rollouts that have ended

  explicit Rollouts(RolloutsOptions options) : options_(std::move(options)) {}

  // What an earlier process left goes on at its stage. Afterwards Tick(), once a second.
  Result<> Load();
  void Tick();

  // Whether one is running or paused.
  bool Busy() const;
  // Keeps it; one that is to run begins. `compared`: its dry run, with which shadow goes on; may be nullptr. In state
  // kReturned: it came into force for all at once, the engine did not take it, and all is as before.
  // kFailedPrecondition: another one is running, or its candidate is none any more.
  Result<Rollout> Add(Rollout rollout, std::unique_ptr<Comparison> compared);
  // One that waits was approved; as Add(). After an error it goes on waiting.
  Result<Rollout> Begin(std::uint64_t number);

  // Withdraws a candidate, and ends the rollout that waits for it, if there is one: in one step, so that it does not
  // begin meanwhile. kFailedPrecondition: it has begun, or the candidate is none any more.
  Result<config::Revision> GiveUp(std::uint64_t number, const std::string& why);
  // The candidate was decided about without its rollout: one that waits for it ends.
  void Settle(std::uint64_t number);

  // By hand. kNotFound: there is no such rollout; kFailedPrecondition: not in its state. `who`: by whom.
  Result<Rollout> Pause(std::uint64_t number, const std::string& why);
  Result<Rollout> Resume(std::uint64_t number);
  Result<Rollout> Advance(std::uint64_t number);  // to the next stage; from the last one to its end
  Result<Rollout> Promote(std::uint64_t number);  // to all
  Result<Rollout> Abort(std::uint64_t number, const std::string& who, const std::string& why);

  Result<Rollout> Get(std::uint64_t number) const;
  struct Page {
    std::vector<Rollout> rollouts = {};
    std::uint64_t next = 0;  // `before` of the next page; 0: there is none
  };
  // The newest first; `before`: numbers below it, 0: all.
  Result<Page> List(std::uint64_t before, std::size_t most) const;

 private:
  // Of the window that guards look at.
  struct Sample {
    Nanos at = 0;
    analytics::DecisionFigures figures;
  };

  // All by mutex_.
  Result<Rollout*> Active(std::uint64_t number);
  Result<Rollout> Start(Rollout rollout, std::unique_ptr<Comparison> compared);
  Result<> Enter(std::size_t stage, std::unique_ptr<Comparison> compared, bool again);
  Result<> EnterShadow(std::unique_ptr<Comparison> compared);
  Result<> EnterAll();
  Result<> BringIntoForce();
  Result<> GoOn(std::size_t stage);
  std::string GoBack(const std::string& who, const std::string& why);
  Result<Rollout> Latest(std::uint64_t number) const;
  void Measure(Nanos now);
  void MeasureShadow(StageFigures& figures);
  std::string ExceededGuard() const;
  Rollout End(Rollout::State state, const std::string& who, const std::string& why);
  bool SettleWaiting(Rollout rollout);
  void Close(Rollout rollout, const std::string& why);
  Result<> Keep(const Rollout& rollout);
  bool Audit(const std::string& what, const std::string& why);
  const RolloutStage& stage() const { return active_->stages[active_->stage]; }
  // Whose decisions the stage is judged by; when it is in force for all, all are its.
  analytics::DecisionMeter::Arm arm() const;

  const RolloutsOptions options_;
  mutable std::mutex mutex_;  // guards what follows
  std::optional<Rollout> active_;
  bool refused_ = false;  // it was promoted, and the engine did not take it
  std::unique_ptr<Comparison> comparison_;
  std::uint64_t compared_policy_ = 0;  // LiveConfig::policy_changes() that it was made of
  StageFigures before_;                // of this stage, from before the restart or the change of the policy
  analytics::DecisionFigures arm_base_, in_force_base_;  // readings when the stage began
  analytics::DecisionFigures last_;                      // the latest reading, for the window
  std::deque<Sample> window_;
  Nanos ticked_ = 0, kept_ = 0;
};

}  // namespace weir::management::rest
