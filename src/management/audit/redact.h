// Takes secrets out of what is to be recorded. The document's own printer has hidden what it knows to be secret before;
// this is the second look, at names and forms.
#pragma once

#include <string>
#include <string_view>

namespace weir::management::audit {

inline constexpr std::string_view kRedacted = "[redacted]";

// Whether a field of that name holds a secret: it contains password, secret, token, credential, authorization, cookie,
// private_key or the like, whatever its case.
bool IsSecretName(std::string_view name);

// A text with what has the form of a secret replaced: weir's own tokens and keys, JWTs, `Bearer ...` and `Basic ...`,
// and passwords in URLs.
std::string RedactText(std::string_view text);

// A JSON document on one line. Texts and arrays of texts under secret names become "[redacted]"; a reference such as
// ${env:NAME} stays. All other texts pass RedactText(). What is not JSON becomes {"unreadable_bytes": N}.
std::string RedactJson(std::string_view json);

}  // namespace weir::management::audit
