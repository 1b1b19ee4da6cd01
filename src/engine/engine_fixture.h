// What most tests of the engine begin with: a clock that stands still, a store to meddle with, a document in YAML.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "engine/fault_store.h"
#include "weir/config.h"

namespace weir::engine {

inline EnterpriseRateLimitConfig ParseOrDie(std::string_view yaml) {
  ParsedConfig parsed = ParseConfig(yaml);
  std::string faults;
  for (const Fault& fault : parsed.faults) faults += Describe(fault) + "\n";
  EXPECT_TRUE(parsed.ok()) << faults;
  return parsed.config;
}

// A check of one against `limit`, which must outlive it.
inline Call ThrottleOf(std::string_view key, const algorithms::Limit& limit) {
  Call call;
  call.throttle = true;
  call.throttle_key = key;
  call.client_limit = &limit;
  return call;
}

class EngineTest : public testing::Test {
 protected:
  struct Setup {
    Delivery delivery = Delivery::kInline;
    storage::memory::MemoryStoreOptions store;
    bool local = true;
    EngineOptions options;
  };

  void Start(std::string_view yaml) { Start(yaml, Setup{}); }
  void Start(std::string_view yaml, Setup setup) {
    auto store = std::make_unique<FaultStore>(setup.delivery, setup.store);
    store_ = store.get();
    setup.options.clock = &clock_;
    if (setup.local) setup.options.local = storage::memory::MemoryStore::Create({}).value();
    auto engine = Engine::Create(ParseOrDie(yaml), std::move(store), std::move(setup.options));
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  Call Run(CallKind kind, const Request& request) {
    Call call;
    call.kind = kind;
    call.request = request;
    engine_->Run({&call, 1});
    return call;
  }
  Decision Check(const Request& request) { return Run(CallKind::kCheck, request).decision; }
  Decision Peek(const Request& request) { return Run(CallKind::kPeek, request).decision; }
  Decision Reserve(const Request& request) { return Run(CallKind::kReserve, request).decision; }
  Result<> Settle(CallKind kind, std::uint64_t reservation, std::uint64_t actual = 0) {
    Call call;
    call.kind = kind;
    call.reservation = reservation;
    call.actual_cost = actual;
    engine_->Run({&call, 1});
    return call.status;
  }
  // How many of `times` equal requests pass.
  int CountAllowed(const Request& request, int times) {
    int allowed = 0;
    for (int i = 0; i < times; ++i) allowed += Check(request).allowed ? 1 : 0;
    return allowed;
  }

  ManualClock clock_;
  FaultStore* store_ = nullptr;  // owned by the engine
  std::unique_ptr<Engine> engine_;
};

}  // namespace weir::engine
