// What a limiter has done and how its store fares, in numbers: RateLimiter::GetStats().
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

enum class StoreState : std::uint8_t {
  kUp,
  kDegraded,  // some of its servers or connections do not answer
  kDown,      // it does not answer: rules are decided by their on_store_failure
};
std::string_view ToString(StoreState state);  // "up"

// Counts begin with the limiter and only grow. They are gathered over all threads while these go on, so that two of
// them may be a few decisions apart.
struct Stats {
  // Decisions of Check, CheckAsync, CheckBatch and Reserve with a cost above 0. Each is one of these two ...
  std::uint64_t allowed = 0;
  std::uint64_t denied = 0;
  // ... and may be one of these besides.
  std::uint64_t shadow_denied = 0;  // a rule in shadow mode would have denied it
  std::uint64_t exempt = 0;
  std::uint64_t no_limit = 0;  // no rule applied
  std::uint64_t blocked = 0;   // by an ip rule
  std::uint64_t banned = 0;    // by a penalty
  // The store did not answer, and the rule's on_store_failure decided.
  std::uint64_t store_failures_local = 0;
  std::uint64_t store_failures_allow = 0;
  std::uint64_t store_failures_deny = 0;
  std::uint64_t store_full = 0;  // it had no room for a new subject: Reason::kStoreFull

  std::uint64_t reservations_open = 0;  // now

  struct Store {
    std::string_view name = {};  // "memory", "redis"
    StoreState state = StoreState::kUp;
    std::uint64_t entries = 0;       // states held now, one for each subject and rule (approximate); a remote store: 0
    std::uint64_t capacity = 0;      // 0: unbounded, or not known
    std::uint64_t memory_bytes = 0;  // that the states take in this process
    std::uint64_t reclaimed = 0;     // states that expired and were dropped
    std::uint64_t evicted_live = 0;  // states dropped before they expired, as the store was full (evict)
    std::uint64_t refused_new = 0;   // requests refused, as the store was full (deny_new)
    std::uint64_t admitted_untracked = 0;  // requests let through uncounted, as the store was full (allow_new)
    std::uint64_t failures = 0;            // questions that it did not answer
    std::uint64_t round_trips = 0;         // to a remote store
  };
  Store store = {};
  // What decides while a remote store is away.
  std::optional<Store> local = {};
};

}  // namespace weir
