// JSON text appended piece by piece.
#pragma once

#include <string>
#include <string_view>

namespace weir::http {

// A JSON string with its quotes. Ill-formed UTF-8 becomes U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace weir::http
