#include "base/publication.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace weir {
namespace {

// Says so when it is read after its end.
struct Canary {
  explicit Canary(std::uint64_t n, std::atomic<int>& alive) : number(n), copy(n), living(alive) { ++living; }
  ~Canary() {
    copy = ~number;
    --living;
  }
  std::uint64_t number;
  std::uint64_t copy;
  std::atomic<int>& living;
};

TEST(Publication, ReadsTheNewestValue) {
  std::atomic<int> living{0};
  {
    Published<Canary> published(std::make_shared<Canary>(1, living));
    EXPECT_EQ(published.Read()->number, 1U);
    published.Publish(std::make_shared<Canary>(2, living));
    EXPECT_EQ(published.Read()->number, 2U);
    EXPECT_EQ(living, 1) << "the previous value is freed by the time Publish returns";
  }
  EXPECT_EQ(living, 0);
}

TEST(Publication, HoldOutlivesThePin) {
  std::atomic<int> living{0};
  Published<Canary> published(std::make_shared<Canary>(1, living));
  std::shared_ptr<const Canary> held;
  {
    const auto pin = published.Read();
    held = pin.Hold();
  }
  published.Publish(std::make_shared<Canary>(2, living));
  EXPECT_EQ(held->number, 1U);
  EXPECT_EQ(living, 2);
  held.reset();
  EXPECT_EQ(living, 1);
}

TEST(Publication, PublishWaitsForAPinAndPinsNest) {
  std::atomic<int> living{0};
  Published<Canary> published(std::make_shared<Canary>(1, living));
  std::atomic<bool> published_it{false};
  std::thread writer;
  {
    const auto outer = published.Read();
    const auto inner = published.Read();
    writer = std::thread([&] {
      published.Publish(std::make_shared<Canary>(2, living));
      published_it = true;
    });
    while (published.Read()->number == 1) std::this_thread::yield();
    EXPECT_FALSE(published_it);
    EXPECT_EQ(outer->copy, 1U);
    EXPECT_EQ(inner->copy, 1U);
  }
  writer.join();
  EXPECT_TRUE(published_it);
  EXPECT_EQ(living, 1);
}

// Until each reader has seen the value change `changes` times: on a busy machine a publication can take as long as a
// reader that holds a pin is kept from running, so their number says little. At most ten times as many publications.
void Stress(int readers, int changes) {
  std::atomic<int> living{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> backwards{0};
  Published<Canary> published(std::make_shared<Canary>(0, living));
  std::atomic<int> started{0}, satisfied{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < readers; ++t) {
    threads.emplace_back([&, t] {
      std::uint64_t last = 0;
      int seen = 0;
      ++started;
      for (int reads = 0; !stop; ++reads) {
        if (reads % 64 == 0) std::this_thread::yield();  // rather here than with a pin
        const auto pin = published.Read();
        if (pin->number != pin->copy) ++torn;
        if (pin->number < last) ++backwards;
        if (pin->number != last && ++seen == changes) ++satisfied;
        last = pin->number;
        if (t % 2 == 0) {
          const auto held = pin.Hold();
          if (held->number != held->copy) ++torn;
        }
      }
    });
  }
  while (started < readers) std::this_thread::yield();
  for (int i = 1; i <= 10 * changes && satisfied < readers; ++i) {
    published.Publish(std::make_shared<Canary>(static_cast<std::uint64_t>(i), living));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(torn, 0U);
  EXPECT_EQ(backwards, 0U);
  EXPECT_EQ(living, 1);
}

TEST(Publication, StressWithOwnedSlots) { Stress(4, 1500); }

TEST(Publication, StressWithMoreThreadsThanSlots) {
  // Takes every owned slot first, so that the readers share one.
  std::atomic<bool> release{false};
  std::atomic<std::size_t> ready{0};
  std::vector<std::thread> holders;
  for (std::size_t i = 0; i < kOwnedSlots; ++i) {
    holders.emplace_back([&] {
      (void)ThreadSlot();
      ++ready;
      release.wait(false);
    });
  }
  while (ready < kOwnedSlots) std::this_thread::yield();
  std::thread([&] { EXPECT_EQ(ThreadSlot(), kSharedSlot); }).join();
  Stress(4, 100);
  release = true;
  release.notify_all();
  for (auto& holder : holders) holder.join();
  std::thread([&] { EXPECT_LT(ThreadSlot(), kSharedSlot) << "slots of ended threads are given out again"; }).join();
}

TEST(Publication, KnowsWhoHoldsAPin) {
  Published<int> published(std::make_shared<int>(1)), other(std::make_shared<int>(1));
  EXPECT_FALSE(published.HeldHere());
  {
    const auto pin = published.Read();
    const auto again = published.Read();
    EXPECT_TRUE(published.HeldHere());
    EXPECT_FALSE(other.HeldHere());
    bool elsewhere = true;
    std::thread([&] { elsewhere = published.HeldHere(); }).join();
    EXPECT_FALSE(elsewhere);
  }
  EXPECT_FALSE(published.HeldHere());
}

// More threads than have slots of their own: the others share one.
TEST(Publication, KnowsWhoHoldsAPinAlsoWhereThreadsShareASlot) {
  Published<int> published(std::make_shared<int>(1));
  std::vector<std::thread> threads;
  std::atomic<std::size_t> arrived{0};
  std::atomic<int> wrong{0};
  const std::size_t count = kSlotCount + 4;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, holds = i % 2 == 0] {
      const auto look = [&](bool expected) { wrong += published.HeldHere() == expected ? 0 : 1; };
      look(false);
      ++arrived;
      while (arrived < count) std::this_thread::yield();
      if (holds) {
        const auto pin = published.Read();
        look(true);
      }
      look(false);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace weir
