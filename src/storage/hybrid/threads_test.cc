// Threads, and the store's own thread, over one shared store.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/hybrid/relaxed_store.h"
#include "storage/hybrid/test_budget.h"
#include "storage/hybrid/test_support.h"
#include "tests/conformance/plans.h"

namespace weir::storage::hybrid {
namespace {

using conformance::Do;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::UsedNow;

constexpr Nanos kStart = 1'800'000'000 * kSecond;

// Answers on a thread of its own, as a remote store does.
class Remote final : public Store {
 public:
  explicit Remote(std::shared_ptr<Shared::State> state) : state_(std::move(state)), thread_([this] { Run(); }) {}
  ~Remote() override { Close(); }

  bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      for (Plan& plan : plans) {
        plan.status = PlanStatus::kUnavailable;
        plan.admitted = false;
      }
      return true;
    }
    waiting_.push_back({plans, now, done});
    wake_.notify_one();
    return false;
  }
  void Close() override {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      wake_.notify_one();
    }
    const std::lock_guard lock(joining_);
    if (thread_.joinable()) thread_.join();
  }
  Admin* GetAdmin() override { return state_->store->GetAdmin(); }
  StoreStats Stats() const override { return {}; }
  Health GetHealth() const override { return Health::kUp; }
  std::string_view Name() const override { return "remote"; }

 private:
  struct Waiting {
    std::span<Plan> plans;
    Nanos now;
    Completion* done;
  };
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const Waiting one = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      (void)state_->store->Apply(one.plans, one.now, nullptr);
      one.done->Done();
      lock.lock();
    }
  }

  const std::shared_ptr<Shared::State> state_;
  std::mutex mutex_, joining_;
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;
  bool closed_ = false;
  std::thread thread_;
};

std::shared_ptr<Shared::State> MakeShared() {
  auto state = std::make_shared<Shared::State>();
  state->store = MakeMemory();
  return state;
}

TEST(HybridThreads, InstancesShareOneBudget) {
  const auto state = MakeShared();
  ShareOneBudget([&] { return std::make_unique<Remote>(state); });
}

// Decisions, looks at the metrics, administration and the end, all at once.
TEST(HybridThreads, ClosesInTheMidstOfIt) {
  for (int round = 0; round < 20; ++round) {
    const auto state = MakeShared();
    HybridOptions options{.lease_life = 20 * kMillisecond, .hot_after = 2};
    auto store = std::move(HybridStore::Create(std::make_unique<Remote>(state), options)).value();
    const Limit limit = EpochWindowOf(1'000'000, kDay);
    std::atomic<std::uint64_t> admitted{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int one = 0; one < 3; ++one) {
      threads.emplace_back([&, one] {
        for (std::uint64_t i = 0; i < 2'000 && !stop; ++i) {
          const std::string subject = std::to_string(i % 3);
          Outcome outcome;
          Item item = ItemOf(limit, "rule", subject);
          Plan plan{.op = Op::kCheck, .items = {&item, 1}, .outcomes = {&outcome, 1}};
          const Nanos now = kStart + static_cast<Nanos>(i) * kMicrosecond;
          if (!store->TryApply(plan, now)) conformance::ApplyAndWait(*store, {&plan, 1}, now);
          admitted += plan.status == PlanStatus::kOk && plan.admitted ? 1U : 0U;
          if (one == 0 && i % 500 == 499) (void)store->GetAdmin()->Scan("", 10, now);
        }
      });
    }
    std::thread closes([&] {
      while (admitted < 1'500) std::this_thread::yield();
      store->Close();
    });
    closes.join();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    std::uint64_t used = 0;
    for (const char* const subject : {"0", "1", "2"}) {
      used += UsedNow(*state->store, ItemOf(limit, "rule", subject), kStart + kSecond);
    }
    EXPECT_EQ(used, admitted) << "what was not spent came home";
  }
}

TEST(HybridThreads, RelaxedInstancesForgetNothing) {
  const auto state = MakeShared();
  const Limit limit = EpochWindowOf(1'000'000, kDay);
  const Item item = ItemOf(limit, "rule", "a");
  std::atomic<std::uint64_t> admitted{0};
  {
    std::vector<std::unique_ptr<RelaxedStore>> stores;
    for (int i = 0; i < 2; ++i) {
      stores.push_back(std::move(RelaxedStore::Create(MakeMemory(), std::make_unique<Remote>(state),
                                                      {.sync_interval = 10 * kMillisecond}))
                           .value());
    }
    std::vector<std::thread> threads;
    for (std::size_t one = 0; one < 4; ++one) {
      threads.emplace_back([&, one] {
        for (std::uint64_t i = 0; i < 5'000; ++i) {
          if (AskOf(*stores[one % 2], item, kStart + static_cast<Nanos>(i) * 10 * kMicrosecond)) ++admitted;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(admitted, 20'000U);
  EXPECT_EQ(UsedNow(*state->store, item, kStart + kSecond), 20'000U);
}

}  // namespace
}  // namespace weir::storage::hybrid
