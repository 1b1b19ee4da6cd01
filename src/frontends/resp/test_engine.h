// An engine on a memory store with a clock that stands still, and a store whose answers can be held back. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "storage/memory/memory_store.h"

namespace weir::resp {

// Passes everything on; while `hold` is set, answers only when told to, as a remote store would.
class HeldStore final : public storage::Store {
 public:
  explicit HeldStore(std::unique_ptr<storage::Store> store) : store_(std::move(store)) {}

  bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion* done) override {
    ++batches;
    if (!hold) {
      const bool complete = store_->Apply(plans, now, done);
      if (down) Fail(plans);
      return complete;
    }
    held_.push_back({plans, now, done});
    return false;
  }
  storage::StoreStats Stats() const override { return store_->Stats(); }
  storage::Health GetHealth() const override { return down ? storage::Health::kDown : storage::Health::kUp; }
  std::string_view Name() const override { return "held"; }

  // Answers the oldest batch held; false when there is none.
  bool AnswerOne() {
    if (held_.empty()) return false;
    const Held held = held_.front();
    held_.erase(held_.begin());
    EXPECT_TRUE(store_->Apply(held.plans, held.now, nullptr));
    if (down) Fail(held.plans);
    held.done->Done();
    return true;
  }
  std::size_t held() const { return held_.size(); }

  bool hold = false;
  bool down = false;
  int batches = 0;

 private:
  struct Held {
    std::span<storage::Plan> plans;
    Nanos now;
    storage::Completion* done;
  };
  static void Fail(std::span<storage::Plan> plans) {
    for (storage::Plan& plan : plans) plan.status = storage::PlanStatus::kUnavailable;
  }

  std::unique_ptr<storage::Store> store_;
  std::vector<Held> held_;
};

// Free tier: 5 requests a minute for each user, a bucket named "default"; user "vip" is unlimited. /learned: an
// adaptive limit for each user, 100 a minute until it has learned.
struct TestEngine {
  explicit TestEngine(StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal) {
    EnterpriseRateLimitConfig config;
    RateLimitRule rule;
    rule.max_requests = 5;
    rule.window_seconds = 60;
    rule.identifier = EnhancedIdentifier{UserId{}};
    rule.algorithm = TokenBucket{};
    rule.name = "default";
    config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
    config.users["vip"].rule = RateLimitRule::Unlimited();
    EndpointLimits& learned = config.endpoints["/learned"];
    learned.rule = rule;
    learned.rule.max_requests = 100;
    learned.rule.algorithm = Adaptive{};
    config.storage.on_store_failure = on_store_failure;
    storage::memory::MemoryStoreOptions options;
    options.max_entries = 10'000;
    auto memory = storage::memory::MemoryStore::Create(options);
    EXPECT_TRUE(memory);
    auto held = std::make_unique<HeldStore>(std::move(*memory));
    store = held.get();
    engine::EngineOptions engine_options;
    engine_options.clock = &clock;
    auto created = engine::Engine::Create(config, std::move(held), std::move(engine_options));
    EXPECT_TRUE(created) << created.error().message;
    engine = std::move(*created);
  }

  ManualClock clock;
  HeldStore* store = nullptr;
  std::unique_ptr<engine::Engine> engine;
};

}  // namespace weir::resp
