#include "storage/hybrid/homecoming.h"

#include <utility>

namespace weir::storage::hybrid {

void Homecoming::Start(Nanos every, std::function<void(Nanos now)> call) {
  thread_ = std::thread([this, every, call = std::move(call)] { Run(every, call); });
}

void Homecoming::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Nanos Homecoming::Now() const {
  const Nanos seen = seen_.load(std::memory_order_relaxed);
  if (seen != base_.load(std::memory_order_relaxed)) return seen;
  return base_at_.load(std::memory_order_relaxed) == 0
             ? seen
             : seen + (MonotonicClock().Now() - base_at_.load(std::memory_order_relaxed));
}

void Homecoming::Run(Nanos every, const std::function<void(Nanos now)>& call) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::nanoseconds(every), [this] { return stop_; })) {
    lock.unlock();
    const Nanos seen = seen_.load(std::memory_order_relaxed);
    if (seen != base_.load(std::memory_order_relaxed)) {
      base_at_.store(MonotonicClock().Now(), std::memory_order_relaxed);
      base_.store(seen, std::memory_order_relaxed);
    }
    if (seen != 0) call(Now());
    lock.lock();
  }
}

}  // namespace weir::storage::hybrid
