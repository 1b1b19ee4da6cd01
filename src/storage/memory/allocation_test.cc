// The hot path allocates nothing. This file replaces the program's operator new by one that counts.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "storage/memory/memory_store.h"
#include "tests/conformance/plans.h"

namespace {

thread_local std::uint64_t allocations = 0;

void* Allocate(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// Not inlined: the compiler would see malloc's memory given to delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) { return Allocate(size); }
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
[[gnu::noinline]] void* operator new[](std::size_t size) { return Allocate(size); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace weir::storage::memory {
namespace {

using conformance::BucketOf;
using conformance::EpochWindowOf;
using conformance::ItemOf;
using conformance::Shadow;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

TEST(Allocation, PlansOfUpToEightWordsAllocateNothing) {
  const auto store = std::move(MemoryStore::Create({.max_entries = 10'000})).value();
  const Limit limit = BucketOf(100), window = EpochWindowOf(100), none = BucketOf(0);
  std::vector<std::string> subjects;
  for (int i = 0; i < 64; ++i) subjects.push_back("s" + std::to_string(i));
  for (std::size_t rules = 1; rules <= 8; ++rules) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < 64 * rules; ++i) {
      items.push_back(i % 2 == 0 ? ItemOf(limit, "a", subjects[i % 64]) : ItemOf(window, "b", subjects[i % 64]));
    }
    items[3].limit = &none;  // some are denied
    items[7] = Shadow(items[7]);
    items[9].previous = &limit;  // some are carried over
    items[9].previous_key = items[11].key;
    std::vector<Outcome> outcomes(items.size());
    std::vector<Plan> plans(64);
    for (const Op op : {Op::kCheck, Op::kPeek, Op::kCharge, Op::kRefund, Op::kAssign, Op::kReset}) {
      for (std::size_t i = 0; i < plans.size(); ++i) {
        plans[i] = Plan{op, {&items[i * rules], rules}, {&outcomes[i * rules], rules}, PlanStatus::kOk, false};
      }
      const std::uint64_t before = allocations;
      (void)store->Apply(plans, kNow, nullptr);
      for (Plan& plan : plans) (void)store->Apply({&plan, 1}, kNow + 1, nullptr);
      EXPECT_EQ(allocations, before) << rules << " rules";
    }
  }
}

}  // namespace
}  // namespace weir::storage::memory
