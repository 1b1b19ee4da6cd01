#include "management/rest/cursor.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <optional>

#include "base/crypto/encoding.h"
#include "base/crypto/secret.h"

namespace weir::management::rest {
namespace {

constexpr std::size_t kMacBytes = 16;
constexpr std::size_t kLongestCursor = 4096;

}  // namespace

// Lengths first, so that no other pair of query and position is the same text.
std::string CursorSigner::Mac(std::string_view query, std::string_view position) const {
  std::string text = std::to_string(query.size()) + ':';
  text.append(query).append(position);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), kMacBytes};
}

std::string CursorSigner::Sign(std::string_view query, std::string_view position) const {
  std::string bytes = Mac(query, position);
  bytes += position;
  return Base64Url(bytes);
}

Result<std::string> CursorSigner::Open(std::string_view query, std::string_view cursor) const {
  const auto refused = Fail(ErrorCode::kInvalidArgument, "the cursor is not one of this list");
  if (cursor.size() > kLongestCursor) return refused;
  const std::optional<std::string> bytes = FromBase64Url(cursor);
  if (!bytes || bytes->size() < kMacBytes) return refused;
  const std::string_view position = std::string_view(*bytes).substr(kMacBytes);
  if (!EqualInConstantTime(std::string_view(*bytes).substr(0, kMacBytes), Mac(query, position))) return refused;
  return std::string(position);
}

}  // namespace weir::management::rest
