// adaptive: learns what a subject normally uses in a window and holds it to that plus some deviations, between
// min_capacity and max_capacity; and lowers that while the upstream is slow or failing.
// Uses capacity (the limit while learning), window, learning_window, adjustment_ppm (<= 16,000,000), min_capacity <=
// capacity <= max_capacity <= 2^32 (Sanitize).
//
// Counting is that of one rolling window (anchored_window.h), against the effective limit:
//   effective = max(min_capacity, floor(learned * health / 65536))
// `learned` is fixed when a window opens, so within a window the limit moves only by feedback.
// Every active window's admitted count is one sample; idle time teaches nothing. Denied requests teach nothing: a
// flood does not become normal, and a sample counts at most mean + 4 deviations + 1 once learning is over.
//
// State: [start, count, learned, samples, mean, deviation, short, long, errors, health, last_feedback, season_0 ..
// season_23] (35 words). Empty = fresh; another size too. Divisions of non-negative numbers are floors.
//    0 start      instant the window opened            1 count   admitted in it, 0..2^53 (saturating)
//    2 learned    limit of this window before health   3 samples how many samples, 0..N (stays at N)
//    4 mean       of samples, in 1/256                 5 deviation mean |sample - expected|, in 1/256
//    6 short, 7 long  latency averages, in 1/16 us, 0 = none yet   8 errors  failing share, 0..65536
//    9 health     4096..65536 (65536 = well)          10 last_feedback   instant of the latest feedback, 0 = never
//   11+h          hour h of the UTC day: mean * 256 + n, mean in 1/256 as above, n = samples of it (0..255, stays)
// N = clamp(floor(learning_window / window), 4, 1024)  (window at least 1 ns).
// Constants of a limit, by Constants(): N, factor = floor(adjustment_ppm * 256 / 10^6), forget = max(7 days,
// learning_window) + window.
//
// now (clamped) opens a new window when the state is empty or now - start >= window. Opening:
//   1. now - start >= forget: the state is empty from here on (health too).
//   2. if count > 0: x = min(count, max_capacity) * 256; h = hour of `start` (floor(start / 3600 s) mod 24).
//      e = Expected(h). If samples >= N: x = min(x, e + 4 * deviation + 256).
//      d = min(samples + 1, N);  deviation = deviation moved towards |x - e| by 1/d (samples = 0: deviation = 0)
//      mean moved towards x by 1/d;  season h: n' = min(n + 1, 255), its mean moved towards x by 1/min(n', 64)
//      samples = min(samples + 1, N)
//      "a moved towards b by 1/d" = b >= a ? a + floor((b - a) / d) : a - floor((a - b) / d)
//      (all old values are read before any is written)
//   3. learned = samples < N ? capacity
//              : clamp(ceil((E + floor(max(deviation, floor(E / 8)) * factor / 256)) / 256), min_capacity,
//              max_capacity)
//      with E = Expected(hour of now): what never varied may vary by an eighth, or it could never grow
//   4. if last_feedback > 0 and now - last_feedback >= learning_window: short = long = errors = 0, health = 65536,
//   last_feedback = 0.
//   5. start = now, count = 0.
//   Expected(h) = season mean of h when its n >= 32, else mean.  A fresh state: all 0, but learned = capacity, health =
//   65536.
// kCheck of cost > 0:
//   cost > max_capacity                      -> kNever
//   count + cost <= effective, or count = 0  -> kAllowed, count += cost      (an empty window admits one ask of any
//   size
//                                               up to max_capacity: else it could wait for ever for the limit to rise)
//   else                                     -> kLater, retry_after = start + window - now; nothing written
// Peek and denial write nothing, also not the opening. kCharge opens and adds. kRefund subtracts from the count of a
// live window (not below 0); of a charge that it names only when start <= the charge's `at`. kAssign opens one if due,
// then start = now and count = cost, also 0 (the learning stays). kReset: empty. Other asks of cost 0 write nothing,
// but for feedback: kCharge with cost 0 and token != 0 is feedback: FeedbackToken(). It opens a window first if one is
// due, then:
//   l = latency in us (1..2^27) * 16
//   short = short = 0 ? l : short moved towards l by 1/8;   long = long = 0 ? l : long moved towards l by 1/128
//   if long > 2 * short: long = long - floor(long / 20)      (a baseline that was too high comes down quickly)
//   errors moved towards (error ? 65536 : 0) by 1/16, but at least by 1
//   gradient = clamp(floor(long * 98304 / short), 32768, 65536)        (a latency up to 1.5 x normal is well)
//   target = max(4096, floor(gradient * (65536 - errors) / 65536))
//   health moved towards target by 1/8, but at least by 1;  last_feedback = max(now, 1)
//   "at least by 1" only when they differ.
// All numbers stay below 2^53: mean, deviation < 2^41, factor <= 4096, long < 2^31.
// limit = effective, used = count after the decision, remaining = max(0, effective - used), reset_after = start +
// window
// - now when count > 0 and the window is live, else 0. Expires: start + forget.
#pragma once

#include "algorithms/algorithm.h"

namespace weir::algorithms::adaptive {

Outcome Apply(const Limit& limit, const Ask& ask, Words& state);
std::uint64_t Used(const Limit& limit, const Words& state, Nanos now);
Nanos Expires(const Limit& limit, const Words& state);
// How many windows it has learned from, 0..N.
std::int64_t Samples(const Limit& limit, const Words& state);

inline constexpr std::uint64_t kMostCapacity = std::uint64_t{1} << 32;
inline constexpr std::size_t kWords = 35;

struct LimitConstants {
  std::int64_t samples_needed = 0;  // N
  std::int64_t factor = 0;          // deviations above normal, in 1/256
  Nanos forget = 0;
};
LimitConstants Constants(const Limit& limit);

// How the upstream fared with one request, as the token of an Ask{kCharge, cost 0}; never 0. Latency below 1 us counts
// as 1 us, above 2^27 us (134 s) as that. Bits 0..27: microseconds; bit 61: error; bit 62: always 1 (a token without it
// is no feedback and changes nothing).
std::uint64_t FeedbackToken(Nanos latency, bool error);
// The same without a store between.
void Feedback(const Limit& limit, Words& state, Nanos latency, bool error, Nanos now);

// Why the limit is what it is.
struct View {
  bool learning = true;  // too few samples yet: the configured limit holds
  std::uint64_t samples = 0;
  std::uint64_t samples_needed = 0;
  double mean = 0;  // normal use of a window, all hours
  double deviation = 0;
  bool seasonal = false;            // this hour has its own normal, and it is used
  double season = 0;                // normal use of a window at this hour of the day; = mean without history
  std::uint64_t learned_limit = 0;  // before health
  double health = 1;                // 1 = the upstream is well
  double latency_ms = 0;            // now; 0 = no feedback
  double normal_latency_ms = 0;
  double error_share = 0;
  std::uint64_t effective_limit = 0;  // what holds
};
View Explain(const Limit& limit, const Words& state, Nanos now);

}  // namespace weir::algorithms::adaptive
