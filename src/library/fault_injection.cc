#include "library/fault_injection.h"

#include <algorithm>

namespace weir {
namespace library {

thread_local bool AnswersMayComeLater::here_ = false;

void FaultState::FailNext(std::uint64_t operations) {
  const std::lock_guard lock(mutex_);
  fail_next_ = operations;
}

void FaultState::SetDown(bool down) {
  const std::lock_guard lock(mutex_);
  down_ = down;
}

void FaultState::SetLatency(Nanos latency) {
  const std::lock_guard lock(mutex_);
  latency_ = std::max<Nanos>(latency, 0);
}

bool FaultState::down() const {
  const std::lock_guard lock(mutex_);
  return down_;
}

std::uint64_t FaultState::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

std::uint64_t FaultState::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::size_t FaultState::waiting() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const Asked& asked : waiting_) count += asked.plans.size();
  return count;
}

bool FaultState::Apply(storage::Store& store, std::span<storage::Plan> plans, Nanos now, storage::Completion* done) {
  Asked asked{.store = &store, .plans = plans, .now = now, .done = done};
  Nanos latency = 0;
  bool later = false;
  {
    const std::lock_guard lock(mutex_);
    asked.number = questions_++;
    asked.failing = static_cast<std::size_t>(std::min<std::uint64_t>(fail_next_, plans.size()));
    fail_next_ -= asked.failing;
    operations_ += plans.size();
    latency = latency_;
    later = latency > 0 && done != nullptr && !closed_ && AnswersMayComeLater::Here();
    if (later) waiting_.push_back(asked);
  }
  if (!later) {
    // Others that wait for the clock are not answered here, in the middle of this one's question.
    if (latency > 0) clock_.AdvanceSilently(latency);
    Answer(asked);
    return true;
  }
  clock_.At(clock_.Now() + latency,
            [self = shared_from_this(), number = asked.number] { self->AnswerWaiting(number); });
  return false;
}

void FaultState::Answer(const Asked& asked) {
  for (std::size_t i = 0; i < asked.plans.size(); ++i) {
    storage::Plan& plan = asked.plans[i];
    bool fails = false;
    {
      const std::lock_guard lock(mutex_);
      fails = down_ || closed_ || i < asked.failing;
      if (fails) ++failed_;
    }
    if (fails) {
      plan.status = storage::PlanStatus::kUnavailable;
    } else {
      (void)asked.store->Apply({&plan, 1}, asked.now, nullptr);
    }
  }
}

void FaultState::AnswerWaiting(std::uint64_t number) {
  Waiting taken;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(waiting_, number, &Asked::number);
    if (found == waiting_.end()) return;
    taken.splice(taken.end(), waiting_, found);
    ++answering_;
  }
  Answer(taken.front());
  {
    // What it asks next on this thread waits for the clock as well.
    const AnswersMayComeLater later;
    taken.front().done->Done();
  }
  const std::lock_guard lock(mutex_);
  --answering_;
  answered_.notify_all();
}

void FaultState::Close() {
  Waiting taken;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    taken.swap(waiting_);
  }
  for (const Asked& asked : taken) {
    Answer(asked);
    asked.done->Done();
  }
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [this] { return answering_ == 0; });
}

}  // namespace library

StoreFaults::StoreFaults(ManualClock& clock) : state_(std::make_shared<library::FaultState>(clock)) {}
StoreFaults::~StoreFaults() = default;
void StoreFaults::FailNext(std::uint64_t operations) { state_->FailNext(operations); }
void StoreFaults::SetDown(bool down) { state_->SetDown(down); }
void StoreFaults::SetLatency(std::chrono::nanoseconds latency) { state_->SetLatency(latency.count()); }
std::uint64_t StoreFaults::operations() const { return state_->operations(); }
std::uint64_t StoreFaults::failed() const { return state_->failed(); }
std::size_t StoreFaults::waiting() const { return state_->waiting(); }

}  // namespace weir
