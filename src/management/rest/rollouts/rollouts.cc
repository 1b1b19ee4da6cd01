#include "management/rest/rollouts/rollouts.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/log.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::string_view kKind = "rollouts";
constexpr std::size_t kMostLooked = 1'000;
constexpr std::string_view kDecidedWithoutIt = "its candidate was decided about without it";
using Kind = RolloutStage::Kind;
using Arm = analytics::DecisionMeter::Arm;

// Under the same salt who takes part at 10 % does so at 50 %, too; each rollout begins with others.
SubjectShare ShareOf(std::uint64_t number, double percent) {
  return {"rollout-" + std::to_string(number), 0, percent / 100};
}

}  // namespace

Result<> Rollouts::Keep(const Rollout& rollout) {
  kept_ = options_.clock->Wall();
  return options_.documents->Put(kKind, rollout.number, json::serialize(ToJsonObject(rollout)));
}

// What weir does by itself. False: it could not be written down.
bool Rollouts::Audit(const std::string& what, const std::string& why) {
  audit::Record record;
  record.time = options_.clock->Wall();
  record.actor = {.name = "weir", .kind = "service", .method = "rollout"};
  record.action = "update:rollouts";
  record.object = {.kind = "rollouts", .id = std::to_string(active_->number)};
  record.after = json::serialize(json::object{{"state", what}, {"stage", active_->stage}});
  record.reason = why;
  const auto written = options_.audit->Append(record, record.time);
  if (!written) log::Error("an audit record was not written", {{"why", written.error().message}});
  return written.has_value();
}

Result<> Rollouts::Load() {
  const std::lock_guard lock(mutex_);
  const auto listed = options_.documents->List(kKind, 0, kMostLooked);
  if (!listed) return std::unexpected(listed.error());
  std::size_t looked = 0, kept = kMostKept;
  bool found = false;
  for (const auto& [number, text] : *listed) {
    ++looked;
    auto rollout = ReadRollout(text);
    if (!rollout) {
      log::Error("a rollout cannot be read", {{"revision", std::to_string(number)}, {"why", rollout.error().message}});
      continue;
    }
    // A decision may have been cut short by the end of the process.
    if (rollout->state == Rollout::State::kWaiting && SettleWaiting(*rollout)) kept = std::max(kept, looked);
    if (found || !rollout->active()) continue;
    found = true;
    active_ = std::move(*rollout);
    // The process may have ended before it was written down that it had come into force.
    const auto revision = options_.trial.store->GetRevision(number);
    if (revision && revision->state == config::RevisionState::kInForce) active_->stage = active_->stages.size() - 1;
    if (auto entered = Enter(active_->stage, nullptr, true); !entered) {
      (void)End(Rollout::State::kReturned, "weir", "it could not go on after a restart: " + entered.error().message);
    }
  }
  return options_.documents->Trim(kKind, kept);
}

bool Rollouts::Busy() const {
  const std::lock_guard lock(mutex_);
  return active_.has_value();
}

Result<Rollout> Rollouts::Add(Rollout rollout, std::unique_ptr<Comparison> compared) {
  const std::lock_guard lock(mutex_);
  rollout.figures.resize(rollout.stages.size());
  if (active_ && active_->number == rollout.number) {
    return Fail(ErrorCode::kFailedPrecondition, "it is running already");
  }
  if (rollout.state == Rollout::State::kWaiting) {
    if (auto kept = Keep(rollout); !kept) return std::unexpected(kept.error());
    // Its candidate may have been decided about while it was tried out.
    if (SettleWaiting(rollout)) return rollout;
    return Fail(ErrorCode::kFailedPrecondition, std::string(kDecidedWithoutIt));
  }
  if (active_) return Fail(ErrorCode::kFailedPrecondition, "another rollout is running");
  return Start(std::move(rollout), std::move(compared));
}

Result<Rollout> Rollouts::Start(Rollout rollout, std::unique_ptr<Comparison> compared) {
  const std::uint64_t number = rollout.number;
  active_ = std::move(rollout);
  active_->state = Rollout::State::kRunning;
  refused_ = false;
  const auto entered = Enter(0, std::move(compared), false);
  if (entered) return active_ ? *active_ : Latest(number);
  // Its candidate is used up, and so it cannot begin a second time.
  if (refused_) return End(Rollout::State::kReturned, "weir", entered.error().message);
  // Nothing of it holds: as if it had not been asked for.
  options_.trial.live->DropCandidate();
  options_.meter->Watch(0);
  // Not noted: it is none any more, or the store does not answer.
  (void)options_.trial.store->SetState(number, config::RevisionState::kCandidate);
  active_.reset();
  comparison_.reset();
  return std::unexpected(entered.error());
}

Result<Rollout> Rollouts::Begin(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (active_) return Fail(ErrorCode::kFailedPrecondition, "another rollout is running: it ends first");
  const auto text = options_.documents->Get(kKind, number);
  if (!text) return std::unexpected(text.error());
  auto rollout = ReadRollout(*text);
  if (!rollout) return rollout;
  if (rollout->state != Rollout::State::kWaiting) {
    return Fail(ErrorCode::kFailedPrecondition, "this rollout does not wait");
  }
  return Start(std::move(*rollout), nullptr);
}

Result<config::Revision> Rollouts::GiveUp(std::uint64_t number, const std::string& why) {
  const std::lock_guard lock(mutex_);
  auto rollout = Latest(number);
  // One that cannot be read does not begin, either.
  if (!rollout && rollout.error().code != ErrorCode::kNotFound && rollout.error().code != ErrorCode::kDataLoss) {
    return std::unexpected(rollout.error());
  }
  if (rollout && rollout->active()) return Fail(ErrorCode::kFailedPrecondition, "it is being rolled out: abort that");
  auto withdrawn = options_.trial.store->SetState(number, config::RevisionState::kRolledBack);
  if (withdrawn && rollout && rollout->state == Rollout::State::kWaiting) Close(std::move(*rollout), why);
  return withdrawn;
}

void Rollouts::Settle(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  auto rollout = Latest(number);
  if (rollout && rollout->state == Rollout::State::kWaiting) (void)SettleWaiting(std::move(*rollout));
}

// False: it has ended. It is not known of a candidate that cannot be read.
bool Rollouts::SettleWaiting(Rollout rollout) {
  const auto revision = options_.trial.store->GetRevision(rollout.number);
  if (!revision || revision->state == config::RevisionState::kCandidate) return true;
  if (revision->state == config::RevisionState::kInForce || revision->state == config::RevisionState::kRolledBack) {
    Close(std::move(rollout), std::string(kDecidedWithoutIt));
    return false;
  }
  // It was about to begin when the process ended: only a candidate can be approved.
  (void)options_.trial.store->SetState(rollout.number, config::RevisionState::kCandidate);
  return true;
}

// One that waits, and will not begin.
void Rollouts::Close(Rollout rollout, const std::string& why) {
  rollout.state = Rollout::State::kAborted;
  rollout.why = why;
  rollout.ended = options_.clock->Wall();
  if (const auto kept = Keep(rollout); !kept) {
    log::Warn("the end of a rollout was not written down", {{"why", kept.error().message}});
  }
}

// `again`: after a restart, with what was measured before.
Result<> Rollouts::Enter(std::size_t stage_number, std::unique_ptr<Comparison> compared, bool again) {
  const Nanos now = options_.clock->Wall();
  active_->stage = stage_number;
  StageFigures& figures = active_->figures[stage_number];
  if (!again || figures.began == 0) figures = {.began = now};
  before_ = figures;
  ticked_ = now;
  window_.clear();
  arm_base_ = last_ = options_.meter->Read(arm());
  in_force_base_ = options_.meter->Read(Arm::kInForce);
  if (stage().kind == Kind::kAll) return EnterAll();
  if (stage().kind == Kind::kShadow) {
    if (auto entered = EnterShadow(std::move(compared)); !entered) return entered;
  } else {
    comparison_.reset();
    auto writes = WritesOfCandidate(*options_.trial.store, active_->number);
    if (!writes) return std::unexpected(writes.error());
    options_.meter->Watch(active_->number);
    auto set = options_.trial.live->SetCandidate(active_->number, std::move(*writes),
                                                 ShareOf(active_->number, stage().percent));
    if (!set) return set;
  }
  const auto state =
      stage().kind == Kind::kShadow ? config::RevisionState::kShadow : config::RevisionState::kRollingOut;
  if (const auto told = options_.trial.store->SetState(active_->number, state); !told) {
    return std::unexpected(told.error());
  }
  return Keep(*active_);
}

Result<> Rollouts::EnterShadow(std::unique_ptr<Comparison> compared) {
  compared_policy_ = options_.trial.live->policy_changes();
  if (compared == nullptr) {
    auto made = TryOut(options_.trial, active_->number);
    if (!made) return std::unexpected(made.error());
    compared = std::move(*made);
  }
  comparison_ = std::move(compared);
  comparison_->CountAnew();
  return {};
}

analytics::DecisionMeter::Arm Rollouts::arm() const {
  return stage().kind == Kind::kAll ? Arm::kInForce : Arm::kCandidate;
}

Result<> Rollouts::EnterAll() {
  if (auto done = BringIntoForce(); !done) return done;
  if (stage().lasts == 0) {
    (void)End(Rollout::State::kCompleted, "weir", "");
    return {};
  }
  // What was decided before it was in force says nothing of it.
  options_.meter->Watch(0);
  comparison_.reset();
  arm_base_ = last_ = options_.meter->Read(arm());
  // It holds for all by now: it is watched, whether or not that could be written down. The next tick tries again.
  if (const auto kept = Keep(*active_); !kept) {
    log::Warn("a rollout that is in force was not written down", {{"why", kept.error().message}});
    kept_ = 0;
  }
  return {};
}

Result<> Rollouts::BringIntoForce() {
  // What holds for a share goes on until the new policy takes its place.
  options_.trial.live->ForgetCandidate();
  const TrialParts& trial = options_.trial;
  const auto promoted =
      PromoteCandidate(*trial.store, *trial.live, active_->number,
                       {.author = active_->author, .method = "rollout", .reason = active_->reason, .source = "api"});
  if (promoted && promoted->outcome == Promotion::Outcome::kRefused) {
    refused_ = true;
    return Fail(ErrorCode::kFailedPrecondition, "it is not in force: " + promoted->why);
  }
  if (promoted) {
    active_->promoted_as = promoted->revision;
    if (promoted->outcome == Promotion::Outcome::kInForce) return {};
    log::Warn("a change of the configuration is not in force yet", {{"why", promoted->why}});
    return {};
  }
  // Before a restart, it was.
  const auto revision = trial.store->GetRevision(active_->number);
  if (!revision || revision->state != config::RevisionState::kInForce) return std::unexpected(promoted.error());
  active_->promoted_as = revision->promoted_as;
  return {};
}

// All becomes as it was before. What it says of that, for the note.
std::string Rollouts::GoBack(const std::string& who, const std::string& why) {
  const TrialParts& trial = options_.trial;
  if (active_->promoted_as == 0) {
    trial.live->DropCandidate();
    const auto told = trial.store->SetState(active_->number, config::RevisionState::kRolledBack);
    // One that was refused when it came into force has ended already.
    if (!told && told.error().code != ErrorCode::kFailedPrecondition) {
      log::Warn("a candidate was not withdrawn", {{"why", told.error().message}});
    }
    return "";
  }
  const auto back =
      TakeBack(*trial.store, *trial.live, active_->promoted_as,
               {.author = who,
                .method = "rollout",
                .reason = "rollout " + std::string(NameOf(active_->state)) + (why.empty() ? "" : ": " + why),
                .source = "api"});
  if (back) {
    active_->taken_back_by = *back;
    return "as before by revision " + std::to_string(*back);
  }
  log::Error("a rollout that is in force was not taken back",
             {{"revision", std::to_string(active_->promoted_as)}, {"why", back.error().message}});
  return "it stays in force: " + back.error().message;
}

Rollout Rollouts::End(Rollout::State state, const std::string& who, const std::string& why) {
  const Nanos now = options_.clock->Wall();
  active_->state = state;
  active_->ended = active_->figures[active_->stage].ended = now;
  active_->why = why;
  options_.meter->Watch(0);
  if (state != Rollout::State::kCompleted) {
    if (const std::string done = GoBack(who, why); !done.empty()) active_->why += (why.empty() ? "" : "; ") + done;
  }
  const std::string note = "rollout " + std::string(NameOf(state)) + (active_->why.empty() ? "" : ": " + active_->why);
  if (const auto noted = options_.trial.store->Annotate(active_->number, who, note); !noted) {
    log::Warn("the end of a rollout is not noted at its revision", {{"why", noted.error().message}});
  }
  // Going back is not refused for want of a record.
  (void)Audit(std::string(NameOf(state)), active_->why);
  if (const auto kept = Keep(*active_); !kept) {
    log::Error("the end of a rollout was not written down", {{"why", kept.error().message}});
  }
  log::Info(
      "a rollout ended",
      {{"revision", std::to_string(active_->number)}, {"state", std::string(NameOf(state))}, {"why", active_->why}});
  comparison_.reset();
  return *std::exchange(active_, std::nullopt);
}

// To another stage, or behind the last one; a fault ends the rollout.
Result<> Rollouts::GoOn(std::size_t stage_number) {
  if (stage_number == active_->stages.size()) {
    (void)End(Rollout::State::kCompleted, "weir", "");
    return {};
  }
  active_->figures[active_->stage].ended = options_.clock->Wall();
  auto entered = Enter(stage_number, nullptr, false);
  if (!entered && active_) (void)End(Rollout::State::kReturned, "weir", entered.error().message);
  return entered;
}

void Rollouts::Tick() {
  const std::lock_guard lock(mutex_);
  if (!active_) return;
  const Nanos now = options_.clock->Wall();
  const Nanos passed = std::max<Nanos>(now - ticked_, 0);
  ticked_ = now;
  Measure(now);
  if (std::string fault = options_.trial.live->candidate_fault(); !fault.empty()) {
    (void)End(Rollout::State::kReturned, "weir", "it does not go with the policy any more: " + fault);
    return;
  }
  // Also while it is paused: it holds for its share.
  if (const std::string exceeded = ExceededGuard(); !exceeded.empty()) {
    (void)End(Rollout::State::kReturned, "weir", exceeded);
    return;
  }
  if (active_->state == Rollout::State::kRunning) {
    StageFigures& figures = active_->figures[active_->stage];
    figures.elapsed += passed;
    if (stage().lasts > 0 && figures.elapsed >= stage().lasts) {
      // Its end is told when it ends.
      if (active_->last_stage() || Audit("running", "the next stage begins")) (void)GoOn(active_->stage + 1);
      return;
    }
  }
  if (now - kept_ < kKeepEvery && now >= kept_) return;
  if (const auto kept = Keep(*active_); !kept) {
    log::Warn("how far a rollout is was not written down", {{"why", kept.error().message}});
  }
}

Result<Rollout*> Rollouts::Active(std::uint64_t number) {
  if (active_ && active_->number == number) return &*active_;
  const auto text = options_.documents->Get(kKind, number);
  if (!text) return std::unexpected(text.error());
  return Fail(ErrorCode::kFailedPrecondition, "this rollout is not running");
}

Result<Rollout> Rollouts::Pause(std::uint64_t number, const std::string& why) {
  const std::lock_guard lock(mutex_);
  const auto rollout = Active(number);
  if (!rollout) return std::unexpected(rollout.error());
  (*rollout)->state = Rollout::State::kPaused;
  (*rollout)->why = why;
  if (auto kept = Keep(**rollout); !kept) return std::unexpected(kept.error());
  return **rollout;
}

Result<Rollout> Rollouts::Resume(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto rollout = Active(number);
  if (!rollout) return std::unexpected(rollout.error());
  (*rollout)->state = Rollout::State::kRunning;
  (*rollout)->why.clear();
  ticked_ = options_.clock->Wall();
  if (auto kept = Keep(**rollout); !kept) return std::unexpected(kept.error());
  return **rollout;
}

Result<Rollout> Rollouts::Advance(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto rollout = Active(number);
  if (!rollout) return std::unexpected(rollout.error());
  if (auto gone = GoOn((*rollout)->stage + 1); !gone) return std::unexpected(gone.error());
  return Latest(number);
}

Result<Rollout> Rollouts::Promote(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto rollout = Active(number);
  if (!rollout) return std::unexpected(rollout.error());
  if ((*rollout)->last_stage()) return **rollout;
  if (auto gone = GoOn((*rollout)->stages.size() - 1); !gone) return std::unexpected(gone.error());
  return Latest(number);
}

Result<Rollout> Rollouts::Abort(std::uint64_t number, const std::string& who, const std::string& why) {
  const std::lock_guard lock(mutex_);
  const auto rollout = Active(number);
  if (!rollout) return std::unexpected(rollout.error());
  return End(Rollout::State::kAborted, who, why);
}

Result<Rollout> Rollouts::Get(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  return Latest(number);
}

Result<Rollout> Rollouts::Latest(std::uint64_t number) const {
  if (active_ && active_->number == number) return *active_;
  const auto text = options_.documents->Get(kKind, number);
  return text ? ReadRollout(*text) : std::unexpected(text.error());
}

Result<Rollouts::Page> Rollouts::List(std::uint64_t before, std::size_t most) const {
  const std::lock_guard lock(mutex_);
  const auto listed = options_.documents->List(kKind, before, most);
  if (!listed) return std::unexpected(listed.error());
  Page page{.next = listed->size() == most ? listed->back().first : 0};
  for (const auto& [number, text] : *listed) {
    if (active_ && active_->number == number) {
      page.rollouts.push_back(*active_);
    } else if (auto rollout = ReadRollout(text)) {
      page.rollouts.push_back(std::move(*rollout));
    }
  }
  return page;
}

}  // namespace weir::management::rest
