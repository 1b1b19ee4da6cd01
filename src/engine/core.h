// What all batches of one engine share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/clock.h"
#include "engine/batch/reservations.h"
#include "engine/counters/counters.h"
#include "engine/counters/unknown_domains.h"
#include "engine/decide/failure_policy.h"
#include "engine/engine.h"
#include "engine/observer.h"
#include "storage/store.h"

namespace weir::engine {

struct Core {
  Core(const Clock& the_clock, std::span<Observer* const> the_observers, std::uint64_t secret,
       std::unique_ptr<storage::Store> local, std::unique_ptr<storage::Store> the_store, std::size_t most_reservations)
      : clock(the_clock),
        observers(the_observers),
        subject_secret(secret),
        reservations(most_reservations),
        failure(std::move(local), the_store->Name()),
        store_tries_inline(the_store->TriesInline()),
        store(std::move(the_store)) {}

  const Clock& clock;
  const Observers observers;
  const std::uint64_t subject_secret;
  Counters counters;
  Reservations reservations;
  UnknownDomains unknown_domains;
  FailurePolicy failure;
  const bool store_tries_inline;  // Store::TriesInline()
  std::unique_ptr<storage::Store> store;
};

}  // namespace weir::engine
