// What authentication needs of libsodium, with its initialisation taken care of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::management {

// From the system's generator.
std::string RandomBytes(std::size_t count);
// Characters 0-9A-Za-z, each with the same probability: 5.95 bits each.
std::string RandomBase62(std::size_t count);

std::string Sha256(std::string_view bytes);  // 32 bytes
std::string HmacSha256(std::string_view key, std::string_view bytes);

// Sealed text can be read and made only by those who have the key (32 bytes); `about` is authenticated with it and has
// to be the same. XChaCha20-Poly1305 with a random nonce.
std::string Seal(std::string_view key, std::string_view about, std::string_view plain);
// False: it was changed, cut, or sealed with another key or about something else.
bool Unseal(std::string_view key, std::string_view about, std::string_view sealed, std::string* plain);
inline constexpr std::size_t kSealKeyBytes = 32;

}  // namespace weir::management
