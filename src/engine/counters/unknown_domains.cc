#include "engine/counters/unknown_domains.h"

#include <algorithm>
#include <string>

#include "base/hash.h"
#include "base/log.h"

namespace weir::engine {

bool UnknownDomains::TakeTurn(Nanos now) noexcept {
  const auto second = static_cast<std::uint64_t>(std::max<Nanos>(now, 0) / kSecond) << 8U;
  std::uint64_t turns = turns_.load(std::memory_order_relaxed);
  do {
    // Another second, also when the clock was set back.
    if ((turns & ~std::uint64_t{255}) != second) {
      if (turns_.compare_exchange_weak(turns, second | 1U, std::memory_order_relaxed)) return true;
      continue;
    }
    if ((turns & 255U) >= kMostAtOnce) return false;
    if (turns_.compare_exchange_weak(turns, turns + 1, std::memory_order_relaxed)) return true;
  } while (true);
}

bool UnknownDomains::ShouldLog(std::string_view domain, Nanos now) noexcept {
  constexpr std::size_t kTries = 8;
  const std::uint64_t name = std::max<std::uint64_t>(1, Hash64(domain));
  std::atomic<std::uint64_t>* free = nullptr;
  for (std::size_t i = 0; i < kTries && free == nullptr; ++i) {
    std::atomic<std::uint64_t>& place = told_[(name + i) % kMost];
    const std::uint64_t held = place.load(std::memory_order_relaxed);
    if (held == name) return false;
    if (held == 0) free = &place;
  }
  if (free == nullptr) {
    if (!full_told_.exchange(true, std::memory_order_relaxed)) {
      log::Warn("so many unknown domains were asked for that more of them are counted only");
    }
    return false;
  }
  if (!TakeTurn(now)) {
    untold_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  std::uint64_t expected = 0;
  // Somebody else's, of the same name as a rule.
  if (!free->compare_exchange_strong(expected, name, std::memory_order_relaxed)) return false;
  constexpr std::string_view kWhat =
      "a domain is asked for that is not in the configuration; envoy.unknown_domain decides";
  const std::string shown(domain.substr(0, 200));
  const std::uint64_t untold = untold_.exchange(0, std::memory_order_relaxed);
  if (untold == 0) {
    log::Warn(kWhat, {{"domain", shown}});
  } else {
    log::Warn(kWhat, {{"domain", shown}, {"not_named_before", std::to_string(untold)}});
  }
  return true;
}

}  // namespace weir::engine
