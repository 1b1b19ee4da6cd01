// What one limit answers to one request.
#pragma once

#include <cstdint>

namespace weir {

enum class Verdict : std::uint8_t {
  kAllowed,
  kLater,  // it does not fit now; it will after retry_after_ns
  kNever,  // it can never fit under this limit (cost > limit, or the limit is 0); retry_after_ns is 0
};

// All durations are nanoseconds from the time of the decision and >= 0.
struct Outcome {
  Verdict verdict = Verdict::kAllowed;
  std::uint64_t limit = 0;          // most that can be used at once; UINT64_MAX = unlimited
  std::uint64_t remaining = 0;      // <= limit; what is left after this decision
  std::uint64_t used = 0;           // what counts as used after it; above limit after debt or counted denials
  std::int64_t reset_after_ns = 0;  // until everything is restored, if nothing more is used
  std::int64_t retry_after_ns = 0;  // kLater: until the same request is allowed, exactly; otherwise 0
  std::int64_t delay_ns = 0;        // shaping: how long the caller should hold the allowed request
  std::uint64_t granted = 0;        // of an ask for as much as there is: how much that was; otherwise 0
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace weir
