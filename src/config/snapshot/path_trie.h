// Finds the patterns that match a path, the most specific first (path_pattern.h says what that means).
//
// A look-up reads the path once for each branch of the tree that it can follow: at a node these are the literal child,
// the globs that match, and the wildcard child. Every node is visited at most once, so the work is bounded by the
// smaller of the tree and 2^segments, whatever the path; paths longer than the patterns are not read to their end.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/snapshot/path_pattern.h"

namespace weir::config {

// Thread-safe.
class PathTrie {
 public:
  PathTrie() = default;  // without patterns

  // Calls `visit` with the values of every pattern that matches, until it returns true. Returns whether it did.
  // `path` is in normal form; a final '/' does not matter. An empty path matches nothing. Allocates nothing.
  bool Visit(std::string_view path, absl::FunctionRef<bool(std::uint32_t)> visit) const;

 private:
  friend class PathTrieBuilder;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  // Nodes lie level by level, so the literal children of a node are neighbours.
  struct Node {
    std::uint32_t parent = kNone;
    Range text;        // in texts_: the segment that leads here, when it is a literal
    Range here, rest;  // in values_: of patterns that end here, and that take the rest
    Range literals;    // in nodes_
    Range caseless;    // in nodes_: literals that ignore case, in lower case
    Range globs;       // in globs_: the most specific first
    std::uint32_t any = kNone;
  };
  struct GlobChild {
    Glob glob;
    std::uint32_t node = kNone;
  };
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t node = kNone;
  };

  bool VisitFrom(const Node& node, std::string_view path, absl::FunctionRef<bool(std::uint32_t)> visit) const;
  bool Offer(const Range& values, absl::FunctionRef<bool(std::uint32_t)> visit) const;
  const Node* FindLiteral(const Node& node, std::string_view segment) const;
  const Node* FindCaseless(const Node& node, std::string_view segment) const;
  const Node* FindAmong(const Node& node, const Range& children, std::string_view segment) const;
  std::uint64_t HashOf(const Node& node, const Range& children, std::string_view segment) const;
  bool HasText(const Node& node, std::string_view text) const;
  void IndexLiterals();

  std::vector<Node> nodes_{1};
  std::vector<std::uint32_t> values_;
  std::vector<GlobChild> globs_;
  std::string texts_;
  std::size_t longest_caseless_ = 0;
  std::vector<Slot>
      slots_;  // literal children (of either kind) of nodes that have many; a power of two, at most half full
};

class PathTrieBuilder {
 public:
  // Values of one pattern are visited in the order of insertion.
  void Insert(const PathPattern& pattern, std::uint32_t value);
  PathTrie Build() const;

  // The values of patterns that say the same.
  std::vector<std::vector<std::uint32_t>> SamePatterns() const;
  // For each set of sibling globs that begin and end alike, so that none is more specific: the values below each glob.
  std::vector<std::vector<std::vector<std::uint32_t>>> RivalGlobs() const;

 private:
  using GlobChild = PathTrie::GlobChild;
  static constexpr std::uint32_t kNone = PathTrie::kNone;
  struct Node {
    std::vector<std::uint32_t> here, rest;
    std::vector<std::pair<std::string, std::uint32_t>> literals, caseless;
    std::vector<GlobChild> globs;
    std::uint32_t any = kNone;
  };

  std::uint32_t NewNode();
  std::uint32_t Child(std::uint32_t node, const PathSegment& segment);
  static std::vector<GlobChild> SortedGlobs(const Node& node);
  void Collect(std::uint32_t node, std::vector<std::uint32_t>& values) const;

  std::vector<Node> nodes_{1};
  absl::flat_hash_map<std::pair<std::uint32_t, std::string>, std::uint32_t> literal_children_, caseless_children_;
  // By the pieces, and "i" or "" for what ignores case.
  absl::flat_hash_map<std::pair<std::uint32_t, std::vector<std::string>>, std::uint32_t> glob_children_;
};

}  // namespace weir::config
