// SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", https://www.aumasson.jp/siphash/siphash.pdf): a
// hash under a secret key. Unlike Hash64, nobody without the key can tell which input gave a number, however many pairs
// they know, nor find two inputs that collide.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

struct SipKey {
  std::uint64_t lo = 0;  // bytes 0 to 7 of the key, little-endian
  std::uint64_t hi = 0;
};

std::uint64_t SipHash(const SipKey& key, std::string_view bytes) noexcept;

}  // namespace weir
