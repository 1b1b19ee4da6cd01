#include "management/rest/live_config.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace weir::management::rest {
namespace {

void LogFault(const config::RecordFault& fault) {
  log::Error("a record of the configuration store is not in force",
             {{"record", config::Describe(fault.id)}, {"why", fault.error.message}});
}

}  // namespace

LiveConfig::LiveConfig(LiveConfigOptions options) : options_(std::move(options)), loader_(*options_.store) {}

LiveConfig::~LiveConfig() {
  // First of all, without the lock: a listener that is running takes it.
  following_.reset();
}

Result<> LiveConfig::SetDocument(std::shared_ptr<const EnterpriseRateLimitConfig> document) {
  const std::lock_guard lock(changing_);
  document_ = std::move(document);
  loader_.SetDocument(document_);
  return started_ ? ApplyAll() : Result<>();
}

std::shared_ptr<const EnterpriseRateLimitConfig> LiveConfig::document() const {
  const std::lock_guard lock(changing_);
  return document_;
}

Result<> LiveConfig::Start() {
  auto following = options_.store->Subscribe([this](std::uint64_t head) { Follow(head); });
  {
    const std::lock_guard lock(changing_);
    following_ = std::move(following);
    if (auto applied = ApplyAll(); !applied) return applied;
    started_ = true;
  }
  // What was changed while all was read was told to nobody.
  const auto head = options_.store->Head();
  return head ? CatchUp(head->number) : std::unexpected(head.error());
}

std::uint64_t LiveConfig::in_force() const {
  const std::lock_guard lock(changing_);
  return in_force_;
}

Result<> LiveConfig::ApplyAll() {
  auto head = loader_.Entities(
      [this](const config::Revision& revision, std::span<const config::EntityChange> changes) {
        return options_.engine->ApplyEntities(revision, changes);
      },
      LogFault);
  if (!head) return std::unexpected(head.error());
  in_force_ = std::max(in_force_, head->number);
  if (!started_) cursor_ = {.revision = head->number + 1, .id = {}};
  return {};
}

Result<> LiveConfig::CatchUp(std::uint64_t revision) {
  const std::lock_guard lock(changing_);
  if (!started_) return Fail(ErrorCode::kUnavailable, "the configuration is not loaded yet");
  while (in_force_ < revision) {
    auto update = loader_.After(cursor_);
    if (!update) return std::unexpected(update.error());
    if (auto applied = ApplyUpdate(*update); !applied) return applied;
    cursor_ = update->next;
    if (update->revision.number > 0) in_force_ = std::max(in_force_, update->revision.number);
    if (!update->more) break;
  }
  // What changes nothing that the engine knows of has no update of its own.
  in_force_ = std::max(in_force_, revision);
  return {};
}

Result<> LiveConfig::ApplyUpdate(const config::Update& update) {
  for (const config::RecordFault& fault : update.faults) LogFault(fault);
  if (options_.policy_in_store && (update.policy || policy_pending_)) {
    auto policy = loader_.Policy();
    if (!policy) return std::unexpected(policy.error());
    policy_pending_ = true;
    if (!policy->ok()) {
      log::Error("the policy of the configuration store is refused, the old one stays in force",
                 {{"why", policy->ToError().message}});
    } else if (auto applied = options_.apply_policy(policy->revision, std::move(policy->policy)); !applied) {
      log::Error("the policy of the configuration store is refused, the old one stays in force",
                 {{"why", applied.error().message}});
    } else {
      policy_pending_ = false;
      ++policy_changes_;
      if (const auto again = ApplyCandidate(); !again) {
        candidate_fault_ = again.error().message;
        candidate_.reset();
        log::Error("a candidate does not go with the new policy and holds for nobody", {{"why", candidate_fault_}});
      }
    }
  }
  if (update.entities.empty()) return {};
  const CarryOver carried(*options_.engine, update.entities);
  auto applied = config::ApplyAsFarAsPossible(
      update.revision, update.entities,
      [this](const config::Revision& revision, std::span<const config::EntityChange> changes) {
        return options_.engine->ApplyEntities(revision, changes);
      },
      LogFault);
  if (applied) carried.Charge();
  return applied;
}

Result<> LiveConfig::ApplyCandidate() {
  if (!candidate_) return {};
  auto policy = loader_.Policy(candidate_->writes);
  if (!policy) return std::unexpected(policy.error());
  if (!policy->ok()) return std::unexpected(policy->ToError());
  config::Revision revision = policy->revision;
  revision.number = candidate_->number;
  return options_.set_candidate(revision, std::move(policy->policy), candidate_->share);
}

Result<> LiveConfig::SetCandidate(std::uint64_t number, std::vector<config::RecordWrite> writes,
                                  const SubjectShare& share) {
  const std::lock_guard lock(changing_);
  candidate_ = {.number = number, .writes = std::move(writes), .share = share};
  candidate_fault_.clear();
  auto applied = ApplyCandidate();
  if (!applied) candidate_.reset();
  return applied;
}

void LiveConfig::DropCandidate() {
  const std::lock_guard lock(changing_);
  candidate_.reset();
  candidate_fault_.clear();
  options_.engine->DropCandidate();
}

void LiveConfig::ForgetCandidate() {
  const std::lock_guard lock(changing_);
  candidate_.reset();
  candidate_fault_.clear();
}

std::uint64_t LiveConfig::policy_changes() const {
  const std::lock_guard lock(changing_);
  return policy_changes_;
}

std::string LiveConfig::candidate_fault() const {
  const std::lock_guard lock(changing_);
  return candidate_fault_;
}

void LiveConfig::Follow(std::uint64_t head) {
  {
    const std::lock_guard lock(changing_);
    if (!started_) return;
  }
  if (const auto caught = CatchUp(head); !caught) {
    log::Warn("a change of the configuration is not in force yet", {{"why", caught.error().message}});
  }
}

}  // namespace weir::management::rest
