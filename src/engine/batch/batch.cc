#include "engine/batch/batch.h"

#include <algorithm>

namespace weir::engine {
namespace {

// One idle batch a thread: enough unless batches wait, and then there is time.
thread_local std::unique_ptr<Batch> idle;

}  // namespace

Batch* Batch::Take(Trip& trip) {
  Batch* const batch = idle != nullptr ? idle.release() : new Batch;
  batch->core_ = &trip.core;
  batch->trip_ = &trip;
  batch->rules_ = trip.chosen;
  batch->now_ = trip.now;
  batch->stage_ = Stage::kCarry;
  return batch;
}

void Batch::GiveBack(Batch* batch) {
  if (CompletionGroup* const group = std::exchange(batch->completion_group_, nullptr)) group->Leave();
  std::unique_ptr<Batch> finished(batch);
  if (idle != nullptr || finished->plans_.oversized()) return;
  finished->held_.reset();
  finished->arena_.Clear();
  finished->questions_.clear();
  finished->resolved_.clear();
  finished->kept_.clear();
  finished->carries_.Clear();
  finished->plans_.Clear();
  finished->contexts_.clear();
  if (!finished->named_.empty()) finished->named_.clear();
  finished->taken_ = 0;
  finished->again_.Clear();
  finished->strikes_.Clear();
  finished->struck_.clear();
  idle = std::move(finished);
}

AsyncTask::Step Batch::Next() {
  switch (stage_) {
    case Stage::kCarry:
      stage_ = Stage::kAsk;
      if (!carries_.empty() && !AskStore(carries_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kAsk:
      stage_ = Stage::kDecide;
      // Comes after everything that could take long or call the engine again: from here on a request with the same id
      // waits.
      if (!named_.empty()) FindRepeated();
      if (!plans_.empty() && !AskStore(plans_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kDecide:
      stage_ = Stage::kShare;
      for (NamedPlan& named : named_) TakeRepeatedByStore(named);
      SeeStore();
      for (std::uint32_t i = 0; i < questions_.size(); ++i) {
        if (questions_[i].shares) continue;
        Answer(questions_[i]);
        AddStrikes(i);
      }
      TellAnswers();
      [[fallthrough]];
    case Stage::kShare:
      if (!TakeAnswers()) return Step::kWaiting;
      stage_ = Stage::kStrike;
      if (!again_.empty() && !AskStore(again_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kStrike:
      stage_ = Stage::kFinish;
      if (!again_.empty()) {
        for (Question& question : questions_) AnswerAgain(question);
      }
      if (!strikes_.empty() && !AskStore(strikes_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kFinish:
      TakeStrikes();
      for (Question& question : questions_) Finish(question);
      break;
  }
  return Step::kFinished;
}

bool Batch::AskStore(PlanSet& set) {
  set.Seal();
  return core_->store->Apply(set.plans(), now_, this);
}

void Batch::SeeStore() {
  if (plans_.empty()) return;
  const bool available = std::ranges::none_of(
      plans_.plans(), [](const storage::Plan& plan) { return plan.status == storage::PlanStatus::kUnavailable; });
  core_->failure.Seen(available, now_);
  core_->failure.Note(plans_.plans(), contexts_, now_);
}

void Batch::BeforeWaiting() {
  if (held_ != nullptr) return;
  held_ = trip_->rules.Hold();
  if (trip_->group == nullptr) trip_->group = new CompletionGroup(trip_->done);
  completion_group_ = trip_->group;
  completion_group_->Join();
  trip_ = nullptr;
}

void Batch::OnFinished() noexcept {
  CompletionGroup* const group = std::exchange(completion_group_, nullptr);
  storage::Completion* const done = group->done();
  GiveBack(this);
  if (group->Leave() && done != nullptr) done->Done();
}

}  // namespace weir::engine
