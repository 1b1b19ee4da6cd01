#include "engine/identify/jwt.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

namespace weir::engine {
namespace json = boost::json;
namespace {

constexpr std::size_t kLongestToken = 16 * 1024;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* it) const {
    Free(it);
  }
};
using PublicKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

// base64url without padding, as JWS writes it; the library would also take padding and blanks.
std::optional<std::string_view> DecodeBase64Url(std::string_view text, Arena& arena) {
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (!std::ranges::all_of(text, is_digit)) return std::nullopt;
  std::string decoded;
  if (!absl::WebSafeBase64Unescape({text.data(), text.size()}, &decoded)) return std::nullopt;
  return arena.Copy(decoded);
}

struct Parts {
  std::string_view header, payload, signature;  // base64url
  std::string_view signed_part;                 // header.payload
};

std::optional<Parts> Split(std::string_view token) {
  if (token.size() > kLongestToken) return std::nullopt;
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return Parts{.header = token.substr(0, first),
               .payload = token.substr(first + 1, second - first - 1),
               .signature = token.substr(second + 1),
               .signed_part = token.substr(0, second)};
}

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// A JSON object in base64url, parsed into `memory`.
std::optional<json::object> ParseObject(std::string_view base64, Arena& arena, json::storage_ptr memory) {
  const auto text = DecodeBase64Url(base64, arena);
  if (!text) return std::nullopt;
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code error;
  json::value value = json::parse({text->data(), text->size()}, error, std::move(memory), options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

const json::value* FindClaim(const json::object& payload, std::string_view name) {
  if (const json::value* found = payload.if_contains({name.data(), name.size()})) return found;
  const json::object* object = &payload;
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view key = name.substr(0, dot);
    const json::value* found = object->if_contains({key.data(), key.size()});
    if (found == nullptr || dot == std::string_view::npos) return object == &payload ? nullptr : found;
    if (!found->is_object()) return nullptr;
    object = &found->get_object();
    name = name.substr(dot + 1);
  }
}

std::optional<std::string_view> AsText(const json::value& value, Arena& arena) {
  switch (value.kind()) {
    case json::kind::string:
      return arena.Copy({value.get_string().data(), value.get_string().size()});
    case json::kind::bool_:
      return value.get_bool() ? "true" : "false";
    case json::kind::int64:
    case json::kind::uint64: {
      std::array<char, 24> digits;
      char* const end = value.is_int64() ? fmt::format_to(digits.data(), "{}", value.get_int64())
                                         : fmt::format_to(digits.data(), "{}", value.get_uint64());
      return arena.Copy({digits.data(), static_cast<std::size_t>(end - digits.data())});
    }
    default:
      return std::nullopt;
  }
}

// A NumericDate: seconds since the epoch, possibly with a fraction. Saturates.
std::optional<Nanos> AsTime(const json::value& value) {
  if (!value.is_number()) return std::nullopt;
  const double seconds = value.to_number<double>();
  if (!std::isfinite(seconds)) return std::nullopt;
  constexpr double kMost = 9.2e9;  // of seconds, so that nanoseconds fit
  if (seconds >= kMost) return INT64_MAX;
  if (seconds <= -kMost) return INT64_MIN;
  return static_cast<Nanos>(seconds * static_cast<double>(kSecond));
}

}  // namespace

struct JwtReader::Keys {
  std::string secret;    // empty: HS256 is refused
  PublicKey public_key;  // nullptr: RS256 is refused

  bool any() const { return !secret.empty() || public_key != nullptr; }

  bool Fits(const json::object& header, const Parts& parts, Arena& arena) const {
    const json::value* const name = header.if_contains("alg");
    const auto signature = DecodeBase64Url(parts.signature, arena);
    if (name == nullptr || !name->is_string() || !signature || header.contains("crit")) return false;
    if (name->get_string() == "HS256") return FitsSecret(parts.signed_part, *signature);
    if (name->get_string() == "RS256") return FitsPublicKey(parts.signed_part, *signature);
    return false;
  }

  bool FitsSecret(std::string_view text, std::string_view signature) const {
    if (secret.empty()) return false;
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), Bytes(text), text.size(), mac.data(),
             &size) == nullptr) {
      return false;
    }
    return signature.size() == size && CRYPTO_memcmp(mac.data(), signature.data(), size) == 0;
  }

  bool FitsPublicKey(std::string_view text, std::string_view signature) const {
    if (public_key == nullptr) return false;
    const std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    const bool fits =
        context != nullptr &&
        EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, public_key.get()) == 1 &&
        EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
    if (!fits) ERR_clear_error();
    return fits;
  }
};

JwtReader::JwtReader(std::unique_ptr<Keys> keys) : keys_(std::move(keys)) {}
JwtReader::~JwtReader() = default;
JwtReader::JwtReader(JwtReader&&) noexcept = default;
JwtReader& JwtReader::operator=(JwtReader&&) noexcept = default;

Result<JwtReader> JwtReader::Create(const JwtConfig& config) {
  auto keys = std::make_unique<Keys>();
  if (config.hs256_secret) {
    if (config.hs256_secret->empty() || config.hs256_secret->size() > 64 * 1024) {
      return Fail(ErrorCode::kInvalidArgument, "jwt.hs256_secret: must be 1 to 65536 bytes");
    }
    keys->secret = *config.hs256_secret;
  }
  if (config.rs256_public_key_pem) {
    const std::string& pem = *config.rs256_public_key_pem;
    if (pem.size() > 64 * 1024)
      return Fail(ErrorCode::kInvalidArgument, "jwt.rs256_public_key_pem: longer than 64 KiB");
    const std::unique_ptr<BIO, Freer<BIO_free_all>> memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    if (memory != nullptr) keys->public_key.reset(PEM_read_bio_PUBKEY(memory.get(), nullptr, nullptr, nullptr));
    if (keys->public_key == nullptr || EVP_PKEY_get_base_id(keys->public_key.get()) != EVP_PKEY_RSA) {
      ERR_clear_error();
      return Fail(ErrorCode::kInvalidArgument, "jwt.rs256_public_key_pem: not an RSA public key in PEM");
    }
  }
  return JwtReader(std::move(keys));
}

bool JwtReader::verifies() const { return keys_->any(); }

std::optional<JwtReader::Claim> JwtReader::Read(std::string_view token, std::string_view claim, Nanos now,
                                                Arena& arena) const {
  const auto parts = Split(token);
  if (!parts) return std::nullopt;
  std::array<unsigned char, 4096> room;  // most tokens fit; the rest spills to the heap
  json::monotonic_resource memory(room.data(), room.size());
  if (verifies()) {
    const auto header = ParseObject(parts->header, arena, &memory);
    if (!header || !keys_->Fits(*header, *parts, arena)) return std::nullopt;
  }
  const auto payload = ParseObject(parts->payload, arena, &memory);
  if (!payload) return std::nullopt;

  Nanos until = INT64_MAX;
  if (verifies()) {
    if (const json::value* exp = payload->if_contains("exp")) {
      const auto time = AsTime(*exp);
      if (!time || now >= *time) return std::nullopt;
      until = *time;
    }
    if (const json::value* nbf = payload->if_contains("nbf")) {
      const auto time = AsTime(*nbf);
      if (!time || now < *time) return std::nullopt;
    }
  }
  const json::value* const value = FindClaim(*payload, claim);
  if (value == nullptr) return std::nullopt;
  const auto text = AsText(*value, arena);
  if (!text) return std::nullopt;
  return Claim{.text = *text, .until = until};
}

}  // namespace weir::engine
