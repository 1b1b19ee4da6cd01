// Names of subjects as stores see them: bounded, and so built that different subjects never get the same name.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/address.h"
#include "base/arena.h"

namespace weir::engine {

inline constexpr std::size_t kLongestSubject = 192;  // bytes; longer ones are shortened
inline constexpr std::size_t kShortenedSubject = 224;

// The text itself up to kLongestSubject. A longer one becomes its first 191 bytes, '#', and its 128-bit hash in hex:
// kShortenedSubject bytes, a length that no other subject has. `text` must outlive the result.
std::string_view ShortenSubject(std::string_view text, Arena& arena);
inline std::string_view BoundSubject(std::string_view text, Arena& arena) {
  return text.size() <= kLongestSubject ? text : ShortenSubject(text, arena);
}

// The canonical text of an address cut to its prefix, in the arena.
std::string_view AddressSubject(const Address& address, unsigned v4_bits, unsigned v6_bits, Arena& arena);

}  // namespace weir::engine
