// 128-bit hashing of counter keys (XXH3, https://xxhash.com; from the system's libxxhash).
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

// Names one counter state. `lo` finds the place, `hi` is the fingerprint; both are uniform.
struct Key {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

// The key of `subject` under a rule whose generation hashes to `seed`. Equal on every machine and in every version
// that can read the same snapshot file. Never fails, allocates nothing.
Key HashKey(std::uint64_t seed, std::string_view subject) noexcept;

// 64-bit hash of any bytes; equal on every machine.
std::uint64_t Hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;

}  // namespace weir
