#include "engine/unknown_domains.h"

#include <algorithm>
#include <string>

#include "base/hash.h"
#include "base/log.h"

namespace weir::engine {

bool UnknownDomains::Tell(std::string_view domain, Nanos now) noexcept {
  constexpr std::size_t kTries = 8;
  const std::uint64_t name = std::max<std::uint64_t>(1, Hash64(domain));
  std::atomic<std::uint64_t>* free = nullptr;
  for (std::size_t i = 0; i < kTries && free == nullptr; ++i) {
    std::atomic<std::uint64_t>& place = told_[(name + i) % kMost];
    const std::uint64_t held = place.load(std::memory_order_relaxed);
    if (held == name) return false;
    if (held == 0) free = &place;
  }
  if (free == nullptr) return false;
  Nanos last = last_.load(std::memory_order_relaxed);
  if (last != INT64_MIN && now >= last && now - last < kSecond) return false;
  if (!last_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return false;
  std::uint64_t expected = 0;
  if (!free->compare_exchange_strong(expected, name, std::memory_order_relaxed)) return false;
  log::Warn("a domain is asked for that is not in the configuration; envoy.unknown_domain decides",
            {{"domain", std::string(domain.substr(0, 200))}});
  return true;
}

}  // namespace weir::engine
