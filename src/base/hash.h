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

// A subject by itself, whatever the rule: its keys derive from this.
struct SubjectHash {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
};
SubjectHash HashSubject(std::string_view subject) noexcept;

// A subject's text, borrowed from where it was found, and its hash.
struct HashedSubject {
  std::string_view text{};
  SubjectHash hash{};
};

// The upper bits of `hi` that all keys of one subject have in common, so that a store can keep its states together and
// begin to fetch them before it is known which rules apply.
inline constexpr unsigned kSubjectBits = 28;

// The key of a subject under a rule whose generation hashes to `seed`: for one seed different subject hashes give
// different keys, and for one subject different seeds do. Equal on every machine and in every version that can read the
// same snapshot file. (The mixing is the finaliser of splitmix64, https://prng.di.unimi.it/splitmix64.c.)
inline Key KeyOf(std::uint64_t seed, const SubjectHash& subject) noexcept {
  std::uint64_t mixed = seed ^ subject.lo;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  mixed ^= mixed >> 31;
  return {.hi = subject.hi ^ (mixed & (UINT64_MAX >> kSubjectBits)), .lo = mixed};
}
// Keys of one subject, or of two with the same upper bits.
inline bool SameSubject(const Key& a, const Key& b) { return (a.hi ^ b.hi) >> (64 - kSubjectBits) == 0; }
inline Key HashKey(std::uint64_t seed, std::string_view subject) noexcept { return KeyOf(seed, HashSubject(subject)); }

// 64-bit hash of any bytes; equal on every machine.
std::uint64_t Hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;

}  // namespace weir
