#include "config/snapshot/key_name.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <cstdint>

#include "base/crypto/sha256.h"

namespace weir::config {
namespace {

constexpr std::string_view kPrefix = "sha256:";

}  // namespace

KeyDigest DigestOfKey(std::string_view key) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const Sha256Digest whole = Sha256(key);
  KeyDigest digest;
  for (std::size_t i = 0; i < digest.size() / 2; ++i) {
    digest[2 * i] = kHex[whole[i] >> 4];
    digest[2 * i + 1] = kHex[whole[i] & 15];
  }
  return digest;
}

std::optional<std::string> DigestOfKeyName(std::string_view name) {
  constexpr std::size_t kDigits = KeyDigest().size();
  if (name.empty()) return std::nullopt;
  if (!name.starts_with(kPrefix)) {
    const KeyDigest digest = DigestOfKey(name);
    return std::string(digest.data(), digest.size());
  }
  name.remove_prefix(kPrefix.size());
  if (name.size() != kDigits && name.size() != 2 * kDigits) return std::nullopt;
  if (!std::ranges::all_of(name, absl::ascii_isxdigit)) return std::nullopt;
  std::string digest(name.substr(0, kDigits));
  absl::AsciiStrToLower(&digest);
  return digest;
}

std::string KeyNameOfDigest(std::string_view digest) { return std::string(kPrefix).append(digest); }

}  // namespace weir::config
