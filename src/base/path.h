// The target of a request and its path in one normal form, so that a rule cannot be evaded by spelling its path
// differently. Every front end and command gives the target as it was sent ("/a?b", "https://site.example/a?b"); what
// is said here is the one reading of it.
//
// An origin is what a target begins with: a scheme, "://" and an authority up to the first '/', '?' or '#'. It is
// dropped; a target that is nothing else has the path "/". Anywhere else "://" is text: no target can point into
// itself.
//
// RFC 3986 leaves some spellings to the server: whether "%2F" and '\' separate segments and whether ";..." belongs to a
// segment. A path that holds any of these is `ambiguous`: servers read it in two ways, and a limiter that bets on one
// of them can be led past a rule or into an exemption. Nor does a request's target have a fragment: servers that are
// sent a '#' either cut there or take it as any other byte. Whoever matches a path must hold it to each reading
// (PathReadings).
//
// All readings:
//  - everything from the first '?' on is dropped, and from '#' on (but for servers that do not cut there);
//  - %XX is decoded once, except where the byte would mean something else then ('/', '%', '?', '#': written "%2F",
//  ...); a
//    '%' that begins no such triplet is written "%25";
//  - "//" is one '/'; "." and ".." segments are removed, also encoded ones; ".." at the root stays there;
//  - a final '/' stays (whether it matters is the matcher's affair), and so does the case of letters.
// The lenient reading moreover takes "%2F", '\' and "%5C" as '/' and drops ";..." up to the segment's end.
#pragma once

#include <absl/container/inlined_vector.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace weir {

// Room for a path that has to be rewritten: up to 512 bytes without allocating; at most 3 times the raw path.
using PathBuffer = absl::InlinedVector<char, 512>;

struct NormalPath {
  std::string_view path;   // into the raw path when that was normal already, else into the buffer
  bool ambiguous = false;  // the lenient reading may differ
  bool fragment = false;   // cut at a '#'
};

// Linear in the length; allocates nothing when the path is normal already or fits the buffer. Idempotent. An empty path
// stays empty.
NormalPath NormalizePath(std::string_view raw, PathBuffer& buffer);

// The lenient reading of the same raw path, cut at '#'. Not idempotent: what was decoded can look like an escape again.
std::string_view NormalizePathLeniently(std::string_view raw, PathBuffer& buffer);

// The different readings of one target: one, unless it is ambiguous or has a '#'; at most four. What they say lives in
// the target and in this object, which does not move.
class PathReadings {
 public:
  explicit PathReadings(std::string_view target) {
    const NormalPath normal = NormalizePath(target, buffers_[0]);
    readings_[0] = normal.path;
    if (normal.ambiguous || normal.fragment) [[unlikely]]
      AddOthers(target, normal);
  }
  PathReadings(const PathReadings&) = delete;
  PathReadings& operator=(const PathReadings&) = delete;

  // RFC 3986's: NormalizePath().
  std::string_view first() const { return readings_[0]; }
  std::span<const std::string_view> all() const { return {readings_.data(), count_}; }
  std::span<const std::string_view> others() const { return all().subspan(1); }

 private:
  void AddOthers(std::string_view target, const NormalPath& normal);
  void Add(std::string_view path);

  std::array<PathBuffer, 4> buffers_;
  std::array<std::string_view, 4> readings_;
  std::size_t count_ = 1;
};

// The parts of a target as they were sent: the path without origin, query and fragment; the query behind the first '?',
// empty when there is none.
std::string_view PathOfTarget(std::string_view target);
std::string_view QueryOfTarget(std::string_view target);

}  // namespace weir
