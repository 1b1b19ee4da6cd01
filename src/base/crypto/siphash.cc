#include "base/crypto/siphash.h"

#include <bit>
#include <cstddef>

namespace weir {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  void Round() noexcept {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void Take(std::uint64_t word) noexcept {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

// Up to eight bytes, little-endian on every machine.
std::uint64_t Word(std::string_view bytes) noexcept {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 8; ++i) {
    word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return word;
}

}  // namespace

std::uint64_t SipHash(const SipKey& key, std::string_view bytes) noexcept {
  State state{key.lo ^ 0x736f6d6570736575U, key.hi ^ 0x646f72616e646f6dU, key.lo ^ 0x6c7967656e657261U,
              key.hi ^ 0x7465646279746573U};
  const std::uint64_t length = std::uint64_t{bytes.size()} << 56U;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) state.Take(Word(bytes));
  state.Take(length | Word(bytes));
  state.v2 ^= 0xffU;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace weir
