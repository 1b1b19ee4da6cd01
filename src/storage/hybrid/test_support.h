// What the tests of this folder share. For tests only.
#pragma once

#include <atomic>
#include <memory>
#include <semaphore>
#include <span>
#include <utility>

#include "storage/hybrid/hybrid_store.h"
#include "storage/memory/memory_store.h"
#include "storage/store.h"

namespace weir::storage::hybrid {

// One store that several instances share; it completes inline, and counts what it is asked. While `away` it answers
// nothing.
class Shared final : public Store {
 public:
  struct State {
    std::unique_ptr<Store> store;
    std::atomic<bool> away = false;
    std::atomic<std::uint64_t> plans = 0;
  };
  explicit Shared(std::shared_ptr<State> state) : state_(std::move(state)) {}

  bool Apply(std::span<Plan> plans, Nanos now, Completion* /*done*/) override {
    state_->plans += plans.size();
    if (state_->away) {
      for (Plan& plan : plans) {
        plan.status = PlanStatus::kUnavailable;
        plan.admitted = false;
      }
      return true;
    }
    struct Waiter final : Completion {
      void Done() noexcept override { done.release(); }
      std::binary_semaphore done{0};
    } waiter;
    if (!state_->store->Apply(plans, now, &waiter)) waiter.done.acquire();
    return true;
  }
  bool CompletesInline() const override { return true; }
  bool Remembers() const override { return state_->store->Remembers(); }
  Admin* GetAdmin() override { return state_->store->GetAdmin(); }
  StoreStats Stats() const override { return state_->store->Stats(); }
  Health GetHealth() const override { return state_->away ? Health::kDown : state_->store->GetHealth(); }
  std::string_view Name() const override { return "shared"; }

 private:
  std::shared_ptr<State> state_;
};

inline std::unique_ptr<Store> BlockingOf(std::unique_ptr<Store> store) {
  auto state = std::make_shared<Shared::State>();
  state->store = std::move(store);
  return std::make_unique<Shared>(std::move(state));
}

inline std::unique_ptr<memory::MemoryStore> MakeMemory() {
  return std::move(memory::MemoryStore::Create({.max_entries = 100'000, .sweep_interval = 0, .secret = 7})).value();
}

inline std::unique_ptr<HybridStore> MakeHybrid(std::unique_ptr<Store> secondary, HybridOptions options = {}) {
  options.background = false;
  return std::move(HybridStore::Create(std::move(secondary), options)).value();
}

// Leases at the first ask, by one unit if need be.
inline HybridOptions Eager() { return {.hot_after = 1, .least_lease = 1, .exact_answers = true}; }

}  // namespace weir::storage::hybrid
