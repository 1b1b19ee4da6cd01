// What may be a Request::request_id that comes from outside.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace weir::engine {

inline constexpr std::size_t kLongestRequestId = 128;
// For messages: "request_id must be ...".
inline constexpr std::string_view kRequestIdForm = "must be 1 to 128 visible ASCII characters";

inline bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kLongestRequestId &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace weir::engine
