// Bytes as text: hexadecimal, and base64url without padding (RFC 4648).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir {

// Lower case.
std::string Hex(std::string_view bytes);
// Either case. nullopt: an odd length, or another character.
std::optional<std::string> FromHex(std::string_view text);

std::string Base64Url(std::string_view bytes);
// One text for each value and no other: nullopt for padding, white space, the other alphabet, an impossible length, and
// for unused bits that are set. Whatever is compared or signed as text would otherwise have several spellings.
std::optional<std::string> FromBase64Url(std::string_view text);

}  // namespace weir
