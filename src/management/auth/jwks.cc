#include "management/auth/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "base/crypto/encoding.h"

namespace weir::management {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 3> kAlgorithms = {"ES256", "RS256", "EdDSA"};
constexpr std::size_t kCoordinate = 32;
constexpr int kLeastRsaBits = 2'048;
constexpr int kMostRsaBits = 8'192;
constexpr std::size_t kMostExponent = 5;  // bytes
constexpr std::size_t kMostId = 256;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* value) const { Free(value); }
};
using Big = std::unique_ptr<BIGNUM, Freed<BIGNUM, BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM, OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG, ECDSA_SIG_free>>;

std::unexpected<Error> Unusable(const char* why) { return Fail(ErrorCode::kInvalidArgument, why); }

EVP_PKEY* FromParams(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return key;
}

// A member that is a string; nullopt: it is not there, or no string.
std::optional<std::string_view> TextAt(const json::object& object, const char* name) {
  const json::value* const found = object.if_contains(name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  const json::string& text = found->get_string();
  return std::string_view(text.data(), text.size());
}

Result<std::string> BytesAt(const json::object& object, const char* name) {
  const auto text = TextAt(object, name);
  auto bytes = text ? FromBase64Url(*text) : std::nullopt;
  if (!bytes || bytes->empty()) return Unusable("a member of the key is missing or not base64url");
  return std::move(*bytes);
}

// What a key says of its use must allow to verify signatures.
bool IsForSignatures(const json::object& jwk) {
  if (const json::value* const use = jwk.if_contains("use"); use != nullptr && TextAt(jwk, "use") != "sig")
    return false;
  const json::value* const operations = jwk.if_contains("key_ops");
  if (operations == nullptr) return true;
  if (!operations->is_array()) return false;
  return std::ranges::any_of(operations->get_array(),
                             [](const json::value& one) { return one.is_string() && one.get_string() == "verify"; });
}

Result<PublicKey> KeyOf(const json::object& jwk) {
  const auto type = TextAt(jwk, "kty");
  const auto curve = TextAt(jwk, "crv");
  if (type == "EC" && curve == "P-256") {
    const auto x = BytesAt(jwk, "x");
    const auto y = BytesAt(jwk, "y");
    if (!x || !y) return std::unexpected(x ? y.error() : x.error());
    return PublicKey::P256(*x, *y);
  }
  if (type == "RSA") {
    const auto modulus = BytesAt(jwk, "n");
    const auto exponent = BytesAt(jwk, "e");
    if (!modulus || !exponent) return std::unexpected(modulus ? exponent.error() : modulus.error());
    return PublicKey::Rsa(*modulus, *exponent);
  }
  if (type == "OKP" && curve == "Ed25519") {
    const auto x = BytesAt(jwk, "x");
    if (!x) return std::unexpected(x.error());
    return PublicKey::Ed25519(*x);
  }
  return Unusable("the key is of another type");
}

}  // namespace

std::string_view NameOf(JwtAlgorithm algorithm) { return kAlgorithms.at(static_cast<std::size_t>(algorithm)); }

std::optional<JwtAlgorithm> JwtAlgorithmNamed(std::string_view name) {
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
    if (kAlgorithms[i] == name) return static_cast<JwtAlgorithm>(i);
  }
  return std::nullopt;
}

struct PublicKey::Key {
  explicit Key(EVP_PKEY* of) : key(of) {}
  ~Key() { EVP_PKEY_free(key); }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  EVP_PKEY* const key;
};

Result<PublicKey> PublicKey::Make(JwtAlgorithm algorithm, void* key) {
  if (key == nullptr) return Unusable("the key is damaged");
  auto held = std::make_shared<const Key>(static_cast<EVP_PKEY*>(key));
  const KeyContext context(EVP_PKEY_CTX_new(held->key, nullptr));
  if (algorithm == JwtAlgorithm::kEs256 && (context == nullptr || EVP_PKEY_public_check(context.get()) != 1)) {
    return Unusable("the key is not a point of its curve");
  }
  return PublicKey(algorithm, std::move(held));
}

Result<PublicKey> PublicKey::P256(std::string_view x, std::string_view y) {
  if (x.size() != kCoordinate || y.size() != kCoordinate) return Unusable("a coordinate must have 32 bytes");
  const std::string point = std::string("\x04").append(x).append(y);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return Unusable("the key is damaged");
  }
  return Make(JwtAlgorithm::kEs256, FromParams("EC", builder.get()));
}

Result<PublicKey> PublicKey::Rsa(std::string_view modulus, std::string_view exponent) {
  if (modulus.size() > static_cast<std::size_t>(kMostRsaBits / 8)) return Unusable("the modulus is too long");
  if (exponent.size() > kMostExponent) return Unusable("the exponent is too large");
  const Big n(BN_bin2bn(Bytes(modulus), static_cast<int>(modulus.size()), nullptr));
  const Big e(BN_bin2bn(Bytes(exponent), static_cast<int>(exponent.size()), nullptr));
  if (n == nullptr || e == nullptr) return Unusable("the key is damaged");
  if (BN_num_bits(n.get()) < kLeastRsaBits) return Unusable("the modulus has fewer than 2048 bits");
  if (BN_is_odd(n.get()) == 0 || BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) == 1 || BN_num_bits(e.get()) > 33) {
    return Unusable("the modulus or the exponent is weak");
  }
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return Unusable("the key is damaged");
  }
  return Make(JwtAlgorithm::kRs256, FromParams("RSA", builder.get()));
}

Result<PublicKey> PublicKey::Ed25519(std::string_view x) {
  if (x.size() != kCoordinate) return Unusable("an Ed25519 key must have 32 bytes");
  return Make(JwtAlgorithm::kEdDsa, EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(x), x.size()));
}

bool PublicKey::Verifies(std::string_view text, std::string_view signature) const {
  std::string der;
  if (algorithm_ == JwtAlgorithm::kEs256) {
    if (signature.size() != 2 * kCoordinate) return false;
    const Signature pair(ECDSA_SIG_new());
    Big r(BN_bin2bn(Bytes(signature), kCoordinate, nullptr));
    Big s(BN_bin2bn(Bytes(signature.substr(kCoordinate)), kCoordinate, nullptr));
    if (pair == nullptr || r == nullptr || s == nullptr) return false;
    if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return false;
    (void)r.release();
    (void)s.release();
    unsigned char* out = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &out);
    if (size <= 0) return false;
    der.assign(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
    signature = der;
  }
  const Digest context(EVP_MD_CTX_new());
  const EVP_MD* const digest = algorithm_ == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  return context != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key_->key) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
}

Result<JwkSet> JwkSet::Parse(std::string_view text) {
  if (text.size() > kMostBytes) return Unusable("the JWK set is longer than 256 KiB");
  boost::system::error_code fault;
  json::parse_options options;
  options.max_depth = 8;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), fault, {}, options);
  const json::object* const top = fault ? nullptr : value.if_object();
  const json::value* const list = top == nullptr ? nullptr : top->if_contains("keys");
  if (list == nullptr || !list->is_array()) return Unusable("this is no JWK set: an object with a list 'keys'");
  std::vector<NamedKey> keys;
  for (const json::value& one : list->get_array()) {
    const json::object* const jwk = one.if_object();
    if (jwk == nullptr || !IsForSignatures(*jwk)) continue;
    auto key = KeyOf(*jwk);
    if (!key) continue;
    if (jwk->contains("alg") && TextAt(*jwk, "alg") != NameOf(key->algorithm())) continue;
    if (jwk->contains("kid") && !TextAt(*jwk, "kid")) continue;
    const std::string_view id = TextAt(*jwk, "kid").value_or("");
    if (id.size() > kMostId) continue;
    if (keys.size() >= kMostKeys) return Unusable("the JWK set has more than 64 usable keys");
    keys.push_back({.id = std::string(id), .key = std::move(*key)});
  }
  if (keys.empty()) return Unusable("the JWK set has no key for ES256, RS256 or EdDSA");
  return JwkSet(std::move(keys));
}

std::vector<const NamedKey*> JwkSet::Find(std::optional<std::string_view> id, JwtAlgorithm algorithm) const {
  std::vector<const NamedKey*> found;
  for (const NamedKey& key : keys_) {
    if (key.key.algorithm() == algorithm && (!id || key.id == *id)) found.push_back(&key);
  }
  if (!id && found.size() != 1) found.clear();
  return found;
}

}  // namespace weir::management
