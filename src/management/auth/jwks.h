// Public keys of an issuer of JWTs: a JWK Set (RFC 7517) read with bounds. Immutable and thread-safe once it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace weir::management {

// The signatures that are accepted. There is no "none" and no HMAC: a public key must never be taken for a shared
// secret.
enum class JwtAlgorithm : std::uint8_t { kEs256, kRs256, kEdDsa };
std::string_view NameOf(JwtAlgorithm algorithm);  // "ES256", "RS256", "EdDSA"
std::optional<JwtAlgorithm> JwtAlgorithmNamed(std::string_view name);

// One key, for one algorithm: which one follows from its type, and what it says itself must not contradict.
class PublicKey {
 public:
  // Of curve P-256: the coordinates, 32 bytes each. kInvalidArgument: it is no point of the curve.
  static Result<PublicKey> P256(std::string_view x, std::string_view y);
  // Modulus of 2,048 to 8,192 bits, and an odd exponent of 3 to 2^32: others are weak, or slow by intent.
  static Result<PublicKey> Rsa(std::string_view modulus, std::string_view exponent);
  // 32 bytes.
  static Result<PublicKey> Ed25519(std::string_view x);

  JwtAlgorithm algorithm() const { return algorithm_; }
  // `signature` as in a JWT: ES256 is r and s, 32 bytes each.
  bool Verifies(std::string_view text, std::string_view signature) const;

 private:
  struct Key;
  PublicKey(JwtAlgorithm algorithm, std::shared_ptr<const Key> key) : algorithm_(algorithm), key_(std::move(key)) {}
  static Result<PublicKey> Make(JwtAlgorithm algorithm, void* key);
  JwtAlgorithm algorithm_;
  std::shared_ptr<const Key> key_;
};

struct NamedKey {
  std::string id;  // kid; empty: it has none
  PublicKey key;
};

class JwkSet {
 public:
  static constexpr std::size_t kMostBytes = 256 << 10;
  static constexpr std::size_t kMostKeys = 64;

  JwkSet() = default;
  explicit JwkSet(std::vector<NamedKey> keys) : keys_(std::move(keys)) {}
  // Keys of other types and algorithms, for encryption, and damaged ones are left out, as the standard asks for.
  // kInvalidArgument: it is no JWK Set, is too large, or no usable key is in it.
  static Result<JwkSet> Parse(std::string_view json);

  // The keys for a token's `kid` and algorithm. A token without kid: only if exactly one key is of that algorithm.
  std::vector<const NamedKey*> Find(std::optional<std::string_view> id, JwtAlgorithm algorithm) const;
  std::size_t size() const { return keys_.size(); }
  const std::vector<NamedKey>& keys() const { return keys_; }

 private:
  std::vector<NamedKey> keys_;
};

}  // namespace weir::management
