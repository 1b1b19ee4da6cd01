#include "storage/hybrid/test_support.h"
#include "tests/conformance/settling.h"
#include "tests/conformance/store_conformance.h"

namespace weir::storage::conformance {
namespace {

using hybrid::HybridOptions;
using hybrid::MakeHybrid;
using hybrid::MakeMemory;

// Of buckets and sub-windows a lease costs what drains of it, and what is given back waits (0057): the histories, which
// compare to the last digit, are run without leases of these. The named tests are run with leases of an instant too.
StoreUnderTest Hybrid() {
  return {.name = "hybrid", .make = [] { return MakeHybrid(MakeMemory(), {.exact_answers = true}); }};
}

// Leases what it can at the first ask.
StoreUnderTest Eager() {
  return {.name = "eager", .make = [] { return MakeHybrid(MakeMemory(), hybrid::Eager()); }, .histories = 100};
}

StoreUnderTest Leased() {
  return {
      .name = "leased",
      .make = [] { return MakeHybrid(MakeMemory(), HybridOptions{.lease_life = 1, .hot_after = 1, .least_lease = 1}); },
      .histories = 0};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Hybrid, StoreConformance, testing::Values(Hybrid(), Eager(), Leased()));

}  // namespace weir::storage::conformance
