#include "base/crypto/secret.h"

#include <cstddef>

namespace weir {

bool EqualInConstantTime(std::string_view given, std::string_view secret) {
  unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  // The compiler must not leave the loop early.
  volatile unsigned char result = difference;
  return result == 0;
}

bool SecretSet::Has(std::string_view given) const {
  if (secrets_ == nullptr) return false;
  unsigned matches = 0;
  for (const std::string& secret : *secrets_) matches |= EqualInConstantTime(given, secret) ? 1U : 0U;
  return matches != 0 && !given.empty();
}

std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  if (authorization.size() <= kScheme.size() || authorization[kScheme.size()] != ' ') return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  std::string_view token = authorization.substr(kScheme.size() + 1);
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

}  // namespace weir
