// Presented tokens, cookies and role texts: taken or refused, and what is taken reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "management/audit/redact.h"
#include "management/auth/principal.h"
#include "management/auth/secret_token.h"
#include "management/auth/sessions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::management;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool secret = HasSecretForm(text);
  if (secret != !ShownPart(text).empty()) std::abort();
  // One that is one is not to be found in what is shown of it.
  if (secret &&
      (HideSecrets(text).find(text) != std::string::npos || audit::RedactText(text).find(text) != std::string::npos)) {
    std::abort();
  }
  const std::string hidden = HideSecrets(text);
  if (HideSecrets(hidden) != hidden) std::abort();
  (void)audit::RedactText(text);
  (void)audit::RedactJson(text);
  const std::string_view cookie = Sessions::SecretIn(text);
  if (cookie.size() > text.size()) std::abort();
  if (const auto grants = ParseGrants(text)) {
    const auto again = ParseGrants(TextOf(*grants));
    if (!again || *again != *grants) std::abort();
  }
  return 0;
}
