// Certificates made when a test runs: none lie in the source tree to expire. Tests only.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace weir::net {

// A key and its certificate, as PEM files `<path>.crt` and `<path>.key`.
class TestCertificate {
 public:
  enum class Role { kAuthority, kServer, kClient };

  // Signed by `issuer`, or by itself when that is nullptr.
  TestCertificate(const std::string& path, const char* name, Role role, const TestCertificate* issuer = nullptr)
      : certificate_file(path + ".crt"),
        key_file(path + ".key"),
        key_(EVP_EC_gen("P-256"), &EVP_PKEY_free),
        certificate_(X509_new(), &X509_free) {
    static long serial = 1;
    X509* const x509 = certificate_.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 24 * 3600);
    X509_set_pubkey(x509, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509* const signer = issuer == nullptr ? x509 : issuer->certificate_.get();
    X509_set_issuer_name(x509, X509_get_subject_name(signer));
    Extend(signer, NID_basic_constraints, role == Role::kAuthority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (role == Role::kServer) Extend(signer, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    if (role != Role::kAuthority) {
      Extend(signer, NID_ext_key_usage, role == Role::kServer ? "serverAuth" : "clientAuth");
    }
    if (X509_sign(x509, issuer == nullptr ? key_.get() : issuer->key_.get(), EVP_sha256()) == 0) {
      throw std::runtime_error("cannot sign");
    }
    const std::unique_ptr<FILE, int (*)(FILE*)> crt(std::fopen(certificate_file.c_str(), "w"), &std::fclose);
    const std::unique_ptr<FILE, int (*)(FILE*)> key(std::fopen(key_file.c_str(), "w"), &std::fclose);
    PEM_write_X509(crt.get(), x509);
    PEM_write_PrivateKey(key.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  }

  const std::string certificate_file, key_file;

 private:
  void Extend(X509* signer, int extension, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, signer, certificate_.get(), nullptr, nullptr, 0);
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value);
    if (made == nullptr) throw std::runtime_error("cannot extend");
    X509_add_ext(certificate_.get(), made, -1);
    X509_EXTENSION_free(made);
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

}  // namespace weir::net
