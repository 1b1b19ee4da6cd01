#include <algorithm>
#include <tuple>

#include "config/snapshot/path_trie.h"

namespace weir::config {
namespace {

// Globs of equal rank are ordered by how they begin and end, so that those which could match the same text are
// neighbours.
bool MoreSpecific(const Glob& a, const Glob& b) {
  const std::weak_ordering order = CompareSpecificity(a, b);
  return order != 0 ? order < 0
                    : std::tie(a.pieces.front(), a.pieces.back()) < std::tie(b.pieces.front(), b.pieces.back());
}

bool AreRivals(const Glob& a, const Glob& b) { return !MoreSpecific(a, b) && !MoreSpecific(b, a); }

}  // namespace

std::uint32_t PathTrieBuilder::NewNode() {
  nodes_.emplace_back();
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::uint32_t PathTrieBuilder::Child(std::uint32_t node, const PathSegment& segment) {
  switch (segment.kind) {
    case PathSegment::Kind::kLiteral: {
      auto& children = segment.ignore_case ? caseless_children_ : literal_children_;
      const auto [known, is_new] = children.try_emplace(std::pair(node, segment.literal), kNone);
      if (is_new) {
        known->second = NewNode();
        (segment.ignore_case ? nodes_[node].caseless : nodes_[node].literals)
            .emplace_back(segment.literal, known->second);
      }
      return known->second;
    }
    case PathSegment::Kind::kGlob: {
      std::vector<std::string> text = segment.glob.pieces;
      text.emplace_back(segment.glob.ignore_case ? "i" : "");
      const auto [known, is_new] = glob_children_.try_emplace(std::pair(node, std::move(text)), kNone);
      if (is_new) {
        known->second = NewNode();
        nodes_[node].globs.push_back({segment.glob, known->second});
      }
      return known->second;
    }
    case PathSegment::Kind::kAny: {
      if (nodes_[node].any == kNone) {
        const std::uint32_t child = NewNode();
        nodes_[node].any = child;
      }
      return nodes_[node].any;
    }
  }
  return kNone;
}

void PathTrieBuilder::Insert(const PathPattern& pattern, std::uint32_t value) {
  std::uint32_t node = 0;
  for (const PathSegment& segment : pattern.segments) node = Child(node, segment);
  (pattern.rest ? nodes_[node].rest : nodes_[node].here).push_back(value);
}

std::vector<PathTrieBuilder::GlobChild> PathTrieBuilder::SortedGlobs(const Node& node) {
  std::vector<GlobChild> globs = node.globs;
  std::ranges::sort(globs, MoreSpecific, &GlobChild::glob);
  return globs;
}

// Walks level by level and numbers nodes as they are met.
PathTrie PathTrieBuilder::Build() const {
  using Range = PathTrie::Range;
  PathTrie trie;
  std::vector<std::uint32_t> sources = {0};  // of trie.nodes_, in nodes_
  const auto enter = [&](std::uint32_t source, std::uint32_t parent) {
    sources.push_back(source);
    trie.nodes_.emplace_back().parent = parent;
    return static_cast<std::uint32_t>(trie.nodes_.size() - 1);
  };
  const auto keep = [&](const std::vector<std::uint32_t>& values) {
    const Range range{.first = static_cast<std::uint32_t>(trie.values_.size()),
                      .count = static_cast<std::uint32_t>(values.size())};
    trie.values_.insert(trie.values_.end(), values.begin(), values.end());
    return range;
  };
  for (std::uint32_t index = 0; index < sources.size(); ++index) {
    const Node& source = nodes_[sources[index]];
    PathTrie::Node node = trie.nodes_[index];
    node.here = keep(source.here);
    node.rest = keep(source.rest);
    node.literals = {.first = static_cast<std::uint32_t>(sources.size()),
                     .count = static_cast<std::uint32_t>(source.literals.size())};
    const auto enter_literal = [&](const std::string& text, std::uint32_t child) {
      const std::uint32_t entered = enter(child, index);
      trie.nodes_[entered].text = {.first = static_cast<std::uint32_t>(trie.texts_.size()),
                                   .count = static_cast<std::uint32_t>(text.size())};
      trie.texts_ += text;
    };
    for (const auto& [text, child] : source.literals) enter_literal(text, child);
    node.caseless = {.first = static_cast<std::uint32_t>(sources.size()),
                     .count = static_cast<std::uint32_t>(source.caseless.size())};
    for (const auto& [text, child] : source.caseless) {
      enter_literal(text, child);
      trie.longest_caseless_ = std::max(trie.longest_caseless_, text.size());
    }
    node.globs = {.first = static_cast<std::uint32_t>(trie.globs_.size()),
                  .count = static_cast<std::uint32_t>(source.globs.size())};
    for (GlobChild& child : SortedGlobs(source)) {
      child.node = enter(child.node, index);
      trie.globs_.push_back(std::move(child));
    }
    if (source.any != kNone) node.any = enter(source.any, index);
    trie.nodes_[index] = node;
  }
  trie.IndexLiterals();
  return trie;
}

std::vector<std::vector<std::uint32_t>> PathTrieBuilder::SamePatterns() const {
  std::vector<std::vector<std::uint32_t>> groups;
  for (const Node& node : nodes_) {
    if (node.here.size() > 1) groups.push_back(node.here);
    if (node.rest.size() > 1) groups.push_back(node.rest);
  }
  return groups;
}

std::vector<std::vector<std::vector<std::uint32_t>>> PathTrieBuilder::RivalGlobs() const {
  std::vector<std::vector<std::vector<std::uint32_t>>> rivalries;
  for (const Node& node : nodes_) {
    if (node.globs.size() < 2) continue;
    const std::vector<GlobChild> globs = SortedGlobs(node);
    for (std::size_t i = 0; i < globs.size();) {
      std::size_t end = i + 1;
      while (end < globs.size() && AreRivals(globs[i].glob, globs[end].glob)) ++end;
      if (end - i > 1) {
        auto& groups = rivalries.emplace_back();
        for (std::size_t k = i; k < end; ++k) Collect(globs[k].node, groups.emplace_back());
      }
      i = end;
    }
  }
  return rivalries;
}

void PathTrieBuilder::Collect(std::uint32_t index, std::vector<std::uint32_t>& values) const {
  const Node& node = nodes_[index];
  values.insert(values.end(), node.here.begin(), node.here.end());
  values.insert(values.end(), node.rest.begin(), node.rest.end());
  for (const auto& [text, child] : node.literals) Collect(child, values);
  for (const auto& [text, child] : node.caseless) Collect(child, values);
  for (const GlobChild& child : node.globs) Collect(child.node, values);
  if (node.any != kNone) Collect(node.any, values);
}

}  // namespace weir::config
