// What a limiter is made of besides its engine: for those who show how it fares.
#pragma once

#include "storage/memory/persistence.h"
#include "storage/redis/redis_store.h"
#include "storage/store.h"

namespace weir::library {

// All live as long as the limiter.
struct Internals {
  // Beside a remote store: decides while that is away. nullptr: there is none.
  const storage::Store* local = nullptr;
  // The engine's store, when it is Redis; else nullptr.
  const storage::redis::RedisStore* redis = nullptr;
  // nullptr: states are not saved.
  const storage::memory::Persistence* persistence = nullptr;
};

}  // namespace weir::library
