#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir::storage::hybrid {

struct HybridOptions {
  // How long a lease, and what is known of a subject, is good for. 1 ns to an hour.
  Nanos lease_life = kSecond;
  std::uint32_t hot_after = 16;   // asks within one lease_life that make a subject hot
  std::uint64_t least_lease = 2;  // units; less is not worth the trip
  // Subjects whose asks are counted at once; those beyond ask the store. At least 64.
  std::uint64_t max_subjects = 65'536;
  // Leases only what is answered here to the last digit as the store would: windows. For tests that compare answers.
  bool exact_answers = false;
  // A thread of its own brings home what is not used. Without it somebody calls Tick().
  bool background = true;
};

}  // namespace weir::storage::hybrid
