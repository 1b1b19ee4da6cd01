#include "management/auth/secret_token.h"

#include <sodium.h>

#include <algorithm>

#include "management/auth/crypto.h"

namespace weir::management {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kTail = kSecretRandom + kSecretChecksum;

constexpr bool IsBase62(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
constexpr bool IsPrefixCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

// CRC-32 as in zip files (polynomial 0xEDB88320), a byte at a time: decisions look at keys, too.
constexpr std::array<std::uint32_t, 256> CrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1U ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = CrcTable();

std::uint32_t Crc32(std::string_view text) {
  std::uint32_t crc = ~0U;
  for (const char c : text) crc = crc >> 8U ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 255U];
  return ~crc;
}

std::array<char, kSecretChecksum> ChecksumOf(std::string_view text) {
  std::array<char, kSecretChecksum> checksum;
  std::uint32_t crc = Crc32(text);
  for (std::size_t i = kSecretChecksum; i-- > 0; crc /= 62) checksum[i] = kDigits[crc % 62];
  return checksum;
}

}  // namespace

bool IsSecretPrefix(std::string_view prefix) {
  return !prefix.empty() && prefix.size() <= kMostSecretPrefix && prefix.front() >= 'a' && prefix.front() <= 'z' &&
         prefix.back() != '_' && std::ranges::all_of(prefix, IsPrefixCharacter);
}

std::string MakeSecret(std::string_view prefix) {
  std::string secret(prefix);
  secret += '_';
  secret += RandomBase62(kSecretRandom);
  const auto checksum = ChecksumOf(secret);
  secret.append(checksum.data(), checksum.size());
  return secret;
}

bool HasSecretForm(std::string_view text) {
  if (text.size() < kTail + 2 || text.size() > kTail + 1 + kMostSecretPrefix) return false;
  const std::size_t end = text.size() - kTail;
  if (text[end - 1] != '_' || !IsSecretPrefix(text.substr(0, end - 1))) return false;
  if (!std::ranges::all_of(text.substr(end), IsBase62)) return false;
  const auto checksum = ChecksumOf(text.substr(0, text.size() - kSecretChecksum));
  return text.substr(text.size() - kSecretChecksum) == std::string_view(checksum.data(), checksum.size());
}

bool HasSecretForm(std::string_view text, std::string_view prefix) {
  return text.size() == prefix.size() + 1 + kTail && text.starts_with(prefix) && HasSecretForm(text);
}

std::string_view ShownPart(std::string_view secret) {
  constexpr std::size_t kShown = 4;
  return HasSecretForm(secret) ? secret.substr(0, secret.size() - kTail + kShown) : std::string_view();
}

SecretHash HashSecret(std::string_view secret) noexcept {
  SecretHash hash;
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  return hash;
}

std::string HideSecrets(std::string_view text) {
  std::string hidden;
  std::size_t copied = 0;  // of the text
  // A secret may be glued to other words at both ends: it is found by its underscore, and told by its checksum.
  for (std::size_t at = 1; at + kTail < text.size(); ++at) {
    if (text[at] != '_' || !std::ranges::all_of(text.substr(at + 1, kTail), IsBase62)) continue;
    for (std::size_t length = 1; length <= kMostSecretPrefix && copied + length <= at; ++length) {
      const std::string_view whole = text.substr(at - length, length + 1 + kTail);
      const std::string_view shown = ShownPart(whole);
      if (shown.empty()) continue;
      hidden.append(text.substr(copied, at - length - copied)).append(shown).append("...");
      copied = at + 1 + kTail;
      at = copied;
      break;
    }
  }
  return hidden.append(text.substr(std::min(copied, text.size())));
}

}  // namespace weir::management
