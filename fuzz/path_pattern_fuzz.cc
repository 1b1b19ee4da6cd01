// Lines of patterns, an empty line, lines of paths. Whatever they are: nothing crashes, a normal path stays what it is,
// an origin in front of it changes nothing, and the tree finds exactly the patterns that match one by one.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/path.h"
#include "config/snapshot/path_pattern.h"
#include "config/snapshot/path_trie.h"

namespace {

using weir::PathBuffer;
using weir::config::ParsePathPattern;
using weir::config::PathPattern;
using weir::config::PathSegment;
using weir::config::PathTrie;
using weir::config::PathTrieBuilder;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool Matches(const PathSegment& segment, std::string_view text) {
  switch (segment.kind) {
    case PathSegment::Kind::kLiteral:
      return segment.literal == text;
    case PathSegment::Kind::kGlob:
      return segment.glob.Matches(text);
    case PathSegment::Kind::kAny:
      return true;
  }
  return false;
}

bool Matches(const PathPattern& pattern, std::string_view path) {
  if (path.empty()) return false;
  if (path.front() == '/') path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  for (const PathSegment& segment : pattern.segments) {
    if (path.empty()) return false;
    const std::size_t end = std::min(path.find('/'), path.size());
    if (!Matches(segment, path.substr(0, end))) return false;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return path.empty() || pattern.rest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<PathPattern> patterns;
  PathTrieBuilder builder;
  for (std::string_view line = TakeLine(text); !line.empty() && patterns.size() < 32; line = TakeLine(text)) {
    const auto pattern = ParsePathPattern(line);
    if (!pattern) continue;
    for (const PathPattern& other : patterns) Require(Overlap(*pattern, other) == Overlap(other, *pattern));
    builder.Insert(*pattern, static_cast<std::uint32_t>(patterns.size()));
    patterns.push_back(*pattern);
  }
  const PathTrie trie = builder.Build();
  for (int i = 0; i < 32 && !text.empty(); ++i) {
    const std::string_view raw = TakeLine(text);
    PathBuffer buffer;
    PathBuffer again;
    PathBuffer lenient;
    const std::string_view path = weir::NormalizePath(raw, buffer).path;
    Require(weir::NormalizePath(path, again).path == path);
    Require(weir::NormalizePathLeniently(raw, lenient).size() <= 3 * raw.size() + 1);
    const weir::PathReadings readings(raw);
    Require(readings.first() == path && std::ranges::find(readings.others(), path) == readings.others().end());
    if (raw.starts_with('/')) {
      const std::string absolute = "https://site.example" + std::string(raw);
      Require(std::ranges::equal(weir::PathReadings(absolute).all(), readings.all()));
      Require(weir::PathOfTarget(absolute) == weir::PathOfTarget(raw));
    }
    std::vector<bool> found(patterns.size());
    trie.Visit(path, [&](std::uint32_t value) {
      Require(!found[value]);
      found[value] = true;
      return false;
    });
    for (std::size_t k = 0; k < patterns.size(); ++k) Require(found[k] == Matches(patterns[k], path));
  }
  return 0;
}
