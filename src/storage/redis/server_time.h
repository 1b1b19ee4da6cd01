// What Redis answers to TIME.
#pragma once

#include <optional>

#include "base/clock.h"
#include "storage/redis/resp.h"

namespace weir::storage::redis {

// The answer to TIME: seconds and microseconds. nullopt when it is something else.
std::optional<Nanos> ParseServerTime(const Reply& reply);

}  // namespace weir::storage::redis
