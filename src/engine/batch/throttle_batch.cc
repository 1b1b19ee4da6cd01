#include "engine/batch/throttle_batch.h"

#include <utility>

namespace weir::engine {
namespace {

constexpr std::string_view kRule = "throttle";

thread_local std::unique_ptr<ThrottleBatch> idle;

}  // namespace

ThrottleBatch* ThrottleBatch::Take(Trip& trip) {
  ThrottleBatch* const batch = idle != nullptr ? idle.release() : new ThrottleBatch;
  batch->core_ = &trip.core;
  batch->trip_ = &trip;
  batch->now_ = trip.now;
  batch->on_store_failure_ = trip.on_store_failure;
  batch->instances_ = trip.instances;
  batch->asked_ = false;
  return batch;
}

void ThrottleBatch::GiveBack(ThrottleBatch* batch) {
  if (CompletionGroup* const group = std::exchange(batch->completion_group_, nullptr)) group->Leave();
  std::unique_ptr<ThrottleBatch> finished(batch);
  if (idle != nullptr) return;
  finished->throttles_.clear();
  finished->plans_.Clear();
  idle = std::move(finished);
}

void ThrottleBatch::Ask(Throttle& throttle) {
  // The seed leaves the numbers out: a key whose limit changes keeps what it has used, as redis-cell does.
  static const std::uint64_t seed = Hash64(kRule);
  plans_.Open(throttle.op);
  storage::Item& item = plans_.Add();
  item.limit = &throttle.limit;
  item.key = HashKey(seed, throttle.key);
  item.rule = kRule;
  item.subject = throttle.key;
  item.cost = throttle.cost;
  throttles_.push_back(&throttle);
}

AsyncTask::Step ThrottleBatch::Next() {
  if (!asked_) {
    asked_ = true;
    plans_.Seal();
    if (!core_->store->Apply(plans_.plans(), now_, this)) return Step::kWaiting;
  }
  Answer();
  return Step::kFinished;
}

void ThrottleBatch::Answer() {
  bool available = true;
  for (std::uint32_t i = 0; i < throttles_.size(); ++i) {
    storage::Plan& plan = plans_.plan(i);
    Throttle& throttle = *throttles_[i];
    throttle.status = plan.status;
    if (plan.status == storage::PlanStatus::kUnavailable) {
      available = false;
      if (core_->failure.DecideThrottle(plan, on_store_failure_, instances_, now_)) {
        throttle.status = storage::PlanStatus::kOk;
      }
    }
    throttle.outcome = plan.outcomes[0];
  }
  core_->failure.Seen(available, now_);
  core_->failure.NoteThrottles(plans_.plans(), on_store_failure_, instances_, now_);
}

void ThrottleBatch::BeforeWaiting() {
  if (trip_ == nullptr) return;
  if (trip_->group == nullptr) trip_->group = new CompletionGroup(trip_->done);
  completion_group_ = trip_->group;
  completion_group_->Join();
  trip_ = nullptr;
}

void ThrottleBatch::OnFinished() noexcept {
  CompletionGroup* const group = std::exchange(completion_group_, nullptr);
  storage::Completion* const done = group->done();
  GiveBack(this);
  if (group->Leave() && done != nullptr) done->Done();
}

}  // namespace weir::engine
