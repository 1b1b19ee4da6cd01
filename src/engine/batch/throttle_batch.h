// Throttles on their way through the engine: like a Batch, but with limits that the client brings and no rules.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/batch/async_task.h"
#include "engine/batch/plan_set.h"
#include "engine/core.h"
#include "engine/engine.h"

namespace weir::engine {

class ThrottleBatch final : public AsyncTask {
 public:
  static constexpr std::size_t kMostThrottles = 64;

  struct Trip {
    Core& core;
    Nanos now = 0;
    StoreFailurePolicy on_store_failure = StoreFailurePolicy::kLocal;
    std::uint32_t instances = 1;
    storage::Completion* done = nullptr;
    CompletionGroup* group = nullptr;  // made for the first batch that has to wait
  };

  // An idle one of this thread, or a new one. A batch is given back when it has finished.
  static ThrottleBatch* Take(Trip& trip);
  static void GiveBack(ThrottleBatch* batch);

  void Ask(Throttle& throttle);

 private:
  friend std::default_delete<ThrottleBatch>;
  ThrottleBatch() = default;
  ~ThrottleBatch() = default;

  Step Next() override;
  void BeforeWaiting() override;
  void OnFinished() noexcept override;
  void Answer();

  Core* core_ = nullptr;
  Trip* trip_ = nullptr;  // nullptr once the submitter has left
  CompletionGroup* completion_group_ = nullptr;
  Nanos now_ = 0;
  StoreFailurePolicy on_store_failure_ = StoreFailurePolicy::kLocal;
  std::uint32_t instances_ = 1;
  bool asked_ = false;
  std::vector<Throttle*> throttles_;
  PlanSet plans_;
};

}  // namespace weir::engine
