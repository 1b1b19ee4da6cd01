// The pattern of an endpoint, parsed.
//
//   /login             exactly this path
//   /users/{id}/posts  {name} or * as a whole segment: any one segment
//   /img/thumb-*.png   * or {name} within a segment: any run of characters in it, also none
//   /api/*  /api/**    at the end, the rest: any number of segments, also none (so "/api" too)
//   *  **  /*  /**     every path
//
// Patterns are compared with paths in normal form (base/path.h) and are decoded likewise, so "%2A" is a literal '*'.
// A final '/' means nothing. At most 64 segments and 2,048 bytes. A pattern may ignore the case of (ASCII) letters.
//
// Which of two patterns is more specific is decided by the first segment in which they differ: literal, then wildcards
// within the segment (more fixed characters first, then the longer beginning, then the longer end), then a
// whole-segment wildcard, then the rest. What heeds case goes before what ignores it and is otherwise as specific. Two
// patterns that differ but of which neither is more specific tie when some path matches both.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace weir::config {

inline constexpr std::size_t kMostPatternBytes = 2048;

// A segment with wildcards in it: fixed pieces with anything between them. "a*b" is {"a", "b"}, "*b" is {"", "b"}.
struct Glob {
  std::vector<std::string> pieces;  // at least 2; in lower case when it ignores case
  bool ignore_case = false;
  friend bool operator==(const Glob&, const Glob&) = default;
  // Linear in the segment for a given pattern: pieces are found from the left, without going back.
  bool Matches(std::string_view segment) const;
  std::size_t FixedSize() const;
};

struct PathSegment {
  enum class Kind : std::uint8_t { kLiteral, kGlob, kAny };
  Kind kind = Kind::kLiteral;
  std::string literal;       // kLiteral; in lower case when it ignores case
  bool ignore_case = false;  // kLiteral
  Glob glob;                 // kGlob
  friend bool operator==(const PathSegment&, const PathSegment&) = default;
};

struct PathPattern {
  std::vector<PathSegment> segments;
  bool rest = false;
  friend bool operator==(const PathPattern&, const PathPattern&) = default;
};

// kInvalidArgument with a sentence that says what is wrong.
Result<PathPattern> ParsePathPattern(std::string_view text, bool ignore_case = false);

// less: `a` is the more specific one. equal: the segments say the same, or neither is more specific.
std::weak_ordering CompareSpecificity(const Glob& a, const Glob& b);
// Whether some segment matches both.
bool Overlap(const Glob& a, const Glob& b);
// Whether some path matches both.
bool Overlap(const PathPattern& a, const PathPattern& b);

}  // namespace weir::config
