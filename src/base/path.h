// The path of a request in one normal form, so that a rule cannot be evaded by spelling its path differently.
//
// RFC 3986 leaves some spellings to the server: whether "%2F" and '\' separate segments and whether ";..." belongs to a
// segment. A path that holds any of these is `ambiguous`: servers read it in two ways, and a limiter that bets on one
// of them can be led past a rule or into an exemption. Whoever matches an ambiguous path must hold it to both readings.
//
// Both readings:
//  - everything from the first '?' or '#' on is dropped;
//  - %XX is decoded once, except where the byte would mean something else then ('/', '%', '?', '#': written "%2F",
//  ...); a
//    '%' that begins no such triplet is written "%25";
//  - "//" is one '/'; "." and ".." segments are removed, also encoded ones; ".." at the root stays there;
//  - a final '/' stays (whether it matters is the matcher's affair), and so does the case of letters.
// The lenient reading moreover takes "%2F", '\' and "%5C" as '/' and drops ";..." up to the segment's end.
#pragma once

#include <absl/container/inlined_vector.h>

#include <string_view>

namespace weir {

// Room for a path that has to be rewritten: up to 512 bytes without allocating; at most 3 times the raw path.
using PathBuffer = absl::InlinedVector<char, 512>;

struct NormalPath {
  std::string_view path;  // into the raw path when that was normal already, else into the buffer
  bool ambiguous = false;
};

// Linear in the length; allocates nothing when the path is normal already or fits the buffer. Idempotent. An empty path
// stays empty.
NormalPath NormalizePath(std::string_view raw, PathBuffer& buffer);

// The lenient reading of the same raw path. Not idempotent: what was decoded can look like an escape again.
std::string_view NormalizePathLeniently(std::string_view raw, PathBuffer& buffer);

}  // namespace weir
