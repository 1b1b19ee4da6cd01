#include "management/auth/crypto.h"

#include <sodium.h>

#include <cstdlib>

namespace weir::management {
namespace {

// Without a source of random numbers nothing here may go on.
void Ready() {
  static const bool ready = sodium_init() >= 0;
  if (!ready) std::abort();
}

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

constexpr std::size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kSealKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

}  // namespace

std::string RandomBytes(std::size_t count) {
  Ready();
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

std::string RandomBase62(std::size_t count) {
  Ready();
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string text(count, '\0');
  for (char& c : text) c = kAlphabet[randombytes_uniform(kAlphabet.size())];
  return text;
}

std::string Sha256(std::string_view bytes) {
  std::string hash(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(Bytes(hash), Bytes(bytes), bytes.size());
  return hash;
}

std::string HmacSha256(std::string_view key, std::string_view bytes) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, Bytes(key), key.size());
  crypto_auth_hmacsha256_update(&state, Bytes(bytes), bytes.size());
  std::string mac(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256_final(&state, Bytes(mac));
  return mac;
}

std::string Seal(std::string_view key, std::string_view about, std::string_view plain) {
  if (key.size() != kSealKeyBytes) std::abort();
  std::string sealed = RandomBytes(kNonce);
  sealed.resize(kNonce + plain.size() + kTag);
  unsigned char* const at = Bytes(sealed);
  crypto_aead_xchacha20poly1305_ietf_encrypt(at + kNonce, nullptr, Bytes(plain), plain.size(), Bytes(about),
                                             about.size(), nullptr, at, Bytes(key));
  return sealed;
}

bool Unseal(std::string_view key, std::string_view about, std::string_view sealed, std::string* plain) {
  Ready();
  if (key.size() != kSealKeyBytes || sealed.size() < kNonce + kTag) return false;
  plain->assign(sealed.size() - kNonce - kTag, '\0');
  return crypto_aead_xchacha20poly1305_ietf_decrypt(Bytes(*plain), nullptr, nullptr, Bytes(sealed) + kNonce,
                                                    sealed.size() - kNonce, Bytes(about), about.size(), Bytes(sealed),
                                                    Bytes(key)) == 0;
}

}  // namespace weir::management
