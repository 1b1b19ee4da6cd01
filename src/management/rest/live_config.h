// Keeps the engine at what the configuration store says: at the start, after each change of the API, after changes that
// others made (another process, an expiry), in the order of their revisions.
//
// Where a file is the source of the policy, only entities and overrides are the store's; the file's own entities lie
// below them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/assignment.h"
#include "base/clock.h"
#include "config/source/config_store.h"
#include "config/source/loader.h"
#include "engine/engine.h"
#include "management/rest/carry_over.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::management::rest {

struct LiveConfigOptions {
  config::ConfigStore* store = nullptr;  // outlives it, as all here
  engine::Engine* engine = nullptr;
  bool policy_in_store = false;  // false: a file is its source
  // Puts a policy into force. Called by one thread at a time.
  std::function<Result<>(const config::Revision&, EnterpriseRateLimitConfig)> apply_policy;
  // Lets a candidate hold for a share of the subjects: as Engine::SetCandidate. Likewise.
  std::function<Result<>(const config::Revision&, EnterpriseRateLimitConfig, const SubjectShare&)> set_candidate;
};

// Thread-safe.
class LiveConfig {
 public:
  explicit LiveConfig(LiveConfigOptions options);
  ~LiveConfig();
  LiveConfig(const LiveConfig&) = delete;
  LiveConfig& operator=(const LiveConfig&) = delete;

  // What the file says; nullptr: there is none. Before Start(), and after each reload that was accepted: its entities
  // then lie below the store's again.
  Result<> SetDocument(std::shared_ptr<const EnterpriseRateLimitConfig> document);
  std::shared_ptr<const EnterpriseRateLimitConfig> document() const;
  // Puts all entities of the store into force, removes those that were put into force before and that it does not have,
  // and follows it from then on. The policy was made of the store before.
  Result<> Start();
  // Returns when `revision` and all before it are in force. An error: it could not be read or applied; the next call
  // tries again from there. kFailedPrecondition: the policy that came with it is refused and will not be in force until
  // another change mends it; what came behind it is in force without it.
  Result<> CatchUp(std::uint64_t revision);
  // Puts the store's policy into force anew: what lies around it, the operator's settings, has changed.
  Result<> Reapply();
  // The revision that is in force, but for a policy that is refused.
  std::uint64_t in_force() const;
  // What these writes make of the policy holds for a share of the subjects, also after the policy has changed, until
  // DropCandidate(), or ForgetCandidate(): then until the policy changes. `number`: of the candidate.
  Result<> SetCandidate(std::uint64_t number, std::vector<config::RecordWrite> writes, const SubjectShare& share);
  void DropCandidate();
  void ForgetCandidate();
  // Counts up with each policy that came into force.
  std::uint64_t policy_changes() const;
  // Why the candidate does not hold any more, after the policy has changed; empty: it does.
  std::string candidate_fault() const;
  bool policy_in_store() const { return options_.policy_in_store; }
  config::Loader& loader() { return loader_; }

 private:
  // All that follow by changing_.
  Result<> ApplyAll();  // all entities
  Result<> Advance(std::uint64_t revision);
  Result<> ApplyUpdate(const config::Update& update);
  Result<> ApplyPolicy(const config::Update& update);
  Result<> Accept(config::LoadedPolicy policy);
  void Refuse(const config::Update& update, const Error& error);
  Result<> ApplyCandidate();
  void Follow(std::uint64_t head);

  const LiveConfigOptions options_;
  config::Loader loader_;
  mutable std::mutex changing_;  // one change at a time; guards what follows
  std::shared_ptr<const EnterpriseRateLimitConfig> document_;
  config::ChangeCursor cursor_;
  std::uint64_t in_force_ = 0;
  bool started_ = false;
  bool policy_pending_ = false;  // a policy of the store was refused
  // Of the policy that is refused: the revisions that made it so, and why. 0: none is.
  std::uint64_t first_refused_ = 0, last_refused_ = 0;
  std::string why_refused_;
  struct Candidate {
    std::uint64_t number = 0;
    std::vector<config::RecordWrite> writes;
    SubjectShare share;
  };
  std::optional<Candidate> candidate_;
  std::string candidate_fault_;
  std::uint64_t policy_changes_ = 0;
  std::unique_ptr<config::Subscription> following_;
};

}  // namespace weir::management::rest
