#include "base/fence.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace weir {
namespace {

// Dekker's two flags: each side raises its own, then looks at the other's. Without an order between the two steps both
// may find the other's down.
TEST(Fence, OneSideSeesTheOther) {
  const bool asymmetric = HasAsymmetricFences();
  const auto full = [] { std::atomic_thread_fence(std::memory_order_seq_cst); };
  constexpr int kRounds = 3000;
  std::atomic<int> light{0}, heavy{0}, arrived{0};
  std::atomic<int> light_saw{0};
  const auto meet = [&](int times) {
    arrived.fetch_add(1);
    while (arrived.load() < 2 * times) std::this_thread::yield();
  };
  int missed = 0;
  std::thread other([&] {
    for (int round = 1; round <= kRounds; ++round) {
      meet(2 * round - 1);
      light.store(round, std::memory_order_relaxed);
      asymmetric ? LightFence() : full();
      light_saw.store(heavy.load(std::memory_order_relaxed), std::memory_order_relaxed);
      meet(2 * round);
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    meet(2 * round - 1);
    heavy.store(round, std::memory_order_relaxed);
    if (asymmetric) {
      EXPECT_TRUE(HeavyFence());
    } else {
      full();
    }
    const int saw = light.load(std::memory_order_relaxed);
    meet(2 * round);
    if (saw != round && light_saw.load() != round) ++missed;
  }
  other.join();
  EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace weir
