// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir {

// Position of the first byte that is not UTF-8, or npos. Eight bytes at a time while they are ASCII.
std::size_t FindInvalidUtf8(std::string_view text);
// The text with U+FFFD in place of each byte that is not UTF-8.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace weir
