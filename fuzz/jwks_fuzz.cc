// JWK sets: bounded, and every key that is taken can be asked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "management/auth/jwks.h"
#include "management/auth/oidc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::management;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  OidcProvider provider;
  provider.issuer = "https://id.example";
  if (ReadDiscovery(text, &provider) && provider.token_endpoint.empty()) std::abort();
  const auto keys = JwkSet::Parse(text);
  if (!keys) return 0;
  if (keys->size() == 0 || keys->size() > JwkSet::kMostKeys) std::abort();
  for (const NamedKey& key : keys->keys()) {
    if (key.key.Verifies("text", "") || key.key.Verifies("text", std::string_view("\0\0\0\0", 4))) std::abort();
    bool found = false;
    for (const NamedKey* one : keys->Find(key.id, key.key.algorithm())) found = found || one == &key;
    if (!found) std::abort();
  }
  return 0;
}
