#include "management/rest/live_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "config/snapshot/key_name.h"
#include "config/source/record_kinds.h"

namespace weir::management::rest {
namespace {

void LogFault(const config::RecordFault& fault) {
  log::Error("a record of the configuration store is not in force",
             {{"record", config::Describe(fault.id)}, {"why", fault.error.message}});
}

// What was put into force before, restored from a journal perhaps, and is not told again by the store: it left the
// store while nobody followed it.
class Leftovers {
 public:
  using Kind = config::EntityChange::Kind;

  explicit Leftovers(std::shared_ptr<const config::Snapshot> snapshot) : snapshot_(std::move(snapshot)) {
    const auto add = [this](Kind kind, const auto& one) {
      if (one.live) NamesOf(kind).insert(one.name);
    };
    snapshot_->VisitTenants([&](const config::TenantEntry& one) { add(Kind::kTenant, one); });
    snapshot_->VisitUsers([&](const config::UserEntry& one) { add(Kind::kUser, one); });
    snapshot_->VisitApiKeys([&](const config::ApiKeyEntry& one) { add(Kind::kApiKey, one); });
  }

  // The store has it.
  void Strike(Kind kind, const std::string& name) {
    if (kind != Kind::kApiKey) {
      NamesOf(kind).erase(name);
    } else if (const auto digest = config::DigestOfKeyName(name)) {
      NamesOf(kind).erase(*digest);
    }
  }
  // Also what cannot be used is there: what was in force of it stays, as when it changes while it is followed.
  void Strike(const config::RecordId& id) {
    if (id.kind == config::kOverrides) {
      if (const auto target = config::TargetOfOverride(id.key)) Strike(*target);
    } else if (id.kind == "tenants") {
      Strike(Kind::kTenant, id.key);
    } else if (id.kind == "users") {
      Strike(Kind::kUser, id.key);
    } else if (id.kind == "api_keys") {
      Strike(Kind::kApiKey, id.key);
    }
  }

  // Takes away what is left, some at a time: there may be millions. Tenants last: users would inherit from another
  // first.
  Result<> Remove(const config::Revision& revision, config::Loader::Apply apply) {
    for (const Kind kind : {Kind::kUser, Kind::kApiKey, Kind::kTenant}) {
      std::vector<config::EntityChange> removals;
      const auto flush = [&] {
        const auto some = std::exchange(removals, {});
        return some.empty() ? Result<>() : config::ApplyAsFarAsPossible(revision, some, apply, LogFault);
      };
      for (const std::string_view name : NamesOf(kind)) {
        removals.push_back(config::EntityChange::Remove(
            kind, kind == Kind::kApiKey ? config::KeyNameOfDigest(name) : std::string(name)));
        if (removals.size() < kAtOnce) continue;
        if (auto removed = flush(); !removed) return removed;
      }
      if (auto removed = flush(); !removed) return removed;
    }
    return {};
  }

 private:
  static constexpr std::size_t kAtOnce = 4096;

  std::unordered_set<std::string_view>& NamesOf(Kind kind) { return names_[static_cast<std::size_t>(kind)]; }

  const std::shared_ptr<const config::Snapshot> snapshot_;  // has the names
  std::array<std::unordered_set<std::string_view>, 3> names_;
};

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
  if (!head) return std::unexpected(head.error());
  const std::lock_guard lock(changing_);
  return Advance(head->number);
}

Result<> LiveConfig::Reapply() {
  const std::lock_guard lock(changing_);
  auto policy = loader_.Policy();
  return policy ? Accept(std::move(*policy)) : std::unexpected(policy.error());
}

std::uint64_t LiveConfig::in_force() const {
  const std::lock_guard lock(changing_);
  return in_force_;
}

Result<> LiveConfig::ApplyAll() {
  const auto apply = [this](const config::Revision& revision, std::span<const config::EntityChange> changes) {
    return options_.engine->ApplyEntities(revision, changes);
  };
  // Afterwards what leaves the store is followed.
  std::optional<Leftovers> leftovers;
  if (!started_) leftovers.emplace(options_.engine->snapshot());
  auto head = loader_.Entities(
      [&](const config::Revision& revision, std::span<const config::EntityChange> changes) {
        if (leftovers) {
          for (const config::EntityChange& change : changes) leftovers->Strike(change.kind, change.name);
        }
        return apply(revision, changes);
      },
      [&](const config::RecordFault& fault) {
        if (leftovers) leftovers->Strike(fault.id);
        LogFault(fault);
      });
  if (!head) return std::unexpected(head.error());
  if (started_) return {};  // what has changed meanwhile is followed from where it was: a removal is in no record
  if (auto removed = leftovers->Remove(*head, apply); !removed) return removed;
  in_force_ = std::max(in_force_, head->number);
  cursor_ = {.revision = head->number + 1, .id = {}};
  return {};
}

Result<> LiveConfig::CatchUp(std::uint64_t revision) {
  const std::lock_guard lock(changing_);
  if (!started_) return Fail(ErrorCode::kUnavailable, "the configuration is not loaded yet");
  if (auto advanced = Advance(revision); !advanced) return advanced;
  if (first_refused_ == 0 || revision < first_refused_ || revision > last_refused_) return {};
  return Fail(
      ErrorCode::kFailedPrecondition,
      fmt::format("the policy of revision {} is refused, the old one stays in force: {}", last_refused_, why_refused_));
}

// As far as it can be: a policy that is refused does not hold up what comes behind it.
Result<> LiveConfig::Advance(std::uint64_t revision) {
  while (in_force_ < revision) {
    auto update = loader_.After(cursor_);
    if (!update) return std::unexpected(update.error());
    if (auto applied = ApplyUpdate(*update); !applied) return applied;
    cursor_ = update->next;
    // Of the last revision there may be more behind the cursor.
    const std::uint64_t whole = update->revision.number - (update->more && update->revision.number > 0 ? 1 : 0);
    in_force_ = std::max(in_force_, whole);
    if (!update->more) break;
  }
  // What changes nothing that the engine knows of has no update of its own.
  in_force_ = std::max(in_force_, revision);
  return {};
}

void LiveConfig::Refuse(const config::Update& update, const Error& error) {
  log::Error("the policy of the configuration store is refused, the old one stays in force", {{"why", error.message}});
  policy_pending_ = true;
  // Without a change of its own it is the same policy, which is tried again.
  if (update.policy) {
    if (first_refused_ == 0) first_refused_ = update.first_policy;
    last_refused_ = update.last_policy;
  }
  why_refused_ = error.message;
}

Result<> LiveConfig::ApplyPolicy(const config::Update& update) {
  auto policy = loader_.Policy();
  if (!policy) return std::unexpected(policy.error());
  if (const auto accepted = Accept(std::move(*policy)); !accepted) Refuse(update, accepted.error());
  return {};
}

// An error: it is refused, and the old one stays in force.
Result<> LiveConfig::Accept(config::LoadedPolicy policy) {
  if (!policy.ok()) return std::unexpected(policy.ToError());
  if (auto applied = options_.apply_policy(policy.revision, std::move(policy.policy)); !applied) return applied;
  policy_pending_ = false;
  first_refused_ = last_refused_ = 0;
  why_refused_.clear();
  ++policy_changes_;
  if (const auto again = ApplyCandidate(); !again) {
    candidate_fault_ = again.error().message;
    candidate_.reset();
    log::Error("a candidate does not go with the new policy and holds for nobody", {{"why", candidate_fault_}});
  }
  return {};
}

Result<> LiveConfig::ApplyUpdate(const config::Update& update) {
  for (const config::RecordFault& fault : update.faults) LogFault(fault);
  if (options_.policy_in_store && (update.policy || policy_pending_)) {
    if (auto policy = ApplyPolicy(update); !policy) return policy;
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
  const std::lock_guard lock(changing_);
  if (!started_) return;
  if (const auto caught = Advance(head); !caught) {
    log::Warn("a change of the configuration is not in force yet", {{"why", caught.error().message}});
  }
}

}  // namespace weir::management::rest
