#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace weir {

SubjectHash HashSubject(std::string_view subject) noexcept {
  const XXH128_hash_t hash = XXH3_128bits(subject.data(), subject.size());
  return {.hi = hash.high64, .lo = hash.low64};
}

std::uint64_t Hash64(std::string_view bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace weir
