// An issuer of JWTs with keys of its own, made when a test runs. Tests only.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/crypto/encoding.h"
#include "management/auth/jwks.h"

namespace weir::management {

class TestKey {
 public:
  TestKey(std::string id, JwtAlgorithm algorithm)
      : id_(std::move(id)), algorithm_(algorithm), key_(nullptr, &EVP_PKEY_free) {
    switch (algorithm) {
      case JwtAlgorithm::kEs256:
        key_.reset(EVP_EC_gen("P-256"));
        break;
      case JwtAlgorithm::kRs256:
        key_.reset(EVP_RSA_gen(2048));
        break;
      case JwtAlgorithm::kEdDsa:
        key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        break;
    }
    if (key_ == nullptr) throw std::runtime_error("no key");
  }

  // Members of a JWK, without braces and without kid.
  std::string JwkMembers() const {
    switch (algorithm_) {
      case JwtAlgorithm::kEs256:
        return R"("kty":"EC","crv":"P-256","x":")" + Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_X, 32)) + R"(","y":")" +
               Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_Y, 32)) + "\"";
      case JwtAlgorithm::kRs256:
        return R"("kty":"RSA","n":")" + Base64Url(Number(OSSL_PKEY_PARAM_RSA_N, 256)) + R"(","e":"AQAB")";
      case JwtAlgorithm::kEdDsa: {
        std::string raw(32, '\0');
        std::size_t size = raw.size();
        EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
        return R"("kty":"OKP","crv":"Ed25519","x":")" + Base64Url(raw) + "\"";
      }
    }
    return "";
  }
  std::string Jwk() const { return "{" + JwkMembers() + R"(,"kid":")" + id_ + R"(","use":"sig"})"; }

  std::string Signature(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    const EVP_MD* digest = algorithm_ == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256();
    std::string signature(512, '\0');
    std::size_t size = signature.size();
    if (EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
      throw std::runtime_error("cannot sign");
    }
    signature.resize(size);
    if (algorithm_ != JwtAlgorithm::kEs256) return signature;
    const auto* at = reinterpret_cast<const unsigned char*>(signature.data());
    const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> pair(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(signature.size())), &ECDSA_SIG_free);
    std::string raw(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), reinterpret_cast<unsigned char*>(raw.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
    return raw;
  }

  std::string SignWithHeader(std::string_view header, std::string_view claims) const {
    const std::string text = Base64Url(header) + "." + Base64Url(claims);
    return text + "." + Base64Url(Signature(text));
  }
  std::string Sign(std::string_view claims, std::string_view type = "JWT") const {
    return SignWithHeader(std::string(R"({"alg":")") + std::string(NameOf(algorithm_)) + R"(","typ":")" +
                              std::string(type) + R"(","kid":")" + id_ + "\"}",
                          claims);
  }
  const std::string& id() const { return id_; }

 private:
  std::string Number(const char* name, int size) const {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(key_.get(), name, &number) != 1) throw std::runtime_error("no number");
    std::string bytes(static_cast<std::size_t>(size), '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), size);
    BN_free(number);
    return bytes;
  }

  const std::string id_;
  const JwtAlgorithm algorithm_;
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_;
};

inline std::string JwksOf(std::initializer_list<const TestKey*> keys) {
  std::string text = "{\"keys\":[";
  for (const TestKey* key : keys) text += (text.back() == '[' ? "" : ",") + key->Jwk();
  return text + "]}";
}

}  // namespace weir::management
