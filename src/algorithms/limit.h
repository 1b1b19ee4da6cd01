// The parameters of one limit, compiled: what every algorithm reads. Trivially copyable; built by config from a
// RateLimitRule (the header of each algorithm says which fields it uses) and Sanitize(); never changed afterwards.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir::algorithms {

enum class Kind : std::uint8_t {
  kUnlimited,
  kTokenBucket,
  kLeakyBucket,
  kSlidingWindow,
  kSlidingWindowLog,
  kFixedWindow,
  kConcurrency,
  kAdaptive,
  kPenalty,  // the ban box behind progressive penalties; not a rule's algorithm
  // One-word forms, which Sanitize() chooses where they fit (aligned_window.h):
  kAlignedWindow,   // of kFixedWindow
  kAnchoredWindow,  // of kSlidingWindow with one window
};

// kEpoch is no unit of a calendar: windows of Limit::window, the first of which began at 1970-01-01T00:00:00Z.
enum class Calendar : std::uint8_t { kNone, kMinute, kHour, kDay, kWeek, kMonth, kYear, kEpoch };

constexpr bool IsFixedWindow(Kind kind) { return kind == Kind::kFixedWindow || kind == Kind::kAlignedWindow; }
constexpr bool IsSlidingWindow(Kind kind) { return kind == Kind::kSlidingWindow || kind == Kind::kAnchoredWindow; }
// A window, start and count, that is one word.
constexpr bool IsWordWindow(Kind kind) { return kind == Kind::kAlignedWindow || kind == Kind::kAnchoredWindow; }

// A field that an algorithm does not use is 0. Ranges are enforced by Sanitize(); a Limit that went through it is safe
// for every algorithm: nothing overflows, divides by zero or loops without bound.
struct Limit {
  Kind kind = Kind::kUnlimited;
  Calendar calendar = Calendar::kNone;  // fixed_window: aligned to this unit in `zone`; kNone = rolling
  bool shape = false;                   // buckets: outcomes have a delay; without max_wait that of a queue
  bool count_denied = false;            // fixed/sliding window: denied requests count too (the basic limiter's way)
  std::uint16_t zone = 0;               // index into the process's time zone table (time_zone.h); 0 = UTC
  std::uint8_t grid_shift = 0;          // kAnchoredWindow: what ends lie on (aligned_window.h); Sanitize() sets it
  std::uint64_t capacity = 0;           // burst capacity, max_requests, max_in_flight: the reported limit
  std::uint64_t rate_count = 0;         // buckets: `rate_count` units are restored every `rate_period` ns
  Nanos rate_period = 0;
  Nanos max_wait =
      0;             // buckets: what exceeds the burst is admitted with a delay of at most this; then shape is set too
  Nanos window = 0;  // windows, logs, adaptive, penalty: length of the window
  Nanos precision = 0;               // sliding_window: length of a sub-window; >= window means one anchored window
  Nanos lease = 0;                   // concurrency: how long an acquired slot lives without release
  Nanos learning_window = 0;         // adaptive
  std::uint32_t adjustment_ppm = 0;  // adaptive: adjustment_factor in parts per million
  std::uint64_t min_capacity = 0;    // adaptive: bounds of the learned limit
  std::uint64_t max_capacity = 0;
  // penalty: `threshold` denials within `window` earn a ban of `first_ban`, each next one `ban_factor_pct`/100 longer,
  // at most `longest_ban`; a level decays after every `decay` without a new ban.
  std::uint32_t threshold = 0;
  std::uint32_t ban_factor_pct = 0;
  Nanos first_ban = 0;
  Nanos longest_ban = 0;
  Nanos decay = 0;
  // sliding_window_log: how long an entry is kept, and how long one may stay beyond that before the log is cleaned.
  Nanos retention = 0;
  Nanos cleanup = 0;

  friend bool operator==(const Limit&, const Limit&) = default;
};

// Brings every field into its safe range. Idempotent. Fields that limit.kind does not use are left alone.
//   counts      capacity 0..2^53 (concurrency: 65,536; adaptive: 2^32). Redis computes in doubles: 2^53 is the bound up
//   to
//               which both stores are exact
//   buckets     rate_count 1..2^53, rate_period 1 ns..10 years (a rate of 0 becomes 1 per 10 years); the fraction is
//               reduced; up to 1,000,000 units a second it becomes 1 / whole nanoseconds, rounded up (gcra.h says why);
//               capacity is lowered until the bucket fills within 2^60 ns (36 years); max_wait 0..10 years, and shape
//               with it
//   windows     0..10 years (0, only for fixed_window and the anchored sliding_window: each request opens a new one,
//               and calendar kEpoch becomes kNone), others 1 ns..10 years
//   fixed_window  aligned, without count_denied and when aligned_window::Holds() it: kAlignedWindow, else
//               kFixedWindow
//   sliding_window  with one window, without count_denied and when aligned_window::Holds() it: kAnchoredWindow,
//               with its grid_shift, else kSlidingWindow and 0
//   precision   sliding_window, when below window: at least 1 ms, and raised until there are at most 3,600 sub-windows;
//               if it is still below window, capacity is at most 2^52 (the oldest sub-window is held in full, beside
//               it)
//   log         retention window..10 years (0 becomes window), cleanup 0..10 years
//   lease       1 ns..10 years
//   adaptive    learning_window 1 ns..10 years; adjustment_ppm 0..16,000,000; max_capacity 0 becomes capacity;
//               min_capacity <= max_capacity; capacity between them
//   penalty     threshold 1..2^31; window 1 ns..10 years; bans 1 ms..10 years, rounded up to whole ms, first_ban <=
//               longest_ban; ban_factor_pct 100..10,000; decay 1 ms..10 years
//   enums       an unknown kind becomes kUnlimited, an unknown calendar kNone
Limit Sanitize(Limit limit);

// The same limit for an ask that cannot be held.
constexpr Limit WithoutWaiting(Limit limit) {
  limit.shape = limit.shape && limit.max_wait == 0;
  limit.max_wait = 0;
  return limit;
}

inline constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 53;

// For rates written as a real number per second (`refill_rate: 0.2777`): the nearest fraction rate_count/rate_period
// (below 1,000,000 a second: 1 unit in the nearest whole number of ns). What is not a positive number gives the slowest
// rate, 1 in 10 years; what exceeds 2^53 a second gives that.
struct Rate {
  std::uint64_t count = 0;
  Nanos period = kSecond;
};
Rate RatePerSecond(double per_second);

}  // namespace weir::algorithms
