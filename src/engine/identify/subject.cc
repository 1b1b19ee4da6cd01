#include "engine/identify/subject.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/hash.h"

namespace weir::engine {
namespace {

constexpr std::uint64_t kLongSeed = 0x77656972'6c6f6e67;  // any constant: names must be equal on every machine

char* PutHex(char* at, std::uint64_t number) {
  for (int shift = 60; shift >= 0; shift -= 4) *at++ = "0123456789abcdef"[(number >> shift) & 0xFU];
  return at;
}

char* PutDecimal(char* at, std::uint8_t number) {
  if (number >= 100) *at++ = static_cast<char>('0' + number / 100);
  if (number >= 10) *at++ = static_cast<char>('0' + number / 10 % 10);
  *at++ = static_cast<char>('0' + number % 10);
  return at;
}

}  // namespace

std::string_view ShortenSubject(std::string_view text, Arena& arena) {
  constexpr std::size_t kKept = kShortenedSubject - 33;
  char* const start = arena.Take(kShortenedSubject);
  std::memcpy(start, text.data(), kKept);
  start[kKept] = '#';
  const Key hash = HashKey(kLongSeed, text);
  PutHex(PutHex(start + kKept + 1, hash.hi), hash.lo);
  return {start, kShortenedSubject};
}

std::string_view AddressSubject(const Address& address, unsigned v4_bits, unsigned v6_bits, Arena& arena) {
  const bool whole = v4_bits >= 32 && address.is_v4();
  const Address cut = whole ? address : Truncate(address, v4_bits, v6_bits);
  if (cut.is_v4()) {
    // By far the most frequent subject of all, so not through the general formatter.
    char* const start = arena.Take(15);
    char* at = start;
    for (std::size_t i = 12; i < 16; ++i) {
      if (i > 12) *at++ = '.';
      at = PutDecimal(at, cut.bytes[i]);
    }
    return {start, static_cast<std::size_t>(at - start)};
  }
  std::array<char, 46> text;
  return arena.Copy(FormatAddress(cut, text));
}

}  // namespace weir::engine
