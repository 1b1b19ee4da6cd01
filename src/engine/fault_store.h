// A store for tests: a memory store behind a wire that can be slow, cut, and watched.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "storage/memory/memory_store.h"
#include "storage/store.h"

namespace weir::engine {

enum class Delivery : std::uint8_t {
  kInline,  // answers on return
  kHeld,    // answers when the test says Release()
  kThread,  // answers soon, on a thread of its own
};

// Thread-safe.
class FaultStore final : public storage::Store {
 public:
  explicit FaultStore(Delivery delivery = Delivery::kInline, const storage::memory::MemoryStoreOptions& options = {})
      : delivery_(delivery), memory_(storage::memory::MemoryStore::Create(options).value()) {
    if (delivery == Delivery::kThread) thread_ = std::thread([this] { Deliver(); });
  }
  ~FaultStore() override { Close(); }

  // As a remote store: what waits comes back kUnavailable.
  void Close() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    std::call_once(closing_, [this] {
      if (thread_.joinable()) thread_.join();
      Release();
    });
  }

  bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion* done) override {
    if (delivery_ == Delivery::kInline) {
      Run(plans, now);
      return true;
    }
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_) {
        waiting_.push_back({plans, now, done});
        changed_.notify_all();
        return false;
      }
    }
    Run(plans, now);
    return true;
  }
  bool CompletesInline() const override { return delivery_ == Delivery::kInline; }
  storage::StoreStats Stats() const override { return memory_->Stats(); }
  storage::Health GetHealth() const override { return cut_ ? storage::Health::kDown : storage::Health::kUp; }
  std::string_view Name() const override { return "fault"; }

  // While cut, every plan comes back kUnavailable and changes nothing.
  void Cut(bool cut) { cut_ = cut; }
  // Lets the n-th plan from now (1 = the next) fail, and only it.
  void FailPlan(int n) { fail_in_ = n; }
  // kHeld: answers all that wait, on the calling thread. How many batches those were.
  std::size_t Release() {
    std::size_t count = 0;
    while (true) {
      Batch batch;
      {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) return count;
        batch = waiting_.front();
        waiting_.pop_front();
      }
      ++count;
      Run(batch.plans, batch.now);
      batch.done->Done();
    }
  }
  // kHeld: answers the latest of those that wait.
  void ReleaseNewest() {
    Batch batch;
    {
      const std::lock_guard lock(mutex_);
      batch = waiting_.back();
      waiting_.pop_back();
    }
    Run(batch.plans, batch.now);
    batch.done->Done();
  }
  std::uint64_t plans_seen() const { return plans_seen_; }
  std::vector<storage::Op> TakeOps() {
    const std::lock_guard lock(mutex_);
    return std::exchange(ops_, {});
  }

 private:
  struct Batch {
    std::span<storage::Plan> plans;
    Nanos now = 0;
    storage::Completion* done = nullptr;
  };

  void Run(std::span<storage::Plan> plans, Nanos now) {
    for (storage::Plan& plan : plans) {
      ++plans_seen_;
      {
        const std::lock_guard lock(mutex_);
        if (ops_.size() < 1000) ops_.push_back(plan.op);
      }
      if (cut_ || IsClosed() || fail_in_.fetch_sub(1) == 1) {
        plan.status = storage::PlanStatus::kUnavailable;
      } else {
        (void)memory_->Apply({&plan, 1}, now, nullptr);
      }
    }
  }
  bool IsClosed() {
    const std::lock_guard lock(mutex_);
    return stopping_ && delivery_ != Delivery::kInline;
  }
  void Deliver() {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
      }
      Release();
    }
  }

  const Delivery delivery_;
  const std::unique_ptr<storage::memory::MemoryStore> memory_;
  std::atomic<bool> cut_{false};
  std::atomic<int> fail_in_{0};
  std::atomic<std::uint64_t> plans_seen_{0};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Batch> waiting_;
  std::vector<storage::Op> ops_;
  bool stopping_ = false;
  std::once_flag closing_;
  std::thread thread_;
};

}  // namespace weir::engine
