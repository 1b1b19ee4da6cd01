// What all batches of one engine share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "algorithms/time_zone.h"
#include "base/clock.h"
#include "base/crypto/siphash.h"
#include "engine/batch/request_ids.h"
#include "engine/batch/reservations.h"
#include "engine/counters/counters.h"
#include "engine/counters/unknown_domains.h"
#include "engine/decide/failure_policy.h"
#include "engine/engine.h"
#include "engine/observer.h"
#include "storage/store.h"

namespace weir::engine {

struct Core {
  Core(const Clock& the_clock, std::span<Observer* const> the_observers, const SipKey& secret,
       std::unique_ptr<storage::Store> local, std::unique_ptr<storage::Store> the_store, std::size_t most_reservations)
      : clock(the_clock),
        observers(the_observers),
        subject_secret(secret),
        reservations(most_reservations),
        failure(std::move(local), the_store->Name()),
        store_tries_inline(the_store->TriesInline()),
        store(std::move(the_store)) {}

  // The wall clock, of schedules, tokens and calendars, when it is `now` by the clock of decisions. Looked at once a
  // second.
  Nanos WallAt(Nanos now) {
    if (now >= next_look.load(std::memory_order_relaxed)) [[unlikely]] {
      LookAtWall(now);
    }
    return now + wall_ahead.load(std::memory_order_relaxed);
  }
  void LookAtWall(Nanos now) {
    // Relaxed: to look once too often does no harm.
    next_look.store(now + kSecond, std::memory_order_relaxed);
    const Nanos ahead = clock.Wall() - clock.Now();
    const Nanos known = wall_ahead.load(std::memory_order_relaxed);
    // The two are not read at one moment, and what is less than a step is none.
    if (ahead - known > -kSecond / 2 && ahead - known < kSecond / 2) return;
    wall_ahead.store(ahead, std::memory_order_relaxed);
    // A shared store goes by its server's wall clock already.
    if (store->CompletesInline()) algorithms::SetWallAhead(ahead);
  }

  const Clock& clock;
  const Observers observers;
  const SipKey subject_secret;
  Counters counters;
  Reservations reservations;
  RequestIds request_ids;
  UnknownDomains unknown_domains;
  FailurePolicy failure;
  const bool store_tries_inline;  // Store::TriesInline()
  std::atomic<Nanos> wall_ahead{0};
  std::atomic<Nanos> next_look{INT64_MIN};
  std::unique_ptr<storage::Store> store;
};

}  // namespace weir::engine
