// The form of the secrets that weir hands out: service tokens, API keys, session ids.
//
//   weirt_0123456789ABCDEFGHIJKLMNOPQRSTabcdef
//   prefix_ 30 random characters (178 bits)  + 6 characters of CRC-32
//
// The prefix tells people and scanners of leaked secrets what was found; the checksum tells a mistyped or shortened
// secret without a look at any table. What is stored is the SHA-256 of the whole text: a secret of this entropy cannot
// be guessed from its hash, so that no slow hash is needed for each request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::management {

inline constexpr std::string_view kTokenPrefix = "weirt";    // service tokens
inline constexpr std::string_view kKeyPrefix = "weirk";      // API keys
inline constexpr std::string_view kSessionPrefix = "weirs";  // sessions
inline constexpr std::size_t kSecretRandom = 30;
inline constexpr std::size_t kSecretChecksum = 6;
inline constexpr std::size_t kMostSecretPrefix = 16;

// 1 to 16 of a-z, 0-9 and '_', beginning with a letter and ending with no '_'.
bool IsSecretPrefix(std::string_view prefix);

// A new secret. `prefix` must be one.
std::string MakeSecret(std::string_view prefix);

// Whether it has the form, with any prefix, and the checksum is right. Allocates nothing; any text is safe.
bool HasSecretForm(std::string_view text);
// The same with that very prefix.
bool HasSecretForm(std::string_view text, std::string_view prefix);

// What may be shown of one, to tell it from others: the prefix and the first 4 random characters. Of another text "".
std::string_view ShownPart(std::string_view secret);

// SHA-256. Allocates nothing.
using SecretHash = std::array<char, 32>;
SecretHash HashSecret(std::string_view secret) noexcept;
inline std::string_view View(const SecretHash& hash) { return {hash.data(), hash.size()}; }

// The text with every secret of this form in it replaced by its shown part and "...", for logs and records.
std::string HideSecrets(std::string_view text);

}  // namespace weir::management
