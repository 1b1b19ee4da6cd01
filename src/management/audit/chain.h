// How records hold each other: each carries the hash of the one before, and its own.
//
// A line is   BODY,"seq":7,"prev":"<64 hex>","hash":"<64 hex>"}
// and hash is the SHA-256 of the bytes before `,"hash"`, with a closing brace. So a record can be checked with nothing
// but the line:   sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir::management::audit {

// What the first record carries in the place of a hash before it.
inline constexpr std::string_view kNoHash = "0000000000000000000000000000000000000000000000000000000000000000";

// Where a chain has got to.
struct Link {
  std::uint64_t seq = 0;      // 0: nothing yet
  std::string hash{kNoHash};  // of the record with that number
  friend bool operator==(const Link&, const Link&) = default;
};

// Appends the line of the next record, with its newline, and moves `link` on to it. `body` as EncodeBody() makes it.
void AppendLinked(std::string_view body, Link* link, std::string* out);

// Whether `line` (without newline) is the record that follows `link`; then `link` is moved on. Otherwise the message
// says what is wrong: "its hash is not that of its text", "it does not follow record 6", ...
Result<> Follow(std::string_view line, Link* link);

}  // namespace weir::management::audit
