#include "engine/batch.h"

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
  batch->rules_ = &*trip.rules;
  batch->now_ = trip.now;
  batch->stage_ = Stage::kCarry;
  return batch;
}

void Batch::GiveBack(Batch* batch) {
  if (Party* const party = std::exchange(batch->party_, nullptr)) party->Leave();
  std::unique_ptr<Batch> landed(batch);
  if (idle != nullptr || landed->plans_.oversized()) return;
  landed->held_.reset();
  landed->arena_.Clear();
  landed->questions_.clear();
  landed->resolved_.clear();
  landed->carries_.Clear();
  landed->plans_.Clear();
  landed->parts_.clear();
  landed->strikes_.Clear();
  landed->struck_.clear();
  idle = std::move(landed);
}

Flight::Step Batch::Next() {
  switch (stage_) {
    case Stage::kCarry:
      stage_ = Stage::kAsk;
      if (!carries_.empty() && !AskStore(carries_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kAsk:
      stage_ = Stage::kDecide;
      if (!plans_.empty() && !AskStore(plans_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kDecide:
      stage_ = Stage::kFinish;
      SeeStore();
      for (std::uint32_t i = 0; i < questions_.size(); ++i) {
        Answer(questions_[i]);
        AddStrikes(i);
      }
      if (!strikes_.empty() && !AskStore(strikes_)) return Step::kWaiting;
      [[fallthrough]];
    case Stage::kFinish:
      TakeStrikes();
      for (Question& question : questions_) Finish(question);
      break;
  }
  return Step::kLanded;
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
  core_->failure.Note(plans_.plans(), parts_, now_);
}

void Batch::BeforeWaiting() {
  if (held_ != nullptr) return;
  held_ = trip_->rules.Hold();
  if (trip_->party == nullptr) trip_->party = new Party(trip_->done);
  party_ = trip_->party;
  party_->Join();
  trip_ = nullptr;
}

void Batch::Land() noexcept {
  Party* const party = std::exchange(party_, nullptr);
  storage::Completion* const done = party->done();
  GiveBack(this);
  if (party->Leave() && done != nullptr) done->Done();
}

}  // namespace weir::engine
