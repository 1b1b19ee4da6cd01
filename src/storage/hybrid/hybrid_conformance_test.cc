#include "storage/hybrid/test_support.h"
#include "tests/conformance/settling.h"
#include "tests/conformance/store_conformance.h"

namespace weir::storage::conformance {
namespace {

using hybrid::Eager;
using hybrid::HybridOptions;
using hybrid::MakeHybrid;
using hybrid::MakeMemory;

// As it comes.
StoreUnderTest Hybrid() {
  return {.name = "hybrid", .make = [] { return MakeHybrid(MakeMemory()); }};
}

// Leases whatever it can at the first ask, and knows denials of all.
StoreUnderTest EagerHybrid() {
  return {.name = "eager", .make = [] { return MakeHybrid(MakeMemory(), Eager()); }, .histories = 100};
}

// Buckets and sub-windows too: within one instant their answers are the store's to the last digit.
StoreUnderTest HybridOfAnInstant() {
  return {.name = "instant",
          .make =
              [] {
                HybridOptions options = Eager();
                options.exact_answers = false;
                options.lease_life = 1;
                return MakeHybrid(MakeMemory(), options);
              },
          .histories = 100};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Hybrid, StoreConformance, testing::Values(Hybrid(), EagerHybrid(), HybridOfAnInstant()));

}  // namespace weir::storage::conformance
