// The functions of OpenSSL 1.1: those that took their place in 3.0 look their algorithm up and count references with
// each text, and take four times as long for a short one.
#define OPENSSL_API_COMPAT 0x10100000L

#include "base/crypto/sha256.h"

#include <openssl/sha.h>

namespace weir {

Sha256Digest Sha256(std::string_view text) {
  SHA256_CTX context;
  Sha256Digest digest{};
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

}  // namespace weir
