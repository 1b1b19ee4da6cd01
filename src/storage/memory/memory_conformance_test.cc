#include "storage/memory/memory_store.h"
#include "tests/conformance/settling.h"
#include "tests/conformance/store_conformance.h"

namespace weir::storage::conformance {
namespace {

StoreUnderTest Memory() {
  StoreUnderTest under_test;
  under_test.name = "memory";
  under_test.histories = 200;
  // No sweeping, and places that do not collide: what this store forgets has expired, but a clock that goes back far
  // enough could tell.
  under_test.make = [] {
    return std::move(memory::MemoryStore::Create({.max_entries = 100'000, .sweep_interval = 0, .secret = 7})).value();
  };
  return under_test;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(Memory()));

}  // namespace weir::storage::conformance
